/**
 * A member of a consumer group that hands over batches and commits what its owner says is safe.
 *
 *     fetch -> batch handed over -> owner's work ... safe, in order -> commit
 *           \-> next fetch meanwhile
 *
 * What kafkajs 2.2.4 does if nothing is done, and the guard against it here:
 *
 * - its assigner deals a topic's partitions to members that do not subscribe to it, and a group notices new
 *   partitions after five minutes: `consumer/assigner.ts`, `consumer/group_watch.ts`.
 * - `consumer.commitOffsets` resolves without committing once the consumer stops: offsets are committed
 *   through a batch's own `commitOffsetsIfNecessary`, explicitly, and count as committed only when the
 *   COMMIT_OFFSETS event says so.
 * - `isStale()` tells of a pending seek, not of a lost partition: a generation token, renewed at each join
 *   and each rebuild, is checked before a commit, and by the owner before it writes.
 * - a rebalance is told after the fact: work that is under way is finished and committed before this
 *   member joins again (`beforeJoining` in `kafkajs_internals.ts`).
 * - a topic created again is not noticed: batches carry the topic's id and can have it confirmed.
 * - a consumer would create a missing topic: not allowed.
 * - it checks no checksum and its filter of aborted records has holes: batches are decoded by us
 *   (`consumer_fetch.ts`), and one whose checksum is wrong is refused.
 * - it can die while the process lives, or hang in silence: it is rebuilt, with backoff.
 * - it fetches nothing and sends no heartbeat while a handler waits: no handler waits here. Work goes on
 *   beside it, and a partition with too much of it is paused.
 *
 * @module
 */

import type { Assigner, Consumer, ConsumerCrashEvent, EachBatchPayload, Kafka } from "kafkajs";
import { type KafkaConnection, openClient, RETRY_WAITS } from "./client.ts";
import type { ClusterClient, CommittedOffset } from "./cluster.ts";
import { committedRecords } from "./committed_records.ts";
import { type GroupAssignment, roundRobinAssigner } from "./consumer/assigner.ts";
import { beginningWaitMs } from "./consumer/group_beginning.ts";
import { type GroupNotice, GroupWatch } from "./consumer/group_watch.ts";
import { fetchBytes, fetchedIn } from "./consumer_fetch.ts";
import { explain, factOf, isUnreachable, reasonOf, RefusedError } from "./errors.ts";
import {
  beforeJoining,
  type ClientCluster,
  committerOf,
  onOutOfRange,
  requestRejoin,
} from "./kafkajs_internals.ts";
import type { KafkaRecord } from "./record.ts";
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
  /** Aborted when the partition may be another member's, so that nobody waits on for what does not count. */
  readonly lost: AbortSignal;
  /** Asks the cluster whether the topic is still the one that the batch was read from. */
  confirmTopic(): Promise<boolean>;
  /** Whether the batch before this one of the partition became safe; work must not be done in another order. */
  readonly previous: Promise<boolean>;
}

/** What an operator should know; each is told once when it begins. */
export type ConsumerNotice =
  | GroupNotice
  /** Members whose subscription cannot be decoded: this member is the leader, and assigned nothing to them. */
  | { readonly kind: "unreadable-subscriptions"; readonly memberIds: readonly string[] }
  | { readonly kind: "joined"; readonly partitions: readonly number[]; readonly memberId: string }
  | { readonly kind: "silent"; readonly silentMs: number }
  | { readonly kind: "answers-again"; readonly silentMs: number }
  | { readonly kind: "rebuilding"; readonly reason: string; readonly inMs: number }
  /** The topic does not have the offset any more at which a partition was to be read on. */
  | {
    readonly kind: "out-of-range";
    readonly partition: number;
    readonly from: number;
    readonly to: number;
  }
  /** What was fetched is not what was stored, or cannot be decompressed: it is asked for again. */
  | {
    readonly kind: "unreadable";
    readonly partition: number;
    readonly offset: number;
    readonly reason: string;
  }
  | { readonly kind: "topic-changed"; readonly from: string; readonly to: string | undefined }
  | {
    readonly kind: "commit-failed";
    /** By partition. */
    readonly offsets: ReadonlyMap<number, number>;
    readonly reason: string;
  };

