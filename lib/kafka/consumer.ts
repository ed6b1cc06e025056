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

import type {
  Assigner,
  Consumer,
  ConsumerCrashEvent,
  EachBatchPayload,
  Kafka,
  OffsetsByTopicPartition,
  TopicPartitionOffsetAndMetadata,
} from "kafkajs";
import { type KafkaConnection, openClient, RETRY_WAITS } from "./client.ts";
import type { ClusterClient, CommittedOffset } from "./cluster.ts";
import { type CommittedRecords, committedRecords } from "./committed_records.ts";
import { type GroupAssignment, roundRobinAssigner } from "./consumer/assigner.ts";
import { CoordinatorWatch } from "./consumer/coordinator_watch.ts";
import { beginningWaitMs } from "./consumer/group_beginning.ts";
import { type GroupNotice, GroupWatch } from "./consumer/group_watch.ts";
import { LagBook, type PartitionLag } from "./consumer/lag.ts";
import { type Hindrance, Liveness } from "./consumer/liveness.ts";
import type { LogCheck } from "./consumer/log_check.ts";
import { Prober } from "./consumer/prober.ts";
import { type HindranceNotice, Watchdog } from "./consumer/watchdog.ts";
import { fetchBytes, fetchedIn, type FetchPlace } from "./consumer_fetch.ts";
import { explain, factOf, isUnreachable, reasonOf, RefusedError } from "./errors.ts";
import {
  beforeJoining,
  type ClientCluster,
  committerOf,
  type GroupMember,
  requestRejoin,
} from "./kafkajs_internals.ts";
import { observeTraffic } from "./kafkajs/traffic.ts";
import type { EpochEnd } from "./protocol/offset_for_leader_epoch.ts";
import type { FetchedPartition } from "./raw_fetch.ts";
import type { KafkaRecord } from "./record.ts";
import { type EpochRun, epochRunsIn } from "./record_batch.ts";
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
  /** Offsets of the record batches by leader epoch, aborted ones and control batches included. */
  readonly epochRuns?: readonly EpochRun[];
  /** Has the partition compared with its log before it is read again; for a batch that does not become safe. */
  checkLog?(): void;
  /** Whether the batch before this one of the partition became safe; work must not be done in another order. */
  readonly previous: Promise<boolean>;
}

/** What an operator should know; each is told once when it begins. */
export type ConsumerNotice =
  | GroupNotice
  /** Members whose subscription cannot be decoded: this member is the leader, and assigned nothing to them. */
  | { readonly kind: "unreadable-subscriptions"; readonly memberIds: readonly string[] }
  | { readonly kind: "joined"; readonly partitions: readonly number[]; readonly memberId: string }
  | HindranceNotice
  | { readonly kind: "rebuilding"; readonly reason: string; readonly inMs: number }
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

/** An offset that is committed. */
export interface CommitPoint {
  readonly partition: number;
  readonly offset: number;
  /** Leader epoch of the record before the offset; undefined where it is not known. */
  readonly epoch: number | undefined;
}

/** What is known of one of this member's partitions. */
export interface PartitionStanding extends PartitionLag {
  /** One past the last offset that is safe: where this member would read on; undefined until that is decided. */
  readonly position: number | undefined;
  /** Where the partition cannot be read, and why. */
  readonly unreadable: UnreadableBatch | undefined;
}

export interface UnreadableBatch {
  readonly offset: number;
  readonly reason: string;
}

/** What a member of a group knows of itself at one moment. */
export interface ConsumerStanding {
  readonly hindrance: Hindrance | undefined;
  /** Those that the group gave to this member, in order. */
  readonly partitions: readonly PartitionStanding[];
  /** Why commits fail; undefined where they do not. */
  readonly commitFailure: string | undefined;
  /** Partitions of the topic that no member of the group has; undefined where that is not known. */
  readonly unassigned: readonly number[] | undefined;
}

