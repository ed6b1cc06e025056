/**
 * Assigns a group's partitions to its members as Kafka's `RoundRobinAssignor` does, whose protocol name it has: Java
 * clients that use that assignor can be members of the same group, and its leader.
 *
 * kafkajs's own round-robin assigner deals the leader's topics to every member, whatever each subscribes to: the
 * partitions that a member did not ask for are then read by nobody.
 *
 * @module
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

/** A member of a group, as its leader sees it. */
export interface SubscribedMember {
  readonly memberId: string;
  /** `group.instance.id` of a static member. */
  readonly groupInstanceId?: string | undefined;
  readonly topics: readonly string[];
}

/** Kafka's name for the protocol. */
const PROTOCOL_NAME = "roundrobin";
const METADATA_ATTEMPTS = 3;

/**
 * Deals the partitions, sorted by topic and number, to the members in turn, and passes over those that do not
 * subscribe to the topic. Static members come first, by instance id, then the others by member id.
 *
 * @param partitionCounts topics that are left out have no partitions.
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
      // Ends: the topic is one of theirs.
      while (!sorted[turn % sorted.length]?.topics.has(topic)) turn++;
      const assignment = sorted[turn++ % sorted.length]?.assignment;
      const assigned = assignment?.get(topic);
      if (assigned === undefined) assignment?.set(topic, [partition]);
      else assigned.push(partition);
    }
  }
  return new Map(sorted.map(({ memberId, assignment }) => [memberId, assignment]));
}

/** The topics of all members, each once, in the order of their names. */
function topicsOf(members: readonly SubscribedMember[]): readonly string[] {
  return [...new Set(members.flatMap(({ topics }) => topics))].sort(compare);
}

function compareMembers(one: SubscribedMember, other: SubscribedMember): number {
  const isStatic = ({ groupInstanceId }: SubscribedMember) => groupInstanceId !== undefined;
  if (isStatic(one) !== isStatic(other)) return isStatic(one) ? -1 : 1;
  return compare(one.groupInstanceId ?? one.memberId, other.groupInstanceId ?? other.memberId);
}

/** By UTF-16 code units, as Java compares strings. */
function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** A topic at the time of an assignment. */
export type TopicState = Pick<TopicMetadata, "topicId" | "partitionCount">;

/** What the leader of a group assigned. */
export interface GroupAssignment {
  /** The topics that any member subscribes to. */
  readonly subscribedTopics: readonly string[];
  /** Those of them that exist and may be described. */
  readonly topics: ReadonlyMap<string, TopicState>;
  /** Members whose subscription could not be decoded: nothing was assigned to them. */
  readonly unreadableMembers: readonly string[];
}

export interface RoundRobinOptions {
  /** That of the consumer, as kafkajs gives it to its assigners. */
  readonly cluster: ClientCluster;
  /** Called each time that this member is the leader and has assigned the group's partitions. */
  readonly onAssigned: (assignment: GroupAssignment) => void;
}

/** Returns {@link assignRoundRobin} as kafkajs's consumers use an assigner. */
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
      // To every member: a Java client cannot decode the empty answer that one which was left out gets.
      return [...assignments].map(([memberId, assignment]) => ({
        memberId,
        memberAssignment: encodeAssignment(assignment),
      }));
    },
  };
}

/**
 * A subscription that cannot be decoded is taken for one to no topics: the other members go on, and whoever sent it
 * gets nothing that it might not understand.
 */
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

/** Those topics that exist and may be described: another member's topic is never an error for the group. */
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
