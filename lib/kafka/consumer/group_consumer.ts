/**
 * A consumer group member that hands over batches and commits the offsets that its owner reports as safe. Each session
 * fetches with a new kafkajs consumer; each join creates a {@link Membership}.
 *
 *     GroupConsumer    runs until it is stopped; rebuilds the session when it dies or falls silent
 *       Session        one kafkajs consumer, from its connection to its end
 *         Membership   from one join to the next; decides where to resume
 *           PartitionPipeline   batches of one partition, in order
 *           Commits             one at a time
 *
 * Problems of kafkajs 2.2.4, and the guards against them:
 *
 * - Its assigner assigns a topic's partitions to members that do not subscribe to it, and a group notices new
 *   partitions after five minutes: `assigner.ts`, `group_watch.ts`.
 * - It reports a rebalance after the fact. Work in progress is finished and committed before this member rejoins
 *   (`beforeJoining` in `kafkajs/group_member.ts`).
 * - It does not notice that a topic was recreated. Batches carry the topic's id and can confirm it.
 * - A consumer would create a missing topic. This is disabled.
 * - It verifies no checksum, and lets some aborted records through. We decode batches ourselves
 *   (`kafkajs/fetch_bytes.ts`) and refuse corrupt ones.
 * - It can die or hang silently while the process lives. It is rebuilt, with backoff.
 * - It neither fetches nor sends heartbeats while a handler waits. Handlers here do not wait: work continues in the
 *   background, and a partition with too much of it is paused.
 */

import type { EachBatchPayload, Kafka } from "kafkajs";
import { coalesced, delay, withinTime } from "../../async.ts";
import { openClient } from "../client.ts";
import type { ClusterClient } from "../cluster.ts";
import type { TopicDescription } from "../cluster_answers.ts";
import type { FetchPlace } from "../kafkajs/fetch_bytes.ts";
import { endsConsumer } from "../error_classifier.ts";
import { explain, factOf, reasonOf } from "../errors.ts";
import type { EpochEnd } from "../protocol/offset_for_leader_epoch.ts";
import type { FetchedPartition } from "../kafkajs/raw_fetch.ts";
import type {
  Assignment,
  CommitPoint,
  ConsumerStanding,
  GroupConsumerOptions,
  UnreadableBatch,
} from "./api.ts";
import { Commits } from "./commits.ts";
import { CoordinatorWatch } from "./coordinator_watch.ts";
import { GroupWatch } from "./group_watch.ts";
import { LagTracker } from "./lag.ts";
import { Liveness } from "./liveness.ts";
import { Membership } from "./membership.ts";
import { HANDLER_PATIENCE_MS } from "./partition_pipeline.ts";
import { Prober } from "./prober.ts";
import { type Joined, Session } from "./session.ts";
import { Watchdog } from "./watchdog.ts";

const SESSION_TIMEOUT_MS = 10_000;
/** Limit of the wait for work in progress at a rebalance or stop. */
const DRAIN_TIMEOUT_MS = 8_000;
const WATCH_INTERVAL_MS = 1_000;
/** Fetches are answered four times a second, with or without records. */
const FETCHES_SUCCEED_WITHIN_MS = 2_000;
const PROBE_INTERVAL_MS = 1_000;
const REBUILD_WAIT_MIN_MS = 500;
const REBUILD_WAIT_MAX_MS = 15_000;

export class GroupConsumer {
  readonly #options: GroupConsumerOptions;
  readonly #client: Kafka;
  readonly #cluster: ClusterClient;
  /** Describes the topic; concurrent callers share a request that starts after their call. */
  readonly #findTopic: () => Promise<TopicDescription | undefined>;
  readonly #groupWatch: GroupWatch;
  #session: Session | undefined;
  #membership: Membership | undefined;
  #isStopping = false;
  readonly #unreadable = new Map<number, UnreadableBatch>();
  #commitFailure: string | undefined;
  readonly #liveness = new Liveness();
  readonly #lag = new LagTracker();
  readonly #prober: Prober;
  readonly #coordinator: CoordinatorWatch;

