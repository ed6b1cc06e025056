import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { CompressionTypes, Kafka } from "kafkajs";
import type { RecordHeader } from "../../lib/record.ts";
import {
  CommitUnknownError,
  TransactionalProducer,
} from "../../lib/kafka/transactional_producer.ts";
import { VALUE_BYTES_MAX } from "../../lib/limits.ts";
import type { DeadLetter } from "../../lib/tracker/letter.ts";
import { FencedError } from "../../lib/resend/interruptions.ts";
import type { TransactionalSender } from "../../lib/resend/redrive_session.ts";
import type { RedriveSummary } from "../../lib/resend/redrive_summary.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";
import {
  assertEachOnce,
  bytesOf,
  createRedriveSite,
  EVERYTHING,
  numberedLetters,
  type RedriveSite,
  textOf,
  TIMESTAMP_MS,
} from "./redrive_site.ts";

await liveBroker();

/** Returns the nonzero counts. */
function countsOf(summary: RedriveSummary): Record<string, number> {
  return Object.fromEntries(
    Object.entries(summary).filter((entry): entry is [string, number] =>
      typeof entry[1] === "number" && entry[1] !== 0 && entry[0] !== "seconds"
    ),
  );
}

function headersOf(
  headers: readonly RecordHeader[],
): readonly (readonly [string, string | null])[] {
  return headers.map(({ key, value }) => [key, textOf(value)]);
}

function opener(site: RedriveSite): (transactionalId: string) => Promise<TransactionalProducer> {
  const connection = { brokers: site.address.split(","), clientId: "orderflow-test" };
  return (transactionalId) =>
    TransactionalProducer.open(connection, { transactionalId, transactionTimeoutMs: 30_000 });
}

Deno.test("redrive() sends every letter back as its source record, and nothing on a second run", async () => {
  await using site = await createRedriveSite();
  const letters = numberedLetters(site, { count: 100 });
  await site.deadLetter(letters);
  const summary = await site.redrive({ lettersMax: 20 });
  assert.deepEqual(countsOf(summary), { found: 100, redriven: 100, transactions: 6 });
  assert.equal(summary.complete, true);

  const records = await site.read(site.topic);
  assertEachOnce(records, letters);
  const [first] = records;
  assert.deepEqual(
    first && {
      key: textOf(first.key),
      value: textOf(first.value),
      timestampMs: first.timestampMs,
      headers: headersOf(first.headers),
    },
    {
      key: "key 0",
      value: "value 0",
      timestampMs: TIMESTAMP_MS,
      headers: [["trace", "trace 0"], ["orderflow.redriven.from", `${site.deadLetterTopic}/0/0`]],
    },
  );

  const second = await site.redrive();
  assert.deepEqual(countsOf(second), { found: 100, already_redriven: 100 });
  assert.equal((await site.read(site.topic)).length, 100);
});

Deno.test("redrive() preserves null, empty, and binary keys and values, and all kinds of headers", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  const record = { topic: site.topic, partition: 0, timestampMs: TIMESTAMP_MS };
  const failure = { reason: "DESERIALIZATION", message: "bad" } as const;
  const originals = [
    { ...record, offset: 0, key: null, value: null, headers: [] },
    { ...record, offset: 1, key: bytesOf(""), value: bytesOf(""), headers: [] },
    {
      ...record,
      offset: 2,
      key: new Uint8Array([0xc3, 0x28]),
      value: new Uint8Array([0xff, 0x00, 0x80]),
      headers: [
        { key: "a", value: bytesOf("1") },
        { key: "a", value: bytesOf("2") },
        { key: "", value: bytesOf("empty name") },
        { key: "__proto__", value: new Uint8Array([0xff]) },
        { key: "2", value: null },
        { key: "a", value: bytesOf("3") },
      ],
    },
    // A record that was itself a dead letter of Kafka Connect keeps its headers.
    {
      ...record,
      offset: 3,
      key: null,
      value: bytesOf("from a sink"),
      headers: [
        { key: "__connect.errors.topic", value: bytesOf("elsewhere") },
        { key: "__connect.errors.connector.name", value: bytesOf("sink") },
      ],
    },
    { ...record, offset: 4, key: null, value: bytesOf("x".repeat(900_000)), headers: [] },
  ];
  await site.deadLetter(originals.map((original) => ({ record: original, failure })));
  assert.equal((await site.redrive()).redriven, originals.length);
  const records = await site.read(site.topic);
  assert.deepEqual(
    records.map(({ key, value, headers, timestampMs }) => ({
      key: key?.toHex(),
      value: value?.toHex(),
      timestampMs,
      headers: headers.slice(0, -1).map((header) => [header.key, header.value?.toHex()]),
    })),
    originals.map(({ key, value, headers, timestampMs }) => ({
      key: key?.toHex(),
      value: value?.toHex(),
      timestampMs,
      headers: headers.map((header) => [header.key, header.value?.toHex()]),
    })),
  );
  assert.equal(records[3]?.headers.at(-1)?.key, "orderflow.redriven.from");
});

