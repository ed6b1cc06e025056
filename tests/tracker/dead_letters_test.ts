import assert from "node:assert/strict";
import { Kafka, logLevel } from "kafkajs";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { DeliveryError, fateOf } from "../../lib/kafka/errors.ts";
import { ReliableProducer, type SendRequest } from "../../lib/kafka/producer.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { recordBytesMax } from "../../lib/kafka/protocol/record_size.ts";
import { TopicReader } from "../../lib/kafka/topic_reader.ts";
import { loggerOf } from "../../lib/log.ts";
import { findDeadLetterTopic } from "../../lib/tracker/dead_letter_topic.ts";
import { DeadLetters, type DeadLettersOptions } from "../../lib/tracker/dead_letters.ts";
import type { DeadLetter } from "../../lib/tracker/letter.ts";
import { openLetter } from "../../lib/tracker/opened_letter.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";
import { until, withAdmin } from "../site.ts";

const broker = await liveBroker();
const connection = { brokers: broker.address.split(","), clientId: "test" };
const kafka = new Kafka({ brokers: connection.brokers, logLevel: logLevel.NOTHING });

const DAY_MS = 86_400_000;
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

function bytesOf(text: string): Uint8Array {
  return ENCODER.encode(text);
}

function letterOf(offset: number, record: Partial<KafkaRecord> = {}): DeadLetter {
  return {
    record: {
      topic: "orders",
      partition: 0,
      offset,
      timestampMs: Date.now(),
      key: bytesOf(`key ${offset}`),
      value: bytesOf(`value ${offset}`),
      headers: [{ key: "trace", value: bytesOf(`trace ${offset}`) }],
      ...record,
    },
    failure: { reason: "VALIDATION", message: `failure ${offset}` },
    topicId: "0123456789abcdef0123456789abcdef",
  };
}

interface LetterSite extends AsyncDisposable {
  readonly topic: string;
  readonly cluster: ClusterClient;
  readonly deadLetters: DeadLetters;
  /** Sends letters, allowing 20 s, and returns the topic's records. */
  deliver(letters: readonly DeadLetter[]): Promise<readonly KafkaRecord[]>;
  read(): Promise<readonly KafkaRecord[]>;
  create(partitions: number): Promise<void>;
}

/** Creates a dead-letter topic with these settings, and the tracker's dead-letter sender. */
async function createLetterSite(
  config: Readonly<Record<string, string>>,
  { partitions = 1, ...options }: { partitions?: number } & Partial<DeadLettersOptions> = {},
): Promise<LetterSite> {
  const cluster = await ClusterClient.connect(connection, "persist");
  const topic = uniqueName("letters");
  const create = async (partitionCount: number) => {
    await cluster.ensureTopic(topic, { partitionCount, config });
  };
  await create(partitions);
  const producer = new ReliableProducer(connection);
  const deadLetters = new DeadLetters({
    producer,
    topic,
    partitionCount: partitions,
    groupId: "group",
    describe: () => findDeadLetterTopic(cluster, topic),
    log: loggerOf("test"),
    retryWaitMs: 100,
    ...options,
  });
  const read = async () => {
    await using reader = await TopicReader.connect(connection, "probe");
    const records: KafkaRecord[] = [];
    for (const { partition, low, high } of await cluster.allOffsets(topic)) {
      const range = { topic, partition, start: low, end: high };
      for await (const some of reader.read(range)) records.push(...some);
    }
    return records;
  };
  return {
    topic,
    cluster,
    deadLetters,
    create,
    read,
    async deliver(letters) {
      const deadline = performance.now() + 20_000;
      const isWanted = () => performance.now() < deadline;
      assert.ok(
        await deadLetters.send(letters, isWanted),
        JSON.stringify([...deadLetters.blocked.values()]),
      );
      return await read();
    },
    async [Symbol.asyncDispose]() {
      await producer.close();
      if (await cluster.findTopic(topic) !== undefined) await cluster.deleteTopic(topic);
      await cluster[Symbol.asyncDispose]();
    },
  };
}

function header({ headers }: KafkaRecord, key: string): string | undefined {
  const value = headers.findLast((header) => header.key === key)?.value;
  return value ? DECODER.decode(value) : undefined;
}

