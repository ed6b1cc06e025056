import assert from "node:assert/strict";
import { liveBroker, uniqueName } from "../live_broker.ts";
import { until, withAdmin } from "../site.ts";
import {
  createReplaySite,
  line,
  type LineOptions,
  lines,
  NOW_MS,
  warnings,
} from "./replay_site.ts";

await liveBroker();

const DAY_MS = 86_400_000;
const NOW_INSTEAD = { partitions: "same", timestamps: "now", mark: false } as const;

interface Case {
  readonly config: Readonly<Record<string, string>>;
  readonly record: Partial<LineOptions>;
  readonly refusal: RegExp;
  /** True if `--timestamps now` avoids the refusal. */
  readonly helpsNow?: boolean;
}

const REFUSED: Readonly<Record<string, Case>> = {
  "a record older than message.timestamp.before.max.ms": {
    config: { "message.timestamp.before.max.ms": String(DAY_MS) },
    record: { timestampMs: NOW_MS - 30 * DAY_MS },
    refusal:
      /\(message\.timestamp\.before\.max\.ms=86400000\): 1 record, such as orders\[0\] offset 9/,
    helpsNow: true,
  },
  "a record ahead of message.timestamp.after.max.ms": {
    config: { "message.timestamp.after.max.ms": "3600000" },
    record: { timestampMs: NOW_MS + DAY_MS },
    refusal: /\(message\.timestamp\.after\.max\.ms=3600000\): 1 record, .* too far ahead of now/,
    helpsNow: true,
  },
  "a topic that replaces timestamps": {
    config: { "message.timestamp.type": "LogAppendTime" },
    record: {},
    refusal: /\(message\.timestamp\.type=LogAppendTime\) replaces the records' timestamps/,
    helpsNow: true,
  },
  "a record larger than max.message.bytes": {
    config: { "max.message.bytes": "20000" },
    record: { value: "x".repeat(30_000) },
    refusal: /\(max\.message\.bytes=20000\): 1 record, .* too large/,
  },
  "a record without a key for a compacted topic": {
    config: { "cleanup.policy": "compact" },
    record: { key: null },
    refusal: /\(cleanup\.policy=compact\): 1 record, .* have no key/,
  },
};

for (const [what, { config, record, refusal, helpsNow = false }] of Object.entries(REFUSED)) {
  Deno.test(`tracker replay refuses ${what} before it sends anything`, async () => {
    await using replaying = await createReplaySite();
    await replaying.create(1, config);
    const logs = await replaying.write([...lines(9, 1), line({ offset: 9, ...record })]);
    for (const isDryRun of [true, false]) {
      await assert.rejects(replaying.call(logs, { isDryRun }), refusal);
    }
    assert.equal((await replaying.read()).length, 0);
    if (helpsNow) assert.equal((await replaying.call(logs, { manner: NOW_INSTEAD })).ok, true);
  });
}

Deno.test("tracker replay refuses a topic with too few partitions, and one with other records", async () => {
  await using replaying = await createReplaySite();
  await replaying.create(2);
  const logs = await replaying.write(lines(9));
  await assert.rejects(replaying.call(logs), /has 2 partitions, and .* of partition 2: it needs 3/);
  const query = { partition: 0 };
  warnings.length = 0;
  const some = await replaying.call(logs, { query, isDryRun: true });
  assert.equal(some.would_replay, 3);
  assert.match(warnings.join(), /has 2 partitions, the records' topic had 3/);
  const producer = replaying.site.kafka.producer();
  await producer.connect();
  await producer.send({ topic: replaying.to, messages: [{ value: "of another" }] });
  await producer.disconnect();
  await assert.rejects(replaying.call(logs, { query }), /is not empty.*Nothing was sent/);
  const { ok, in_topic } = await replaying.call(logs, { query, append: true });
  assert.deepEqual([ok, in_topic], [true, 3]);
});

Deno.test("tracker replay warns about records that retention will soon delete, and about a compacted topic", async () => {
  await using replaying = await createReplaySite();
  await replaying.create(1, { "cleanup.policy": "compact,delete", "retention.ms": String(DAY_MS) });
  warnings.length = 0;
  const old = line({ offset: 9, timestampMs: NOW_MS - 0.95 * DAY_MS });
  const logs = await replaying.write([...lines(9, 1), old]);
  const { ok } = await replaying.call(logs);
  assert.equal(ok, true);
  assert.match(warnings.join("\n"), /\(retention\.ms=86400000\): 1 record, .* soon be deleted/);
  assert.match(warnings.join("\n"), /\(cleanup\.policy\) is compacted: it keeps only the last/);
});

Deno.test("tracker replay creates a topic that accepts records of any size and age", async () => {
  await using replaying = await createReplaySite();
  const logs = await replaying.write([
    line({ offset: 0, value: "x".repeat(1_500_000), timestampMs: NOW_MS - 9_000 * DAY_MS }),
    // More than 24.8 days apart in one batch, in both directions.
    line({ offset: 1, timestampMs: NOW_MS + 40 * DAY_MS }),
    line({ offset: 2, timestampMs: 1 }),
  ]);
  const { ok, in_topic } = await replaying.call(logs);
  assert.deepEqual([ok, in_topic], [true, 3]);
  const times = (await replaying.read()).map(({ timestampMs }) => Number(timestampMs));
  assert.deepEqual(times, [NOW_MS - 9_000 * DAY_MS, NOW_MS + 40 * DAY_MS, 1]);
});

Deno.test("tracker replay respects a small max.message.bytes, a rate, and a stop signal", async () => {
  await using replaying = await createReplaySite();
  await replaying.create(3, { "max.message.bytes": "4000" });
  const logs = await replaying.write(lines(600, 3, { value: "x".repeat(900) }));
  const started = performance.now();
  const stopping = new AbortController();
  const options = { rate: 200, stop: stopping.signal };
  const stopped = await replaying.call(logs, {
    ...options,
    onProgress: ({ phase, done }) => {
      if (phase === "sending" && done >= 200) stopping.abort();
    },
  });
  assert.deepEqual([stopped.complete, stopped.ok, stopped.sent], [false, false, 200]);
  assert.ok(performance.now() - started >= 500, "the second transaction waits for the rate");
  const { ok, sent, already_replayed } = await replaying.call(logs);
  assert.deepEqual([ok, sent, already_replayed], [true, 400, 200]);
});

Deno.test("tracker replay --groups refuses a group with members", async () => {
  await using replaying = await createReplaySite();
  const { site } = replaying;
  const logs = await replaying.write(lines(9));
  await replaying.create(3);
  const groupId = uniqueName("busy");
  const consumer = site.kafka.consumer({ groupId });
  let hasJoined = false;
  consumer.on(consumer.events.GROUP_JOIN, () => hasJoined = true);
  await consumer.connect();
  await consumer.subscribe({ topics: [replaying.to] });
  await consumer.run({ eachMessage: () => Promise.resolve() });
  await until("the member has joined", () => hasJoined);
  const failing = replaying.call(logs, { groups: [groupId] });
  await assert.rejects(failing, /cannot be moved: it has 1 members; stop them first/);
  await consumer.disconnect();
  await withAdmin(site, (admin) => admin.deleteGroups([groupId]));
  assert.equal((await replaying.read()).length, 0);
});