Deno.test("redrive() by reason sends only the matching letters, and the rest can be sent later", async () => {
  await using site = await createRedriveSite();
  const reasons = ["VALIDATION", "DESERIALIZATION", "PROCESSING", "TIMEOUT"] as const;
  const letters = numberedLetters(site, {
    count: 80,
    reasonOf: (index) => reasons[index % reasons.length] ?? "UNKNOWN",
  });
  await site.deadLetter(letters);
  const wanted = { ...EVERYTHING, reasons: new Set(["PROCESSING", "TIMEOUT"] as const) };
  const first = await site.redrive({ selection: wanted, lettersMax: 7 });
  assert.deepEqual([first.found, first.redriven, first.left_out_by.other_reason], [80, 40, 40]);
  assert.deepEqual(
    first.groups.map(({ reason }) => reason),
    ["PROCESSING", "TIMEOUT", "PROCESSING", "TIMEOUT", "PROCESSING", "TIMEOUT"],
  );
  const isWanted = ({ failure }: DeadLetter) => wanted.reasons.has(failure.reason as "TIMEOUT");
  assertEachOnce(await site.read(site.topic), letters.filter(isWanted));

  const rest = await site.redrive();
  assert.deepEqual([rest.redriven, rest.already_redriven], [40, 40]);
  assert.deepEqual(
    (await site.read(site.topic)).map(({ value }) => textOf(value)).sort(),
    letters.map(({ record }) => textOf(record.value)).sort(),
  );
});

Deno.test("redrive() by range includes both ends, and sends an overlap with an earlier range once", async () => {
  await using site = await createRedriveSite();
  const letters = numberedLetters(site, { count: 90 });
  await site.deadLetter(letters);
  const place = (fromOffset: number | undefined, toOffset: number | undefined) => ({
    selection: { ...EVERYTHING, place: { partition: 1, fromOffset, toOffset } },
  });
  assert.deepEqual(countsOf(await site.redrive(place(5, 5))), {
    found: 1,
    redriven: 1,
    transactions: 1,
  });
  const around = await site.redrive(place(3, 9));
  assert.deepEqual([around.found, around.redriven, around.already_redriven], [7, 6, 1]);
  assert.equal((await site.redrive(place(25, undefined))).redriven, 5);
  assert.equal((await site.redrive(place(undefined, 2))).redriven, 3);
  assert.equal((await site.redrive(place(40, 60))).found, 0);
  const values = (await site.read(site.topic)).map(({ value, partition }) => {
    assert.equal(partition, 1);
    return Math.floor(Number(textOf(value)?.slice("value ".length)) / 3);
  });
  assert.deepEqual(values.sort((a, b) => a - b), [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    25,
    26,
    27,
    28,
    29,
  ]);
  await assert.rejects(
    site.redrive({
      selection: { ...EVERYTHING, place: { partition: 3, fromOffset: 0, toOffset: 0 } },
    }),
    /has no partition 3: expected one from 0 to 2/,
  );
});

