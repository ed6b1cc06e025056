/**
 * Queries a cluster's topics, partitions, offsets, and groups, and creates missing topics.
 */

import { type Admin, ConfigResourceTypes } from "kafkajs";
import { type KafkaConnection, openClient, type RetryMode } from "./client.ts";
import { adviceFor, reasonOf, RefusedError } from "./errors.ts";
import type {
  CommittedOffset,
  OffsetRange,
  TopicDescription,
  TopicSettings,
} from "./cluster_answers.ts";
import {
  askForCoordinator,
  type ClientCluster,
  createCluster,
  type DescribedGroup,
} from "./kafkajs/client_cluster.ts";
import { RetriedCalls } from "./retried_calls.ts";
import { takeUnresolvedHosts } from "./kafkajs/connections.ts";
import { fetchTopicMetadata, fetchTopicsMetadata } from "./kafkajs/topic_metadata.ts";
import { askEpochEnd, type LeaderEpochAnswer, type LeaderEpochQuestion } from "./leader_epochs.ts";
import { observeTraffic, type TrafficObserver } from "./kafkajs/traffic.ts";
import { delay } from "../async.ts";
import { loggerOf } from "../log.ts";
import {
  fetchPartitionEnds,
  type PartitionEnds,
  type PartitionEndsAnswer,
} from "./partition_ends.ts";
import { missingTopic } from "./missing_topic.ts";
import { isPermitted, type TopicOperation } from "./permissions.ts";
import { decodeAssignment, type TopicPartitions } from "./protocol/consumer_protocol.ts";

const UNKNOWN_TOPIC_ERROR_CODE = 3;
const UNKNOWN_PARTITION = "UNKNOWN_TOPIC_OR_PARTITION";
const NO_ERROR_CODE = 0;
const STABLE = "Stable";
const TOPIC_APPEARS_TIMEOUT_MS = 10_000;
const TOPIC_APPEARS_POLL_MS = 50;
/** Time in which a broker may not know a topic that was just created. */
const TOPIC_KNOWN_TIMEOUT_MS = 1_000;

const log = loggerOf("kafka");

export class ClusterClient implements AsyncDisposable {
  readonly #admin: Admin;
  readonly #cluster: ClientCluster;
  readonly #calls: RetriedCalls;
  readonly #observers = new Set<TrafficObserver>();

  private constructor(admin: Admin, cluster: ClientCluster, calls: RetriedCalls) {
    this.#admin = admin;
    this.#cluster = cluster;
    this.#calls = calls;
    observeTraffic(cluster, {
      heard: () => this.#observers.forEach((each) => each.heard()),
      throttled: (throttleMs) => this.#observers.forEach((each) => each.throttled(throttleMs)),
      failed: (error) => this.#observers.forEach((each) => each.failed(error)),
    });
  }