export interface GroupConsumerOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly groupId: string;
  /** Kept with every commit, so that a later member can tell whose commit it was. */
  readonly commitMetadata: (topicId: string, point: CommitPoint) => string;
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
  /** Left out, a partition that cannot be read on is read from the first offset that it has. */
  readonly logCheck?: LogCheck;
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
/** Fetches are answered four times a second, with records or without. */
const FETCHES_SUCCEED_WITHIN_MS = 2_000;
const PROBE_INTERVAL_MS = 1_000;
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
  /** The next offset to be fetched, and the leader epoch of the batch before it. */
  next: { readonly offset: number; readonly epoch: number | undefined } | undefined;
  /** Whether the log has to be asked before anything more is read. */
  isMisplaced: boolean;
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
  /** kafkajs's own side of the membership, from the first join on. */
  member: GroupMember | undefined;
  membership: Promise<Membership | undefined>;
  lanes: Map<number, Lane>;
  /**
   * Commits through the last batch handed over: it works while stopping, and throws where it fails. Before the
   * first batch, through the consumer.
   */
  commit: EachBatchPayload["commitOffsetsIfNecessary"];
  /** Safe offsets that wait to be committed, by partition. */
  readonly uncommitted: Map<number, CommitPoint>;
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
  /** Leader epoch of the record before each position; undefined where it is not known. */
  readonly #epochs = new Map<number, number | undefined>();
  #isPlaced = false;
  /** Whether where the partitions begin is committed, too. */
  #hasBegun = false;
  #session: Session | undefined;
  /** The connections of the session's consumer. */
  #sessionCluster: ClientCluster | undefined;
  /** What this member has assigned as the group's leader; undefined where another one is. */
  #assigned: GroupAssignment | undefined;
  #isStopping = false;
  /** The partitions that cannot be read at the moment. */
  readonly #unreadable = new Map<number, UnreadableBatch>();
  /** Why commits fail at the moment. */
  #commitFailure: string | undefined;
  #generation = 0;
  /** Aborted when the generation changes. */
  #lost = new AbortController();
  readonly #liveness = new Liveness();
  readonly #lag = new LagBook();
  readonly #prober: Prober;
  readonly #coordinator: CoordinatorWatch;

  /** @param cluster connected with patience `persist`; stays the caller's to close. */
  constructor(cluster: ClusterClient, options: GroupConsumerOptions) {
    this.#options = options;
    this.#client = openClient(options.connection, "persist");
    this.#cluster = cluster;
    this.#identity = new TopicIdentity(cluster, options.topic);
    this.#prober = new Prober({
      cluster,
      topic: options.topic,
      lag: this.#lag,
      liveness: this.#liveness,
    });
    this.#coordinator = new CoordinatorWatch(this.#sessionTimeoutMs());
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

  /** What is known now of this member, its partitions, and what hinders it. */
  get standing(): ConsumerStanding {
    return {
      hindrance: this.#liveness.hindrance,
      partitions: this.#lag.at(performance.now()).map((each) => ({
        ...each,
        position: this.#isPlaced ? this.#positions.get(each.partition) : undefined,
        unreadable: this.#unreadable.get(each.partition),
      })),
      commitFailure: this.#commitFailure,
      unassigned: this.unassigned,
    };
  }

  /**
   * Consumes until {@link stop}; rebuilds the consumer whenever it dies or falls silent.
   *
   * @throws {RefusedError} where the cluster refuses what cannot be cured by trying again.
   */
  async run(): Promise<void> {
    const watchdog = new Watchdog({
      liveness: this.#liveness,
      onNotice: this.#options.onNotice,
      heartbeat: () => this.#heartbeat(),
      rebuild: (reason) => {
        if (!this.#isStopping) this.#session?.ended.resolve(reason);
      },
    });
    const probe = setInterval(() => this.#prober.probe(), PROBE_INTERVAL_MS);
    const watch = setInterval(() => this.#watchCoordinator(), WATCH_INTERVAL_MS);
    const unobserve = this.#cluster.observe(this.#liveness);
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
      watchdog[Symbol.dispose]();
      clearInterval(probe);
      clearInterval(watch);
      unobserve();
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
        observeTraffic(config.cluster, this.#liveness);
        fetchBytes(config.cluster, {
          lastFetchedEpoch: (place) => this.#nextFetch(place)?.epoch,
          onMisplaced: (place, divergingEpoch) => this.#onMisplaced(place, divergingEpoch),
          onFetched: (partitions) => this.#noteFetched(partitions),
        });
        beforeJoining(config.cluster, (member) => this.#beforeJoining(member));
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
      member: undefined,
      membership: Promise.resolve(undefined),
      lanes: new Map(),
      commit: (offsets) => consumer.commitOffsets(commitsIn(offsets)),
      uncommitted: new Map(),
      committing: undefined,
      confirmed: new Map(),
      timers: new Set(),
    };
    this.#session = session;
    this.#nextGeneration();
    this.#liveness.joining();
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
    // The last figures of a run stay, for its totals.
    if (!this.#isStopping) this.#lag.assign(new Map());
    this.#liveness.joining();
    this.#hasBegun = false;
    await disconnect(session.consumer);
    this.#session = undefined;
  }

  #listen(session: Session): void {
    const { consumer } = session;
    const { GROUP_JOIN, CRASH, HEARTBEAT, COMMIT_OFFSETS } = consumer.events;
    consumer.on(GROUP_JOIN, ({ payload }) => {
      this.#liveness.succeeded();
      this.#coordinator.heard();
      const partitions = payload.memberAssignment[this.#options.topic] ?? [];
      this.#options.onNotice({ kind: "joined", partitions, memberId: payload.memberId });
      this.#groupWatch.joined(payload.isLeader ? this.#assigned : undefined);
      session.membership = this.#takeOver(session, partitions);
    });
    consumer.on(HEARTBEAT, () => {
      this.#liveness.succeeded();
      this.#coordinator.heard();
    });
    consumer.on(COMMIT_OFFSETS, ({ payload }) => {
      this.#liveness.succeeded();
      for (const { partitions } of payload.topics) {
        // A Long where the commit came by way of consumer.commitOffsets, whatever the types say.
        for (const { partition, offset } of partitions) {
          session.confirmed.set(partition, String(offset));
          this.#lag.noteCommitted(partition, Number(offset));
        }
      }
    });
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
    this.#epochs.clear();
    this.#isPlaced = false;
    this.#hasBegun = false;
    session.lanes = new Map();
    session.uncommitted.clear();
    this.#lag.assign(new Map(partitions.map((partition) => [partition, undefined])));
    for (const partition of this.#unreadable.keys()) {
      if (!partitions.includes(partition)) this.#unreadable.delete(partition);
    }
    const commit = committerOf(this.#sessionCluster ?? {});
    const joinedAt = performance.now();
    let assignment: Assignment | undefined;
    let truncated: ReadonlySet<number> = new Set();
    while (this.#generation === generation) {
      try {
        if (assignment === undefined) {
          const { isGroupNew, ...described } = await this.#describe(partitions);
          truncated = await this.#options.logCheck?.beforeStart(described) ?? truncated;
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
        await this.#commitStarts(assignment, { truncated, commit });
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
    const partitions = (await this.#cluster.allOffsets(topic)).map(({ partition, high }) => {
      const point = { partition, offset: high, epoch: undefined };
      const metadata = this.#options.commitMetadata(topicId, point);
      return { partition, offset: String(high), metadata };
    });
    await commit([{ topic, partitions }]);
  }

  #seekToStart(session: Session, assignment: Assignment): void {
    const starts = this.#options.startAt(assignment);
    // What kafkajs has passed over meanwhile, on its own, is passed over again.
    session.uncommitted.clear();
    for (const { partition, low, committed } of assignment.partitions) {
      const start = starts.get(partition) ?? committed?.offset ?? low;
      this.#place(session, { partition, offset: start });
      // Always: kafkajs may be further on already, or have an old seek of an earlier assignment in hand.
      session.consumer.seek({ topic: assignment.topic, partition, offset: String(start) });
      // Paused for work that was begun before the join, it would wait for that work's end.
      session.consumer.resume([{ topic: assignment.topic, partitions: [partition] }]);
    }
    this.#isPlaced = true;
    this.#lag.assign(
      new Map(assignment.partitions.map(({ partition, committed }) => {
        const position = this.#positions.get(partition) ?? 0;
        // What is committed past the position is of an earlier topic of this name, or not in our journal: still to be read.
        return [partition, committed && Math.min(committed.offset, position)];
      })),
    );
    this.#liveness.topicFound();
    this.#liveness.joined();
  }

  /** Sets where a partition is read, with what is known of the record before. */
  #place(
    session: Session,
    { partition, offset }: { readonly partition: number; readonly offset: number },
  ): void {
    const epoch = this.#options.logCheck?.epochBefore(partition, offset);
    this.#positions.set(partition, offset);
    this.#epochs.set(partition, epoch);
    this.#laneOf(session, partition).next = { offset, epoch };
  }

  /**
   * Commits where partitions without a commit begin, before any of their records is handed over. So a
   * group without a commit is one that was never here, or was deleted: not one whose member died before
   * its first commit, with records in hand that must be seen again. So does a partition whose records
   * expired past its commit: there is nothing to read before its start, and nothing to lag behind. Where a
   * log was truncated its commit is taken back to what is left.
   */
  async #commitStarts(
    { topic, topicId, partitions: held }: Assignment,
    { truncated, commit }: { readonly truncated: ReadonlySet<number>; readonly commit: Commit },
  ): Promise<void> {
    const partitions = held.map(({ partition, low, committed }) => ({
      committed: committed?.offset ?? -1,
      partition,
      offset: this.#positions.get(partition) ?? low,
    })).filter(({ committed, partition, offset }) => committed < offset || truncated.has(partition))
      .map(({ partition, offset }) => {
        const point = { partition, offset, epoch: this.#epochs.get(partition) };
        const metadata = this.#options.commitMetadata(topicId, point);
        return { partition, offset: String(offset), metadata };
      });
    if (partitions.length > 0) await commit([{ topic, partitions }]);
  }

  /** Work that is under way is finished and committed while this member still has its partitions. */
  async #beforeJoining(member: GroupMember): Promise<void> {
    this.#liveness.joining();
    if (this.#session === undefined) return;
    this.#session.member = member;
    await this.#drain(this.#session);
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
    const isCurrent = () => membership.generation === this.#generation && lane.epoch === epoch;
    session.commit = payload.commitOffsetsIfNecessary;
    const fetched = fetchedIn(batch);
    let start = fetched?.start ?? 0;
    for await (const { records, isLast } of this.#partsOf(session, { payload, lane })) {
      if (!isCurrent()) break;
      const lastOffset = isLast ? batch.lastOffset() : String(records.at(-1)?.offset);
      const endOffset = Number(lastOffset) + 1;
      const epochRuns = epochRunsIn(fetched?.bytes ?? new Uint8Array(), { start, end: endOffset });
      const part = { records, endOffset, epochRuns };
      this.#handOver(session, { membership, lane, batch, part, isCurrent });
      payload.resolveOffset(lastOffset);
      lane.next = { offset: endOffset, epoch: epochRuns.at(-1)?.epoch };
      start = endOffset;
      // A paused partition is fetched again only after kafkajs's own wait, so a short one is waited out here.
      const hasRoom = await this.#roomWithin(lane, HANDLER_PATIENCE_MS);
      if (!hasRoom) {
        // What is left of a batch is fetched again when there is room.
        if (isCurrent()) this.#pause(payload, lane);
        break;
      }
      if (!isLast) await payload.heartbeat();
    }
    await payload.heartbeat();
  }

  /** Has the owner begin its work on records of a batch, beside the fetching of the next. */
  #handOver(
    session: Session,
    { membership, lane, batch, part, isCurrent }: {
      readonly membership: Membership;
      readonly lane: Lane;
      readonly batch: EachBatchPayload["batch"];
      readonly part: Pick<ConsumedBatch, "records" | "endOffset"> & {
        readonly epochRuns: readonly EpochRun[];
      };
      readonly isCurrent: () => boolean;
    },
  ): void {
    const { partition } = batch;
    const { endOffset, epochRuns } = part;
    lane.batchesInFlight++;
    lane.tail = this.#options.onBatch({
      topic: batch.topic,
      topicId: membership.topicId,
      partition,
      ...part,
      highWatermark: Number(batch.highWatermark),
      isCurrent,
      lost: this.#lost.signal,
      confirmTopic: () => this.#confirmTopic(session, membership),
      checkLog: () => void (lane.isMisplaced = true),
      previous: lane.tail,
    }).then((isSafe) => {
      lane.batchesInFlight--;
      lane.onRoom?.();
      if (!isCurrent()) return false;
      const epoch = epochRuns.at(-1)?.epoch;
      if (isSafe) this.#noteSafe(session, { partition, offset: endOffset, epoch });
      else if (lane.isMisplaced) this.#realignWhenSettled(session, { partition, lane });
      else this.#rewind(session, { partition, lane });
      return isSafe;
    });
  }

  /** Ends early where the batch cannot be read: it is fetched again, and nothing more of it goes further. */
  async *#partsOf(
    session: Session,
    { payload: { batch }, lane }: { payload: EachBatchPayload; lane: Lane },
  ): AsyncGenerator<CommittedRecords, void, void> {
    const fetched = fetchedIn(batch);
    if (fetched === undefined) return yield { records: [], isLast: true };
    const { partition, start } = fetched;
    try {
      for await (const part of committedRecords(fetched)) {
        if (part.isLast) this.#unreadable.delete(partition);
        yield part;
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#unreadable.get(partition)?.offset !== start) {
        this.#options.onNotice({ kind: "unreadable", partition, offset: start, reason });
      }
      this.#unreadable.set(partition, { offset: start, reason });
      this.#rewindWhenSettled(session, { partition, lane });
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
        next: undefined,
        isMisplaced: false,
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
    lane.isMisplaced = false;
    lane.next = { offset, epoch: this.#epochs.get(partition) };
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

  #noteSafe(session: Session, point: CommitPoint): void {
    const { partition, offset, epoch } = point;
    this.#positions.set(partition, offset);
    this.#epochs.set(partition, epoch);
    session.uncommitted.set(partition, point);
    session.committing ??= this.#commitAll(session);
  }

  /** One commit is under way at a time, for all partitions that have something to commit. */
  async #commitAll(session: Session): Promise<void> {
    let membership = await session.membership;
    while (session.uncommitted.size > 0 && membership?.generation === this.#generation) {
      const points = new Map(session.uncommitted);
      session.uncommitted.clear();
      try {
        await this.#commit(session, { points: [...points.values()], membership });
        this.#commitFailure = undefined;
      } catch (error) {
        if (membership.generation !== this.#generation || REBALANCE_REASONS.has(reasonOf(error))) {
          break;
        }
        const reason = factOf(this.#explained(error));
        if (reason !== this.#commitFailure) {
          const offsets = new Map(Array.from(points.values(), (it) => [it.partition, it.offset]));
          this.#options.onNotice({ kind: "commit-failed", offsets, reason });
        }
        this.#commitFailure = reason;
        // What became safe meanwhile is further on.
        for (const [partition, point] of points) {
          if (!session.uncommitted.has(partition)) session.uncommitted.set(partition, point);
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
    { points, membership }: { points: readonly CommitPoint[]; membership: Membership },
  ): Promise<void> {
    const partitions = points.map((point) => ({
      partition: point.partition,
      offset: String(point.offset),
      metadata: this.#options.commitMetadata(membership.topicId, point),
    }));
    for (const { partition } of points) session.confirmed.delete(partition);
    await session.commit({ topics: [{ topic: this.#options.topic, partitions }] });
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

  #nextFetch({ partition, offset }: FetchPlace): Lane["next"] {
    const next = this.#session?.lanes.get(partition)?.next;
    return next?.offset === offset ? next : undefined;
  }

  /** A fetch found nothing to read on from. Of a fetch from before a seek nothing is concluded. */
  #onMisplaced(place: FetchPlace, divergingEpoch: EpochEnd | undefined): void {
    const session = this.#session;
    if (session === undefined) return;
    const { partition } = place;
    if (!this.#isPlaced) {
      // It would ask again and again until the start is decided, which resumes it.
      session.consumer.pause([{ topic: this.#options.topic, partitions: [partition] }]);
    } else if (this.#nextFetch(place) !== undefined) {
      const lane = this.#laneOf(session, partition);
      this.#realignWhenSettled(session, { partition, lane, divergingEpoch });
    }
  }

  /** Lets the batches before become safe first: what they append is compared with the log, too. */
  #realignWhenSettled(session: Session, { partition, lane, divergingEpoch }: {
    partition: number;
    lane: Lane;
    divergingEpoch?: EpochEnd | undefined;
  }): void {
    if (lane.isRewinding) return;
    const { epoch } = lane;
    const generation = this.#generation;
    const isCurrent = () => generation === this.#generation && lane.epoch === epoch;
    lane.isRewinding = true;
    session.consumer.pause([{ topic: this.#options.topic, partitions: [partition] }]);
    lane.tail.then(() => this.#realign(session, { partition, lane, divergingEpoch, isCurrent }));
  }

  /** Reads on from where the log has what was read before; asks until a leader answers. */
  async #realign(session: Session, { partition, lane, divergingEpoch, isCurrent }: {
    partition: number;
    lane: Lane;
    divergingEpoch: EpochEnd | undefined;
    isCurrent: () => boolean;
  }): Promise<void> {
    const { topic, logCheck } = this.#options;
    const membership = await session.membership;
    while (isCurrent() && membership !== undefined) {
      const position = this.#positions.get(partition) ?? 0;
      try {
        const offset = logCheck === undefined
          ? (await this.#cluster.offsets(topic, [partition]))[0]?.low ?? position
          : await logCheck.realign({
            topic,
            topicId: membership.topicId,
            partition,
            offset: position,
            epoch: this.#epochs.get(partition),
            divergingEpoch,
          });
        if (!isCurrent()) return;
        this.#place(session, { partition, offset });
        if (offset !== position) {
          this.#noteSafe(session, { partition, offset, epoch: this.#epochs.get(partition) });
        }
        return this.#rewind(session, { partition, lane });
      } catch (error) {
        // A topic that is gone, or another one, ends the session.
        if (error instanceof RefusedError) {
          await this.#confirmTopic(session, membership).catch(() => {});
        }
        await delay(START_RETRY_WAIT_MS);
      }
    }
  }

  /** Each answer says where its partitions end, whether or not it brings records. */
  #noteFetched(partitions: readonly FetchedPartition[]): void {
    this.#liveness.succeeded();
    const nowMs = performance.now();
    for (const { partition, errorCode, ...ends } of partitions) {
      if (errorCode !== 0) continue;
      this.#liveness.topicFound();
      this.#lag.noteEnds(partition, ends, nowMs);
    }
  }

  async #heartbeat(): Promise<void> {
    const interval = this.#sessionTimeoutMs() / HEARTBEATS_A_SESSION;
    await this.#session?.member?.heartbeat({ interval });
  }

  #watchCoordinator(): void {
    const { isThrottled, unsuccessfulMs } = this.#liveness;
    // Over a slow line heartbeats wait for fetches that time out: only where these succeed is it the coordinator.
    const isAnswered = unsuccessfulMs < FETCHES_SUCCEED_WITHIN_MS && !isThrottled;
    const lateMs = this.#coordinator.check(isAnswered && this.#isPlaced && !this.#isStopping);
    if (lateMs === undefined) return;
    const seconds = Math.round(lateMs / 1_000);
    this.#session?.ended.resolve(
      new Error(`the group's coordinator has not answered for ${seconds} s`),
    );
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

/** The same commits, as the consumer takes them. */
function commitsIn(
  offsets: OffsetsByTopicPartition | undefined,
): TopicPartitionOffsetAndMetadata[] {
  return (offsets?.topics ?? []).flatMap(({ topic, partitions }) =>
    partitions.map((commit) => ({ topic, ...commit }))
  );
}

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
