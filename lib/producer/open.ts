/**
 * Opens what a run of the producer needs of the cluster: its topic, and connections that are ready to send.
 */

import type { KafkaConnection } from "../kafka/client.ts";
import { ClusterClient } from "../kafka/cluster.ts";
import { loggerOf } from "../log.ts";
import { ProducerPool } from "../kafka/producer.ts";
import type { ProducerOptions } from "./options.ts";
import { ThrottleWatch } from "./throttle_watch.ts";
import type { Topic } from "./topic_watch.ts";

const TOPIC_PARTITIONS = 3;

const log = loggerOf("producer");

export interface OpenedProducer extends TopicFacts, AsyncDisposable {
  readonly producers: ProducerPool;
  readonly throttling: ThrottleWatch;
  /** Returns the topic as it is now, undefined if it does not exist. */
  readonly findTopic: () => Promise<Topic | undefined>;
}

interface TopicFacts {
  readonly found: Topic;
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
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await ClusterClient.connect(connection, "probe"));
  const facts = await factsOf(options, cluster);
  const throttling = new ThrottleWatch(log);
  const producers = new ProducerPool(connection, {
    partitionCount: facts.found.partitionCount,
    producerCount: options.producers,
    onThrottled: (throttleMs) => throttling.note(throttleMs),
  });
  await producers.connect();
  const opened = stack.move();
  return {
    ...facts,
    producers,
    throttling,
    findTopic: () => cluster.findTopic(options.topic),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function factsOf(
  { topic, badKinds }: Pick<ProducerOptions, "topic" | "badKinds">,
  cluster: ClusterClient,
): Promise<TopicFacts> {
  const { created, ...found } = await cluster.ensureTopic(topic, {
    partitionCount: TOPIC_PARTITIONS,
  });
  const { partitionCount } = found;
  if (created) log.info("The topic did not exist and was created", { topic, partitionCount });
  await cluster.requirePermission("Write", topic);
  const ranges = await cluster.allOffsets(topic);
  const messageBytesMax = badKinds.includes("oversize")
    ? await cluster.topicConfig(topic, "max.message.bytes")
    : undefined;
  return {
    found,
    startOffsets: new Map(ranges.map(({ partition, high }) => [partition, high])),
    messageBytesMax: Number(messageBytesMax ?? 0),
  };
}