export interface GroupConsumerOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly groupId: string;
  /** Kept with every commit, so that a later member can tell whose commit it was. */
  readonly commitMetadata: (topicId: string) => string;
  /**
   * Whether a group that has committed nothing of the topic begins at the topic's end. One member commits that end for
   * all partitions then, before any member reads. Left out, it is {@link startAt} that decides for each partition.
   */
  readonly beginsAtEnd?: (topic: Pick<Assignment, "topic" | "topicId">) => boolean;
  /** Where to read on, by partition; the answer is awaited before any record is handed over. */
  readonly startAt: (assignment: Assignment) => ReadonlyMap<number, number>;
  /**
   * Does the work on a batch, beside the fetching of the next. Resolves with true when all of the batch is
   * safe and may be committed, with false where it was abandoned: its records are then read again.
   */
  readonly onBatch: (batch: ConsumedBatch) => Promise<boolean>;
  readonly onNotice: (notice: ConsumerNotice) => void;
  /** A member that says nothing for this long loses its partitions; 10 s. */
  readonly sessionTimeoutMs?: number;
}

const SESSION_TIMEOUT_MS = 10_000;
const HEARTBEATS_A_SESSION = 5;
const REBALANCE_TIMEOUT_MS = 30_000;
/** Bounds how long a stop waits for the fetch in flight. */
const FETCH_WAIT_MS = 250;
const FETCH_PARTITION_BYTES_MAX = 1024 * 1024;
const FETCH_BYTES_MAX = 8 * 1024 * 1024;
const COMMIT_RETRY_WAIT_MS = 500;
/** Batches of a partition whose work is under way; past it the partition is paused. */
const BATCHES_IN_FLIGHT_MAX = 2;
/** How long a handler waits for room before its partition is paused. */
const HANDLER_PATIENCE_MS = 1_000;
/** How long an abandoned batch's partition is left alone before its records are read again. */
const REWIND_WAIT_MS = 500;
/** How long a rebalance or a stop waits for the work under way. */
const DRAIN_TIMEOUT_MS = 8_000;
const START_RETRY_WAIT_MS = 500;
/** How often a new group's commits are looked for while another member decides where it begins. */
const BEGINNING_POLL_MS = 250;
const WATCH_INTERVAL_MS = 1_000;
const SILENT_AFTER_MS = 5_000;
const REBUILD_AFTER_SILENT_MS = 45_000;
const REBUILD_WAIT_MIN_MS = 500;
const REBUILD_WAIT_MAX_MS = 15_000;
const DISCONNECT_TIMEOUT_MS = 10_000;

/**
 * Errors by which the group tells a member that its partitions may have moved: the next heartbeat is told the same,
 * and joins again. NOT_COORDINATOR_FOR_GROUP says nothing of that: a heartbeat may find the coordinator in place again.
 */