function textOf(bytes: Uint8Array | null): string | null {
  return bytes && DECODER.decode(bytes);
}

interface Parts {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: KafkaRecord["headers"];
  readonly timestampMs?: number;
}

function comparable({ key, value, headers, timestampMs }: Parts): unknown {
  return {
    key: key?.toHex(),
    value: value?.toHex(),
    headers: headers.map((each) => [each.key, each.value?.toHex()]),
    timestampMs,
  };
}

/** Asserts that a redrive would restore the records from which the letters were made. */
function assertOriginals(found: readonly KafkaRecord[], letters: readonly DeadLetter[]): void {
  assert.deepEqual(
    found.map((letter) => comparable(openLetter(letter).original)),
    letters.map(({ record }) => comparable(record)),
  );
}

Deno.test("dead letters in a topic with a 1,000-byte message limit keep the parts that fit, in order", async () => {
  await using site = await createLetterSite({ "max.message.bytes": "1000" });
  const letters = Array.from(
    { length: 300 },
    (_, offset) =>
      letterOf(offset, offset % 3 === 0 ? {} : { value: bytesOf("y".repeat(2_000 + offset)) }),
  );
  const found = await site.deliver(letters);
  assert.deepEqual(found.map((letter) => header(letter, "__connect.errors.offset")), [
    ...letters.keys().map(String),
  ]);
  assert.deepEqual(
    found.map(({ key, value, headers }) => [textOf(key), textOf(value), headers[0]?.key]),
    letters.map((_, offset) => [
      `key ${offset}`,
      offset % 3 === 0 ? `value ${offset}` : null,
      "trace",
    ]),
  );
});

Deno.test("a dead letter loses its parts one by one, the largest first, and names each in a header", async () => {
  await using site = await createLetterSite({ "max.message.bytes": "1500" });
  const [large, medium, small] = [3_000, 2_000, 1_200].map((length) => "z".repeat(length));
  assert.ok(large && medium && small);
  const headers = (text: string) => [{ key: "trace", value: bytesOf(text) }];
  const found = await site.deliver([
    letterOf(0, { value: bytesOf(large) }),
    letterOf(1, { value: bytesOf(small), headers: headers(large) }),
    letterOf(2, { value: bytesOf(small), headers: headers(medium), key: bytesOf(large) }),
    letterOf(3, { key: bytesOf(large), value: null, headers: [] }),
  ]);
  const omitted = ["value", "headers", "key"].map((part) =>
    `orderflow.errors.omitted.${part}.bytes`
  );
  assert.deepEqual(
    found.map((letter) => [
      header(letter, "orderflow.errors.adapted"),
      ...omitted.map((key) => header(letter, key)),
    ]),
    [
      ["value", "3000", undefined, undefined],
      ["headers, value", "1200", "3013", undefined],
      ["key, headers, value", "1200", "2013", "3000"],
      ["key", undefined, undefined, "3000"],
    ],
  );
  assert.deepEqual(found.map((letter) => openLetter(letter).omitted), [
    "value",
    "value",
    "value",
    "key",
  ]);
  for (const letter of found) assert.equal(header(letter, "orderflow.errors.reason"), "VALIDATION");
});

Deno.test("a dead letter whose failure message alone exceeds the topic's limit goes without the message", async () => {
  await using site = await createLetterSite({ "max.message.bytes": "900" });
  const { record } = letterOf(0);
  const failure = { reason: "PROCESSING", message: "m".repeat(100_000) } as const;
  const [letter] = await site.deliver([{ record, failure }]);
  assert.ok(letter);
  assert.equal(header(letter, "orderflow.errors.reason"), "PROCESSING");
  assert.equal(header(letter, "__connect.errors.exception.message"), undefined);
});

