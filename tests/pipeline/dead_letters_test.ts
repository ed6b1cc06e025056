import assert from "node:assert/strict";
import type { KafkaConnection } from "../../lib/kafka/client.ts";
import { startProgram } from "../../dev/programs.ts";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { KafkaRecord, OutgoingRecord, RecordHeader } from "../../lib/record.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, type Ended, type Site } from "../site.ts";
import { recordsOf } from "./topic_records.ts";

await liveBroker();

const DEADLINE_MS = 60_000;
const DAY_MS = 86_400_000;
const LONG_MAX = "9223372036854775807";
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

type Config = Readonly<Record<string, string>>;

/** A record whose value is not an order. */
function badRecord(name: string, record: Partial<OutgoingRecord> = {}): OutgoingRecord {
  return { partition: 0, key: null, value: ENCODER.encode(name), headers: [], ...record };
}

function headerOf(bytes: number, key = "trace"): RecordHeader {
  return { key, value: new Uint8Array(bytes).fill(0x78) };
}

async function createTopic(
  { broker }: Site,
  topic: string,
  { partitions, config }: { partitions: number; config: Config },
): Promise<void> {
  await using cluster = await ClusterClient.connect(connectionTo(broker), "probe");
  await cluster.ensureTopic(topic, { partitionCount: partitions, config });
}

function connectionTo(broker: string): KafkaConnection {
  return { brokers: [broker], clientId: "test" };
}

async function createLetterSite(partitions = 1): Promise<Site> {
  const site = await createSite({ partitions: 0 });
  await createTopic(site, site.topic, {
    partitions,
    config: { "message.timestamp.after.max.ms": LONG_MAX },
  });
  return site;
}

/** Sends batches of records; each batch is of one partition. */
async function sendAll(site: Site, batches: readonly (readonly OutgoingRecord[])[]): Promise<void> {
  const producer = new ReliableProducer(connectionTo(site.broker));
  for (const records of batches) {
    await producer.send({ topic: site.topic, partition: records[0]?.partition ?? 0, records });
  }
  await producer.close();
}

/** Runs a tracker to the topic's end; fails if it does not get there. */
async function track(site: Site): Promise<Ended> {
  const program = await site.start("tracker", ["--exit-at-end", "--json"]);
  const timer = setTimeout(() => program.signal("SIGKILL"), DEADLINE_MS);
  const code = await program.exitCode;
  clearTimeout(timer);
  assert.equal(code, 0, `it ends within ${DEADLINE_MS / 1_000} s: ${program.output.stderr}`);
  return { code, ...program.output };
}

function lettersOf(site: Site): Promise<readonly KafkaRecord[]> {
  return recordsOf({ ...site, topic: site.deadLetterTopic });
}

function header({ headers }: KafkaRecord, key: string): string | undefined {
  const value = headers.findLast((header) => header.key === key)?.value;
  return value ? DECODER.decode(value) : undefined;
}

/**
 * Asserts that the letters are those of these records, in order, with key, value, headers, and timestamp unchanged.
 */
function assertUnchanged(
  letters: readonly KafkaRecord[],
  records: readonly OutgoingRecord[],
): void {
  const described = (
    { key, value, headers, timestampMs }: OutgoingRecord,
    headerCount: number,
  ) => ({
    key: key?.toHex(),
    value: value?.toHex(),
    timestampMs,
    headers: headers.slice(0, headerCount).map((each) => [each.key, each.value?.length]),
  });
  assert.deepEqual(
    letters.map((letter, index) => described(letter, records[index]?.headers.length ?? 0)),
    records.map((record) => described(record, record.headers.length)),
  );
}

Deno.test("tracker dead-letters 90 records of 4 kB with a header of 7.5 kB complete", async () => {
  await using site = await createLetterSite();
  const timestampMs = Date.now();
  const records = Array.from(
    { length: 90 },
    (_, index) =>
      badRecord(`${index} ${"y".repeat(4_000)}`, { headers: [headerOf(7_500)], timestampMs }),
  );
  await sendAll(site, [records.slice(0, 45), records.slice(45)]);
  await track(site);
  assertUnchanged(await lettersOf(site), records);
});

Deno.test("tracker dead-letters 1,200 small records with headers of 2.5 kB, in order", async () => {
  await using site = await createLetterSite();
  const timestampMs = Date.now();
  const records = Array.from(
    { length: 1_200 },
    (_, index) => badRecord(`bad ${index}`, { headers: [headerOf(2_500)], timestampMs }),
  );
  await sendAll(site, [0, 400, 800].map((from) => records.slice(from, from + 400)));
  await track(site);
  assertUnchanged(await lettersOf(site), records);
});

