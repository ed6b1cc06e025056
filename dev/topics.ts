/**
 * The topics of a demo or a soak.
 */

import { ClusterClient } from "../lib/kafka/cluster.ts";
import { ensureDeadLetterTopic } from "../lib/tracker/dead_letter_topic.ts";

const PARTITIONS = 3;

export interface TopicPair {
  readonly topic: string;
  readonly deadLetterTopic: string;
}

/** Creates missing topics, like the producer and the tracker. */
export async function createTopics(
  cluster: ClusterClient,
  { topic, deadLetterTopic }: TopicPair,
): Promise<void> {
  const { partitionCount } = await cluster.ensureTopic(topic, { partitionCount: PARTITIONS });
  await ensureDeadLetterTopic(cluster, deadLetterTopic, partitionCount);
}

export async function deleteTopicsAt(
  address: string,
  { topic, deadLetterTopic }: TopicPair,
): Promise<void> {
  const connection = { brokers: address.split(","), clientId: "orderflow-dev" };
  await using cluster = await ClusterClient.connect(connection, "probe");
  for (const name of [topic, deadLetterTopic]) {
    if (await cluster.findTopic(name) !== undefined) await cluster.deleteTopic(name);
  }
}
