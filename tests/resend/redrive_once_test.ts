import assert from "node:assert/strict";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { KafkaRecord, OutgoingRecord } from "../../lib/record.ts";
import { loggerOf } from "../../lib/log.ts";
import { DeadLetters } from "../../lib/tracker/dead_letters.ts";
import type { DeadLetter } from "../../lib/tracker/letter.ts";
import { liveBroker } from "../live_broker.ts";
import {
  assertEachOnce,
  bytesOf,
  createRedriveSite,
  EVERYTHING,
  numberedLetters,
  type RedriveSite,
  textOf,
} from "./redrive_site.ts";

await liveBroker();

const HOUR_MS = 3_600_000;
const TOPIC_IDS = ["a", "b"].map((digit) => digit.repeat(32));

/** Dead-letters records like the tracker of the given group. */
async function deadLetterAs(
  site: RedriveSite,
  groupId: string,
  letters: readonly DeadLetter[],
): Promise<void> {
  const producer = new ReliableProducer({ brokers: site.address.split(","), clientId: "test" });
  const deadLetters = new DeadLetters({
    producer,
    topic: site.deadLetterTopic,
    partitionCount: 3,
    groupId,
    log: loggerOf("test"),
    retryWaitMs: 100,
  });
  for (const group of Map.groupBy(letters, ({ record }) => record.partition).values()) {
    assert.ok(await deadLetters.send(group, () => true));
  }
  await producer.close();
}

/** Adds the topic id and the leader epoch, like a tracker that knows them. */
function identified(
  letters: readonly DeadLetter[],
  { topicId = TOPIC_IDS[0] ?? "", leaderEpoch = 3 } = {},
): readonly DeadLetter[] {
  return letters.map((letter) => ({
    ...letter,
    topicId,
    record: { ...letter.record, leaderEpoch },
  }));
}

function valuesOf(records: readonly KafkaRecord[]): readonly (string | null)[] {
  return records.map(({ value }) => textOf(value)).sort();
}

Deno.test("redrive() sends a record dead-lettered by three groups once, even over several runs", async () => {
  await using site = await createRedriveSite();
  const letters = identified(numberedLetters(site, { count: 47 }));
  for (const group of ["a", "b", "c"]) await deadLetterAs(site, group, letters);
  const dry = await site.redrive({ isDryRun: true });
  const summary = await site.redrive({ lettersMax: 10 });
  assert.deepEqual(
    [summary.found, summary.redriven, summary.already_redriven, summary.repeats, summary.skipped],
    [141, 47, 94, 94, 0],
  );
  assert.deepEqual([dry.would_redrive, dry.groups], [47, summary.groups]);
  assertEachOnce(await site.read(site.topic), letters);

  await deadLetterAs(site, "d", letters);
  const later = await site.redrive();
  assert.deepEqual([later.found, later.redriven, later.already_redriven], [188, 0, 188]);
  assertEachOnce(await site.read(site.topic), letters);
});

Deno.test("redrive() sends a record once that has letters from an older and from this tracker", async () => {
  await using site = await createRedriveSite();
  const letters = numberedLetters(site, { count: 12 });
  await deadLetterAs(site, "old", letters.slice(0, 8));
  await deadLetterAs(site, "new", identified(letters.slice(4)));
  await deadLetterAs(site, "old", letters.slice(8));
  assert.equal((await site.redrive()).redriven, 12);
  assert.deepEqual(valuesOf(await site.read(site.topic)), letters.map(valueOf).sort());
});

function valueOf({ record }: DeadLetter): string | null {
  return textOf(record.value);
}

Deno.test("redrive() distinguishes records after the topic was recreated or its log was truncated and rewritten", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  const generation = (name: string): readonly DeadLetter[] =>
    numberedLetters(site, { count: 4, partitions: 1 }).map((letter) => ({
      ...letter,
      record: { ...letter.record, value: bytesOf(`${name} ${letter.record.offset}`) },
    }));
  const [first, cut, again] = ["first", "cut", "again"].map(generation);
  assert.ok(first && cut && again);
  await deadLetterAs(site, "a", identified(first));
  await deadLetterAs(site, "a", identified(cut, { leaderEpoch: 4 }));
  await deadLetterAs(site, "a", identified(again, { topicId: TOPIC_IDS[1] ?? "" }));
  await deadLetterAs(site, "b", identified(again, { topicId: TOPIC_IDS[1] ?? "" }));
  const summary = await site.redrive();
  assert.deepEqual([summary.redriven, summary.repeats], [12, 4]);
  assert.deepEqual(
    valuesOf(await site.read(site.topic)),
    [...first, ...cut, ...again].map(valueOf).sort(),
  );
});

