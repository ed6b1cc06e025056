/**
 * Runs one kafkajs consumer as a group member, from its connection to its end. It fetches and sends heartbeats; its
 * owner processes the records and decides what happens when it ends.
 */

import type { Consumer, ConsumerCrashEvent, EachBatchPayload, Kafka } from "kafkajs";
import { withinTime } from "../../async.ts";
import { RETRY_WAITS } from "../client.ts";
import { fetchBytes, type FetchHooks } from "../kafkajs/fetch_bytes.ts";
import type { ClientCluster } from "../kafkajs/client_cluster.ts";
import {
  abandonMembership,
  beforeJoining,
  committerOf,
  type GroupMember,
  requestRejoin,
} from "../kafkajs/group_member.ts";
import { observeTraffic, type TrafficObserver } from "../kafkajs/traffic.ts";
import { type GroupAssignment, roundRobinAssigner } from "./assigner.ts";

export interface Joined {
  readonly memberId: string;
  readonly partitions: readonly number[];
  /** The assignment that this member made as the group's leader; undefined if another member is the leader. */
  readonly assignment: GroupAssignment | undefined;
}

export interface SessionHooks extends FetchHooks {
  readonly observer: TrafficObserver;
  /** Awaited before each join; until it resolves, the member still holds its partitions. */
  readonly beforeJoining: () => Promise<void>;
  /** Members whose subscription cannot be decoded get no partitions. */
  readonly onUnreadableMembers: (memberIds: readonly string[]) => void;
  readonly onJoined: (joined: Joined) => void;
  readonly onHeartbeat: () => void;
  readonly onCommitted: (partition: number, offset: string) => void;
  readonly onBatch: (payload: EachBatchPayload) => Promise<void>;
}

export interface SessionOptions {
  readonly client: Kafka;
  readonly topic: string;
  readonly groupId: string;
  readonly sessionTimeoutMs: number;
  readonly hooks: SessionHooks;
}

const HEARTBEATS_A_SESSION = 5;
const REBALANCE_TIMEOUT_MS = 30_000;
/** Bounds how long a stop waits for the fetch in flight. */
const FETCH_WAIT_MS = 250;
const FETCH_PARTITION_BYTES_MAX = 1024 * 1024;
const FETCH_BYTES_MAX = 8 * 1024 * 1024;
/** Partitions whose batches are handled in parallel; their writes share a flush to disk. */
const PARTITIONS_AT_A_TIME = 16;
const DISCONNECT_TIMEOUT_MS = 10_000;

