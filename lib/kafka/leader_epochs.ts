/**
 * Asks a partition's leader where a leader epoch ends in its log.
 *
 *     any broker   Metadata v12                leader, its epoch, the topic's id
 *     the leader   OffsetForLeaderEpoch        fenced by that epoch: a former leader returns an error
 *     the leader   Metadata v12                the topic's id again: the answer was not from a recreated topic
 */

import errorModule from "kafkajs/src/protocol/error.js";
import { RefusedError } from "./errors.ts";
import type { ClientCluster } from "./kafkajs/client_cluster.ts";
import { fetchTopicMetadata, fetchTopicMetadataFrom } from "./kafkajs/topic_metadata.ts";
import {
  decodeEpochEndResponse,
  encodeEpochEndRequest,
  type EpochEnd,
  type EpochEndAnswer,
  OFFSET_FOR_LEADER_EPOCH,
} from "./protocol/offset_for_leader_epoch.ts";

export interface LeaderEpochQuestion {
  readonly topic: string;
  /** A topic with the same name and another id is not asked. */
  readonly topicId: string;
  readonly partition: number;
  readonly epoch: number;
  /** Leaders of an older epoch are not asked: they lack what newer leaders have appended. Default: 0. */
  readonly leaderEpochMin?: number;
}

export interface LeaderEpochAnswer {
  /** The current epoch of the leader that answered. */
  readonly leaderEpoch: number;
  /** Undefined if the leader's log has no such epoch. */
  readonly end: EpochEnd | undefined;
}

/** The topic was deleted or recreated since its id was read. */
export const TOPIC_CHANGED = "TOPIC_CHANGED";

const NO_ERROR = 0;
const NO_LEADER = -1;
const LEADER_NOT_AVAILABLE = 5;

const { createErrorFromCode } = errorModule as {
  createErrorFromCode: (code: number) => Error;
};

/**
 * Asks once. If the leader has moved, throws kafkajs's error with the reason as `type` (FENCED_LEADER_EPOCH and
 * others).
 *
 * @throws {RefusedError} with reason {@link TOPIC_CHANGED}.
 */
export async function askEpochEnd(
  cluster: ClientCluster,
  { topic, topicId, partition, epoch, leaderEpochMin = 0 }: LeaderEpochQuestion,
): Promise<LeaderEpochAnswer> {
  await cluster.addMultipleTargetTopics([topic]);
  const metadata = await fetchTopicMetadata(cluster, topic);
  if (metadata.errorCode !== NO_ERROR) throw createErrorFromCode(metadata.errorCode);
  requireTopic({ topic, topicId }, metadata);
  const { leaderId = NO_LEADER, leaderEpoch = NO_LEADER } =
    metadata.partitions.find((each) => each.partition === partition) ?? {};
  // A broker that has not heard of the election yet names the previous leader.
  if (leaderId === NO_LEADER || leaderEpoch < leaderEpochMin) {
    throw createErrorFromCode(LEADER_NOT_AVAILABLE);
  }
  const broker = await cluster.findBroker({ nodeId: String(leaderId) });
  const question = { topic, partition, currentLeaderEpoch: leaderEpoch, epoch };
  const answer = await broker.connectionPool.send({
    request: {
      ...OFFSET_FOR_LEADER_EPOCH,
      encode: () => Promise.resolve(encodeEpochEndRequest(question)),
    },
    response: {
      decode: (payload) => Promise.resolve(decodeEpochEndResponse(payload)),
      parse: (decoded) => Promise.resolve(decoded),
    },
  }) as EpochEndAnswer;
  if (answer.errorCode !== NO_ERROR) throw createErrorFromCode(answer.errorCode);
  requireTopic({ topic, topicId }, await fetchTopicMetadataFrom(broker, topic));
  return { leaderEpoch, end: answer.end };
}

function requireTopic(
  { topic, topicId }: { readonly topic: string; readonly topicId: string },
  metadata: { readonly topicId: string },
): void {
  if (metadata.topicId === topicId) return;
  throw new RefusedError(`topic "${topic}" was deleted or created again`, {
    reason: TOPIC_CHANGED,
  });
}