const REBALANCE_REASONS: ReadonlySet<string> = new Set([
  "REBALANCE_IN_PROGRESS",
  "ILLEGAL_GENERATION",
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

/** Commits as the member of one generation. */
type Commit = ReturnType<typeof committerOf>;

/** What is known of the partitions since the last join. */
interface Membership {
  readonly generation: number;
  readonly topicId: string;
}

/** The work under way on a partition's batches. */
interface Lane {
  /** Renewed when the partition is read again from its safe position: work begun before is stale. */
  epoch: number;
  /** Until it is read again: what was fetched before would be taken for what comes after the safe position. */
  isRewinding: boolean;
  batchesInFlight: number;
  /** Whether the last batch handed over became safe. */
  tail: Promise<boolean>;
  /** Called when a batch's work ends. */
  onRoom: (() => void) | undefined;
}

/** One kafkajs consumer, from its connection to its end. */
interface Session {
  readonly consumer: Consumer;
  /** Resolves when the session is over, with the reason unless it was asked to stop. */
  readonly ended: PromiseWithResolvers<Error | undefined>;
  membership: Promise<Membership | undefined>;
  lanes: Map<number, Lane>;
  /** Commits through the last batch handed over: it works while stopping, and throws where it fails. */
  commit: EachBatchPayload["commitOffsetsIfNecessary"] | undefined;
  /** Safe offsets that wait to be committed. */
  readonly uncommitted: Map<number, number>;
  committing: Promise<void> | undefined;
  /** What the last COMMIT_OFFSETS events said, by partition. */
  readonly confirmed: Map<number, string>;
  readonly timers: Set<ReturnType<typeof setTimeout>>;
}

export class GroupConsumer {
  readonly #options: GroupConsumerOptions;
  readonly #client: Kafka;
  readonly #cluster: ClusterClient;
  readonly #identity: TopicIdentity;
  readonly #groupWatch: GroupWatch;
  readonly #positions = new Map<number, number>();
  #isPlaced = false;
  /** Whether where the partitions begin is committed, too. */
  #hasBegun = false;
  #session: Session | undefined;
  /** The connections of the session's consumer. */
  #sessionCluster: ClientCluster | undefined;
  /** What this member has assigned as the group's leader; undefined where another one is. */
  #assigned: GroupAssignment | undefined;
  #isStopping = false;
  /** The offsets at which partitions cannot be read at the moment. */
  readonly #unreadable = new Map<number, number>();
  /** Why commits fail at the moment. */
  #commitFailure: string | undefined;
  #generation = 0;
  /** Aborted when the generation changes. */
  #lost = new AbortController();
  #lastActivityAt = performance.now();
  #silentSince: number | undefined;

  /** @param cluster connected with patience `persist`; stays the caller's to close. */
  constructor(cluster: ClusterClient, options: GroupConsumerOptions) {
    this.#options = options;
    this.#client = openClient(options.connection, "persist");
    this.#cluster = cluster;
    this.#identity = new TopicIdentity(cluster, options.topic);
    this.#groupWatch = new GroupWatch({
      ...options,
      cluster,
      requestRejoin: () => this.#sessionCluster && requestRejoin(this.#sessionCluster),
    });
  }

  /**
   * Where this member will read on, by partition that is assigned to it; undefined while it has joined no
   * group, or does not know yet where to read on.
   */
  get positions(): ReadonlyMap<number, number> | undefined {
    return this.#hasBegun ? this.#positions : undefined;
  }

  /**
   * Partitions of the topic that no member of the group holds, so that nobody reads them; undefined while it is not
   * known: before a join, for a few seconds after it, and where this user may not describe the group.
   */
  get unassigned(): readonly number[] | undefined {
    return this.#groupWatch.unassigned;
  }

  /** How long no broker has answered, in milliseconds; 0 while they do. */
  get silentMs(): number {
    return this.#silentSince === undefined ? 0 : performance.now() - this.#silentSince;
  }

  /**
   * Consumes until {@link stop}; rebuilds the consumer whenever it dies or falls silent.
   *
   * @throws {RefusedError} where the cluster refuses what cannot be cured by trying again.
   */
  async run(): Promise<void> {
    const watch = setInterval(() => this.#watch(), WATCH_INTERVAL_MS);
    this.#groupWatch.start();
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
        this.#options.onNotice({
          kind: "rebuilding",
          reason: factOf(this.#explained(reason)),
          inMs: rebuildWaitMs,
        });
        await delay(rebuildWaitMs);
        rebuildWaitMs = Math.min(rebuildWaitMs * 2, REBUILD_WAIT_MAX_MS);
      }
    } finally {
      clearInterval(watch);
      await this.#groupWatch.stop();
    }
  }

  /** Finishes the batches in hand, commits them, leaves the group. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const session = this.#session;
    if (session === undefined) return;
    // The token is renewed after this, so that the batches in hand can still be committed.
    await this.#drain(session);
    await disconnect(session.consumer);
    session.ended.resolve(undefined);
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
      partitionAssigners: [(config) => {
        fetchBytes(config.cluster);
        beforeJoining(config.cluster, () => this.#beforeJoining());
        onOutOfRange(config.cluster, (gap) => {
          // Before a start is decided on, it is decided with the topic's range in view.
          if (this.#isPlaced) this.#options.onNotice({ kind: "out-of-range", ...gap });
        });
        return this.#createAssigner(config.cluster);
      }],
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
      lanes: new Map(),
      commit: undefined,
      uncommitted: new Map(),
      committing: undefined,
      confirmed: new Map(),
      timers: new Set(),
    };
    this.#session = session;
    this.#nextGeneration();
    this.#listen(session);
    this.#start(session).catch((error) => session.ended.resolve(error));
    const reason = await session.ended.promise;
    await this.#close(session);
    return reason;
  }

  #createAssigner(clientCluster: object): Assigner {
    const cluster = clientCluster as ClientCluster;
    this.#sessionCluster = cluster;
    return roundRobinAssigner({
      cluster,
      onAssigned: (assignment) => {
        this.#assigned = assignment;
        const memberIds = assignment.unreadableMembers;
        if (memberIds.length > 0) {
          this.#options.onNotice({ kind: "unreadable-subscriptions", memberIds });
        }
      },
    });
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
    this.#nextGeneration();
    this.#groupWatch.left();
    for (const timer of session.timers) clearTimeout(timer);
    this.#positions.clear();
    this.#isPlaced = false;
    this.#hasBegun = false;
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
      this.#options.onNotice({ kind: "joined", partitions, memberId: payload.memberId });
      this.#groupWatch.joined(payload.isLeader ? this.#assigned : undefined);
      session.membership = this.#takeOver(session, partitions);
    });
    consumer.on(FETCH, () => this.#noteActivity());
    consumer.on(HEARTBEAT, () => this.#noteActivity());
    consumer.on(COMMIT_OFFSETS, ({ payload }) => {
      for (const { partitions } of payload.topics) {
        // A Long where the commit came by way of consumer.commitOffsets, whatever the types say.
        for (const { partition, offset } of partitions) {
          session.confirmed.set(partition, String(offset));
        }
      }
    });
    consumer.on(END_BATCH_PROCESS, () => this.#noteActivity());
    consumer.on(CRASH, ({ payload }: ConsumerCrashEvent) => session.ended.resolve(payload.error));
  }

  /** What was begun before is stale from here on. */
  #nextGeneration(): number {
    this.#lost.abort();
    this.#lost = new AbortController();
    return ++this.#generation;
  }

  /** Decides where to read on, before any record of the new assignment is handed over. */
  async #takeOver(
    session: Session,
    partitions: readonly number[],
  ): Promise<Membership | undefined> {
    const generation = this.#nextGeneration();
    this.#positions.clear();
    this.#isPlaced = false;
    this.#hasBegun = false;
    session.lanes = new Map();
    session.uncommitted.clear();
    const commit = committerOf(this.#sessionCluster ?? {});
    const joinedAt = performance.now();
    let assignment: Assignment | undefined;
    while (this.#generation === generation) {
      try {
        if (assignment === undefined) {
          const { isGroupNew, ...described } = await this.#describe(partitions);
          if (this.#generation !== generation) return undefined;
          if (isGroupNew && this.#beginsAtEnd(described)) {
            const waitedMs = performance.now() - joinedAt;
            if (waitedMs < beginningWaitMs(partitions)) await delay(BEGINNING_POLL_MS);
            else await this.#beginAtEnd(described, commit);
            continue;
          }
          this.#seekToStart(session, described);
          assignment = described;
        }
        const membership = { generation, topicId: assignment.topicId };
        await this.#commitStarts(assignment, commit);
        if (this.#generation !== generation) return undefined;
        this.#hasBegun = true;
        return membership;
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

  async #describe(
    partitions: readonly number[],
  ): Promise<Assignment & { readonly isGroupNew: boolean }> {
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
      isGroupNew: committed.length === 0,
    };
  }

  #beginsAtEnd(assignment: Assignment): boolean {
    return assignment.partitions.length > 0 && this.#options.beginsAtEnd?.(assignment) === true;
  }

  /** Commits the topic's present end for all of its partitions: from then on the group is no new one. */
  async #beginAtEnd({ topic, topicId }: Assignment, commit: Commit): Promise<void> {
    const metadata = this.#options.commitMetadata(topicId);
    const partitions = (await this.#cluster.allOffsets(topic))
      .map(({ partition, high }) => ({ partition, offset: String(high), metadata }));
    await commit([{ topic, partitions }]);
  }

  #seekToStart(session: Session, assignment: Assignment): void {
    const starts = this.#options.startAt(assignment);
    // What kafkajs has passed over meanwhile, on its own, is passed over again.
    session.uncommitted.clear();
    for (const { partition, low, committed } of assignment.partitions) {
      const start = starts.get(partition) ?? committed?.offset ?? low;
      this.#positions.set(partition, start);
      // Always: kafkajs may be further on already, or have an old seek of an earlier assignment in hand.
      session.consumer.seek({ topic: assignment.topic, partition, offset: String(start) });
      // Paused for work that was begun before the join, it would wait for that work's end.
      session.consumer.resume([{ topic: assignment.topic, partitions: [partition] }]);
    }
    this.#isPlaced = true;
  }

  /**
   * Commits where partitions without a commit begin, before any of their records is handed over. So a
   * group without a commit is one that was never here, or was deleted: not one whose member died before
   * its first commit, with records in hand that must be seen again.
   */
  async #commitStarts(
    { topic, topicId, partitions: held }: Assignment,
    commit: Commit,
  ): Promise<void> {
    const metadata = this.#options.commitMetadata(topicId);
    const partitions = held.filter(({ committed }) => committed === undefined)
      .map(({ partition, low }) => ({
        partition,
        offset: String(this.#positions.get(partition) ?? low),
        metadata,
      }));
    if (partitions.length > 0) await commit([{ topic, partitions }]);
  }

  /** Work that is under way is finished and committed while this member still has its partitions. */
  async #beforeJoining(): Promise<void> {
    if (this.#session !== undefined) await this.#drain(this.#session);
  }

  /** Waits, in bounded time, until the work under way is safe and committed. */
  async #drain(session: Session): Promise<void> {
    const drained = async () => {
      await Promise.all([...session.lanes.values()].map(({ tail }) => tail));
      await session.committing;
    };
    await withinTime(drained(), DRAIN_TIMEOUT_MS);
  }

  async #onEachBatch(payload: EachBatchPayload): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    // Bounded: while a handler waits no heartbeat is sent, and by its answer a lost membership is known.
    const membership = await withinTime(session.membership, HANDLER_PATIENCE_MS);
    if (membership?.generation !== this.#generation) return await payload.heartbeat();
    if (payload.isStale() || !payload.isRunning() || this.#isStopping) return;
    const { batch } = payload;
    const lane = this.#laneOf(session, batch.partition);
    if (lane.isRewinding) return;
    const { epoch } = lane;
    const endOffset = Number(batch.lastOffset()) + 1;
    const isCurrent = () => membership.generation === this.#generation && lane.epoch === epoch;
    session.commit = payload.commitOffsetsIfNecessary;
    const records = await this.#recordsIn(session, { payload, lane });
    if (records === undefined || !isCurrent()) return await payload.heartbeat();

    lane.batchesInFlight++;
    lane.tail = this.#options.onBatch({
      topic: batch.topic,
      topicId: membership.topicId,
      partition: batch.partition,
      records,
      endOffset,
      highWatermark: Number(batch.highWatermark),
      isCurrent,
      lost: this.#lost.signal,
      confirmTopic: () => this.#confirmTopic(session, membership),
      previous: lane.tail,
    }).then((isSafe) => {
      lane.batchesInFlight--;
      lane.onRoom?.();
      if (!isCurrent()) return false;
      if (isSafe) this.#noteSafe(session, { partition: batch.partition, offset: endOffset });
      else this.#rewind(session, { partition: batch.partition, lane });
      return isSafe;
    });
    payload.resolveOffset(batch.lastOffset());
    // A paused partition is fetched again only after kafkajs's own wait, so a short one is waited out here.
    const hasRoom = await this.#roomWithin(lane, HANDLER_PATIENCE_MS);
    if (!hasRoom && isCurrent()) this.#pause(payload, lane);
    await payload.heartbeat();
  }

  /** Undefined where the batch cannot be read: it is fetched again, and nothing of it goes further. */
  async #recordsIn(
    session: Session,
    { payload: { batch }, lane }: { payload: EachBatchPayload; lane: Lane },
  ): Promise<readonly KafkaRecord[] | undefined> {
    const fetched = fetchedIn(batch);
    if (fetched === undefined) return [];
    const { partition, start } = fetched;
    try {
      const records = await committedRecords(fetched);
      this.#unreadable.delete(partition);
      return records;
    } catch (error) {
      if (this.#unreadable.get(partition) !== start) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#options.onNotice({ kind: "unreadable", partition, offset: start, reason });
      }
      this.#unreadable.set(partition, start);
      this.#rewindWhenSettled(session, { partition, lane });
      return undefined;
    }
  }

  /** Lets the batches before become safe first: made stale, they would be fetched again and again. */
  #rewindWhenSettled(
    session: Session,
    { partition, lane }: { partition: number; lane: Lane },
  ): void {
    const { epoch } = lane;
    const generation = this.#generation;
    session.consumer.pause([{ topic: this.#options.topic, partitions: [partition] }]);
    lane.tail.then(() => {
      const isCurrent = generation === this.#generation && lane.epoch === epoch;
      if (isCurrent) this.#rewind(session, { partition, lane });
    });
  }

  #laneOf(session: Session, partition: number): Lane {
    const lane = session.lanes.get(partition) ??
      {
        epoch: 0,
        isRewinding: false,
        batchesInFlight: 0,
        tail: Promise.resolve(true),
        onRoom: undefined,
      };
    session.lanes.set(partition, lane);
    return lane;
  }

  async #roomWithin(lane: Lane, timeoutMs: number): Promise<boolean> {
    if (lane.batchesInFlight < BATCHES_IN_FLIGHT_MAX) return true;
    const { promise: room, resolve } = Promise.withResolvers<void>();
    lane.onRoom = resolve;
    await withinTime(room, timeoutMs);
    lane.onRoom = undefined;
    return lane.batchesInFlight < BATCHES_IN_FLIGHT_MAX;
  }

  /** The partition is fetched again when there is room, which the end of a batch's work makes. */
  #pause(payload: EachBatchPayload, lane: Lane): void {
    const resume = payload.pause();
    lane.onRoom = () => {
      lane.onRoom = undefined;
      resume();
    };
  }

  /** Reads on from the last safe offset; work begun on what lies past it is stale. */
  #rewind(session: Session, { partition, lane }: { partition: number; lane: Lane }): void {
    const { topic } = this.#options;
    const offset = this.#positions.get(partition);
    if (offset === undefined) return;
    lane.epoch++;
    lane.isRewinding = true;
    lane.tail = Promise.resolve(true);
    session.consumer.pause([{ topic, partitions: [partition] }]);
    const timer = setTimeout(() => {
      session.timers.delete(timer);
      // After a join the partition has been placed anew, and resumed.
      if (session.lanes.get(partition) !== lane || this.#isStopping) return;
      lane.isRewinding = false;
      session.consumer.seek({ topic, partition, offset: String(offset) });
      session.consumer.resume([{ topic, partitions: [partition] }]);
    }, REWIND_WAIT_MS);
    session.timers.add(timer);
  }

  #noteSafe(session: Session, { partition, offset }: { partition: number; offset: number }): void {
    this.#positions.set(partition, offset);
    session.uncommitted.set(partition, offset);
    if (session.commit !== undefined) session.committing ??= this.#commitAll(session);
  }

  /** One commit is under way at a time, for all partitions that have something to commit. */
  async #commitAll(session: Session): Promise<void> {
    let membership = await session.membership;
    while (session.uncommitted.size > 0 && membership?.generation === this.#generation) {
      const offsets = new Map(session.uncommitted);
      session.uncommitted.clear();
      try {
        await this.#commit(session, { offsets, membership });
        this.#commitFailure = undefined;
      } catch (error) {
        if (membership.generation !== this.#generation || REBALANCE_REASONS.has(reasonOf(error))) {
          break;
        }
        const reason = factOf(this.#explained(error));
        if (reason !== this.#commitFailure) {
          this.#options.onNotice({ kind: "commit-failed", offsets, reason });
        }
        this.#commitFailure = reason;
        // What became safe meanwhile is further on.
        for (const [partition, offset] of offsets) {
          if (!session.uncommitted.has(partition)) session.uncommitted.set(partition, offset);
        }
        await delay(COMMIT_RETRY_WAIT_MS);
      }
      membership = await session.membership;
    }
    // In the turn in which none was left: what becomes safe in the next one would else be committed by nobody.
    session.committing = undefined;
  }

  async #commit(
    session: Session,
    { offsets, membership }: { offsets: ReadonlyMap<number, number>; membership: Membership },
  ): Promise<void> {
    const metadata = this.#options.commitMetadata(membership.topicId);
    const partitions = [...offsets].map(([partition, offset]) => ({
      partition,
      offset: String(offset),
      metadata,
    }));
    for (const partition of offsets.keys()) session.confirmed.delete(partition);
    await session.commit?.({ topics: [{ topic: this.#options.topic, partitions }] });
    requireConfirmed(session.confirmed, partitions);
  }

  async #confirmTopic(session: Session, membership: Membership): Promise<boolean> {
    const description = await this.#identity.ask();
    if (description?.topicId === membership.topicId) return true;
    if (membership.generation !== this.#generation) return false;
    this.#nextGeneration();
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

/** @throws {RefusedError} unless the COMMIT_OFFSETS event named each of these commits. */
function requireConfirmed(
  confirmed: ReadonlyMap<number, string>,
  commits: readonly { readonly partition: number; readonly offset: string }[],
): void {
  if (!commits.every(({ partition, offset }) => confirmed.get(partition) === offset)) {
    throw new RefusedError("the client sent no commit", { reason: "NO_COMMIT" });
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Disconnects, in bounded time: what does not answer any more is left behind. */
async function disconnect(consumer: Consumer): Promise<void> {
  await withinTime(consumer.disconnect().catch(() => {}), DISCONNECT_TIMEOUT_MS);
}

/** What the promise resolves with, or undefined where it takes longer. */
async function withinTime<Result>(
  promise: Promise<Result>,
  timeoutMs: number,
): Promise<Result | undefined> {
  const { promise: timedOut, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  try {
    return await Promise.race([promise, timedOut]);
  } finally {
    clearTimeout(timer);
  }
}
