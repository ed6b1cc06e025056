/**
 * The environment of the `verify` tests: a topic on a live broker, records sent to it, and journals whose lines a test
 * can remove, repeat, or change.
 */

import { isUtf8 } from "node:buffer";
import { join } from "node:path";
import { Kafka, logLevel } from "kafkajs";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { install } from "../../lib/kafka/kafkajs/install.ts";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { KafkaRecord, OutgoingRecord } from "../../lib/record.ts";
import { EventWriter } from "../../lib/journal/line.ts";
import type { Verification } from "../../lib/verify/verification.ts";
import { verifyJournals, type VerifyOptions } from "../../lib/verify/verify.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";

export { countsOf } from "./memory_site.ts";

const broker = await liveBroker();

export const TIMESTAMP_MS = 1_756_684_800_000;
const ENCODER = new TextEncoder();
const RECEIVED_AT = new Date(TIMESTAMP_MS + 5);

export function bytesOf(text: string): Uint8Array {
  return ENCODER.encode(text);
}

export interface VerifySite extends AsyncDisposable {
  readonly topic: string;
  readonly topicId: string;
  readonly folder: string;
  readonly cluster: ClusterClient;
  readonly kafka: Kafka;
  /** Sends records to a partition in one batch and returns them as stored in the topic. */
  send(partition: number, records: readonly Partial<OutgoingRecord>[]): Promise<KafkaRecord[]>;
  /** Returns the journal line of a record, with its newline. */
  lineOf(record: KafkaRecord, context?: { readonly topicId?: string }): string;
  /** Writes a journal file, by default the active segment, and returns its folder. */
  writeJournal(
    lines: readonly string[],
    place?: { readonly folder?: string; readonly name?: string },
  ): string;
  verify(
    directories: readonly string[],
    options?: Partial<VerifyOptions>,
  ): Promise<Verification>;
  /** Deletes the records of a partition below an offset. */
  deleteBelow(partition: number, offset: number): Promise<void>;
}

export async function createVerifySite(
  { partitions = 1, config = {} }: {
    readonly partitions?: number;
    readonly config?: Readonly<Record<string, string>>;
  } = {},
): Promise<VerifySite> {
  const connection = { brokers: broker.address.split(","), clientId: "orderflow-test" };
  const cluster = await ClusterClient.connect(connection, "probe");
  const topic = uniqueName("verify");
  const { topicId } = await cluster.ensureTopic(topic, {
    partitionCount: partitions,
    config: { "retention.ms": "-1", ...config },
  });
  const producer = new ReliableProducer(connection);
  const folder = await Deno.makeTempDir({ prefix: "orderflow-verify-" });
  const kafka = new Kafka({ brokers: connection.brokers, logLevel: logLevel.NOTHING });
  install(kafka);

  return {
    topic,
    topicId,
    folder,
    cluster,
    kafka,
    async send(partition, outgoing) {
      const records = outgoing.map((record, index) => ({
        partition,
        key: null,
        value: null,
        headers: [],
        timestampMs: TIMESTAMP_MS + index,
        ...record,
      }));
      const { baseOffset } = await producer.send({ topic, partition, records });
      return records.map((record, index) => ({ ...record, topic, offset: baseOffset + index }));
    },
    lineOf: (record, context = { topicId }) => lineOf(record, context),
    writeJournal(lines, { folder: name = "logs", name: file = "tracker.events" } = {}) {
      const directory = join(folder, name);
      Deno.mkdirSync(directory, { recursive: true });
      Deno.writeTextFileSync(join(directory, file), lines.join(""));
      return directory;
    },
    verify: (directories, options = {}) =>
      verifyJournals({ cluster, connection, topic, directories, ...options }),
    async deleteBelow(partition, offset) {
      const admin = kafka.admin();
      await admin.connect();
      await admin.fetchTopicOffsets(topic); // makes kafkajs load the topic's metadata
      await admin.deleteTopicRecords({
        topic,
        partitions: [{ partition, offset: String(offset) }],
      });
      await admin.disconnect();
    },
    async [Symbol.asyncDispose]() {
      await producer.close();
      await cluster.deleteTopic(topic);
      await cluster[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Returns a journal line, without a topic id if the context has none. */
export function lineOf(record: KafkaRecord, context: { readonly topicId?: string }): string {
  const writer = new EventWriter();
  const isText = record.value === null || isUtf8(record.value);
  const verdict = {
    eventType: "message.received.deserialization_error",
    isText,
    deserialized: false,
    error: "no order",
  } as const;
  writer.write(record, verdict, { receivedAt: RECEIVED_AT, ...context });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(writer.lines);
}

/** Returns a line as the original project's Go tracker writes it. */
export function goLineOf({ topic, partition, offset, value }: KafkaRecord): string {
  return JSON.stringify({
    timestamp: RECEIVED_AT.toISOString(),
    event_type: "message.received",
    kafka_topic: topic,
    kafka_partition: partition,
    kafka_offset: offset,
    raw_message: new TextDecoder().decode(value ?? new Uint8Array()),
    message_size: value?.length ?? 0,
    deserialized: true,
    order_full: {},
  }) + "\n";
}

/** Returns `count` records with distinct values, keys, and headers. */
export function numbered(count: number): Partial<OutgoingRecord>[] {
  return Array.from({ length: count }, (_, index) => ({
    key: bytesOf(`key ${index}`),
    value: bytesOf(`value ${index}`),
    headers: [{ key: "trace", value: bytesOf(`trace ${index}`) }],
  }));
}
