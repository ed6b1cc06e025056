import assert from "node:assert/strict";
import { join } from "node:path";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { RecordHeader } from "../../lib/record.ts";
import { createShop } from "../../lib/shop/shop.ts";
import type { TrackerTotals } from "../../lib/tracker/metrics.ts";
import { liveBroker } from "../live_broker.ts";
import {
  assertJournalIsTopic,
  countJournalLines,
  createSite,
  hasCommand,
  readTopic,
  type Site,
  until,
} from "../site.ts";

await liveBroker();

const ENCODER = new TextEncoder();
const bytes = (text: string) => ENCODER.encode(text);

interface Sent {
  readonly value: Uint8Array | null;
  readonly key?: Uint8Array;
  readonly headers?: readonly RecordHeader[];
}

/** Sends values to partition 0, in order. */
async function sendAll(site: Site, records: readonly Sent[]): Promise<void> {
  const producer = new ReliableProducer({ brokers: [site.broker], clientId: "test" });
  for (const { value, key = null, headers = [] } of records) {
    await producer.send({
      topic: site.topic,
      partition: 0,
      records: [{ partition: 0, key, value, headers }],
    });
  }
  await producer.close();
}

function totalsOf(stdout: string): TrackerTotals {
  return JSON.parse(stdout);
}

function goodOrder(): Uint8Array {
  return bytes(JSON.stringify(createShop({ seed: 1 }).nextOrder(Date.UTC(2026, 0, 1))));
}

Deno.test("tracker --exit-at-end journals every record of the topic once, in order, byte for byte", async () => {
  await using site = await createSite();
  await site.run("producer", ["--count", "2000", "--rate", "max", "--json"]);
  const { code, stdout, stderr } = await site.run("tracker", ["--exit-at-end", "--json"]);
  assert.equal(code, 0, stderr);
  const totals = totalsOf(stdout);
  assert.deepEqual(
    [
      totals.received,
      totals.processed,
      totals.failed,
      totals.dead_lettered,
      totals.already_journaled,
    ],
    [2_000, 2_000, 0, 0, 0],
  );
  assert.equal((await assertJournalIsTopic(site)).length, 2_000);
  const [first] = await site.journal();
  assert.equal(first?.["event_type"], "message.received");
  assert.deepEqual(first?.["order_full"], JSON.parse(String(first?.["raw_message"])));
});

Deno.test("tracker stopped with SIGTERM while running and restarted leaves no gap and no duplicate", async () => {
  await using site = await createSite();
  const producer = await site.start("producer", ["--rate", "1000", "--duration", "6s", "--json"]);
  for (const linesMin of [800, 2_500]) {
    const tracker = await site.start("tracker", ["--json"]);
    await until(
      "the tracker has joined",
      () => tracker.output.stderr.includes("Joined the consumer group"),
    );
    await until(`${linesMin} lines`, () => countJournalLines(site.logs) > linesMin);
    tracker.signal("SIGTERM");
    assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
    assert.match(tracker.output.stderr, /SIGTERM: finishing the records in hand/);
  }
  assert.equal(await producer.exitCode, 0);
  const { stdout } = await site.run("tracker", ["--exit-at-end", "--json"]);
  assert.equal(
    totalsOf(stdout).already_journaled,
    0,
    "an orderly stop commits everything that it journaled",
  );
  const { acknowledged } = JSON.parse(producer.output.stdout);
  assert.equal((await assertJournalIsTopic(site)).length, acknowledged);
});