export class Session {
  readonly consumer: Consumer;
  readonly #options: SessionOptions;
  readonly #ended = Promise.withResolvers<Error | undefined>();
  #cluster: ClientCluster | undefined;
  /** kafkajs's membership; set by the first join. */
  #member: GroupMember | undefined;
  #assigned: GroupAssignment | undefined;
  #commit: EachBatchPayload["commitOffsetsIfNecessary"] | undefined;
  #isDisconnected = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.consumer = this.#createConsumer();
    this.#listen();
  }

  /** Consumes until the session ends; returns the reason, or undefined if it was asked to stop. */
  async run(): Promise<Error | undefined> {
    this.#start().catch((error) => this.end(error));
    return await this.#ended.promise;
  }

  /** Ends {@link run}; call without a reason to stop normally. */
  end(reason?: unknown): void {
    const isError = reason === undefined || reason instanceof Error;
    this.#ended.resolve(isError ? reason : new Error(String(reason)));
  }

  /** Disconnects, in bounded time even if brokers do not answer. */
  async disconnect(): Promise<void> {
    this.#isDisconnected = true;
    if (this.#cluster !== undefined) abandonMembership(this.#cluster);
    await withinTime(this.consumer.disconnect().catch(() => {}), DISCONNECT_TIMEOUT_MS);
  }

  requestRejoin(): void {
    if (this.#cluster !== undefined) requestRejoin(this.#cluster);
  }

  /** Sends a heartbeat if one is due. */
  async heartbeat(): Promise<void> {
    await this.#member?.heartbeat({
      interval: this.#options.sessionTimeoutMs / HEARTBEATS_A_SESSION,
    });
  }

  /** Returns a function that commits with the current member id and generation. */
  committer(): ReturnType<typeof committerOf> {
    return committerOf(this.#cluster ?? {});
  }

  /**
   * Commits through the last fetched batch, which also works while the consumer is stopping, and throws on failure.
   * Before the first batch, commits through the consumer.
   */
  readonly commit: EachBatchPayload["commitOffsetsIfNecessary"] = async (offsets) => {
    if (this.#commit !== undefined) return await this.#commit(offsets);
    await this.consumer.commitOffsets(
      (offsets?.topics ?? []).flatMap(({ topic, partitions }) =>
        partitions.map((commit) => ({ topic, ...commit }))
      ),
    );
  };

  #createConsumer(): Consumer {
    const { client, groupId, sessionTimeoutMs, hooks } = this.#options;
    return client.consumer({
      groupId,
      sessionTimeout: sessionTimeoutMs,
      heartbeatInterval: Math.floor(sessionTimeoutMs / HEARTBEATS_A_SESSION),
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytesPerPartition: FETCH_PARTITION_BYTES_MAX,
      maxBytes: FETCH_BYTES_MAX,
      readUncommitted: false,
      allowAutoTopicCreation: false,
      partitionAssigners: [(config) => {
        const cluster = config.cluster as unknown as ClientCluster;
        this.#cluster = cluster;
        observeTraffic(cluster, hooks.observer);
        fetchBytes(cluster, hooks);
        beforeJoining(cluster, (member) => {
          this.#member = member;
          return hooks.beforeJoining();
        });
        return roundRobinAssigner({
          cluster,
          onAssigned: (assignment) => {
            this.#assigned = assignment;
            const { unreadableMembers } = assignment;
            if (unreadableMembers.length > 0) hooks.onUnreadableMembers(unreadableMembers);
          },
        });
      }],
      retry: {
        ...RETRY_WAITS,
        retries: Number.MAX_SAFE_INTEGER,
        restartOnFailure: () => Promise.resolve(false), // the owner rebuilds, with backoff
      },
    });
  }

  #listen(): void {
    const { topic, hooks } = this.#options;
    const { GROUP_JOIN, CRASH, HEARTBEAT, COMMIT_OFFSETS } = this.consumer.events;
    this.consumer.on(GROUP_JOIN, ({ payload: { memberAssignment, memberId, isLeader } }) => {
      if (this.#isDisconnected) return; // the member leaves again
      hooks.onHeartbeat();
      hooks.onJoined({
        memberId,
        partitions: memberAssignment[topic] ?? [],
        assignment: isLeader ? this.#assigned : undefined,
      });
    });
    this.consumer.on(HEARTBEAT, () => hooks.onHeartbeat());
    this.consumer.on(COMMIT_OFFSETS, ({ payload }) => {
      for (const { partitions } of payload.topics) {
        // Despite its type a Long if the commit was made by consumer.commitOffsets.
        for (const { partition, offset } of partitions) {
          hooks.onCommitted(partition, String(offset));
        }
      }
    });
    this.consumer.on(CRASH, ({ payload }: ConsumerCrashEvent) => this.end(payload.error));
  }

  async #start(): Promise<void> {
    const { topic, hooks } = this.#options;
    await this.consumer.connect();
    // kafkajs continues to connect if it is disconnected meanwhile.
    if (this.#isDisconnected) return await this.consumer.disconnect();
    await this.consumer.subscribe({ topics: [topic], fromBeginning: true });
    if (this.#isDisconnected) return await this.consumer.disconnect();
    await this.consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_A_TIME,
      eachBatch: async (payload) => {
        await hooks.onBatch(payload);
      },
    });
  }

  /** Makes {@link commit} use this batch. */
  commitThrough({ commitOffsetsIfNecessary }: EachBatchPayload): void {
    this.#commit = commitOffsetsIfNecessary;
  }
}
