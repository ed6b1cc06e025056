/**
 * Questions to a cluster, outside any producer or consumer: which topics, how many partitions, which
 * offsets; and the creation of a topic that is missing.
 *
 * @module
 */

import { type Admin, ConfigResourceTypes } from "kafkajs";
import { type KafkaConnection, openClient, type Patience } from "./client.ts";
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
/** The state of a group whose members all have their assignments. */
const STABLE = "Stable";
const TOPIC_APPEARS_TIMEOUT_MS = 10_000;
const TOPIC_APPEARS_POLL_MS = 50;
/** How long a broker may not know a topic that another one has created. */
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

  /**
   * @throws {BrokerUnreachableError} where no broker answers, at `probe` patience.
   */
  static async connect(connection: KafkaConnection, patience: Patience): Promise<ClusterClient> {
    // At any patience: the client's own retries do not end when it is closed, those of RetriedCalls do.
    const client = openClient(connection, "probe");
    const cluster = createCluster(client);
    const calls = new RetriedCalls({ cluster, brokers: connection.brokers, patience });
    const self = new ClusterClient(client.admin(), cluster, calls);
    await calls.call("connecting", async () => {
      await self.#cluster.connect();
      await self.#admin.connect();
    });
    calls.noteConnected();
    for (const host of takeUnresolvedHosts()) {
      log.warn("This machine knows no broker's host of that name; another broker answers", {
        host,
      });
    }
    return self;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#calls.close();
    await Promise.allSettled([this.#admin.disconnect(), this.#cluster.disconnect()]);
  }

  /** Tells of what comes over these connections, until the returned function is called. */
  observe(observer: TrafficObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** The topic as it is now, or undefined where there is none. */
  async findTopic(topic: string): Promise<TopicDescription | undefined> {
    const { errorCode, topicId, partitionCount } = await this.#calls.call(
      `describing topic "${topic}"`,
      () => fetchTopicMetadata(this.#cluster, topic),
    );
    if (errorCode === UNKNOWN_TOPIC_ERROR_CODE) return undefined;
    if (errorCode !== NO_ERROR_CODE) throw refusedDescription(topic, errorCode);
    return { topic, topicId, partitionCount };
  }

  /** Returns those topics that exist and may be described, by name. */
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

  /**
   * Finds out before the work begins whether this user may do it.
   *
   * @throws {RefusedError} where the cluster says that the permission is missing.
   */
  async requirePermission(operation: TopicOperation, topic: string): Promise<void> {
    const { errorCode, operations } = await this.#calls.call(
      `asking what may be done with topic "${topic}"`,
      () => fetchTopicMetadata(this.#cluster, topic, { withOperations: true }),
    );
    // Of a topic that is not there nothing is to be said here.
    if (errorCode !== NO_ERROR_CODE || isPermitted(operations, operation)) return;
    throw new RefusedError(
      `topic "${topic}" is there, but the permission ${operation} on it is missing: ` +
        "ask the cluster's operator for it, or name another topic",
      { reason: "TOPIC_AUTHORIZATION_FAILED" },
    );
  }

  /** @throws {RefusedError} at once where this user may not use the group. */
  async requireGroup(groupId: string): Promise<void> {
    await this.#calls.call(
      `using group "${groupId}"`,
      () => askForCoordinator(this.#cluster, { of: "group", name: groupId }),
    );
  }

  /** @throws {RefusedError} at once where this user may not use the transactional id. */
  async requireTransactionalId(transactionalId: string): Promise<void> {
    await this.#calls.call(
      `using the transactional id "${transactionalId}"`,
      () => askForCoordinator(this.#cluster, { of: "transaction", name: transactionalId }),
    );
  }

  /** As {@link findTopic}; @throws {RefusedError} where there is no such topic. */
  async describeTopic(topic: string): Promise<TopicDescription> {
    const description = await this.findTopic(topic);
    if (description === undefined) throw missingTopic(topic);
    return description;
  }

  /**
   * Returns a topic that has to be there when the work begins. One that was just created is waited for, since the
   * broker that is asked may not know it yet.
   *
   * @param advice what to do where it is missing.
   * @throws {RefusedError} naming the nearest existing topic, where there is no such topic.
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

  /** The topic, created with these settings where it was missing. */
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
            replicationFactor: -1, // the cluster's own default
            configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
          }],
          waitForLeaders: false, // it can fail for a topic that was just created; we wait ourselves
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
   * Takes a member that died out of its group, which would else wait for it until its session timeout.
   *
   * @returns false where the group does not know it any more.
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

  /**
   * Returns what each member of a group is to read; undefined while the group is rebalancing, or where it has no
   * members of this kind.
   */
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
      { passingToo: UNKNOWN_PARTITION },
    );
    return new Map(
      answer?.configEntries.map(({ configName, configValue }) => [configName, configValue]),
    );
  }

  /**
   * The offsets that can be read now, by partition: up to the last stable offset, since everything here
   * reads committed records only. A topic that was just created is waited for: one node may tell of it
   * before its leaders know of it.
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
        // kafkajs leaves a partition out that was added after it last asked for the topic's metadata.
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
    }, { passingToo: UNKNOWN_PARTITION });
  }

  /** {@link offsets} of all partitions of a topic. */
  async allOffsets(topic: string): Promise<readonly OffsetRange[]> {
    const { partitionCount } = await this.describeTopic(topic);
    return await this.offsets(topic, Array.from({ length: partitionCount }, (_, index) => index));
  }

  /**
   * Asks a partition's leader where a leader epoch ends in its log. Leaders that move are looked up again.
   *
   * @throws {RefusedError} with reason `TOPIC_CHANGED` where the topic has another id, or as the cluster refuses.
   */
  async epochEnd(question: LeaderEpochQuestion): Promise<LeaderEpochAnswer> {
    const { topic, partition, epoch } = question;
    return await this.#calls.call(
      `asking where leader epoch ${epoch} ends in ${topic}[${partition}]`,
      () => askEpochEnd(this.#cluster, question),
    );
  }

  /** The epoch of each partition's present leader, by partition. */
  async leaderEpochs(topic: string): Promise<ReadonlyMap<number, number>> {
    const { partitions } = await this.#calls.call(
      `describing topic "${topic}"`,
      () => fetchTopicMetadata(this.#cluster, topic),
    );
    return new Map(partitions.map(({ partition, leaderEpoch }) => [partition, leaderEpoch]));
  }

  /** Asks once, whatever the patience: the topic's error code, and where its partitions end. */
  async probe(
    topic: string,
    partitions: readonly number[],
  ): Promise<
    { readonly errorCode: number; readonly answers: readonly PartitionEndsAnswer[] }
  > {
    const { errorCode } = await fetchTopicMetadata(this.#cluster, topic);
    if (errorCode !== NO_ERROR_CODE || partitions.length === 0) return { errorCode, answers: [] };
    const answers = await fetchPartitionEnds(this.#cluster, { topic, partitions });
    // A leader that has moved is looked up before it is asked again.
    if (answers.length < partitions.length || answers.some((answer) => "error" in answer)) {
      await this.#cluster.refreshMetadata();
    }
    return { errorCode, answers };
  }

  /** What a group has committed, for the partitions of which it has committed anything. */
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
    ? "ask the cluster's operator for the permission Describe on it, or name another topic"
    : adviceFor(reason);
  const message = `the cluster refuses to describe topic "${topic}": ${reason}`;
  return new RefusedError(advice === undefined ? message : `${message}: ${advice}`, { reason });
}