  /** @throws {BrokerUnreachableError} if no broker answers and the retry mode is `probe`. */
  static async connect(connection: KafkaConnection, retryMode: RetryMode): Promise<ClusterClient> {
    // Always "probe": kafkajs's own retries do not end when the client is closed; those of RetriedCalls do.
    const client = openClient(connection, "probe");
    const cluster = createCluster(client);
    const calls = new RetriedCalls({ cluster, brokers: connection.brokers, retryMode });
    const self = new ClusterClient(client.admin(), cluster, calls);
    await calls.call("connecting", async () => {
      await self.#cluster.connect();
      await self.#admin.connect();
    });
    calls.noteConnected();
    for (const host of takeUnresolvedHosts()) {
      log.warn("Cannot resolve a broker's host name; connected to another broker", { host });
    }
    return self;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#calls.close();
    await Promise.allSettled([this.#admin.disconnect(), this.#cluster.disconnect()]);
  }

  /** Reports the traffic of these connections to the observer until the returned function is called. */
  observe(observer: TrafficObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Returns the topic's current description, or undefined if the topic does not exist. */
  async findTopic(topic: string): Promise<TopicDescription | undefined> {
    const { errorCode, topicId, partitionCount } = await this.#calls.call(
      `describing topic "${topic}"`,
      () => fetchTopicMetadata(this.#cluster, topic),
    );
    if (errorCode === UNKNOWN_TOPIC_ERROR_CODE) return undefined;
    if (errorCode !== NO_ERROR_CODE) throw refusedDescription(topic, errorCode);
    return { topic, topicId, partitionCount };
  }

  async findTopics(topics: readonly string[]): Promise<ReadonlyMap<string, TopicDescription>> {
    const found = await this.#calls.call(
      `describing the topics ${topics.map((topic) => `"${topic}"`).join(", ")}`,
      () => fetchTopicsMetadata(this.#cluster, topics),
    );
    return new Map(
      [...found].filter(([, { errorCode }]) => errorCode === NO_ERROR_CODE)
        .map(([topic, { topicId, partitionCount }]) => [topic, { topic, topicId, partitionCount }]),
    );
  }

  /** @throws {RefusedError} if this user lacks the permission. */
  async requirePermission(operation: TopicOperation, topic: string): Promise<void> {
    const { errorCode, operations } = await this.#calls.call(
      `checking the permissions on topic "${topic}"`,
      () => fetchTopicMetadata(this.#cluster, topic, { withOperations: true }),
    );
    // A missing topic is reported elsewhere.
    if (errorCode !== NO_ERROR_CODE || isPermitted(operations, operation)) return;
    throw new RefusedError(
      `topic "${topic}" exists, but this user has no ${operation} permission on it: ` +
        "ask the cluster's operator for the permission, or use another topic",
      { reason: "TOPIC_AUTHORIZATION_FAILED" },
    );
  }

  /** @throws {RefusedError} without retrying, if this user may not use the group. */
  async requireGroup(groupId: string): Promise<void> {
    await this.#calls.call(
      `using group "${groupId}"`,
      () => askForCoordinator(this.#cluster, { of: "group", name: groupId }),
    );
  }

  /** @throws {RefusedError} without retrying, if this user may not use the transactional id. */
  async requireTransactionalId(transactionalId: string): Promise<void> {
    await this.#calls.call(
      `using the transactional id "${transactionalId}"`,
      () => askForCoordinator(this.#cluster, { of: "transaction", name: transactionalId }),
    );
  }

  /**
   * Returns the topic's current description.
   *
   * @throws {RefusedError} if the topic does not exist.
   */
  async describeTopic(topic: string): Promise<TopicDescription> {
    const description = await this.findTopic(topic);
    if (description === undefined) throw missingTopic(topic);
    return description;
  }

  /**
   * Returns the topic's description. Waits up to 1 s, because a broker may not know a topic that was just created.
   *
   * @param advice what to do if the topic is missing.
   * @throws {RefusedError} if the topic does not exist; names the existing topic with the most similar name.
   */
  async requireTopic(topic: string, advice?: string): Promise<TopicDescription> {
    const deadline = Date.now() + TOPIC_KNOWN_TIMEOUT_MS;
    for (;;) {
      const description = await this.findTopic(topic);
      if (description !== undefined) return description;
      if (Date.now() > deadline) break;
      await delay(TOPIC_APPEARS_POLL_MS);
    }
    const existing = await this.#calls.call("listing the topics", () => this.#admin.listTopics());
    throw missingTopic(topic, { existing, ...(advice !== undefined && { advice }) });
  }

  async ensureTopic(
    topic: string,
    { partitionCount, config = {} }: TopicSettings,
  ): Promise<TopicDescription & { readonly created: boolean }> {
    const existing = await this.findTopic(topic);
    if (existing !== undefined) return { ...existing, created: false };
    const created = await this.#calls.call(
      `creating topic "${topic}"`,
      () =>
        this.#admin.createTopics({
          topics: [{
            topic,
            numPartitions: partitionCount,
            replicationFactor: -1, // the cluster's default
            configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
          }],
          waitForLeaders: false, // kafkajs's wait can fail for a new topic; we wait ourselves
        }),
    );
    return { ...await this.#awaitTopic(topic), created };
  }

  async #awaitTopic(topic: string): Promise<TopicDescription> {
    const deadline = Date.now() + TOPIC_APPEARS_TIMEOUT_MS;
    for (;;) {
      const description = await this.findTopic(topic);
      if (description !== undefined) return description;
      if (Date.now() > deadline) {
        throw new RefusedError(
          `topic "${topic}" was created but did not appear within ${
            TOPIC_APPEARS_TIMEOUT_MS / 1000
          } s`,
          { reason: "UNKNOWN_TOPIC_OR_PARTITION" },
        );
      }
      await delay(TOPIC_APPEARS_POLL_MS);
    }
  }

