import assert from "node:assert/strict";
import { join } from "node:path";
import type { ProducerSummary } from "../../lib/producer/accounts.ts";
import { readLedger } from "../../lib/producer/ledger.ts";
import type { TrackerTotals } from "../../lib/tracker/metrics.ts";
import { liveBroker } from "../live_broker.ts";
import { assertJournalIsTopic, createSite, createTopics, readTopic, type Site } from "../site.ts";
import { assertOnceAndInOrder, lateness, recordsOf } from "./topic_records.ts";

await liveBroker();

async function produce(site: Site, args: readonly string[]): Promise<ProducerSummary> {
  const { code, stdout, stderr } = await site.run("producer", [...args, "--json"]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

for (
  const args of [
    ["--rate", "700", "--count", "1000"],
    ["--rate", "max", "--count", "2000", "--countries", "FR,US,SE"],
    ["--ramp", "400:2s,0:1s", "--bad", "20"],
  ]
) {
  Deno.test(`producer ${args.join(" ")} with a seed and a start time reproduces the same topic, byte for byte`, async () => {
    const usual = ["--seed", "42", "--start-time", "2026-01-31T08:00:00Z", ...args];
    await using first = await createSite();
    await using second = await createSite();
    const summaries = await Promise.all([produce(first, usual), produce(second, usual)]);
    const untimed = async (site: Site) =>
      (await readTopic(site)).map(({ timestampMs: _, ...record }) => record);
    const topic = await untimed(first);
    assert.deepEqual(await untimed(second), topic);
    assert.deepEqual(summaries.map(({ generated }) => generated), [topic.length, topic.length]);
    assert.ok(topic.length >= 600);
  });
}

Deno.test("with a start time, producer's orders have simulated times, and its records have the time of sending", async () => {
  await using site = await createSite({ partitions: 1 });
  const beforeMs = Date.now();
  await produce(site, [
    ...["--start-time", "2020-02-03T04:05:06Z", "--rate", "100", "--count", "50"],
  ]);
  const { stdout } = await site.run("tracker", ["--exit-at-end", "--json"]);
  assert.equal(JSON.parse(stdout).processed, 50);
  for (const [index, line] of (await site.journal()).entries()) {
    const { metadata } = JSON.parse(String(line["raw_message"]));
    const expected = new Date(Date.UTC(2020, 1, 3, 4, 5, 6) + index * 10).toISOString();
    assert.equal(metadata.timestamp, expected);
    assert.ok(Number(line["kafka_timestamp"]) >= beforeMs - 1_000);
  }
});

Deno.test("producer --bad: the tracker dead-letters as many as the summary says, and processes the others", async () => {
  await using site = await createSite();
  const summary = await produce(site, ["--rate", "max", "--count", "3000", "--bad", "15"]);
  const { stdout, code, stderr } = await site.run("tracker", ["--exit-at-end", "--json"]);
  assert.equal(code, 0, stderr);
  const totals: TrackerTotals = JSON.parse(stdout);
  const bad = summary.bad ?? {};
  const badCount = Object.values(bad).reduce((sum, count) => sum + count, 0);
  assert.equal(Object.keys(bad).length, 7, stdout);
  assert.ok(badCount > 350 && badCount < 550, `${badCount} of 3,000`);
  assert.equal(summary.dead_letters_expected, badCount - (bad.duplicate ?? 0));
  assert.equal(totals.dead_lettered, summary.dead_letters_expected);
  assert.equal(totals.failed, summary.dead_letters_expected);
  assert.equal(totals.received, 3_000);
  await assertJournalIsTopic(site);
});

Deno.test("producer --bad-kinds oversize: the broker refuses each oversized record and no other, whatever the topic's limit", async () => {
  await using site = await createSite({ partitions: 0 });
  const admin = site.kafka.admin();
  await admin.connect();
  await createTopics(admin, [{
    topic: site.topic,
    numPartitions: 2,
    configEntries: [{ name: "max.message.bytes", value: "2000000" }],
  }]);
  await admin.disconnect();
  const { code, stdout, stderr } = await site.run("producer", [
    ...["--rate", "max", "--count", "400", "--bad", "2", "--bad-kinds", "oversize", "--json"],
  ]);
  assert.equal(code, 1, stderr);
  const summary: ProducerSummary = JSON.parse(stdout);
  assert.ok(summary.failed > 0);
  assert.equal(summary.failed, summary.bad?.oversize);
  assert.equal(summary.acknowledged, 400 - summary.failed);
  assert.equal(summary.dead_letters_expected, 0);
  assert.equal((await readTopic(site)).length, summary.acknowledged);
});

Deno.test("producer --ledger lists each record of the topic with its position and hash, and --hdr writes the histogram", async () => {
  await using site = await createSite();
  await Deno.mkdir(site.logs, { recursive: true });
  const summary = await produce(site, [
    ...["--rate", "2000", "--duration", "2s", "--warmup", "500ms", "--bad", "10"],
    ...["--ledger", "logs/ledger.jsonl", "--hdr", "logs/latency.hgrm"],
  ]);
  const path = join(site.logs, "ledger.jsonl");
  const entries = (await Array.fromAsync(readLedger(path)))
    .map(({ partition, offset, sha256 }) => ({ partition, offset, valueHash: sha256 }))
    .sort((a, b) => a.partition - b.partition || a.offset - b.offset);
  const stored = (await readTopic(site))
    .map(({ partition, offset, valueHash }) => ({ partition, offset, valueHash }));
  assert.deepEqual(entries, stored);
  assert.equal(entries.length, summary.acknowledged);
  assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);

  assert.equal(summary.planned, 4_000);
  assert.equal(summary.generated, 4_000);
  assert.equal(summary.warmup?.acknowledged, 1_000);
  assert.equal(summary.windows.reduce((sum, { acknowledged }) => sum + acknowledged, 0), 4_000);
  const hgrm = await Deno.readTextFile(join(site.logs, "latency.hgrm"));
  assert.match(hgrm, /^ +Value +Percentile +TotalCount 1\/\(1-Percentile\)\n/);
  assert.match(hgrm, /Total count += +3000\b/);
});

Deno.test("producer that cannot keep its rate reports the planned and sent orders, and how far it is behind", async () => {
  await using site = await createSite();
  const args = ["--rate", "1000000", "--duration", "2s", "--buffer", "500"];
  const summary = await produce(site, args);
  assert.equal(summary.planned, 2_000_000);
  assert.equal(summary.behind, 2_000_000 - summary.generated);
  assert.ok(summary.behind > 0 && (summary.behind_ms_max ?? 0) > 500);
  assert.ok(summary.buffer_full_ms > 500, `${summary.buffer_full_ms} ms`);
  // Latency counts from the planned time, so it shows what the time from the send hides.
  const { latency_ms: latency, latency_from_send_ms: fromSend } = summary;
  assert.ok(latency && fromSend && latency.p50 > 2 * fromSend.p50);

  const { stdout } = await site.run("producer", [...args, "--quiet"]);
  assert.match(stdout, /fell behind the plan: 2,000,000 orders planned, [\d,]+ sent/);
});

Deno.test("producer refuses an existing ledger and a file outside logs/ before it sends anything", async () => {
  await using site = await createSite();
  await Deno.mkdir(site.logs, { recursive: true });
  await Deno.writeTextFile(join(site.logs, "ledger.jsonl"), "");
  for (
    const [path, pattern] of [
      [
        "logs/ledger.jsonl",
        /^error: --ledger "logs\/ledger\.jsonl" cannot be written: it is there/,
      ],
      ["ledger.jsonl", /^error: --ledger "ledger\.jsonl" cannot be written: .* below logs\/ only/],
    ] as const
  ) {
    const { code, stdout, stderr } = await site.run("producer", ["--count", "1", "--ledger", path]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, pattern);
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  }
  assert.equal((await readTopic(site)).length, 0);
});

for (const producers of ["2", "3"]) {
  Deno.test(`producer --producers ${producers} at full rate keeps the order of each key`, async () => {
    await using site = await createSite();
    const summary = await produce(site, [
      ...["--rate", "max", "--count", "20000", "--customers", "50", "--producers", producers],
    ]);
    assert.equal(summary.acknowledged, 20_000);
    assertOnceAndInOrder(await recordsOf(site), 20_000);
  });
}

Deno.test("producer --rate 1000 plans 1,000 orders per second, sends them on time, and reports every five seconds", async () => {
  await using site = await createSite();
  const { code, stdout, stderr } = await site.run("producer", [
    ...["--rate", "1000", "--duration", "6s"],
  ]);
  assert.equal(code, 0, stderr);
  const sent = (await recordsOf(site)).map(lateness).sort((one, other) => one.dueMs - other.dueMs);
  assert.equal(sent.length, 6_000);
  const firstMs = sent[0]?.dueMs ?? 0;
  for (const [index, { dueMs }] of sent.entries()) assert.equal(dueMs, firstMs + index);
  // A stall of the whole machine makes some late. A rate that is not kept makes each later than the one before.
  const lateMs = sent.map(({ lateMs }) => lateMs).sort((one, other) => one - other);
  const medianMs = lateMs[sent.length / 2] ?? Infinity;
  assert.ok(medianMs <= 100, `half of the orders were more than ${medianMs} ms late`);
  assert.match(
    stdout,
    /^5 s: [45],\d{3} orders acknowledged, latency p50 [\d.]+ ms, p99 [\d.]+ ms, max [\d.]+ ms/m,
  );
});
