import assert from "node:assert/strict";
import type { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { KafkaRecord, OutgoingRecord, RecordHeader } from "../../lib/record.ts";
import { loggerOf } from "../../lib/log.ts";
import { Random } from "../../lib/shop/random.ts";
import { DeadLetters } from "../../lib/tracker/dead_letters.ts";
import { originalOf } from "../../lib/resend/target.ts";
import { openLetter } from "../../lib/tracker/opened_letter.ts";
import { FAILURE_REASONS } from "../../lib/tracker/failures.ts";
import { bytesOf, textOf } from "../resend/redrive_site.ts";

/** Returns the letter that the tracker makes of a record, as read from an offset of the dead-letter topic. */
async function letterOf(
  record: KafkaRecord,
  reason: typeof FAILURE_REASONS[number],
): Promise<KafkaRecord> {
  const sent: OutgoingRecord[] = [];
  const producer = {
    send: ({ records }: { records: readonly OutgoingRecord[] }) => {
      sent.push(...records);
      return Promise.resolve();
    },
  } as unknown as ReliableProducer;
  const letters = new DeadLetters({
    producer,
    topic: "orders-dlq",
    partitionCount: 3,
    log: loggerOf("test"),
  });
  await letters.send([{ record, failure: { reason, message: "bad" } }], () => true);
  const [letter] = sent;
  assert.ok(letter !== undefined);
  return { topic: "orders-dlq", offset: 17, timestampMs: 0, ...letter };
}

const HEADER_KEYS = [
  "",
  "trace",
  "2",
  "__proto__",
  "__connect.errors.topic",
  "__connect.errors.exception.message",
  "__connect.errors.connector.name",
  "orderflow.errors.reason",
];

function randomRecord(random: Random): KafkaRecord {
  const below = (end: number) => Math.floor(random.unit() * end);
  const bytes = (): Uint8Array | null =>
    below(4) === 0 ? null : Uint8Array.from({ length: below(6) }, () => below(256));
  const headers: RecordHeader[] = Array.from({ length: below(6) }, () => ({
    key: HEADER_KEYS[below(HEADER_KEYS.length)] ?? "",
    value: bytes(),
  }));
  return {
    topic: "orders",
    partition: below(9),
    offset: below(1_000_000),
    timestampMs: below(2_000_000_000_000),
    key: bytes(),
    value: bytes(),
    headers,
  };
}

Deno.test("a reopened letter is the record from which it was made, whatever its headers", async () => {
  const random = new Random(1);
  for (let round = 0; round < 2_000; round++) {
    const record = randomRecord(random);
    const reason = FAILURE_REASONS[round % FAILURE_REASONS.length] ?? "UNKNOWN";
    const letter = openLetter(await letterOf(record, reason));
    assert.equal(letter.reason, reason);
    assert.deepEqual(letter.source, {
      topic: "orders",
      partition: record.partition,
      offset: record.offset,
      topicId: undefined,
      leaderEpoch: undefined,
    });
    const { headers, key, value, timestampMs } = originalOf(letter, 1);
    const redriven = headers.at(-1);
    assert.deepEqual([redriven?.key, textOf(redriven?.value ?? null)], [
      "orderflow.redriven.from",
      `orders-dlq/${record.partition % 3}/17`,
    ]);
    assert.deepEqual(
      { headers: headers.slice(0, -1), key, value, timestampMs },
      {
        headers: record.headers,
        key: record.key,
        value: record.value,
        timestampMs: record.timestampMs,
      },
      `round ${round}`,
    );
  }
});

Deno.test("a record redriven for the second time names only its last origin", async () => {
  const record = { ...randomRecord(new Random(2)), headers: [] };
  const once = originalOf(openLetter(await letterOf(record, "TIMEOUT")), 0);
  const twice = originalOf(
    openLetter({ ...await letterOf({ ...record, ...once }, "TIMEOUT"), offset: 99 }),
    0,
  );
  assert.deepEqual(twice.headers.map(({ key, value }) => [key, textOf(value)]), [
    ["orderflow.redriven.from", "orders-dlq/0/99"],
  ]);
});

Deno.test("a Kafka Connect letter loses Connect's headers, and its reason is UNKNOWN", () => {
  const letter = openLetter({
    topic: "connect-dlq",
    partition: 0,
    offset: 3,
    timestampMs: 5,
    key: null,
    value: bytesOf("v"),
    headers: [
      { key: "own", value: null },
      { key: "__connect.errors.topic", value: bytesOf("orders") },
      { key: "__connect.errors.partition", value: bytesOf("x") },
      { key: "__connect.errors.task.id", value: bytesOf("0") },
    ],
  });
  assert.equal(letter.reason, "UNKNOWN");
  assert.deepEqual(letter.source, {
    topic: "orders",
    partition: undefined,
    offset: undefined,
    topicId: undefined,
    leaderEpoch: undefined,
  });
  assert.deepEqual(letter.original.headers, [{ key: "own", value: null }]);
  assert.equal(letter.omitted, undefined);
});

const OMITTED = { size: 70_000_000, sha256: "0".repeat(64) };

for (
  const [part, change] of [
    ["value", { value: null, omittedValue: OMITTED }],
    ["key", { key: null, omittedKey: OMITTED }],
    ["headers", { headers: [{ key: "a", value: null, omitted: OMITTED }] }],
  ] as const
) {
  Deno.test(`a letter of a record whose ${part} was too large to read names it as omitted`, async () => {
    const record = { ...randomRecord(new Random(3)), ...change };
    assert.equal(openLetter(await letterOf(record, "TIMEOUT")).omitted, part);
  });

  Deno.test(`a letter whose own ${part} is too large to read names it as omitted`, async () => {
    const record = await letterOf(randomRecord(new Random(4)), "TIMEOUT");
    const { headers: added = [], ...own } = { headers: undefined, ...change };
    assert.equal(
      openLetter({ ...record, ...own, headers: [...added, ...record.headers] }).omitted,
      part,
    );
  });
}
