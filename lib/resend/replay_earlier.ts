/**
 * What earlier runs of a replay have sent, by the log: the target cannot refuse it any more. It may be too old for the
 * target's settings by now, or these may have changed, and the replay must still be able to prove itself again.
 */

import type { KafkaConnection } from "../kafka/client.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import { TopicReader } from "../kafka/topic_reader.ts";
import type { Hit } from "../search/query.ts";
import { ReplayLog, replayLogTopicOf } from "./replay_log.ts";
import { sourceKey } from "./replay_plan.ts";
import { ResendSession } from "./resend_session.ts";

export interface EarlierOptions {
  readonly cluster: ClusterClient;
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly targetId: string;
  readonly selection: string;
}

/** Returns a function that tells whether a record was sent by an earlier run of the same replay. */
export async function findSent(
  { cluster, connection, topic: target, targetId, selection }: EarlierOptions,
): Promise<(hit: Hit) => boolean> {
  await using reader = await TopicReader.connect(connection, "probe");
  await using session = new ResendSession({
    ...{ cluster, reader },
    logTopic: replayLogTopicOf(target),
    log: new ReplayLog({ targetId, selection }),
    done: "replayed",
    openSender: () => Promise.reject(new TypeError("the log is only read")),
  });
  await session.look();
  const { replays } = session.log;
  if (replays.length === 0) return () => false;
  return ({ record: { topic, topicId, partition, offset } }) => {
    const key = sourceKey({ topic, topicId, partition });
    return replays.some(({ offsets }) => offsets.get(key)?.has(offset));
  };
}
