import assert from "node:assert/strict";
import { exactOf, timestampFromJson, timestampJson, timestampOf } from "../lib/int64.ts";
import { ReliableProducer } from "../lib/kafka/producer.ts";
import type { OutgoingRecord } from "../lib/record.ts";
import { TopicReader } from "../lib/kafka/topic_reader.ts";
import { decodeEvent } from "../lib/journal/line.ts";
import { encodeRecords } from "../lib/tracker/encode.ts";
import { freshList } from "../lib/tracker/fresh_records.ts";
import { classify, quickClassify } from "../lib/journal/line_scan.ts";
import { liveBroker } from "./live_broker.ts";
import { createSite, createTopics, hasCommand, withAdmin } from "./site.ts";

await liveBroker();

const LONG_MAX = 2n ** 63n - 1n;
const TIMESTAMPS = [
  1_795_417_200_000n,
  0n,
  LONG_MAX,
  2n ** 53n + 1n,
  1n,
  2n ** 53n - 1n,
  -1n,
  2n ** 60n + 3n,
];

async function createSiteWithoutTimeBounds(): Promise<Awaited<ReturnType<typeof createSite>>> {
  const site = await createSite({ partitions: 0 });
  await withAdmin(site, (admin) =>
    createTopics(admin, [{
      topic: site.topic,
      numPartitions: 1,
      configEntries: [
        { name: "message.timestamp.before.max.ms", value: String(LONG_MAX) },
        { name: "message.timestamp.after.max.ms", value: String(LONG_MAX) },
      ],
    }]));
  return site;
}

async function linesOfKcat(broker: string, topic: string): Promise<readonly string[]> {
  const { stdout } = await new Deno.Command("kcat", {
    args: ["-C", "-b", broker, "-t", topic, "-p", "0", "-e", "-q", "-f", "%T\n"],
  }).output();
  return new TextDecoder().decode(stdout).trim().split("\n");
}

Deno.test("64-bit timestamps stay exact from the producer to the topic, to the journal line, and back", async () => {
  await using site = await createSiteWithoutTimeBounds();
  const connection = { brokers: [site.broker], clientId: "test" };
  const producer = new ReliableProducer(connection);
  const records: OutgoingRecord[] = TIMESTAMPS.map((timestamp) => ({
    ...{ partition: 0, key: null, value: new TextEncoder().encode("{}"), headers: [] },
    ...timestampOf(timestamp),
  }));
  await producer.send({ topic: site.topic, partition: 0, records });
  await producer.close();

  if (await hasCommand("kcat", "-V")) {
    assert.deepEqual(await linesOfKcat(site.broker, site.topic), TIMESTAMPS.map(String));
  }
  await using reader = await TopicReader.connect(connection, "probe");
  const range = { topic: site.topic, partition: 0, start: 0, end: TIMESTAMPS.length };
  const seen = (await Array.fromAsync(reader.read(range))).flat();
  assert.deepEqual(seen.map((record) => BigInt(exactOf(record))), TIMESTAMPS);

  const fresh = freshList(seen, { topic: site.topic, partition: 0 });
  const { lines } = await encodeRecords(fresh, {
    receivedAt: new Date(0),
    topicId: "aa",
    schema: "none",
  });
  const texts = new TextDecoder().decode(lines).trimEnd().split("\n");
  for (const [index, text] of texts.entries()) {
    const { details } = decodeEvent(text);
    assert.ok(details);
    assert.equal(BigInt(exactOf(details)), TIMESTAMPS[index]);
    const { kafka_timestamp } = JSON.parse(text);
    assert.equal(String(kafka_timestamp), String(TIMESTAMPS[index]), "exact for any JSON reader");
    const bytes = new TextEncoder().encode(text);
    assert.deepEqual(quickClassify(bytes), classify(bytes));
    assert.equal(quickClassify(bytes).kind, "record");
  }
});

Deno.test("timestampFromJson() accepts only 64-bit integers", () => {
  for (const timestamp of [...TIMESTAMPS, -(2n ** 63n)]) {
    const read = timestampFromJson(JSON.parse(timestampJson(timestampOf(timestamp))));
    assert.deepEqual(read, timestampOf(timestamp));
  }
  // Earlier versions wrote timestamps beyond 2^53 as the nearest number.
  assert.deepEqual(timestampFromJson(9007199254740994), { timestampMs: 9007199254740994 });
  for (
    const wrong of ["", "1.5", "01", "+1", "-", "9223372036854775808", "x", 1.5, NaN, null, true]
  ) {
    assert.equal(timestampFromJson(wrong), undefined, String(wrong));
  }
});
