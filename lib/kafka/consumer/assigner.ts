/**
 * Assigns a group's partitions like Kafka's `RoundRobinAssignor`, under the same protocol name. Java clients that use
 * that assignor can be members of the same group and lead it.
 *
 * kafkajs's own round-robin assigner ignores subscriptions: it assigns the leader's topics to every member, and nobody
 * reads the partitions of a member that did not subscribe to them.
 */

import type { Assigner, GroupMember } from "kafkajs";
import type { ClientCluster } from "../kafkajs/client_cluster.ts";
import { fetchTopicsMetadata, type TopicMetadata } from "../kafkajs/topic_metadata.ts";
import {
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type TopicPartitions,
} from "../protocol/consumer_protocol.ts";

export interface SubscribedMember {
  readonly memberId: string;
  /** `group.instance.id` of a static member. */
  readonly groupInstanceId?: string | undefined;
  readonly topics: readonly string[];
}

const PROTOCOL_NAME = "roundrobin";
const METADATA_ATTEMPTS = 3;

/**
 * Assigns the partitions, sorted by topic and number, to the members in turn, skipping those that do not subscribe to
 * the topic. Static members come first, by instance id, then the others, by member id.
 *
 * @param partitionCounts by topic; missing topics have no partitions.
 * @returns an entry for every member.
 */
export function assignRoundRobin(
  members: readonly SubscribedMember[],
  partitionCounts: ReadonlyMap<string, number>,
): ReadonlyMap<string, TopicPartitions> {
  const sorted = members.toSorted(compareMembers).map(({ memberId, topics }) => ({
    memberId,
    topics: new Set(topics),
    assignment: new Map<string, number[]>(),
  }));
  let turn = 0;
  for (const topic of topicsOf(members)) {
    for (let partition = 0; partition < (partitionCounts.get(topic) ?? 0); partition++) {
      // Terminates: at least one member subscribes to the topic.
      while (!sorted[turn % sorted.length]?.topics.has(topic)) turn++;
      const assignment = sorted[turn++ % sorted.length]?.assignment;
      const assigned = assignment?.get(topic);
      if (assigned === undefined) assignment?.set(topic, [partition]);
      else assigned.push(partition);
    }
  }
  return new Map(sorted.map(({ memberId, assignment }) => [memberId, assignment]));
}

function topicsOf(members: readonly SubscribedMember[]): readonly string[] {
  return [...new Set(members.flatMap(({ topics }) => topics))].sort(compare);
}

function compareMembers(one: SubscribedMember, other: SubscribedMember): number {
  const isStatic = ({ groupInstanceId }: SubscribedMember) => groupInstanceId !== undefined;
  if (isStatic(one) !== isStatic(other)) return isStatic(one) ? -1 : 1;
  return compare(one.groupInstanceId ?? one.memberId, other.groupInstanceId ?? other.memberId);
}

/** Compares UTF-16 code units, as Java does. */
function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

export type TopicState = Pick<TopicMetadata, "topicId" | "partitionCount">;

export interface GroupAssignment {
  readonly subscribedTopics: readonly string[];
  /** The subscribed topics that exist and that this user may describe. */
  readonly topics: ReadonlyMap<string, TopicState>;
  /** Members whose subscription cannot be decoded; they were assigned nothing. */
  readonly unreadableMembers: readonly string[];
}

export interface RoundRobinOptions {
  readonly cluster: ClientCluster;
  /** Called each time this member, as the leader, has assigned the group's partitions. */
  readonly onAssigned: (assignment: GroupAssignment) => void;
}

export function roundRobinAssigner({ cluster, onAssigned }: RoundRobinOptions): Assigner {
  return {
    name: PROTOCOL_NAME,
    version: 0,
    protocol: ({ topics }) => ({ name: PROTOCOL_NAME, metadata: encodeSubscription(topics) }),
    async assign({ members }) {
      const subscribed = members.map(subscriptionOf);
      const subscribedTopics = topicsOf(subscribed);
      const topics = await fetchTopics(cluster, subscribedTopics);
      const counts = new Map(
        [...topics].map(([topic, { partitionCount }]) => [topic, partitionCount]),
      );
      const assignments = assignRoundRobin(subscribed, counts);
      onAssigned({
        subscribedTopics,
        topics,
        unreadableMembers: subscribed.filter(({ isReadable }) => !isReadable)
          .map(({ memberId }) => memberId),
      });
      // Includes every member: a Java client cannot decode the empty answer that the coordinator sends to one left out.
      return [...assignments].map(([memberId, assignment]) => ({
        memberId,
        memberAssignment: encodeAssignment(assignment),
      }));
    },
  };
}

/** Decodes a member's subscription. An undecodable one counts as empty, so that the other members can continue. */
function subscriptionOf(
  member: GroupMember & { readonly groupInstanceId?: string | null },
): SubscribedMember & { readonly isReadable: boolean } {
  const { memberId, memberMetadata } = member;
  const groupInstanceId = member.groupInstanceId ?? undefined;
  try {
    const topics = decodeSubscription(memberMetadata);
    return { memberId, groupInstanceId, topics, isReadable: true };
  } catch {
    return { memberId, groupInstanceId, topics: [], isReadable: false };
  }
}

/** Fetches the topics that exist and may be described. Others are skipped: another member's topic is no error. */
async function fetchTopics(
  cluster: ClientCluster,
  topics: readonly string[],
): Promise<ReadonlyMap<string, TopicMetadata>> {
  for (let attempt = 1;; attempt++) {
    try {
      const found = await fetchTopicsMetadata(cluster, topics);
      return new Map([...found].filter(([, { errorCode }]) => errorCode === 0));
    } catch (error) {
      if (attempt === METADATA_ATTEMPTS) throw error;
    }
  }
}
