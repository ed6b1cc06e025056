/**
 * A member of a consumer group that hands over batches and commits what its owner says is safe.
 *
 * What kafkajs 2.2.4 does if nothing is done, and the guard against it here:
 *
 * - `consumer.commitOffsets` resolves without committing once the consumer stops: offsets are committed
 *   through the batch's own `commitOffsetsIfNecessary`, explicitly, and count as committed only when the
 *   COMMIT_OFFSETS event says so.
 * - `isStale()` tells of a pending seek, not of a lost partition: a generation token, renewed at each join
 *   and each rebuild, is checked before a commit, and by the owner before it writes.
 * - a topic created again is not noticed: batches carry the topic's id and can have it confirmed.
 * - a consumer would create a missing topic: not allowed.
 * - it can die while the process lives, or hang in silence: it is rebuilt, with backoff.
 * - it fetches nothing while a handler waits: an owner that has to wait says so, the partition is paused,
 *   and its records are read again later.
 *
 * @module
 */

import type { Consumer, ConsumerCrashEvent, EachBatchPayload, IHeaders, Kafka } from "kafkajs";
import { type KafkaConnection, openClient, RETRY_WAITS } from "./client.ts";
import type { ClusterClient, CommittedOffset } from "./cluster.ts";
import { explain, isUnreachable, reasonOf, RefusedError } from "./errors.ts";
import type { KafkaRecord, RecordHeader } from "./record.ts";
import { TopicIdentity } from "./topic_identity.ts";

/** Partitions that the group gave to this member, before anything is read of them. */
export interface Assignment {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: readonly PartitionStart[];
}

export interface PartitionStart {
  readonly partition: number;
  /** The first offset that can still be read, and one past the last. */
  readonly low: number;
  readonly high: number;
  readonly committed: CommittedOffset | undefined;
}

/** Records of one partition, in order, control and aborted records left out. */
export interface ConsumedBatch {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly records: readonly KafkaRecord[];
  /** One past the last offset that the batch covers. */
  readonly endOffset: number;
  /** One past the last offset of the partition, when the batch was fetched. */
  readonly highWatermark: number;
  /** False once the partition may be another member's: nothing must be written or committed any more. */
  isCurrent(): boolean;
  /** Tells the group that this member lives; at most one request an interval. Throws at a rebalance. */
  heartbeat(): Promise<void>;
  /** Asks the cluster whether the topic is still the one that the batch was read from. */
  confirmTopic(): Promise<boolean>;
}

/** What the owner made of a batch. */
export type BatchOutcome =
  /** All below this offset is safe: commit it and read on. */
  | { readonly kind: "done"; readonly endOffset: number }
  /** Nothing more can be done now: pause the partition, and read its records again after this time. */
  | { readonly kind: "wait"; readonly waitMs: number };

/** What an operator should know; each is told once when it begins. */
export type ConsumerNotice =
  | { readonly kind: "joined"; readonly partitions: readonly number[] }
  | { readonly kind: "silent"; readonly silentMs: number }
  | { readonly kind: "answers-again"; readonly silentMs: number }
  | { readonly kind: "rebuilding"; readonly reason: string; readonly inMs: number }
  | { readonly kind: "topic-changed"; readonly from: string; readonly to: string | undefined }
  | {
    readonly kind: "commit-failed";
    readonly partition: number;
    readonly offset: number;
    readonly reason: string;
  };

export interface GroupConsumerOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly groupId: string;
  /** Kept with every commit, so that a later member can tell whose commit it was. */
  readonly commitMetadata: (topicId: string) => string;
  /** Where to read on, by partition; the answer is awaited before any record is handed over. */
  readonly startAt: (assignment: Assignment) => ReadonlyMap<number, number>;
  readonly onBatch: (batch: ConsumedBatch) => Promise<BatchOutcome>;
  readonly onNotice: (notice: ConsumerNotice) => void;
  /** A member that says nothing for this long loses its partitions; 10 s. */
  readonly sessionTimeoutMs?: number;
}

const SESSION_TIMEOUT_MS = 10_000;
const HEARTBEATS_A_SESSION = 5;
const REBALANCE_TIMEOUT_MS = 30_000;
/** Bounds how long a stop waits for the fetch in flight. */
const FETCH_WAIT_MS = 250;
const FETCH_PARTITION_BYTES_MAX = 3 * 1024 * 1024;
const FETCH_BYTES_MAX = 16 * 1024 * 1024;
const COMMIT_RETRY_WAIT_MS = 500;
const START_RETRY_WAIT_MS = 500;
const WATCH_INTERVAL_MS = 1_000;
const SILENT_AFTER_MS = 5_000;
const REBUILD_AFTER_SILENT_MS = 45_000;
const REBUILD_WAIT_MIN_MS = 500;
const REBUILD_WAIT_MAX_MS = 15_000;
const DISCONNECT_TIMEOUT_MS = 10_000;

