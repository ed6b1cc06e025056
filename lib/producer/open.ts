/**
 * Opens what a run of the producer needs of the cluster: its topic, and connections that are ready to send.
 *
 * @module
 */

import type { KafkaConnection } from "../kafka/client.ts";
import { ClusterClient } from "../kafka/cluster.ts";
import { loggerOf } from "../log.ts";
import { ProducerPool } from "../kafka/producer.ts";
import type { ProducerOptions } from "./options.ts";

const TOPIC_PARTITIONS = 3;

const log = loggerOf("producer");

export interface OpenedProducer extends TopicFacts {
  readonly producers: ProducerPool;
}

interface TopicFacts {
  readonly partitionCount: number;
  /** Where each partition ends before the run. */
  readonly startOffsets: ReadonlyMap<number, number>;
  readonly messageBytesMax: number;
}

/**
 * Finds the topic, creates it where it is missing, and connects.
 *
 * @throws {BrokerUnreachableError} where no broker answers.
 * @throws {RefusedError} where the cluster refuses the topic.
 */
export async function openProducer(
  options: Pick<ProducerOptions, "topic" | "badKinds" | "producers">,
  connection: KafkaConnection,
): Promise<OpenedProducer> {
  const facts = await findTopic(options, connection);
  const producers = new ProducerPool(connection, {
    partitionCount: facts.partitionCount,
    producerCount: options.producers,
  });
  await producers.connect();
  return { ...facts, producers };
}

async function findTopic(
  { topic, badKinds }: Pick<ProducerOptions, "topic" | "badKinds">,
  connection: KafkaConnection,
): Promise<TopicFacts> {
  await using cluster = await ClusterClient.connect(connection, "probe");
  const { partitionCount, created } = await cluster.ensureTopic(topic, {
    partitionCount: TOPIC_PARTITIONS,
  });
  if (created) log.info("The topic did not exist and was created", { topic, partitionCount });
  await cluster.requirePermission("Write", topic);
  const ranges = await cluster.allOffsets(topic);
  const messageBytesMax = badKinds.includes("oversize")
    ? await cluster.topicConfig(topic, "max.message.bytes")
    : undefined;
  return {
    partitionCount,
    startOffsets: new Map(ranges.map(({ partition, high }) => [partition, high])),
    messageBytesMax: Number(messageBytesMax ?? 0),
  };
}