Deno.test("tracker journals null, empty, non-UTF-8, 1 MB, and hostile values, and dead-letters the bad ones", async () => {
  await using site = await createSite({ partitions: 1 });
  const order = goodOrder();
  const orderText = new TextDecoder().decode(order);
  const large = bytes(`{"note":"${"x".repeat(1_000_000)}"}`);
  const records: Sent[] = [
    { value: order, key: bytes("customer-1") },
    { value: null, key: bytes("tombstone") },
    { value: bytes("") },
    { value: new Uint8Array([0xff, 0xfe, 0x00, 0x80]), key: new Uint8Array([0xc3, 0x28]) },
    { value: bytes(`\ufeff${orderText}`) },
    { value: large },
    { value: bytes("not json") },
    { value: bytes("[1,2,3]") },
    { value: bytes('{"__proto__":{"polluted":true},"constructor":1}') },
    { value: bytes("[".repeat(1_000) + "]".repeat(1_000)) },
    { value: bytes('{"sequence":123456789012345678901234567890,"total":1e999}') },
    { value: bytes('{"order_id":"\\u0000\\u001b[31m","text":"\u202e"}') },
    { value: bytes('{"order_id":"\u001b]0;title\u0007"}') },
    {
      value: bytes(orderText.replaceAll(',"', ',\r\n"')),
      headers: [{ key: "a", value: bytes("1") }, { key: "a", value: bytes("2") }],
    },
  ];
  await sendAll(site, records);
  const { code, stdout, stderr } = await site.run("tracker", ["--exit-at-end", "--json"]);
  assert.equal(code, 0, stderr);
  const totals = totalsOf(stdout);
  assert.equal(totals.received, records.length);
  assert.equal(totals.processed, 2);
  assert.equal(totals.failed, records.length - 2);
  assert.equal(totals.dead_lettered, totals.failed);
  await assertJournalIsTopic(site);

  const lines = await site.journal();
  assert.deepEqual(lines.map((line) => line["event_type"]), [
    "message.received",
    ...Array(4).fill("message.received.deserialization_error"),
    "message.received.validation_error",
    "message.received.deserialization_error",
    "message.received.deserialization_error",
    "message.received.validation_error",
    "message.received.deserialization_error",
    "message.received.validation_error",
    "message.received.validation_error",
    "message.received.deserialization_error",
    "message.received",
  ]);
  assert.equal(lines[1]?.["value_null"], true);
  assert.equal(lines[1]?.["raw_message"], "");
  assert.equal(lines[2]?.["value_null"], undefined);
  assert.equal(lines[3]?.["raw_message_base64"], "//4AgA==");
  assert.equal(lines[3]?.["kafka_key_base64"], "wyg=");
  assert.equal(lines[0]?.["kafka_key"], "customer-1");
  assert.deepEqual(lines.at(-1)?.["kafka_headers"], [{ key: "a", value: "1" }, {
    key: "a",
    value: "2",
  }]);

  // The dead letters carry the key, value, and headers of their records, and their origin.
  const letters = await readMessages(site, site.deadLetterTopic, totals.dead_lettered);
  assert.deepEqual(letters.map(({ value }) => value?.toString("hex") ?? null), [
    ...records.slice(1, -1).map(({ value }) =>
      value === null ? null : Uint8Array.from(value).toHex()
    ),
  ]);
  const [tombstone] = letters;
  assert.equal(tombstone?.key?.toString(), "tombstone");
  const headers = tombstone?.headers ?? {};
  assert.equal(headers["__connect.errors.topic"]?.toString(), site.topic);
  assert.equal(headers["__connect.errors.partition"]?.toString(), "0");
  assert.equal(headers["__connect.errors.offset"]?.toString(), "1");
  assert.equal(headers["__connect.errors.stage"]?.toString(), "VALUE_CONVERTER");
  assert.equal(
    headers["__connect.errors.exception.class.name"]?.toString(),
    "DeserializationError",
  );
  assert.match(String(headers["__connect.errors.exception.message"]), /null/);
  assert.equal(headers["orderflow.errors.reason"]?.toString(), "DESERIALIZATION");
  assert.equal(letters[4]?.headers?.["orderflow.errors.reason"]?.toString(), "VALIDATION");

  // The technical log has one WARN per dead letter, with partition, offset, and reason.
  const log = (await Deno.readTextFile(join(site.logs, "tracker.log"))).trimEnd().split("\n").map((
    line,
  ) => JSON.parse(line));
  const warnings = log.filter(({ level, message }) =>
    level === "WARN" && /dead-letter/.test(message)
  );
  assert.equal(warnings.length, totals.dead_lettered);
  assert.deepEqual([
    warnings[0].metadata.partition,
    warnings[0].metadata.offset,
    warnings[0].metadata.reason,
  ], [0, 1, "DESERIALIZATION"]);
  assert.equal(log.at(-1).message, "The tracker stopped");
  assert.equal(log.at(-1).metadata.messages_received, records.length);
  assert.equal(log.at(-1).service, "order-tracker");
});

async function readMessages(site: Site, topic: string, count: number) {
  const consumer = site.kafka.consumer({ groupId: `${site.group}-letters`, maxWaitTimeInMs: 100 });
  const messages: import("kafkajs").KafkaMessage[] = [];
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    eachMessage: ({ message }) => Promise.resolve(void messages.push(message)),
  });
  await until(`${count} messages of ${topic}`, () => messages.length >= count);
  await consumer.disconnect();
  return messages;
}