Deno.test("redrive() in a dry run reports what it would send, and sends and creates nothing", async () => {
  await using site = await createRedriveSite();
  const letters = numberedLetters(site, {
    count: 9,
    reasonOf: (index) => index < 3 ? "TIMEOUT" : "VALIDATION",
  });
  await site.deadLetter(letters);
  const before = await site.redrive({ isDryRun: true });
  assert.deepEqual(countsOf(before), { found: 9, would_redrive: 9 });
  assert.deepEqual(
    before.groups,
    [0, 1, 2].flatMap((partition) => [
      { partition, reason: "TIMEOUT", letters: 1, offsets: [[0, 0]] },
      { partition, reason: "VALIDATION", letters: 2, offsets: [[1, 2]] },
    ]),
  );
  assert.equal(await site.cluster.findTopic(site.logTopic), undefined);
  assert.equal((await site.read(site.topic)).length, 0);

  await site.redrive({ selection: { ...EVERYTHING, reasons: new Set(["TIMEOUT"] as const) } });
  const after = await site.redrive({ isDryRun: true });
  assert.deepEqual(countsOf(after), { found: 9, would_redrive: 6, already_redriven: 3 });
});

Deno.test("redrive() skips letters without their value, saying where it is, and records that the topic rejects", async () => {
  await using site = await createRedriveSite({
    partitions: 1,
    config: { "max.message.bytes": "5000" },
  });
  const letters = numberedLetters(site, { count: 12, partitions: 1 }).map((letter, index) =>
    index === 7
      ? { ...letter, record: { ...letter.record, value: bytesOf("y".repeat(6_000)) } }
      : letter
  );
  await site.deadLetter(letters);
  const omitted = { key: "orderflow.errors.omitted.value.bytes", value: bytesOf("2000000") };
  await site.producer.send({
    topic: site.deadLetterTopic,
    partition: 0,
    records: [{
      partition: 0,
      key: bytesOf("large"),
      value: null,
      headers: [
        { key: "__connect.errors.topic", value: bytesOf(site.topic) },
        { key: "__connect.errors.partition", value: bytesOf("0") },
        { key: "__connect.errors.offset", value: bytesOf("77") },
        { key: "orderflow.errors.reason", value: bytesOf("VALIDATION") },
        omitted,
      ],
    }],
  });
  const summary = await site.redrive();
  assert.deepEqual(
    [summary.found, summary.redriven, summary.skipped, summary.skipped_by],
    [
      13,
      11,
      2,
      { value_omitted: 1, headers_omitted: 0, key_omitted: 0, too_large: 1, refused: 0 },
    ],
  );
  assert.deepEqual(
    summary.skipped_letters.map(({ offset, why, source_offset }) => ({
      offset,
      why,
      source_offset,
    })),
    [
      { offset: 12, why: "value_omitted", source_offset: 77 },
      { offset: 7, why: "too_large", source_offset: 1_007 },
    ],
  );
  assertEachOnce(await site.read(site.topic), letters.filter((_, index) => index !== 7));
});

/** Another program's letter. Compressed, its value takes only 65 kB of the topic's limit. */
Deno.test("redrive() skips a letter whose value is too large to be read, and sends no tombstone instead", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  const producer = new Kafka({ brokers: site.address.split(",") }).producer();
  await producer.connect();
  await producer.send({
    topic: site.deadLetterTopic,
    compression: CompressionTypes.GZIP,
    messages: [{ key: "large", value: Buffer.alloc(VALUE_BYTES_MAX + 1) }],
  });
  await producer.disconnect();
  await site.deadLetter(numberedLetters(site, { count: 2, partitions: 1 }));
  const summary = await site.redrive();
  assert.deepEqual([summary.redriven, summary.skipped_by.value_omitted], [2, 1]);
  assert.ok((await site.read(site.topic)).every(({ value }) => value !== null));
});

/** Other programs' letters. If one of them made the redrive fail, no letter would be sent at all. */
Deno.test("redrive() sends letters with any number as the offset of their record", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  const offsets = ["9007199254740990", "9007199254740991", "9007199254740993", "-1", "1e3", "none"];
  await site.producer.send({
    topic: site.deadLetterTopic,
    partition: 0,
    records: offsets.map((offset) => ({
      partition: 0,
      key: null,
      value: bytesOf(offset),
      headers: [
        { key: "__connect.errors.topic", value: bytesOf(site.topic) },
        { key: "__connect.errors.partition", value: bytesOf("0") },
        { key: "__connect.errors.offset", value: bytesOf(offset) },
      ],
    })),
  });
  assert.equal((await site.redrive()).redriven, offsets.length);
  assert.equal((await site.redrive()).already_redriven, offsets.length);
  assert.deepEqual((await site.read(site.topic)).map(({ value }) => textOf(value)), offsets);
});