Deno.test("tracker dead-letters records as large as the topic's limit, leaving out only the largest part", async () => {
  await using site = await createLetterSite();
  const key = ENCODER.encode("key");
  const records = [
    badRecord("headers", { key, headers: [headerOf(1_048_300)] }),
    badRecord("many headers", {
      key,
      headers: Array.from({ length: 2_020 }, (_, index) => headerOf(510, `h${index}`)),
    }),
    badRecord("v".repeat(1_048_400), { key, headers: [headerOf(9)] }),
    badRecord("key", { key: new Uint8Array(1_048_400), headers: [headerOf(9)] }),
    badRecord("small", { key, headers: [headerOf(9)] }),
  ];
  await sendAll(site, records.map((record) => [record]));
  const { stdout } = await track(site);
  assert.equal(JSON.parse(stdout).dead_lettered, 5);
  const letters = await lettersOf(site);
  assert.deepEqual(
    letters.map(({ key, value, headers }) => ({
      key: key && DECODER.decode(key),
      value: value && DECODER.decode(value),
      trace: headers.filter(({ key }) => key === "trace" || /^h\d+$/.test(key)).length,
    })),
    [
      { key: "key", value: "headers", trace: 0 },
      { key: "key", value: "many headers", trace: 0 },
      { key: "key", value: null, trace: 1 },
      { key: null, value: "key", trace: 1 },
      { key: "key", value: "small", trace: 1 },
    ],
  );
  const notes = letters.map((letter) => header(letter, "orderflow.errors.adapted"));
  assert.deepEqual(notes, ["headers", "headers", "value", "key", undefined]);
  assert.equal(
    letters[2] && header(letters[2], "orderflow.errors.omitted.value.bytes"),
    "1048400",
  );
});

Deno.test("tracker dead-letters records of any date with their timestamps and origins", async () => {
  await using site = await createLetterSite();
  const nowMs = Date.now();
  const timestamps = [nowMs, nowMs + DAY_MS, -1, 0, nowMs + 400 * DAY_MS, -5, nowMs];
  const records = timestamps.map((timestampMs, index) =>
    badRecord(`bad ${index}`, { timestampMs })
  );
  await sendAll(site, [records]);
  await track(site);
  const letters = await lettersOf(site);
  assertUnchanged(letters, records);

  await using cluster = await ClusterClient.connect(connectionTo(site.broker), "probe");
  const { topicId } = await cluster.describeTopic(site.topic);
  for (const [offset, letter] of letters.entries()) {
    assert.equal(header(letter, "__connect.errors.topic"), site.topic);
    assert.equal(header(letter, "__connect.errors.offset"), String(offset));
    assert.equal(header(letter, "orderflow.source.topic.id"), topicId);
    assert.equal(header(letter, "orderflow.source.timestamp"), String(timestamps[offset]));
    assert.equal(header(letter, "orderflow.consumer.group"), site.group);
  }
  const settings = ["before", "after"].map((end) =>
    cluster.topicConfig(site.deadLetterTopic, `message.timestamp.${end}.max.ms`)
  );
  assert.deepEqual(await Promise.all(settings), [LONG_MAX, LONG_MAX]);
});

/**
 * Goal: a letter that the dead-letter topic refuses stops no partition, including its own.
 * Method: six source partitions share a dead-letter topic of one partition, created with the broker's defaults; in
 * the middle of partition 0 are records dated a day ahead.
 */
Deno.test("tracker adapts a letter whose date the dead-letter topic refuses, and no partition waits for it", async () => {
  await using site = await createLetterSite(6);
  await createTopic(site, site.deadLetterTopic, {
    partitions: 1,
    config: { "retention.ms": "-1" },
  });
  const nowMs = Date.now();
  const batches = Array.from(
    { length: 6 },
    (_, partition) =>
      Array.from({ length: 20 }, (_, index) =>
        badRecord(`${partition} ${index}`, {
          partition,
          timestampMs: partition === 0 && index >= 7 && index < 10 ? nowMs + DAY_MS : nowMs,
        })),
  );
  await sendAll(site, batches);
  await track(site);
  const letters = await lettersOf(site);
  assert.equal(letters.length, 120);
  for (const partition of [0, 1, 2, 3, 4, 5]) {
    const own = letters.filter((letter) =>
      header(letter, "__connect.errors.partition") === String(partition)
    );
    assert.deepEqual(
      own.map(({ value }) => value && DECODER.decode(value)),
      batches[partition]?.map(({ value }) => value && DECODER.decode(value)),
    );
  }
  const adapted = letters.filter((letter) => header(letter, "orderflow.errors.adapted"));
  assert.deepEqual(adapted.map(({ value }) => value && DECODER.decode(value)), [
    "0 7",
    "0 8",
    "0 9",
  ]);
  for (const letter of adapted) {
    assert.equal(header(letter, "orderflow.source.timestamp"), String(nowMs + DAY_MS));
    assert.ok(Math.abs(letter.timestampMs - Date.now()) < DAY_MS / 2);
  }
});

for (
  const [how, args, env] of [
    ["set by option", ["--dead-letters", "orders-a"], { KAFKA_TOPIC: "orders-a" }],
    ["by the default name", ["--topic", "orders-dlq"], {}],
    ["set by the environment", [], { KAFKA_TOPIC: "orders-dlq" }],
  ] as const
) {
  Deno.test(`tracker refuses its own topic as the dead-letter topic, ${how}, with exit code 2`, async () => {
    const cwd = await Deno.makeTempDir({ prefix: "orderflow-test-" });
    const { exitCode, output } = await startProgram(
      "tracker",
      [...args, "--broker", "localhost:1"],
      {
        cwd,
        env,
      },
    );
    assert.equal(await exitCode, 2, output.stderr);
    assert.match(output.stderr, /^.*"orders-\w+" is its own dead-letter topic: name another.*\n$/);
    await Deno.remove(cwd, { recursive: true });
  });
}
