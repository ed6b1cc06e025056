import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import { CompressionTypes, Kafka, logLevel } from "kafkajs";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { install } from "../../lib/kafka/kafkajs/install.ts";
import { fetchRaw } from "../../lib/kafka/kafkajs/raw_fetch.ts";
import { CorruptBatchError, decodeBatches } from "../../lib/kafka/protocol/record_batch.ts";
import { decodeRecords } from "../../lib/kafka/protocol/records.ts";
import { type PartitionRange, TopicReader } from "../../lib/kafka/topic_reader.ts";
import { createCluster } from "../../lib/kafka/kafkajs/client_cluster.ts";
import { openClient } from "../../lib/kafka/client.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";
import { hasCommand } from "../site.ts";

const broker = await liveBroker();
const connection = { brokers: broker.address.split(","), clientId: "orderflow-test" };
const kafka = new Kafka({ brokers: [...connection.brokers], logLevel: logLevel.NOTHING });
install(kafka);
const TIMESTAMP_MS = 1_756_684_800_000;

async function withTopic(
  test: (topic: string, reader: TopicReader) => Promise<void>,
  config: Readonly<Record<string, string>> = {},
): Promise<void> {
  await using cluster = await ClusterClient.connect(connection, "probe");
  await using reader = await TopicReader.connect(connection, "probe");
  const topic = uniqueName("reader");
  await cluster.ensureTopic(topic, {
    partitionCount: 1,
    config: { "retention.ms": "-1", ...config },
  });
  try {
    await test(topic, reader);
  } finally {
    await cluster.deleteTopic(topic);
  }
}

async function readAll(reader: TopicReader, range: PartitionRange): Promise<KafkaRecord[]> {
  const all: KafkaRecord[] = [];
  for await (const records of reader.read(range)) all.push(...records);
  return all;
}

Deno.test("TopicReader.read() returns each record of a range as it was sent, compressed or not", async () => {
  await withTopic(async (topic, reader) => {
    const producer = kafka.producer();
    await producer.connect();
    const message = {
      key: Buffer.from([0, 1, 255]),
      timestamp: String(TIMESTAMP_MS),
      headers: { b: "1", a: ["2", "3"], c: Buffer.from([255]) },
    };
    for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
      await producer.send({
        topic,
        compression,
        messages: [
          { ...message, value: "first" },
          { key: null, value: null, timestamp: String(TIMESTAMP_MS - 1_000) },
          { key: "", value: "", timestamp: String(TIMESTAMP_MS + 5_000_000_000) },
        ],
      });
    }
    await producer.disconnect();

    const records = await readAll(reader, { topic, partition: 0, start: 0, end: 6 });

    const bytes = (...values: number[]) => Uint8Array.from(values);
    const expected = [
      {
        timestampMs: TIMESTAMP_MS,
        key: bytes(0, 1, 255),
        value: new TextEncoder().encode("first"),
        headers: [
          { key: "b", value: bytes(0x31) },
          { key: "a", value: bytes(0x32) },
          { key: "a", value: bytes(0x33) },
          { key: "c", value: bytes(255) },
        ],
      },
      { timestampMs: TIMESTAMP_MS - 1_000, key: null, value: null, headers: [] },
      { timestampMs: TIMESTAMP_MS + 5_000_000_000, key: bytes(), value: bytes(), headers: [] },
    ].map((record) => ({
      topic,
      partition: 0,
      leaderEpoch: 0,
      exactTimestampMs: undefined,
      ...record,
    }));
    assert.deepEqual(
      records.map(plain),
      [...expected, ...expected].map((record, offset) => ({ ...record, offset })),
    );

    for (let start = 0; start <= 6; start++) {
      for (let end = start; end <= 6; end++) {
        const part = await readAll(reader, { topic, partition: 0, start, end });
        assert.deepEqual(part.map(({ offset }) => offset), offsets(start, end));
      }
    }
  });
});