for (const isToldBefore of [true, false]) {
  const how = isToldBefore ? "is known to be compacted" : "turns out to be compacted";
  Deno.test(`dead letters in a topic that ${how} have distinct keys, and none is a tombstone`, async () => {
    await using site = await createLetterSite({ "cleanup.policy": "compact" }, {
      isCompacted: isToldBefore,
    });
    const same = { key: bytesOf("same") };
    const letters = [
      letterOf(0, { key: null }),
      letterOf(1, same),
      letterOf(2, same),
      letterOf(3, { ...same, value: null }),
      letterOf(4, { key: null, value: null, headers: [] }),
    ];
    const found = await site.deliver(letters);
    assertOriginals(found, letters);
    for (const { key, value } of found) {
      assert.match(textOf(key) ?? "", /^orders\//);
      assert.notEqual(value, null);
    }
    assert.equal(new Set(found.map(({ key }) => textOf(key))).size, found.length);
  });
}

Deno.test("only dead letters whose timestamps are outside the topic's bounds get another timestamp", async () => {
  await using site = await createLetterSite({
    "message.timestamp.before.max.ms": String(DAY_MS),
    "message.timestamp.after.max.ms": "60000",
  });
  const nowMs = Date.now();
  const timestamps = [0, 2 * DAY_MS, -1, 0, -2 * DAY_MS, 3_600_000, 0, -3_600_000, -3 * DAY_MS];
  const letters = timestamps.map((ms, offset) =>
    letterOf(offset, { timestampMs: ms === -1 ? -1 : nowMs + ms })
  );
  const found = await site.deliver(letters);
  assertOriginals(found, letters);
  assert.deepEqual(
    found.map((letter) => header(letter, "orderflow.errors.adapted") ?? ""),
    ["", "timestamp", "", "", "timestamp", "timestamp", "", "", "timestamp"],
  );
});

/**
 * With a bound of 0 ms, the broker still accepts the time of sending if it receives the letter within the same
 * millisecond.
 */
Deno.test("a dead letter goes without a timestamp if even the time of sending is out of bounds", async () => {
  await using site = await createLetterSite({ "message.timestamp.before.max.ms": "0" });
  const startedAtMs = Date.now();
  const letters: DeadLetter[] = [];
  let found: readonly KafkaRecord[] = [];
  await until("a letter has no timestamp", async () => {
    const letter = letterOf(letters.length, { timestampMs: 1_000 });
    letters.push(letter);
    found = await site.deliver([letter]);
    return found.at(-1)?.timestampMs === -1;
  });
  for (const { timestampMs = 0 } of found.slice(0, -1)) assert.ok(timestampMs >= startedAtMs);
  assertOriginals(found, letters);
});

Deno.test("a dead letter keeps its record's timestamp in a LogAppendTime topic", async () => {
  await using site = await createLetterSite({ "message.timestamp.type": "LogAppendTime" });
  const letters = [
    letterOf(0, { timestampMs: 77 }),
    letterOf(1, { timestampMs: Date.now() + DAY_MS }),
  ];
  const found = await site.deliver(letters);
  assert.ok(found.every(({ timestampMs }) => Math.abs(timestampMs - Date.now()) < DAY_MS / 2));
  assertOriginals(found, letters);
});

/** A topic with its own compression cannot store a negative timestamp: the broker fails with an unknown error. */
Deno.test("a dead letter that makes the broker itself fail is isolated from the others and adapted", async () => {
  await using site = await createLetterSite({ "compression.type": "gzip" });
  const letters = [0, 1, 2, 3].map((offset) =>
    letterOf(offset, offset === 2 ? { timestampMs: -5 } : {})
  );
  const found = await site.deliver(letters);
  const last = new Map(found.map((letter) => [header(letter, "__connect.errors.offset"), letter]));
  assertOriginals([...last.values()], letters);
  assert.deepEqual(
    [...last.values()].map((letter) => header(letter, "orderflow.errors.adapted")),
    [undefined, undefined, "timestamp", undefined],
  );
});

Deno.test("dead letters carry records of all kinds unchanged", async () => {
  await using site = await createLetterSite({});
  const letters = [
    letterOf(0, { key: null, value: null, headers: [] }),
    letterOf(1, { key: bytesOf(""), value: bytesOf(""), headers: [{ key: "", value: null }] }),
    letterOf(2, {
      value: new Uint8Array([0xff, 0]),
      headers: [{ key: "\u00e9", value: bytesOf("") }],
    }),
    letterOf(3, {
      headers: Array.from({ length: 20_000 }, (_, n) => ({ key: `${n}`, value: null })),
    }),
    letterOf(4, { key: bytesOf("k".repeat(900_000)), value: null }),
  ];
  const found = await site.deliver(letters);
  assertOriginals(found, letters);
  assert.deepEqual(
    found.map(({ key, value }) => [key, value]),
    letters.map(({ record: { key, value } }) => [key, value]),
  );
});

Deno.test("dead letters are delivered to a topic that now has fewer or more partitions", async () => {
  await using site = await createLetterSite({}, { partitions: 6 });
  const letters = [0, 1, 2, 3, 4, 5].map((partition) => letterOf(partition, { partition }));
  await Promise.all(letters.map((letter) => site.deliver([letter])));
  assert.deepEqual((await site.read()).map(({ partition }) => partition), [0, 1, 2, 3, 4, 5]);

  await site.cluster.deleteTopic(site.topic);
  await until("it is gone", async () => await site.cluster.findTopic(site.topic) === undefined);
  await site.create(2);
  await Promise.all(letters.map((letter) => site.deliver([letter])));
  const again = new Set(
    (await site.read()).map((letter) => header(letter, "__connect.errors.offset")),
  );
  assert.equal(again.size, 6);

  await withAdmin(
    { kafka },
    (admin) => admin.createPartitions({ topicPartitions: [{ topic: site.topic, count: 4 }] }),
  );
  const { length } = await site.read();
  await Promise.all(letters.map((letter) => site.deliver([letter])));
  assert.equal((await site.read()).length, length + 6);
});

Deno.test("dead letters to a deleted topic wait, name the record and the reason, and go when it is recreated", async () => {
  await using site = await createLetterSite({}, { partitions: 2 });
  await site.deliver([letterOf(0), letterOf(1)]);
  await site.cluster.deleteTopic(site.topic);
  // Until every broker knows of the deletion, one may still accept records.
  await until("it is gone", async () => await site.cluster.findTopic(site.topic) === undefined);
  const sent = [0, 1].map((partition) =>
    site.deadLetters.send([letterOf(17 + partition, { partition })], () => true)
  );
  await until("both letters report why they wait", () => site.deadLetters.blocked.size === 2);
  assert.deepEqual(
    [...site.deadLetters.blocked],
    [0, 1].map((partition) => [partition, {
      topic: "orders",
      partition,
      offset: 17 + partition,
      error: `topic "${site.topic}" does not exist any more: create it again`,
    }]),
  );
  await site.create(2);
  assert.deepEqual(await Promise.all(sent), [true, true]);
  assert.equal(site.deadLetters.blocked.size, 0);
  // A send to the recreated topic can look like a duplicate, and is then sent again.
  const offsets = (await site.read()).map((letter) => header(letter, "__connect.errors.offset"));
  assert.deepEqual([...new Set(offsets)], ["17", "18"]);
});

Deno.test("dead letters too large for the topic in every form wait, and report it", async () => {
  await using site = await createLetterSite({ "max.message.bytes": "100" });
  let isWanted = true;
  const sent = site.deadLetters.send([letterOf(5)], () => isWanted);
  await until("it reports why it waits", () => site.deadLetters.blocked.size === 1);
  const { offset, error = "" } = site.deadLetters.blocked.get(0) ?? {};
  assert.equal(offset, 5);
  assert.match(error, /MESSAGE_TOO_LARGE.*: raise the topic's max\.message\.bytes$/);
  isWanted = false;
  assert.equal(await sent, false);
  assert.equal(site.deadLetters.blocked.size, 0);
});

/** Creates a producer whose sends the test answers, by hand or through the function. */
function scripted(
  answer: (request: SendRequest) => string | undefined | Promise<string | undefined>,
) {
  const requests: SendRequest[] = [];
  const deadLetters = new DeadLetters({
    topic: "dlq",
    partitionCount: 1,
    log: loggerOf("test"),
    retryWaitMs: 1,
    producer: {
      async send(request) {
        requests.push(request);
        const reason = await answer(request);
        const { topic, partition, records } = request;
        if (reason === undefined) return { partition, baseOffset: 0, recordCount: records.length };
        const cause = Object.assign(new Error(reason), { type: reason });
        throw new DeliveryError({ topic, partition, fate: fateOf(cause), reason, cause });
      },
    },
  });
  const valuesSent = () => requests.map(({ records }) => records.map(({ value }) => textOf(value)));
  return { deadLetters, requests, valuesSent };
}

for (
  const reason of [
    "REQUEST_TIMED_OUT",
    "TOPIC_AUTHORIZATION_FAILED",
    "NOT_ENOUGH_REPLICAS",
    "UNKNOWN",
  ]
) {
  Deno.test(`a dead letter keeps key, value, headers, and timestamp after ${reason}`, async () => {
    let sends = 0;
    const { deadLetters, requests } = scripted(() => ++sends < 3 ? reason : undefined);
    const letter = letterOf(0);
    assert.ok(await deadLetters.send([letter], () => true));
    assert.equal(requests.length, 3);
    for (const { records: [record] } of requests) {
      assert.deepEqual(
        [record?.key, record?.value, record?.timestampMs, record?.headers[0]],
        [
          letter.record.key,
          letter.record.value,
          letter.record.timestampMs,
          letter.record.headers[0],
        ],
      );
    }
  });
}

Deno.test("dead letters to the same partition are sent one after the other", async () => {
  let inFlight = 0;
  let most = 0;
  const { deadLetters, requests } = scripted(async () => {
    most = Math.max(most, ++inFlight);
    await new Promise((resolve) => setTimeout(resolve, 2));
    inFlight--;
    return undefined;
  });
  const sends = Array.from(
    { length: 20 },
    (_, index) => deadLetters.send([letterOf(index, { partition: index % 4 })], () => true),
  );
  assert.deepEqual(await Promise.all(sends), Array(20).fill(true));
  assert.equal(most, 1);
  assert.deepEqual(
    requests.map(({ records: [record] }) => textOf(record?.value ?? null)),
    Array.from({ length: 20 }, (_, index) => `value ${index}`),
  );
});

Deno.test("a waiting dead letter lets those of other partitions go first", async () => {
  const { deadLetters, valuesSent } = scripted(({ records: [record] }) =>
    textOf(record?.value ?? null) === "value 0" ? "TOPIC_AUTHORIZATION_FAILED" : undefined
  );
  let isWanted = true;
  const waiting = deadLetters.send([letterOf(0)], () => isWanted);
  const other = await deadLetters.send([letterOf(1, { partition: 1 })], () => true);
  assert.equal(other, true);
  assert.ok(valuesSent().some(([value]) => value === "value 1"));
  isWanted = false;
  assert.equal(await waiting, false);
});

Deno.test("dead letters of a lost partition are abandoned, even while their send is unanswered", async () => {
  const { promise: answer, resolve } = Promise.withResolvers<undefined>();
  const { deadLetters, valuesSent } = scripted(() => answer);
  let isWanted = true;
  const hanging = deadLetters.send([letterOf(0)], () => isWanted);
  const behind = deadLetters.send([letterOf(1)], () => isWanted);
  await until("the first is sent", () => valuesSent().length === 1);
  isWanted = false;
  assert.deepEqual(await Promise.all([hanging, behind]), [false, false]);
  const next = deadLetters.send([letterOf(2)], () => true);
  resolve(undefined);
  assert.equal(await next, true);
  assert.deepEqual(valuesSent(), [["value 0"], ["value 2"]]);
});

Deno.test("a thousand dead letters with the same problem cost a few refusals, not a thousand", async () => {
  let refusals = 0;
  const { deadLetters } = scripted(({ records }) => {
    const bytes = records.reduce((sum, record) => sum + recordBytesMax(record), 0);
    if (bytes < 1_400) return undefined;
    refusals++;
    return "MESSAGE_TOO_LARGE";
  });
  const letters = Array.from(
    { length: 1_000 },
    (_, offset) => letterOf(offset, { value: new Uint8Array(1_000) }),
  );
  assert.ok(await deadLetters.send(letters, () => true));
  assert.ok(refusals < 20, `${refusals} refusals`);
});

Deno.test("a dead letter that was refused in every form is sent whole once the topic accepts it", async () => {
  let isOpen = false;
  const { deadLetters, requests } = scripted(() => isOpen ? undefined : "POLICY_VIOLATION");
  const sent = deadLetters.send([letterOf(0)], () => true);
  await until("it waits", () => deadLetters.blocked.size === 1);
  isOpen = true;
  assert.ok(await sent);
  assert.equal(textOf(requests.at(-1)?.records[0]?.value ?? null), "value 0");
});