Deno.test("redrive() leaves out letters of another topic's records unless they are requested", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  const own = numberedLetters(site, { count: 3, partitions: 1 });
  const others = numberedLetters({ topic: "elsewhere" }, { count: 2, partitions: 1 });
  await site.deadLetter([...own, ...others]);
  const selection = { ...EVERYTHING, source: site.topic };
  const summary = await site.redrive({ selection });
  assert.deepEqual([summary.redriven, summary.left_out_by.other_topic], [3, 2]);
  assert.equal((await site.redrive()).redriven, 2);
});

Deno.test("redrive() sends a record to its own partition, or else to the murmur2 partition of its key", async () => {
  await using site = await createRedriveSite({ partitions: 2, deadLetterPartitions: 6 });
  const letters = numberedLetters(site, { count: 60, partitions: 6 });
  await site.deadLetter(letters);
  await site.redrive();
  const records = await site.read(site.topic);
  assert.equal(records.length, 60);
  for (const { partition, headers } of records) {
    const [, source] = textOf(headers.at(-1)?.value ?? null)?.split("/") ?? [];
    if (Number(source) < 2) assert.equal(partition, Number(source));
  }
  const moved = records.filter(({ headers }) =>
    Number(textOf(headers.at(-1)?.value ?? null)?.split("/")[1]) >= 2
  );
  assert.deepEqual([...new Set(moved.map(({ partition }) => partition))].sort(), [0, 1]);
});

Deno.test("redrive() of a recreated dead-letter topic sends its letters, except for records already redriven", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  const [early, late] = [5, 9].map((count) => numberedLetters(site, { count, partitions: 1 }));
  assert.ok(early && late);
  await site.deadLetter(early);
  assert.equal((await site.redrive()).redriven, 5);
  await site.recreateDeadLetterTopic();
  await site.deadLetter(late);
  const summary = await site.redrive();
  assert.deepEqual([summary.found, summary.redriven, summary.repeats], [9, 4, 5]);
  assertEachOnce(await site.read(site.topic), late);
});

/**
 * Goal: each letter is sent once, even if the dead-letter topic is recreated while it is being read.
 * Method: the topic is recreated after one partition is read and before the next, which then has other letters. If these
 * were logged under the old topic's id, the next redrive would send them again.
 */
Deno.test("redrive() sends no letter of a topic recreated since it began, and the next run sends each once", async () => {
  await using site = await createRedriveSite({ partitions: 2 });
  const before = numberedLetters(site, { count: 4, partitions: 2 });
  await site.deadLetter(before);
  const since = before.map(({ record, failure }) => ({
    failure,
    // Other records, because those of partition 0 were already redriven.
    record: {
      ...record,
      offset: record.offset + 100,
      value: bytesOf(`another ${textOf(record.value)}`),
    },
  }));
  let commits = 0;
  const openSender = async (id: string) =>
    wrapped(await opener(site)(id), {
      commit: async (commit) => {
        await commit();
        if (++commits !== 2) return; // the claim and partition 0
        await site.recreateDeadLetterTopic();
        await site.deadLetter(since);
      },
    });
  await assert.rejects(site.redrive({ openSender }), /was deleted or created again/);
  assert.equal((await site.redrive()).redriven, since.length);
  const ofPartition0 = before.filter(({ record: { partition } }) => partition === 0);
  assertEachOnce(await site.read(site.topic), [...ofPartition0, ...since]);
});

/**
 * Goal: a redrive whose topic was deleted ends with an error; the client alone would retry forever.
 * Method: the topic is deleted between two transactions and recreated with fewer partitions, or deleted in the middle of
 * a transaction.
 */