/** Errors by which the group tells a member that its partitions may have moved; kafkajs joins again by them. */
const REBALANCE_REASONS: ReadonlySet<string> = new Set([
  "REBALANCE_IN_PROGRESS",
  "ILLEGAL_GENERATION",
  "NOT_COORDINATOR_FOR_GROUP",
  "UNKNOWN_MEMBER_ID",
]);

/** Errors that trying again does not cure. */
const FATAL_REASONS: ReadonlySet<string> = new Set([
  "CLUSTER_AUTHORIZATION_FAILED",
  "GROUP_AUTHORIZATION_FAILED",
  "INCONSISTENT_GROUP_PROTOCOL",
  "INVALID_GROUP_ID",
  "INVALID_SESSION_TIMEOUT",
  "SASL_AUTHENTICATION_FAILED",
  "TOPIC_AUTHORIZATION_FAILED",
]);

/** What is known of the partitions since the last join. */
interface Membership {
  readonly generation: number;
  readonly topicId: string;
}

/** One kafkajs consumer, from its connection to its end. */
interface Session {
  readonly consumer: Consumer;
  /** Resolves when the session is over, with the reason unless it was asked to stop. */
  readonly ended: PromiseWithResolvers<Error | undefined>;
  membership: Promise<Membership | undefined>;
  readonly committed: Map<number, string>;
  readonly timers: Set<ReturnType<typeof setTimeout>>;
}

export class GroupConsumer {
  readonly #options: GroupConsumerOptions;
  readonly #client: Kafka;
  readonly #cluster: ClusterClient;
  readonly #identity: TopicIdentity;
  readonly #positions = new Map<number, number>();
  #session: Session | undefined;
  #isStopping = false;
  #generation = 0;
  #lastActivityAt = performance.now();
  #silentSince: number | undefined;

  /** @param cluster connected with patience `persist`; stays the caller's to close. */
  constructor(cluster: ClusterClient, options: GroupConsumerOptions) {
    this.#options = options;
    this.#client = openClient(options.connection, "persist");
    this.#cluster = cluster;
    this.#identity = new TopicIdentity(cluster, options.topic);
  }

  /** Where this member will read on, by partition that is assigned to it. */
  get positions(): ReadonlyMap<number, number> {
    return this.#positions;
  }