  /** @param cluster connected in `persist` mode; closed by the caller. */
  constructor(cluster: ClusterClient, options: GroupConsumerOptions) {
    const { topic, connection } = options;
    this.#options = options;
    this.#client = openClient(connection, "persist");
    this.#cluster = cluster;
    this.#findTopic = coalesced(() => cluster.findTopic(topic));
    this.#prober = new Prober({ cluster, topic, lag: this.#lag, liveness: this.#liveness });
    this.#coordinator = new CoordinatorWatch(this.#sessionTimeoutMs());
    this.#groupWatch = new GroupWatch({
      ...options,
      cluster,
      requestRejoin: () => this.#session?.requestRejoin(),
    });
  }

  /** The next offset to read, by assigned partition; undefined until the group is joined and the starts are decided. */
  get positions(): ReadonlyMap<number, number> | undefined {
    return this.#membership?.hasBegun ? this.#membership.positions() : undefined;
  }

  /** True if everything that became safe in this membership is committed. */
  get isCommitted(): boolean {
    return this.#membership?.commits.isDone ?? false;
  }

  /**
   * Partitions of the topic that no group member holds, so that nobody reads them; undefined while not known: before a
   * join, for a few seconds after it, and if this user may not describe the group.
   */
  get unassigned(): readonly number[] | undefined {
    return this.#groupWatch.unassigned;
  }

  get standing(): ConsumerStanding {
    const positions = this.#membership?.isPlaced ? this.#membership.positions() : undefined;
    return {
      hindrance: this.#liveness.hindrance,
      partitions: this.#lag.at(performance.now()).map((each) => ({
        ...each,
        position: positions?.get(each.partition),
        unreadable: this.#unreadable.get(each.partition),
      })),
      commitFailure: this.#commitFailure,
      unassigned: this.unassigned,
    };
  }

  /**
   * Consumes until {@link stop}. Rebuilds the consumer when it dies or falls silent.
   *
   * @throws {RefusedError} if the cluster refuses permanently.
   */
  async run(): Promise<void> {
    using _watching = this.#startWatches();
    let rebuildWaitMs = REBUILD_WAIT_MIN_MS;
    try {
      while (!this.#isStopping) {
        const startedAt = performance.now();
        const reason = await this.#runSession();
        if (reason === undefined || this.#isStopping) return;
        if (endsConsumer(reasonOf(reason))) throw this.#explained(reason);
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
      await this.#groupWatch.stop();
    }
  }

  /** Finishes and commits the batches in progress, then leaves the group. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const session = this.#session;
    if (session === undefined) return;
    // Before the membership ends, so that these batches can still be committed.
    const isDrained = await this.#drain();
    if (!isDrained) this.#options.onNotice({ kind: "left-uncommitted" });
    await session.disconnect();
    session.end();
  }

  #startWatches(): Disposable {
    const watches = new DisposableStack();
    watches.use(
      new Watchdog({
        liveness: this.#liveness,
        onNotice: this.#options.onNotice,
        heartbeat: async () => await this.#session?.heartbeat(),
        rebuild: (reason) => {
          if (!this.#isStopping) this.#session?.end(reason);
        },
      }),
    );
    watches.adopt(setInterval(() => this.#prober.probe(), PROBE_INTERVAL_MS), clearInterval);
    watches.adopt(setInterval(() => this.#watchCoordinator(), WATCH_INTERVAL_MS), clearInterval);
    watches.defer(this.#cluster.observe(this.#liveness));
    this.#groupWatch.start();
    return watches;
  }

  async #runSession(): Promise<Error | undefined> {
    const { topic, groupId, onNotice } = this.#options;
    this.#liveness.joining();
    const session: Session = new Session({
      client: this.#client,
      topic,
      groupId,
      sessionTimeoutMs: this.#sessionTimeoutMs(),
      hooks: {
        observer: this.#liveness,
        beforeJoining: () => this.#beforeJoining(),
        onUnreadableMembers: (memberIds) =>
          onNotice({ kind: "unreadable-subscriptions", memberIds }),
        onJoined: (joined) => this.#onJoined(session, joined),
        onHeartbeat: () => {
          this.#liveness.succeeded();
          this.#coordinator.heard();
        },
        onCommitted: (partition, offset) => this.#onCommitted(partition, offset),
        onBatch: (payload) => this.#onBatch(session, payload),
        lastFetchedEpoch: ({ partition, offset }) =>
          this.#membership?.pipelines.get(partition)?.nextFetch(offset)?.epoch,
        onMisplaced: (place, divergingEpoch) => this.#onMisplaced(place, divergingEpoch),
        onFetched: (partitions) => this.#noteFetched(partitions),
      },
    });
    this.#session = session;
    const reason = await session.run();
    await this.#close(session);
    return reason;
  }

  async #close(session: Session): Promise<void> {
    this.#membership?.end();
    this.#membership = undefined;
    this.#groupWatch.left();
    // After a stop the last figures are kept, for the totals.
    if (!this.#isStopping) this.#lag.assign(new Map());
    this.#liveness.joining();
    await session.disconnect();
    this.#session = undefined;
  }

  #onJoined(session: Session, { memberId, partitions, assignment }: Joined): void {
    this.#options.onNotice({ kind: "joined", partitions, memberId });
    this.#groupWatch.joined(assignment);
    this.#membership?.end();
    this.#lag.assign(new Map(partitions.map((partition) => [partition, undefined])));
    for (const partition of this.#unreadable.keys()) {
      if (!partitions.includes(partition)) this.#unreadable.delete(partition);
    }
    const membership = new Membership({
      ...this.#options,
      partitions,
      cluster: this.#cluster,
      consumer: session.consumer,
      commit: session.committer(),
      createCommits: (membership) => this.#createCommits(session, membership),
      confirmTopic: (membership) => this.#confirmTopic(session, membership),
      isStopping: () => this.#isStopping,
      onPlaced: (assignment) => this.#onPlaced(assignment),
      onUnreadable: (partition, batch) => this.#onUnreadable(partition, batch),
    });
    this.#membership = membership;
    membership.begin().catch((error) => session.end(error));
  }

  #onCommitted(partition: number, offset: string): void {
    this.#liveness.succeeded();
    this.#membership?.commits.noteConfirmed(partition, offset);
    this.#lag.noteCommitted(partition, Number(offset));
  }

  #createCommits(session: Session, membership: Membership): Commits {
    const { topic, commitMetadata } = this.#options;
    return new Commits({
      topic,
      send: session.commit,
      metadataOf: (point) => commitMetadata(membership.topicId, point),
      isCurrent: () => membership.isCurrent,
      onCommitted: () => this.#commitFailure = undefined,
      onFailed: (points, error) => this.#onCommitFailed(points, error),
    });
  }

  #onPlaced({ partitions }: Assignment): void {
    const positions = this.#membership?.positions();
    this.#lag.assign(
      new Map(partitions.map(({ partition, committed }) => {
        const position = positions?.get(partition) ?? 0;
        // A commit past the position is of an earlier topic of this name, or not in our journal: it is still to be
        // read.
        return [partition, committed && Math.min(committed.offset, position)];
      })),
    );
    this.#liveness.topicFound();
    this.#liveness.joined();
  }

  /** Finishes and commits work in progress while this member still has its partitions. */
  async #beforeJoining(): Promise<void> {
    this.#liveness.joining();
    await this.#drain();
  }

  /** Waits, in bounded time, until work in progress is safe and committed; returns true if it is. */
  async #drain(): Promise<boolean> {
    if (this.#membership === undefined) return true;
    return await withinTime(this.#membership.drained(), DRAIN_TIMEOUT_MS) ?? false;
  }

  async #onBatch(session: Session, payload: EachBatchPayload): Promise<void> {
    const membership = this.#membership;
    const begun = membership?.begin().catch(() => false); // ends the session elsewhere
    // Bounded: kafkajs sends no heartbeat while a handler waits, and the answers show whether the membership is lost.
    const hasBegun = begun && await withinTime(begun, HANDLER_PATIENCE_MS);
    if (!hasBegun || !membership?.isCurrent) return await payload.heartbeat();
    if (payload.isStale() || !payload.isRunning() || this.#isStopping) return;
    session.commitThrough(payload);
    await membership.pipelines.get(payload.batch.partition)?.consume(payload);
  }

  #onUnreadable(partition: number, batch: UnreadableBatch | undefined): void {
    if (batch === undefined) {
      this.#unreadable.delete(partition);
      return;
    }
    if (this.#unreadable.get(partition)?.offset !== batch.offset) {
      this.#options.onNotice({ kind: "unreadable", partition, ...batch });
    }
    this.#unreadable.set(partition, batch);
  }

  #onCommitFailed(points: readonly CommitPoint[], error: unknown): void {
    const reason = factOf(this.#explained(error));
    if (reason !== this.#commitFailure) {
      const offsets = new Map(points.map(({ partition, offset }) => [partition, offset]));
      this.#options.onNotice({ kind: "commit-failed", offsets, reason });
    }
    this.#commitFailure = reason;
  }

  async #confirmTopic(session: Session, membership: Membership): Promise<boolean> {
    const description = await this.#findTopic();
    if (description?.topicId === membership.topicId) return true;
    if (!membership.isCurrent) return false;
    membership.end();
    const to = description?.topicId;
    this.#options.onNotice({ kind: "topic-changed", from: membership.topicId, to });
    session.end(new Error(`topic "${this.#options.topic}" was deleted or created again`));
    return false;
  }

  /** Handles a fetch whose offset is not in the log. Ignores fetches from before a seek. */
  #onMisplaced({ partition, offset }: FetchPlace, divergingEpoch: EpochEnd | undefined): void {
    const pipeline = this.#membership?.pipelines.get(partition);
    if (!this.#membership?.isPlaced) {
      // It would fetch again and again until the start is decided, which resumes the partition.
      const { topic } = this.#options;
      this.#session?.consumer.pause([{ topic, partitions: [partition] }]);
    } else if (pipeline?.nextFetch(offset) !== undefined) {
      pipeline.realignWhenSettled(divergingEpoch);
    }
  }

  /** Records the partitions' ends, which each answer reports, with or without records. */
  #noteFetched(partitions: readonly FetchedPartition[]): void {
    this.#liveness.succeeded();
    const nowMs = performance.now();
    for (const { partition, errorCode, ...ends } of partitions) {
      if (errorCode !== 0) continue;
      this.#liveness.topicFound();
      this.#lag.noteEnds(partition, ends, nowMs);
    }
  }

  #watchCoordinator(): void {
    const { isThrottled, unsuccessfulMs } = this.#liveness;
    const isPlaced = this.#membership?.isPlaced === true;
    // On a slow connection heartbeats wait for fetches that time out. Only if fetches succeed is the coordinator at
    // fault.
    const isAnswered = unsuccessfulMs < FETCHES_SUCCEED_WITHIN_MS && !isThrottled;
    const lateMs = this.#coordinator.check(isAnswered && isPlaced && !this.#isStopping);
    if (lateMs === undefined) return;
    const seconds = Math.round(lateMs / 1_000);
    this.#session?.end(new Error(`the group's coordinator has not answered for ${seconds} s`));
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