for (const isCreatedAgain of [true, false]) {
  Deno.test(
    `redrive() to a topic that is deleted${
      isCreatedAgain ? " and recreated" : ""
    } meanwhile ends with the reason`,
    async () => {
      await using site = await createRedriveSite();
      await site.deadLetter(numberedLetters(site, { count: 60 }));
      const deleteTopic = async () => {
        await site.cluster.deleteTopic(site.topic);
        while (await site.cluster.findTopic(site.topic) !== undefined);
        if (isCreatedAgain) await site.cluster.ensureTopic(site.topic, { partitionCount: 1 });
      };
      let commits = 0;
      let isDeleted = false;
      const openSender = async (id: string): Promise<TransactionalSender> => {
        const sender = await opener(site)(id);
        const deleteOnce = async () => {
          if (isDeleted || commits !== 2) return; // the claim and one transaction
          isDeleted = true;
          await deleteTopic();
        };
        return {
          async send(request) {
            if (!isCreatedAgain) await deleteOnce();
            return await sender.send(request);
          },
          async commit() {
            await sender.commit();
            commits++;
            if (isCreatedAgain) await deleteOnce();
          },
          [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose](),
        };
      };
      await assert.rejects(
        site.redrive({ lettersMax: 10, openSender }),
        (error: Error) =>
          error.message.startsWith(`topic "${site.topic}" was deleted or created again during`),
      );
      assert.ok(isDeleted);
    },
  );
}

Deno.test("redrive() keeps separate records of what it sent to each topic", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  await site.deadLetter(numberedLetters(site, { count: 5, partitions: 1 }));
  const other = uniqueName("redrive-other");
  await site.cluster.ensureTopic(other, { partitionCount: 1 });
  assert.equal((await site.redrive({ topic: other })).redriven, 5);
  assert.equal((await site.redrive()).redriven, 5);
  assert.equal((await site.redrive({ topic: other })).already_redriven, 5);
  await site.cluster.deleteTopic(other);
});

Deno.test("redrive() stopped in the middle finishes its current transaction, and the next run continues", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  const letters = numberedLetters(site, { count: 50, partitions: 1 });
  await site.deadLetter(letters);
  const controller = new AbortController();
  let commits = 0;
  const openSender = async (id: string) =>
    wrapped(await opener(site)(id), {
      commit: async (commit) => {
        await commit();
        if (++commits === 3) controller.abort(); // the claim and two transactions
      },
    });
  const summary = await site.redrive({ lettersMax: 10, stop: controller.signal, openSender });
  assert.deepEqual([summary.complete, summary.redriven], [false, 20]);
  assert.equal((await site.redrive()).redriven, 30);
  assertEachOnce(await site.read(site.topic), letters);
});

Deno.test("redrive() refuses a log topic with retention, and one with other records", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  await site.deadLetter(numberedLetters(site, { count: 2, partitions: 1 }));
  await site.cluster.ensureTopic(site.logTopic, {
    partitionCount: 1,
    config: { "cleanup.policy": "delete", "retention.ms": "1000" },
  });
  await assert.rejects(site.redrive(), /would forget what was redriven: set it to compact/);
  await site.cluster.deleteTopic(site.logTopic);
  while (await site.cluster.findTopic(site.logTopic) !== undefined);
  await site.redrive({ selection: { ...EVERYTHING, reasons: new Set(["UNKNOWN"] as const) } });
  await site.producer.send({
    topic: site.logTopic,
    partition: 0,
    records: [{ partition: 0, key: bytesOf("k"), value: bytesOf("{}"), headers: [] }],
  });
  await assert.rejects(site.redrive(), /has a record at offset \d+ that is not a redrive entry/);
  assert.equal((await site.read(site.topic)).length, 0);
});

/** Wraps a producer with a replacement for its commit. */
function wrapped(
  sender: TransactionalSender,
  { commit }: { readonly commit: (commit: () => Promise<void>) => Promise<void> },
): TransactionalSender {
  return {
    send: (request) => sender.send(request),
    commit: () => commit(() => sender.commit()),
    [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose](),
  };
}