  /**
   * Consumes until {@link stop}; rebuilds the consumer whenever it dies or falls silent.
   *
   * @throws {RefusedError} where the cluster refuses what cannot be cured by trying again.
   */
  async run(): Promise<void> {
    const watch = setInterval(() => this.#watch(), WATCH_INTERVAL_MS);
    let rebuildWaitMs = REBUILD_WAIT_MIN_MS;
    try {
      while (!this.#isStopping) {
        const startedAt = performance.now();
        const reason = await this.#runSession();
        if (reason === undefined || this.#isStopping) return;
        if (FATAL_REASONS.has(reasonOf(reason))) throw this.#explained(reason);
        if (performance.now() - startedAt > REBUILD_WAIT_MAX_MS) {
          rebuildWaitMs = REBUILD_WAIT_MIN_MS;
        }
        this.#options.onNotice({ kind: "rebuilding", reason: reason.message, inMs: rebuildWaitMs });
        await delay(rebuildWaitMs);
        rebuildWaitMs = Math.min(rebuildWaitMs * 2, REBUILD_WAIT_MAX_MS);
      }
    } finally {
      clearInterval(watch);
    }
  }

  /** Finishes the batches in hand, commits them, leaves the group. Not to be called from `onBatch`. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#session === undefined) return;
    // The token is renewed after this, so that the batches in hand can still be committed.
    await disconnect(this.#session.consumer);
    this.#session.ended.resolve(undefined);
  }

  async #runSession(): Promise<Error | undefined> {
    const consumer = this.#client.consumer({
      groupId: this.#options.groupId,
      sessionTimeout: this.#sessionTimeoutMs(),
      heartbeatInterval: Math.floor(this.#sessionTimeoutMs() / HEARTBEATS_A_SESSION),
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytesPerPartition: FETCH_PARTITION_BYTES_MAX,
      maxBytes: FETCH_BYTES_MAX,
      readUncommitted: false,
      allowAutoTopicCreation: false,
      retry: {
        ...RETRY_WAITS,
        retries: Number.MAX_SAFE_INTEGER,
        restartOnFailure: () => Promise.resolve(false), // run() rebuilds, with a bound on the pace
      },
    });
    const session: Session = {
      consumer,
      ended: Promise.withResolvers(),
      membership: Promise.resolve(undefined),
      committed: new Map(),
      timers: new Set(),
    };
    this.#session = session;
    this.#generation++;
    this.#listen(session);
    this.#start(session).catch((error) => session.ended.resolve(error));
    const reason = await session.ended.promise;
    await this.#close(session);
    return reason;
  }

  async #start({ consumer }: Session): Promise<void> {
    await consumer.connect();
    await consumer.subscribe({ topics: [this.#options.topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_A_TIME,
      eachBatch: (payload) => this.#onEachBatch(payload),
    });
  }

  async #close(session: Session): Promise<void> {
    this.#generation++;
    for (const timer of session.timers) clearTimeout(timer);
    this.#positions.clear();
    await disconnect(session.consumer);
    this.#session = undefined;
  }

  #listen(session: Session): void {
    const { consumer } = session;
    const { GROUP_JOIN, CRASH, FETCH, HEARTBEAT, COMMIT_OFFSETS, END_BATCH_PROCESS } =
      consumer.events;
    consumer.on(GROUP_JOIN, ({ payload }) => {
      this.#noteActivity();
      const partitions = payload.memberAssignment[this.#options.topic] ?? [];
      session.membership = this.#takeOver(session, partitions);
    });
    consumer.on(FETCH, () => this.#noteActivity());
    consumer.on(HEARTBEAT, () => this.#noteActivity());
    consumer.on(COMMIT_OFFSETS, ({ payload }) => {
      for (const { partitions } of payload.topics) {
        for (const { partition, offset } of partitions) session.committed.set(partition, offset);
      }
    });
    consumer.on(END_BATCH_PROCESS, ({ payload }) => {
      this.#noteActivity();
      // Control and aborted records alone never reach eachBatch: the position moves all the same.
      if (payload.batchSize === 0) {
        this.#positions.set(payload.partition, Number(payload.lastOffset) + 1);
      }
    });
    consumer.on(CRASH, ({ payload }: ConsumerCrashEvent) => session.ended.resolve(payload.error));
  }

  /** Decides where to read on, before any record of the new assignment is handed over. */
  async #takeOver(
    session: Session,
    partitions: readonly number[],
  ): Promise<Membership | undefined> {
    const generation = ++this.#generation;
    this.#positions.clear();
    this.#options.onNotice({ kind: "joined", partitions });
    while (this.#generation === generation) {
      try {
        const assignment = await this.#describe(partitions);
        if (this.#generation !== generation) return undefined;
        this.#seekToStart(session, assignment);
        return { generation, topicId: assignment.topicId };
      } catch (error) {
        if (!isUnreachable(error) && FATAL_REASONS.has(reasonOf(error))) {
          session.ended.resolve(error instanceof Error ? error : new Error(String(error)));
          return undefined;
        }
        await delay(START_RETRY_WAIT_MS);
      }
    }
    return undefined;
  }

  async #describe(partitions: readonly number[]): Promise<Assignment> {
    const { topic, groupId } = this.#options;
    const { topicId } = await this.#cluster.describeTopic(topic);
    const ranges = await this.#cluster.offsets(topic, partitions);
    const committed = await this.#cluster.committedOffsets(groupId, topic);
    return {
      topic,
      topicId,
      partitions: ranges.map((range) => ({
        ...range,
        committed: committed.find(({ partition }) => partition === range.partition),
      })),
    };
  }

  #seekToStart(session: Session, assignment: Assignment): void {
    const starts = this.#options.startAt(assignment);
    for (const { partition, low, committed } of assignment.partitions) {
      const usual = committed?.offset ?? low;
      const start = starts.get(partition) ?? usual;
      this.#positions.set(partition, start);
      if (start !== usual || committed === undefined) {
        session.consumer.seek({ topic: assignment.topic, partition, offset: String(start) });
      }
    }
  }