/** The log entries of version 0.1 (3a9cbbd), which identify letters instead of records. */
Deno.test("redrive() honors an earlier version's log, even for other letters of the same records", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  const letters = numberedLetters(site, { count: 10, partitions: 1 });
  await deadLetterAs(site, "a", letters);
  const { topicId } = await site.cluster.describeTopic(site.deadLetterTopic);
  await site.cluster.ensureTopic(site.logTopic, {
    partitionCount: 1,
    config: { "cleanup.policy": "compact" },
  });
  const session = crypto.randomUUID();
  const entry = (key: string, value: object): OutgoingRecord => (
    { partition: 0, key: bytesOf(key), value: bytesOf(JSON.stringify(value)), headers: [] }
  );
  await site.producer.send({
    topic: site.logTopic,
    partition: 0,
    records: [
      entry("claim", { kind: "claim", session, at: "2026-11-01T08:00:00.000Z" }),
      entry(`${topicId}/0/0/${site.topic}`, {
        kind: "redriven",
        dead_letters: site.deadLetterTopic,
        topic_id: topicId,
        partition: 0,
        topic: site.topic,
        offsets: [[0, 2], [5, 5]],
        session,
        at: "2026-11-01T08:00:01.000Z",
      }),
    ],
  });
  await deadLetterAs(site, "b", identified(letters));
  const dry = await site.redrive({ isDryRun: true });
  const summary = await site.redrive();
  assert.deepEqual([dry.would_redrive, dry.already_redriven], [6, 14]);
  assert.deepEqual([summary.redriven, summary.already_redriven, summary.repeats], [6, 14, 10]);
  const sent = letters.filter((_, index) => ![0, 1, 2, 5].includes(index));
  assertEachOnce(await site.read(site.topic), sent);
});

Deno.test("redrive() sends the other records if the topic rejects some, reports each with its reason, and retries them", async () => {
  await using site = await createRedriveSite({
    partitions: 1,
    config: { "max.message.bytes": "5000" },
  });
  const change = (index: number): Partial<KafkaRecord> => {
    if (index % 20 === 7) return { timestampMs: Date.now() + 2 * HOUR_MS };
    return index === 30 ? { value: bytesOf("y".repeat(6_000)) } : {};
  };
  const letters = numberedLetters(site, { count: 60, partitions: 1 }).map((letter, index) => ({
    ...letter,
    record: { ...letter.record, ...change(index) },
  }));
  await deadLetterAs(site, "a", identified(letters));
  await deadLetterAs(site, "b", identified(letters.slice(0, 10)));
  const good = letters.filter((_, index) => Object.keys(change(index)).length === 0);
  const summary = await site.redrive({ lettersMax: 40 });
  assert.deepEqual(
    [summary.found, summary.redriven, summary.repeats, summary.refused, summary.refused_by],
    [70, 56, 9, 5, { INVALID_TIMESTAMP: 4, MESSAGE_TOO_LARGE: 1 }],
  );
  assert.equal(summary.transactions, 2);
  assertEachOnce(await site.read(site.topic), good);
  const [skipped] = summary.skipped_letters;
  assert.deepEqual([skipped?.offset, skipped?.why, skipped?.source_offset], [7, "refused", 1_007]);
  assert.match(skipped?.error ?? "", /^INVALID_TIMESTAMP: .* was refused/);

  const again = await site.redrive();
  assert.deepEqual([again.redriven, again.refused], [0, 5]);
  assertEachOnce(await site.read(site.topic), good);
});

Deno.test("redrive() isolates a record that makes the broker itself fail", async () => {
  await using site = await createRedriveSite({
    partitions: 1,
    config: { "compression.type": "gzip" },
  });
  const letters = numberedLetters(site, { count: 6, partitions: 1 }).map((letter, index) =>
    index === 2 ? { ...letter, record: { ...letter.record, timestampMs: -5 } } : letter
  );
  await deadLetterAs(site, "a", letters);
  const summary = await site.redrive();
  assert.deepEqual([summary.redriven, summary.refused_by], [5, { UNKNOWN: 1 }]);
  assertEachOnce(await site.read(site.topic), letters.filter((_, index) => index !== 2));
});