for (const isCommitted of [true, false]) {
  Deno.test(`redrive() that gets no response to a commit that ${isCommitted ? "succeeded" : "failed"} sends each letter once`, async () => {
    await using site = await createRedriveSite();
    const letters = numberedLetters(site, { count: 60 });
    await site.deadLetter(letters);
    let commits = 0;
    const openSender = async (id: string) =>
      wrapped(await opener(site)(id), {
        commit: async (commit) => {
          commits++;
          if (commits % 3 !== 0) return await commit();
          if (isCommitted) await commit();
          throw new CommitUnknownError(id, new Error("connection cut"));
        },
      });
    const summary = await site.redrive({ lettersMax: 10, openSender });
    assert.deepEqual(countsOf(summary), { found: 60, redriven: 60, transactions: 6 });
    assertEachOnce(await site.read(site.topic), letters);
  });
}

/**
 * Goal: of two concurrent redrives one continues and the other ends with the reason; each letter is sent once.
 * Method: the second one begins when the first has committed one transaction and is in the middle of the next.
 */
Deno.test("redrive() overtaken by another one ends with the reason, and each letter is sent once", async () => {
  await using site = await createRedriveSite();
  const letters = numberedLetters(site, { count: 90 });
  await site.deadLetter(letters);
  const overtaken = Promise.withResolvers<void>();
  const midway = Promise.withResolvers<void>();
  let commits = 0;
  const openSender = async (id: string) =>
    wrapped(await opener(site)(id), {
      commit: async (commit) => {
        if (++commits === 3) { // the claim and one transaction; this one is not yet committed
          midway.resolve();
          await overtaken.promise;
        }
        await commit();
      },
    });
  const first = site.redrive({ lettersMax: 10, openSender });
  await midway.promise;
  const second = await site.redrive();
  overtaken.resolve();
  assert.deepEqual([second.redriven, second.already_redriven], [80, 10]);
  await assert.rejects(first, (error) => {
    assert.ok(error instanceof FencedError);
    assert.match(error.message, /was fenced: another one has begun, or .*: run it again/);
    return true;
  });
  assertEachOnce(await site.read(site.topic), letters);
});

Deno.test("redrive() at full speed is fenced by a later one, and neither blocks the other", async () => {
  await using site = await createRedriveSite();
  const letters = numberedLetters(site, { count: 1_500 });
  await site.deadLetter(letters);
  const isUnderWay = Promise.withResolvers<void>();
  let commits = 0;
  const openSender = async (id: string) =>
    wrapped(await opener(site)(id), {
      commit: async (commit) => {
        await commit();
        if (++commits === 5) isUnderWay.resolve();
      },
    });
  const first = site.redrive({ lettersMax: 5, openSender }).then(() => undefined, (error) => error);
  await isUnderWay.promise;
  const second = await site.redrive();
  assert.ok(await first instanceof FencedError);
  assert.ok(second.redriven > 0 && second.already_redriven >= 20, JSON.stringify(second));
  assertEachOnce(await site.read(site.topic), letters);
});

Deno.test("several simultaneous runs of redrive() send each letter once, and at least one of them completes", async () => {
  await using site = await createRedriveSite();
  const letters = numberedLetters(site, { count: 300 });
  await site.deadLetter(letters);
  const ends = await Promise.allSettled([1, 2, 3].map(() => site.redrive({ lettersMax: 10 })));
  const displaced = ends.filter((end) => end.status === "rejected");
  for (const { reason } of displaced) {
    assert.ok(reason instanceof FencedError, String(reason));
  }
  assert.ok(displaced.length < ends.length);
  assertEachOnce(await site.read(site.topic), letters);
});

Deno.test("redrive() ends if the broker aborts its transaction, as after a timeout, and the next run continues", async () => {
  await using site = await createRedriveSite();
  const letters = numberedLetters(site, { count: 60 });
  await site.deadLetter(letters);
  let commits = 0;
  const openSender = async (id: string) =>
    wrapped(await opener(site)(id), {
      commit: async (commit) => {
        // Opening the transactional id has the effect of a timeout: the coordinator aborts and bumps the epoch.
        if (++commits === 4) await (await opener(site)(id))[Symbol.asyncDispose]();
        await commit();
      },
    });
  await assert.rejects(site.redrive({ lettersMax: 10, openSender }), FencedError);
  const next = await site.redrive();
  assert.deepEqual([next.redriven, next.already_redriven], [40, 20]);
  assertEachOnce(await site.read(site.topic), letters);
});