  /**
   * Removes a dead member from its group, which would otherwise wait for it until the session timeout.
   *
   * @returns false if the group no longer knows the member.
   */
  async leaveGroup(groupId: string, memberId: string): Promise<boolean> {
    return await this.#calls.call(`leaving group "${groupId}"`, async () => {
      const coordinator = await this.#cluster.findGroupCoordinator({ groupId });
      try {
        await coordinator.leaveGroup({ groupId, memberId });
        return true;
      } catch (error) {
        if (reasonOf(error) === "UNKNOWN_MEMBER_ID") return false;
        throw error;
      }
    });
  }

  /** Returns the assignment of each member of a group; undefined while the group is rebalancing or has no members. */
  async groupAssignments(groupId: string): Promise<readonly TopicPartitions[] | undefined> {
    const group = await this.#describeGroup(groupId);
    if (group?.state !== STABLE) return undefined;
    return group.members.map(({ memberAssignment }) => decodeAssignment(memberAssignment));
  }

  /** Returns how many members a group has; 0 if there is no such group. */
  async groupMemberCount(groupId: string): Promise<number> {
    return (await this.#describeGroup(groupId))?.members.length ?? 0;
  }

  async #describeGroup(groupId: string): Promise<DescribedGroup | undefined> {
    const { groups } = await this.#calls.call(`describing group "${groupId}"`, async () => {
      const coordinator = await this.#cluster.findGroupCoordinator({ groupId });
      return await coordinator.describeGroups({ groupIds: [groupId] });
    });
    return groups[0];
  }

  async deleteTopic(topic: string): Promise<void> {
    await this.#calls.call(
      `deleting topic "${topic}"`,
      () => this.#admin.deleteTopics({ topics: [topic] }),
    );
  }

  /** As {@link topicConfigs}, of one setting. */
  async topicConfig(topic: string, name: string): Promise<string | undefined> {
    return (await this.topicConfigs(topic, [name])).get(name);
  }

  /**
   * Returns settings of a topic as the cluster has them, such as `cleanup.policy`. Waits for a topic that was just
   * created: the node that is asked may not know of it yet.
   */
  async topicConfigs(topic: string, names: string[]): Promise<ReadonlyMap<string, string>> {
    const type = ConfigResourceTypes.TOPIC;
    const resources = [{ type, name: topic, configNames: names }];
    const { resources: [answer] } = await this.#calls.call(
      `reading the settings of topic "${topic}"`,
      () => this.#admin.describeConfigs({ includeSynonyms: false, resources }),
      { alsoTransient: UNKNOWN_PARTITION },
    );
    return new Map(
      answer?.configEntries.map(({ configName, configValue }) => [configName, configValue]),
    );
  }

  /**
   * Returns the readable offsets of each partition, up to the last stable offset: this program only reads committed
   * records. Waits for a topic that was just created: its leaders may not know it yet.
   */
  async offsets(topic: string, partitions: readonly number[]): Promise<readonly OffsetRange[]> {
    return await this.#calls.call(`reading the offsets of topic "${topic}"`, async () => {
      await this.#cluster.addMultipleTargetTopics([topic]);
      const [lows] = await this.#cluster.fetchTopicsOffset([
        { topic, partitions: partitions.map((partition) => ({ partition })), fromBeginning: true },
      ]);
      const low = new Map(lows?.partitions.map((each) => [each.partition, Number(each.offset)]));
      const ends = new Map<number, PartitionEnds>();
      for (const answer of await fetchPartitionEnds(this.#cluster, { topic, partitions })) {
        if ("error" in answer) throw answer.error;
        ends.set(answer.partition, answer.ends);
      }
      const missing = partitions.find((partition) => !low.has(partition) || !ends.has(partition));
      if (missing !== undefined) {
        // kafkajs omits partitions that were added after its last metadata request.
        await this.#cluster.refreshMetadata();
        throw Object.assign(new Error(`topic "${topic}" has no partition ${missing}`), {
          type: UNKNOWN_PARTITION,
        });
      }
      return partitions.map((partition) => ({
        partition,
        low: low.get(partition) ?? 0,
        high: ends.get(partition)?.lastStableOffset ?? 0,
        highWatermark: ends.get(partition)?.highWatermark ?? 0,
      }));
    }, { alsoTransient: UNKNOWN_PARTITION });
  }

  async allOffsets(topic: string): Promise<readonly OffsetRange[]> {
    const { partitionCount } = await this.describeTopic(topic);
    return await this.offsets(topic, Array.from({ length: partitionCount }, (_, index) => index));
  }

  /**
   * Asks a partition's leader where a leader epoch ends in its log. Looks up leaders that have moved.
   *
   * @throws {RefusedError} with reason `TOPIC_CHANGED` if the topic now has another id, or if the cluster refuses.
   */
  async epochEnd(question: LeaderEpochQuestion): Promise<LeaderEpochAnswer> {
    const { topic, partition, epoch } = question;
    return await this.#calls.call(
      `asking where leader epoch ${epoch} ends in ${topic}[${partition}]`,
      () => askEpochEnd(this.#cluster, question),
    );
  }

  async leaderEpochs(topic: string): Promise<ReadonlyMap<number, number>> {
    const { partitions } = await this.#calls.call(
      `describing topic "${topic}"`,
      () => fetchTopicMetadata(this.#cluster, topic),
    );
    return new Map(partitions.map(({ partition, leaderEpoch }) => [partition, leaderEpoch]));
  }

  /** Asks once, in any retry mode, for the topic's error code and for the ends of its partitions. */
  async probe(
    topic: string,
    partitions: readonly number[],
  ): Promise<
    { readonly errorCode: number; readonly answers: readonly PartitionEndsAnswer[] }
  > {
    const { errorCode } = await fetchTopicMetadata(this.#cluster, topic);
    if (errorCode !== NO_ERROR_CODE || partitions.length === 0) return { errorCode, answers: [] };
    const answers = await fetchPartitionEnds(this.#cluster, { topic, partitions });
    // Looks up leaders that have moved for the next call.
    if (answers.length < partitions.length || answers.some((answer) => "error" in answer)) {
      await this.#cluster.refreshMetadata();
    }
    return { errorCode, answers };
  }

  /** Returns the group's committed offsets; partitions without a commit are left out. */
  async committedOffsets(groupId: string, topic: string): Promise<readonly CommittedOffset[]> {
    const [answer] = await this.#calls.call(
      `reading the offsets of group "${groupId}"`,
      () => this.#admin.fetchOffsets({ groupId, topics: [topic] }),
    );
    return (answer?.partitions ?? [])
      .map(({ partition, offset, metadata }) => ({ partition, offset: Number(offset), metadata }))
      .filter(({ offset }) => offset >= 0);
  }
}

const ERROR_NAMES: Readonly<Record<number, string>> = {
  5: "LEADER_NOT_AVAILABLE",
  17: "INVALID_TOPIC_EXCEPTION",
  29: "TOPIC_AUTHORIZATION_FAILED",
};

function refusedDescription(topic: string, errorCode: number): RefusedError {
  const reason = ERROR_NAMES[errorCode] ?? `error code ${errorCode}`;
  const advice = reason === "TOPIC_AUTHORIZATION_FAILED"
    ? "ask the cluster's operator for the Describe permission on it, or use another topic"
    : adviceFor(reason);
  const message = `the cluster refuses to describe topic "${topic}": ${reason}`;
  return new RefusedError(advice === undefined ? message : `${message}: ${advice}`, { reason });
}