Deno.test("redrive() restores the source record from an adapted letter and explains what it cannot restore", async () => {
  await using site = await createRedriveSite({
    partitions: 1,
    config: { "message.timestamp.after.max.ms": String(48 * HOUR_MS) },
    deadLetterConfig: {
      "cleanup.policy": "compact",
      "message.timestamp.after.max.ms": String(HOUR_MS),
      "max.message.bytes": "2000",
    },
  });
  const timestampMs = Date.now() + 24 * HOUR_MS;
  const changes: readonly Partial<KafkaRecord>[] = [
    { timestampMs },
    { key: null },
    { key: bytesOf("same") },
    { key: bytesOf("same"), value: null },
    { value: bytesOf("z".repeat(3_000)) },
    { headers: [{ key: "trace", value: bytesOf("z".repeat(3_000)) }] },
    { key: bytesOf("z".repeat(3_000)) },
  ];
  const letters = numberedLetters(site, { count: changes.length, partitions: 1 })
    .map((letter, index) => ({ ...letter, record: { ...letter.record, ...changes[index] } }));
  await deadLetterAs(site, "a", letters);
  const summary = await site.redrive();
  assert.deepEqual(
    [summary.redriven, summary.refused, summary.skipped_by],
    [4, 0, { value_omitted: 1, headers_omitted: 1, key_omitted: 1, too_large: 0, refused: 0 }],
  );
  const described = (
    { key, value, headers, timestampMs }: KafkaRecord,
  ) => [
    textOf(key),
    textOf(value),
    headers[0]?.key,
    textOf(headers[0]?.value ?? null),
    timestampMs,
  ];
  assert.deepEqual(
    (await site.read(site.topic)).map(described),
    letters.slice(0, 4).map(({ record }) => described(record)),
  );
});

Deno.test("redrive() uses the complete letter of a record if another letter lost its value", async () => {
  await using site = await createRedriveSite({
    partitions: 1,
    deadLetterConfig: { "max.message.bytes": "2000" },
  });
  const letters = numberedLetters(site, { count: 3, partitions: 1 }).map((letter) => ({
    ...letter,
    record: { ...letter.record, value: bytesOf(`${valueOf(letter)} ${"v".repeat(1_200)}`) },
  }));
  const failure = { reason: "PROCESSING", message: "m".repeat(900) } as const;
  await deadLetterAs(site, "a", letters.map(({ record }) => ({ record, failure })));
  await deadLetterAs(site, "b", letters);
  const summary = await site.redrive();
  assert.deepEqual([summary.redriven, summary.skipped_by.value_omitted], [3, 3]);
  assertEachOnce(await site.read(site.topic), letters);
  const later = await site.redrive();
  assert.deepEqual([later.already_redriven, later.skipped], [6, 0]);
});

Deno.test("redrive() in a dry run lists exactly the letters that a real run sends", async () => {
  await using site = await createRedriveSite();
  const letters = identified(numberedLetters(site, {
    count: 30,
    reasonOf: (index) => index % 2 === 0 ? "TIMEOUT" : "VALIDATION",
  }));
  await deadLetterAs(site, "a", letters);
  await deadLetterAs(site, "b", letters.slice(10, 20));
  const selection = { ...EVERYTHING, reasons: new Set(["TIMEOUT"] as const) };
  const dry = await site.redrive({ isDryRun: true, selection });
  const wet = await site.redrive({ selection });
  assert.deepEqual(dry.groups, wet.groups);
  const from = (await site.read(site.topic)).map(({ headers }) =>
    textOf(headers.at(-1)?.value ?? null)
  );
  const named = dry.groups.flatMap(({ partition, offsets }) =>
    offsets.flatMap(([first, last]) =>
      Array.from(
        { length: last - first + 1 },
        (_, index) => `${site.deadLetterTopic}/${partition}/${first + index}`,
      )
    )
  );
  assert.deepEqual(from.toSorted(), named.toSorted());
});
