/**
 * The environment of the `redrive` tests: a topic and a dead-letter topic, letters in the tracker's format,
 * and the records of a topic as a read_committed reader sees them.
 */

import assert from "node:assert/strict";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { TopicReader } from "../../lib/kafka/topic_reader.ts";
import { loggerOf } from "../../lib/log.ts";
import { DEAD_LETTER_TOPIC_CONFIG } from "../../lib/tracker/dead_letter_topic.ts";
import { DeadLetters } from "../../lib/tracker/dead_letters.ts";
import type { FailureReason } from "../../lib/tracker/failures.ts";
import type { DeadLetter } from "../../lib/tracker/letter.ts";
import { redriveLogTopicOf } from "../../lib/resend/redrive_log.ts";
import { redrive, type RedriveOptions } from "../../lib/resend/redrive.ts";
import type { Selection } from "../../lib/resend/redrive_selection.ts";
import type { RedriveSummary } from "../../lib/resend/redrive_summary.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";

export const TIMESTAMP_MS = 1_756_684_800_000;
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

export const EVERYTHING: Selection = { reasons: undefined, source: undefined, place: undefined };

export interface RedriveSite extends AsyncDisposable {
  readonly address: string;
  readonly topic: string;
  readonly deadLetterTopic: string;
  readonly logTopic: string;
  readonly cluster: ClusterClient;
  readonly producer: ReliableProducer;
  /** Dead-letters records like the tracker. */
  deadLetter(letters: readonly DeadLetter[]): Promise<void>;
  redrive(options?: Partial<RedriveOptions>): Promise<RedriveSummary>;
  /** Returns the committed records of all partitions, sorted by partition and offset. */
  read(topic: string): Promise<readonly KafkaRecord[]>;
  /** Deletes and recreates the dead-letter topic. */
  recreateDeadLetterTopic(): Promise<void>;
}

export async function createRedriveSite(
  {
    partitions = 3,
    deadLetterPartitions = partitions,
    address,
    config = {},
    deadLetterConfig = DEAD_LETTER_TOPIC_CONFIG,
  }: {
    readonly partitions?: number;
    readonly deadLetterPartitions?: number;
    readonly address?: string;
    /** Configuration of the source topic. */
    readonly config?: Readonly<Record<string, string>>;
    /** The tracker's settings by default. */
    readonly deadLetterConfig?: Readonly<Record<string, string>>;
  } = {},
): Promise<RedriveSite> {
  const brokerAddress = address ?? (await liveBroker()).address;
  const connection = { brokers: brokerAddress.split(","), clientId: "orderflow-test" };
  const cluster = await ClusterClient.connect(connection, "probe");
  const topic = uniqueName("redrive-orders");
  const deadLetterTopic = `${topic}-dlq`;
  const logTopic = redriveLogTopicOf(deadLetterTopic);
  const createDeadLetterTopic = () =>
    cluster.ensureTopic(deadLetterTopic, {
      partitionCount: deadLetterPartitions,
      config: deadLetterConfig,
    });
  await cluster.ensureTopic(topic, {
    partitionCount: partitions,
    config: { "retention.ms": "-1", ...config },
  });
  await createDeadLetterTopic();
  const producer = new ReliableProducer(connection);
  const log = loggerOf("test");

  return {
    address: brokerAddress,
    topic,
    deadLetterTopic,
    logTopic,
    cluster,
    producer,
    async deadLetter(letters) {
      // A new producer, because one that knew the deleted topic would send twice.
      const letterProducer = new ReliableProducer(connection);
      const deadLetters = new DeadLetters({
        producer: letterProducer,
        topic: deadLetterTopic,
        partitionCount: deadLetterPartitions,
        log,
      });
      for (const group of Map.groupBy(letters, ({ record }) => record.partition).values()) {
        assert.ok(await deadLetters.send(group, () => true));
      }
      await letterProducer.close();
    },
    redrive: (options = {}) =>
      redrive({
        connection,
        deadLetterTopic,
        topic,
        selection: EVERYTHING,
        isDryRun: false,
        log,
        ...options,
      }),
    async read(name) {
      await using reader = await TopicReader.connect(connection, "probe");
      const records: KafkaRecord[] = [];
      for (const { partition, low, high } of await cluster.allOffsets(name)) {
        const range = { topic: name, partition, start: low, end: high };
        for await (const some of reader.read(range)) records.push(...Array.from(some));
      }
      return records;
    },
    async recreateDeadLetterTopic() {
      await cluster.deleteTopic(deadLetterTopic);
      while (await cluster.findTopic(deadLetterTopic) !== undefined) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await createDeadLetterTopic();
    },
    async [Symbol.asyncDispose]() {
      await producer.close();
      for (const name of [topic, deadLetterTopic, logTopic]) {
        if (await cluster.findTopic(name) !== undefined) await cluster.deleteTopic(name);
      }
      await cluster[Symbol.asyncDispose]();
    },
  };
}

export function bytesOf(text: string): Uint8Array {
  return ENCODER.encode(text);
}

export function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : DECODER.decode(bytes);
}

/** Returns `count` letters with distinct values, spread over the topic's partitions. */
export function numberedLetters(
  { topic }: Pick<RedriveSite, "topic">,
  { count, partitions = 3, reasonOf = () => "VALIDATION" }: {
    readonly count: number;
    readonly partitions?: number;
    readonly reasonOf?: (index: number) => FailureReason;
  },
): readonly DeadLetter[] {
  return Array.from({ length: count }, (_, index) => ({
    record: {
      topic,
      partition: index % partitions,
      offset: 1_000 + index,
      timestampMs: TIMESTAMP_MS + index,
      key: bytesOf(`key ${index}`),
      value: bytesOf(`value ${index}`),
      headers: [{ key: "trace", value: bytesOf(`trace ${index}`) }],
    },
    failure: { reason: reasonOf(index), message: `failure ${index}` },
  }));
}

/** Asserts that no letter is missing or duplicated, and that each partition is in order. */
export function assertEachOnce(
  records: readonly KafkaRecord[],
  letters: readonly DeadLetter[],
): void {
  const placed = (partition: number, value: Uint8Array | null) => `${partition}: ${textOf(value)}`;
  const byPartition = (a: { partition: number }, b: { partition: number }) =>
    a.partition - b.partition;
  assert.deepEqual(
    records.map(({ partition, value }) => placed(partition, value)),
    letters.map(({ record }) => record).toSorted(byPartition)
      .map(({ partition, value }) => placed(partition, value)),
  );
}
