import assert from "node:assert/strict";
import { describeReplay } from "../../lib/resend/replay_summary.ts";
import { liveBroker } from "../live_broker.ts";
import { withAdmin } from "../site.ts";
import { createReplaySite, line, lines, NOW_MS, type ReplaySite, warnings } from "./replay_site.ts";

await liveBroker();

/** Sends records as another program does. */
async function send(
  { site, to }: ReplaySite,
  messages: readonly { partition: number; key: string; value: string; timestamp?: string }[],
): Promise<void> {
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({ topic: to, messages: [...messages] });
  await producer.disconnect();
}

function proofOf(
  { replayed, in_topic, missing, duplicated, different, foreign, ok }: Awaited<
    ReturnType<ReplaySite["call"]>
  >,
): readonly unknown[] {
  return [replayed, in_topic, missing, duplicated, different, foreign, ok];
}

Deno.test("tracker replay exits with 1 on a duplicated, a foreign, and a missing record", async () => {
  await using replaying = await createReplaySite();
  const logs = await replaying.write(lines(30));
  assert.deepEqual(proofOf(await replaying.call(logs)), [30, 30, 0, 0, 0, 0, true]);

  await send(replaying, [{ partition: 0, key: "key 4", value: "value 0/4" }]);
  assert.deepEqual(proofOf(await replaying.call(logs)), [30, 31, 0, 1, 0, 0, false]);
  await send(replaying, [{ partition: 1, key: "key 4", value: "another" }]);
  assert.deepEqual(proofOf(await replaying.call(logs)), [30, 32, 0, 1, 0, 1, false]);
  assert.deepEqual(proofOf(await replaying.call(logs, { append: true })), [
    ...[30, 30, 0, 0, 0, 0, true],
  ]);

  await replaying.deleteRecords([2], 3);
  const gone = await replaying.call(logs, { append: true });
  assert.deepEqual(proofOf(gone), [30, 27, 3, 0, 0, 0, false]);
  assert.deepEqual(gone.examples[0], {
    ...{ what: "missing", partition: 2, offset: 0, source: "orders[2] offset 0" },
  });
  const text = describeReplay(gone).join("\n");
  assert.match(text, /27 in the topic: 3 missing, 0 duplicated, 0 different, 0 of others/);
  assert.match(text, /missing: partition 2 offset 0, once orders\[2\] offset 0\n[^]*NOT PROVEN$/);
});

for (
  const [what, other] of [
    ["value", { value: "other" }],
    ["null instead of empty value", { value: null }],
    ["key", { key: "other" }],
    ["null instead of empty key", { key: null }],
    ["header", { headers: [["a", "2"]] }],
    ["null instead of empty header", { headers: [["a", null]] }],
    ["timestamp", { timestampMs: NOW_MS + 1 }],
  ] as const
) {
  Deno.test(`tracker replay detects a record whose ${what} differs from the journal`, async () => {
    await using replaying = await createReplaySite();
    const usual = {
      offset: 4,
      value: "",
      key: "",
      headers: [["a", ""]],
      timestampMs: NOW_MS,
    } as const;
    const before = lines(4, 1);
    assert.equal((await replaying.call(await replaying.write([...before, line(usual)]))).ok, true);
    // The topic's record cannot be altered, so the journal's is.
    const altered = await replaying.write([...before, line({ ...usual, ...other })]);
    assert.deepEqual(proofOf(await replaying.call(altered)), [5, 5, 0, 0, 1, 0, false]);
  });
}

Deno.test("tracker replay compares records over many pages, even out of order, and names the differences", async () => {
  await using replaying = await createReplaySite();
  const all = lines(4_000, 2, { value: "same" });
  const logs = await replaying.write(all);
  const manner = { partitions: "key", timestamps: "keep", mark: false } as const;
  const options = { manner, selection: "key", create: { partitionCount: 5 } };
  const first = await replaying.call(logs, { ...options, recordsMax: 1_500 });
  assert.deepEqual([proofOf(first), first.transactions], [[4_000, 4_000, 0, 0, 0, 0, true], 3]);
  const altered = all.map((each, index) =>
    index === 3_001 ? line({ ...JSON.parse(each), partition: 1, offset: 1_500, value: "x" }) : each
  );
  const second = await replaying.call(await replaying.write(altered), options);
  assert.equal(second.different, 1);
  assert.equal(second.examples[0]?.source, "orders[1] offset 1500");
});

Deno.test("tracker replay reports what it cannot replay, sends the rest, and exits with 1", async () => {
  await using replaying = await createReplaySite();
  warnings.length = 0;
  const omitted = { value_omitted: { size: 70_000_000, sha256: "a".repeat(64) } };
  const logs = await replaying.write([
    ...lines(3, 1),
    line({ offset: 3, more: omitted }),
    "\u001b[31mno line",
    line({ topic: "\u001b[31m other", offset: 3, topicId: "e".repeat(32) }),
  ]);
  const summary = await replaying.call(logs);
  assert.deepEqual(proofOf(summary), [4, 4, 1, 0, 0, 0, false]);
  assert.deepEqual([summary.selected, summary.omitted, summary.unreadable_lines], [5, 1, 1]);
  assert.match(warnings.join("\n"), /1 record, such as orders\[0\] offset 3, cannot be replayed/);
  assert.match(
    warnings.join("\n"),
    /the records are of 2 topics \(orders, .*other\): --topic selects/,
  );
  const { code, stdout, stderr } = await replaying.run(["--logs", logs, "--append"]);
  assert.equal(code, 1);
  assert.match(stderr, /WARN Cannot read the line at byte \d+ of /);
  // deno-lint-ignore no-control-regex -- the characters that must not reach a terminal
  assert.doesNotMatch(stdout + stderr, /\u001b/);
});

Deno.test("tracker replay ends if the topic is deleted meanwhile, and ignores aborted transactions", async () => {
  await using replaying = await createReplaySite();
  const logs = await replaying.write(lines(20, 1));
  await replaying.create(1);
  const producer = replaying.site.kafka.producer({
    ...{ transactionalId: `${replaying.to}-other`, maxInFlightRequests: 1, idempotent: true },
  });
  await producer.connect();
  const transaction = await producer.transaction();
  await transaction.send({ topic: replaying.to, messages: [{ value: "aborted" }] });
  await transaction.abort();
  await producer.disconnect();
  assert.deepEqual(proofOf(await replaying.call(logs)), [20, 20, 0, 0, 0, 0, true]);
  const grown = await replaying.write(lines(40, 1));
  const failing = replaying.call(grown, {
    recordsMax: 5,
    rate: 10,
    onProgress: ({ phase, done }) => {
      if (phase === "sending" && done === 5) {
        withAdmin(replaying.site, (admin) => admin.deleteTopics({ topics: [replaying.to] }));
      }
    },
  });
  await assert.rejects(
    failing,
    /was deleted or created again during the replay: what was replayed/,
  );
});