Deno.test("TopicReader.read() begins at the start that retention has moved, even within a batch", async () => {
  await withTopic(async (topic, reader) => {
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({
      topic,
      messages: offsets(0, 10).map((offset) => ({ value: String(offset) })),
    });
    await producer.disconnect();
    const admin = kafka.admin();
    await admin.connect();
    await admin.fetchTopicOffsets(topic); // otherwise kafkajs does not know the topic
    const deleteBelow = (offset: string) =>
      admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] });

    const read = async (end: number) =>
      (await readAll(reader, { topic, partition: 0, start: 0, end })).map(({ offset }) => offset);
    await deleteBelow("4");
    assert.deepEqual(await read(10), offsets(4, 10));
    assert.deepEqual(await read(3), []);
    await deleteBelow("10");
    assert.deepEqual(await read(10), []);
    await admin.disconnect();
  });
});

Deno.test("TopicReader.read() fails if a partition ends before the requested range", async () => {
  await withTopic(async (topic, reader) => {
    await assert.rejects(
      readAll(reader, { topic, partition: 0, start: 5, end: 10 }),
      { name: "RefusedError", message: /has no offset 5 any more/ },
    );
  });
});

const HAS_KCAT = await hasCommand("kcat", "-V");

for (const type of ["CreateTime", "LogAppendTime"]) {
  Deno.test({
    name: `TopicReader.read() returns the same timestamps as kcat for a topic with ${type}`,
    ignore: !HAS_KCAT,
    async fn() {
      await withTopic(async (topic, reader) => {
        const producer = kafka.producer();
        await producer.connect();
        const sent = offsets(0, 3).map((offset) => TIMESTAMP_MS + offset);
        const messages = sent.map((time) => ({ value: "value", timestamp: String(time) }));
        await producer.send({ topic, messages });
        await producer.send({ topic, messages, compression: CompressionTypes.GZIP });
        await producer.disconnect();
        const records = await readAll(reader, { topic, partition: 0, start: 0, end: 6 });
        const times = records.map(({ timestampMs }) => timestampMs);
        assert.deepEqual(times, await timesByKcat(topic));
        const isOwn = isDeepStrictEqual(times, [...sent, ...sent]);
        assert.equal(isOwn, type === "CreateTime");
      }, { "message.timestamp.type": type });
    },
  });
}

async function timesByKcat(topic: string): Promise<readonly number[]> {
  const where = ["-b", broker.address, "-t", topic, "-p", "0", "-o", "beginning"];
  const kcat = new Deno.Command("kcat", { args: ["-C", ...where, "-e", "-q", "-f", "%T\\n"] });
  const { success, stdout, stderr } = await kcat.output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim().split("\n").map(Number);
}

Deno.test("decodeBatches() refuses a batch with one flipped bit", async () => {
  await withTopic(async (topic) => {
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic, messages: [{ value: "one" }, { value: "two" }] });
    await producer.disconnect();
    const cluster = createCluster(openClient(connection, "probe"));
    await cluster.connect();
    const { records } = await fetchRaw(cluster, { topic, partition: 0, offset: 0, bytesMax: 1e6 });
    await cluster.disconnect();

    const [batch] = decodeBatches(records);
    assert.ok(batch);
    const parts = await Array.fromAsync(decodeRecords(batch, { topic, partition: 0 }));
    assert.equal(parts.flatMap((records) => Array.from(records)).length, 2);
    assert.equal(Array.from(decodeBatches(records.subarray(0, -1))).length, 0);
    const crcEnd = 21;
    for (let index = crcEnd; index < records.length; index++) {
      const broken = Uint8Array.from(records);
      broken[index] = (broken[index] ?? 0) ^ 0x10;
      assert.throws(() => Array.from(decodeBatches(broken)), CorruptBatchError);
    }
  });
});

function offsets(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index);
}

/** Converts all byte arrays to one class, whichever the reader used. */
function plain(record: KafkaRecord): KafkaRecord {
  const copy = (bytes: Uint8Array | null) => bytes && Uint8Array.from(bytes);
  return {
    ...record,
    key: copy(record.key),
    value: copy(record.value),
    headers: record.headers.map(({ key, value }) => ({ key, value: copy(value) })),
  };
}