  async #onEachBatch(payload: EachBatchPayload): Promise<void> {
    const session = this.#session;
    const membership = await session?.membership;
    if (
      session === undefined || membership === undefined ||
      membership.generation !== this.#generation
    ) return;
    if (payload.isStale() || !payload.isRunning()) return;
    const { batch } = payload;
    const outcome = await this.#options.onBatch({
      topic: batch.topic,
      topicId: membership.topicId,
      partition: batch.partition,
      records: batch.messages.map((message) => recordOf(batch.topic, batch.partition, message)),
      endOffset: Number(batch.lastOffset()) + 1,
      highWatermark: Number(batch.highWatermark),
      isCurrent: () => membership.generation === this.#generation,
      heartbeat: () => payload.heartbeat(),
      confirmTopic: () => this.#confirmTopic(session, membership),
    });
    if (membership.generation !== this.#generation) return;
    if (outcome.kind === "wait") this.#pause(session, payload, outcome.waitMs);
    else await this.#commit(session, payload, { offset: outcome.endOffset, membership });
  }

  async #commit(
    session: Session,
    payload: EachBatchPayload,
    { offset, membership }: { offset: number; membership: Membership },
  ): Promise<void> {
    const { topic, partition } = payload.batch;
    const metadata = this.#options.commitMetadata(membership.topicId);
    const partitions = [{ partition, offset: String(offset), metadata }];
    try {
      session.committed.delete(partition);
      await payload.commitOffsetsIfNecessary({ topics: [{ topic, partitions }] });
      if (session.committed.get(partition) !== String(offset)) {
        throw new RefusedError("the client sent no commit", { reason: "NO_COMMIT" });
      }
    } catch (error) {
      if (REBALANCE_REASONS.has(reasonOf(error))) throw error;
      this.#options.onNotice({
        kind: "commit-failed",
        partition,
        offset,
        reason: this.#explained(error).message,
      });
      this.#pause(session, payload, COMMIT_RETRY_WAIT_MS);
      return;
    }
    payload.resolveOffset(String(offset - 1));
    this.#positions.set(partition, offset);
  }

  /** The batch stays unresolved, so its records are fetched again when the partition is resumed. */
  #pause(session: Session, payload: EachBatchPayload, waitMs: number): void {
    const resume = payload.pause();
    const timer = setTimeout(() => {
      session.timers.delete(timer);
      resume();
    }, waitMs);
    session.timers.add(timer);
  }

  async #confirmTopic(session: Session, membership: Membership): Promise<boolean> {
    const description = await this.#identity.ask();
    if (description?.topicId === membership.topicId) return true;
    if (membership.generation !== this.#generation) return false;
    this.#generation++;
    const to = description?.topicId;
    this.#options.onNotice({ kind: "topic-changed", from: membership.topicId, to });
    session.ended.resolve(new Error(`topic "${this.#options.topic}" was deleted or created again`));
    return false;
  }

  #noteActivity(): void {
    const now = performance.now();
    if (this.#silentSince !== undefined) {
      this.#options.onNotice({ kind: "answers-again", silentMs: now - this.#silentSince });
      this.#silentSince = undefined;
    }
    this.#lastActivityAt = now;
  }

  /** Neither a fetch nor a heartbeat was answered for a while: says so, and in the end rebuilds the consumer. */
  #watch(): void {
    const silentMs = performance.now() - this.#lastActivityAt;
    if (silentMs < SILENT_AFTER_MS || this.#isStopping) return;
    if (this.#silentSince === undefined) {
      this.#silentSince = this.#lastActivityAt;
      this.#options.onNotice({ kind: "silent", silentMs });
    }
    if (silentMs > REBUILD_AFTER_SILENT_MS) {
      this.#lastActivityAt = performance.now();
      this.#session?.ended.resolve(new Error(`no answer for ${Math.round(silentMs / 1_000)} s`));
    }
  }

  #sessionTimeoutMs(): number {
    return this.#options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS;
  }

  #explained(error: unknown): Error {
    const { topic, groupId, connection } = this.#options;
    return explain(error, {
      doing: `consuming topic "${topic}" in group "${groupId}"`,
      brokers: connection.brokers,
    });
  }
}

/** Partitions whose batches are handled side by side; their writes share a flush to disk. */
const PARTITIONS_AT_A_TIME = 16;

interface ClientRecord {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: IHeaders;
}

/** @throws {RangeError} at an offset past 2^53, which a number cannot hold. */
export function recordOf(topic: string, partition: number, message: ClientRecord): KafkaRecord {
  const offset = Number(message.offset);
  if (!Number.isSafeInteger(offset)) {
    throw new RangeError(`offset ${message.offset} of ${topic}[${partition}] is past 2^53`);
  }
  return {
    topic,
    partition,
    offset,
    timestampMs: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: headersOf(message.headers),
  };
}

const NO_HEADERS: readonly RecordHeader[] = [];
const ENCODER = new TextEncoder();

function headersOf(headers: IHeaders | undefined): readonly RecordHeader[] {
  if (headers === undefined) return NO_HEADERS;
  const list: RecordHeader[] = [];
  for (const key in headers) {
    const values = headers[key];
    for (const value of Array.isArray(values) ? values : [values]) {
      list.push({ key, value: typeof value === "string" ? ENCODER.encode(value) : value ?? null });
    }
  }
  return list.length === 0 ? NO_HEADERS : list;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Disconnects, in bounded time: what does not answer any more is left behind. */
async function disconnect(consumer: Consumer): Promise<void> {
  const { promise: timedOut, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, DISCONNECT_TIMEOUT_MS);
  await Promise.race([consumer.disconnect().catch(() => {}), timedOut]);
  clearTimeout(timer);
}