Deno.test("tracker creates the dead-letter topic with retention.ms=-1 and never creates topics by consuming", async () => {
  await using site = await createSite({ partitions: 2 });
  await site.run("tracker", ["--exit-at-end", "--json"]);
  const admin = site.kafka.admin();
  await admin.connect();
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: 2, name: site.deadLetterTopic, configNames: ["retention.ms"] }],
  });
  assert.equal(resources[0]?.configEntries[0]?.configValue, "-1");
  const metadata = await admin.fetchTopicMetadata({ topics: [site.deadLetterTopic] });
  assert.equal(metadata.topics[0]?.partitions.length, 2);
  await admin.disconnect();
});

Deno.test("tracker reads a topic that was recreated with more records between runs from its beginning", async () => {
  await using site = await createSite({ partitions: 1 });
  await sendAll(site, Array.from({ length: 5 }, (_, index) => ({ value: bytes(`old ${index}`) })));
  await site.run("tracker", ["--exit-at-end", "--json"]);
  await site.createTopicAgain();
  await sendAll(site, Array.from({ length: 8 }, (_, index) => ({ value: bytes(`new ${index}`) })));
  const { code, stdout } = await site.run("tracker", ["--exit-at-end", "--json"]);
  assert.equal(code, 0);
  assert.equal(totalsOf(stdout).received, 8);
  const values = (await site.journal()).map((line) => line["raw_message"]);
  assert.deepEqual(values, [
    ...[0, 1, 2, 3, 4].map((i) => `old ${i}`),
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((i) => `new ${i}`),
  ]);
});

Deno.test("tracker --from latest starts a new group at the topic's end, and continues from there", async () => {
  await using site = await createSite({ partitions: 1 });
  await sendAll(site, [{ value: bytes("before") }]);
  const tracker = await site.start("tracker", ["--from", "latest", "--json"]);
  await until(
    "the tracker has joined",
    () => tracker.output.stderr.includes("Joined the consumer group"),
  );
  await until("it has its position", async () => {
    await sendAll(site, [{ value: bytes("after") }]);
    return countJournalLines(site.logs) > 0;
  });
  tracker.signal("SIGTERM");
  assert.equal(await tracker.exitCode, 0);
  const values = (await site.journal()).map((line) => line["raw_message"]);
  assert.ok(
    !values.includes("before") && values.every((value) => value === "after"),
    String(values),
  );
});

Deno.test("tracker shows an order in a few lines, without control characters of the message", async () => {
  await using site = await createSite({ partitions: 1 });
  const order = JSON.parse(new TextDecoder().decode(goodOrder()));
  order.customer_info.name = "Mallory \u001b[2J\u202e";
  await sendAll(site, [{ value: bytes(JSON.stringify(order)) }]);
  const { stdout } = await site.run("tracker", ["--exit-at-end"]);
  assert.match(
    stdout,
    new RegExp(`order ${order.sequence}  ${order.order_id}  ${site.topic}\\[0\\] offset 0`),
  );
  assert.match(stdout, /Mallory \\u001b\[2J\\u202e/);
  assert.match(stdout, /total \d+\.\d\d EUR/);
  assert.ok(!stdout.includes("\u001b"));
  assert.match(stdout, /1 record received = 1 processed \+ 0 failed/);
});

Deno.test({
  name: "kcat counts as many records as the producer acknowledged and the journal holds",
  ignore: !await hasCommand("kcat", "-V"),
  fn: async () => {
    await using site = await createSite();
    const produced = await site.run("producer", ["--count", "1500", "--rate", "max", "--json"]);
    await site.run("tracker", ["--exit-at-end", "--json"]);
    const { stdout } = await new Deno.Command("kcat", {
      args: ["-C", "-b", site.broker, "-t", site.topic, "-e", "-q", "-f", "%p %o %S\n"],
    }).output();
    const seen = new TextDecoder().decode(stdout).trimEnd().split("\n").sort();
    assert.equal(seen.length, JSON.parse(produced.stdout).acknowledged);
    const journaled = (await site.journal())
      .map((line) => `${line.kafka_partition} ${line.kafka_offset} ${line["message_size"]}`).sort();
    assert.deepEqual(journaled, seen);
  },
});

Deno.test("a tracker on a folder in use by another one is refused with one line", async () => {
  await using site = await createSite();
  const first = await site.start("tracker", ["--json"]);
  await until(
    "the first has joined",
    () => first.output.stderr.includes("Joined the consumer group"),
  );
  const second = await site.run("tracker", ["--json"]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /^error: .*another tracker/);
  assert.equal(second.stderr.trimEnd().split("\n").length, 1);
  first.signal("SIGTERM");
  assert.equal(await first.exitCode, 0);
  assert.equal((await readTopic(site)).length, 0);
});
