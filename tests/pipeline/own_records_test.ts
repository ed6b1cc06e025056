/** Tests the producer with user-supplied records, as a process on a real broker. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { ProducerResult } from "../../lib/producer/conclusion.ts";
import { readLedger } from "../../lib/producer/ledger.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, type Ended, readTopic, type Site, until } from "../site.ts";

await liveBroker();

const RECORDS = [
  '{"id":"a","n":12345678901234567890}',
  '{"id":"b"}',
  "",
  "\xff\x00not UTF-8\r",
  '{"id":null}',
];

function resultOf({ stdout }: Ended): ProducerResult {
  return JSON.parse(stdout);
}

async function writeFile(site: Site, name: string, content: string): Promise<void> {
  await Deno.writeFile(join(site.folder, name), Uint8Array.from(content, (c) => c.charCodeAt(0)));
}

function sha256(value: string): string {
  return createHash("sha256").update(value, "latin1").digest("hex");
}

Deno.test("producer --payload-file sends the lines in turn with key and headers; its ledger, the topic, and a journal agree", async () => {
  await using site = await createSite();
  await writeFile(site, "records.txt", RECORDS.join("\n") + "\n");
  const ended = await site.run("producer", [
    ...["--payload-file", "records.txt", "--key-field", "id", "--count", "52", "--rate", "max"],
    ...["--header", "source=lab", "--header", "source=again", "--compression", "zstd"],
    ...["--ledger", "logs/ledger.jsonl", "--json"],
  ]);
  assert.equal(ended.code, 0, ended.stderr);
  const result = resultOf(ended);
  assert.equal(result.acknowledged, 52);
  assert.equal(result.without_key, 30);
  assert.match(ended.stderr, /WARN +A record has no key.* record=3\n/);
  assert.match(ended.stderr, /^warning: 30 records had no key/m);

  const tracked = await site.run("tracker", [
    ...["--exit-at-end", "--schema", "none", "--dead-letters", "none", "--json"],
  ]);
  assert.equal(tracked.code, 0, tracked.stderr);
  const verified = await site.run("tracker", ["verify", "--ledger", "logs/ledger.jsonl", "--json"]);
  assert.equal(verified.code, 0, verified.stdout);
  assert.equal(JSON.parse(verified.stdout).ledger.in_topic, 52);

  const entries = await Array.fromAsync(readLedger(join(site.logs, "ledger.jsonl")));
  const inOrder = entries.toSorted((one, other) => one.sequence - other.sequence);
  assert.deepEqual(
    inOrder.map(({ sequence, order_id: id, sha256 }) => ({ sequence, id, sha256 })),
    Array.from({ length: 52 }, (_, index) => ({
      sequence: index + 1,
      id: `record-${index + 1}`,
      sha256: sha256(RECORDS[index % 5] ?? ""),
    })),
  );
  for (const line of await site.journal()) {
    assert.deepEqual(line["kafka_headers"], [
      { key: "source", value: "lab" },
      { key: "source", value: "again" },
    ]);
    const { raw_message: value = "", kafka_key: key } = line;
    assert.equal(key, /"id":"(.)"/.exec(String(value))?.[1]);
  }
});

Deno.test("producer --payload-module with a seed and a start time reproduces the same topic; an error in the module ends the run with complete accounts", async () => {
  const makeRun = async () => {
    await using site = await createSite();
    await writeFile(
      site,
      "records.ts",
      `export function nextRecord({ sequence, timeMs, random }: Record<string, any>) {
         if (sequence === 301) throw new RangeError("no more\\n records");
         const value = sequence % 10 === 0 ? null : JSON.stringify({ timeMs, draw: random() });
         return { key: "k" + sequence % 7, value, headers: { sequence: String(sequence) } };
       }`,
    );
    const ended = await site.run("producer", [
      ...["--payload-module", "records.ts", "--seed", "5", "--start-time", "2026-01-31T08:00:00Z"],
      ...["--rate", "max", "--count", "1000", "--ledger", "logs/ledger.jsonl", "--json"],
    ]);
    const topic = await readTopic(site);
    const entries = await Array.fromAsync(readLedger(join(site.logs, "ledger.jsonl")));
    assert.deepEqual(
      entries.map(({ partition, offset, sha256 }) => `${partition} ${offset} ${sha256}`).sort(),
      topic.map(({ partition, offset, valueHash }) =>
        `${partition} ${offset} ${valueHash ?? sha256("")}`
      ).sort(),
    );
    return { ...ended, topic: topic.map(({ timestampMs: _, ...record }) => record) };
  };
  const runs = [await makeRun(), await makeRun()];
  for (const ended of runs) {
    assert.equal(ended.code, 1);
    const { generated, acknowledged, ...result } = resultOf(ended);
    assert.deepEqual([generated, acknowledged, result.failed], [300, 300, 0]);
    assert.equal(result.behind, undefined);
    assert.match(
      ended.stderr,
      /^error: the run ended early: --payload-module "records\.ts": nextRecord\(\) threw at record 301: RangeError: no more\\n records$/m,
    );
  }
  assert.equal(runs[0]?.topic.length, 300);
  assert.deepEqual(runs[0]?.topic, runs[1]?.topic);
});

Deno.test("producer --record-size sends distinct records of that size; refused ones are saved with their bytes", async () => {
  await using site = await createSite({ partitions: 1 });
  const ended = await site.run("producer", [
    ...["--record-size", "1kB", "--count", "300", "--rate", "max", "--series", "logs/s.csv"],
  ]);
  assert.equal(ended.code, 0, ended.stderr);
  assert.equal(new Set((await readTopic(site)).map(({ valueHash }) => valueHash)).size, 300);
  assert.match(ended.stdout, /^300 records generated = 300 acknowledged/m);
  const [heading, ...rows] = (await Deno.readTextFile(join(site.logs, "s.csv"))).trimEnd()
    .split("\n").map((line) => line.split(","));
  const column = heading?.indexOf("acknowledged_mb") ?? -1;
  const megabytes = rows.reduce((sum, row) => sum + Number(row[column]), 0);
  assert.ok(Math.abs(megabytes - 0.3) < 1e-9, `${megabytes} MB`);

  const refused = await site.run("producer", ["--record-size", "2MB", "--count", "2", "--json"]);
  assert.equal(refused.code, 1);
  assert.equal(resultOf(refused).failed, 2);
  assert.match(refused.stderr, /2 records not acknowledged/);
  const lines = (await Deno.readTextFile(join(site.logs, "producer.undelivered.jsonl"))).trimEnd();
  for (const line of lines.split("\n")) {
    const { record } = JSON.parse(line);
    assert.equal(Uint8Array.fromBase64(record.value_base64).length, 2_000_000);
  }
});

Deno.test("producer --fail-if, --series, and --report: a crossed threshold exits with 3 and prints both sides, and the files match the accounts", async () => {
  await using site = await createSite();
  await Deno.mkdir(site.logs);
  const victim = join(site.folder, "victim");
  await Deno.writeTextFile(victim, "mine");
  await Deno.symlink(victim, join(site.logs, "run.csv"));
  await Deno.writeTextFile(join(site.logs, "run.html"), "old", { mode: 0o644 });
  const args = ["--rate", "400", "--duration", "2500ms", "--compression", "lz4"];
  const files = ["--series", "logs/run.csv", "--report", "logs/run.html"];
  const crossed = await site.run("producer", [
    ...[...args, ...files, "--json", "--header", "token=s3cret"],
    ...["--fail-if", "p50 > 1us", "--fail-if", "failed>0"],
  ]);
  assert.equal(crossed.code, 3, crossed.stderr);
  const result = resultOf(crossed);
  assert.deepEqual(result.fail_if?.map(({ condition, verdict }) => [condition, verdict]), [
    ["p50>1us", "crossed"],
    ["failed>0", "ok"],
  ]);
  assert.match(crossed.stderr, /^fail if p50>1us: p50 was [\d.,]+ us: CROSSED$/m);
  assert.match(crossed.stderr, /^fail if failed>0: failed was 0: ok$/m);
  assert.match(crossed.stderr, /^--fail-if was crossed: p50>1us$/m);

  const [heading = "", ...rows] = (await Deno.readTextFile(join(site.logs, "run.csv"))).trimEnd()
    .split("\n").map((line) => line.split(","));
  const column = (name: string) => rows.map((row) => Number(row[heading.indexOf(name)]));
  const sum = (name: string) => column(name).reduce((total, value) => total + value, 0);
  assert.deepEqual(
    ["planned", "generated", "acknowledged", "not_acknowledged"].map(sum),
    [result.planned, result.generated, result.acknowledged, 0],
  );
  const megabytes = result.mb_per_second * result.seconds;
  assert.ok(Math.abs(sum("acknowledged_mb") - megabytes) < 0.02 * result.seconds);
  assert.equal(Math.max(...column("max_ms")), result.latency_ms?.max);
  assert.equal(column("in_flight").at(-1), 0);
  assert.ok(rows.length >= 2);

  const html = await Deno.readTextFile(join(site.logs, "run.html"));
  assert.match(html, /THRESHOLD CROSSED/);
  assert.match(html, /--header &#39;token=\*\*\*&#39;/);
  assert.ok(!html.includes("s3cret"));
  assert.ok(html.includes(site.topic) && html.includes(site.broker));
  for (const name of ["run.csv", "run.html"]) {
    const { mode, isFile } = await Deno.lstat(join(site.logs, name));
    assert.deepEqual([isFile, (mode ?? 0) & 0o777], [true, 0o600], name);
  }
  assert.equal(await Deno.readTextFile(victim), "mine");

  // Of a run that failed, too, thresholds are judged; one without data is not met.
  const failed = await site.run("producer", [
    ...["--record-size", "2MB", "--count", "1", "--quiet"],
    ...["--fail-if", "p99>1s", "--fail-if", "failed>0"],
  ]);
  assert.equal(failed.code, 3);
  assert.match(failed.stdout, /^fail if p99>1s: p99 has NO DATA: nothing was acknowledged/m);
  assert.match(failed.stdout, /^fail if failed>0: failed was 1: CROSSED$/m);
  assert.match(failed.stderr, /^1 record not acknowledged: see /m);
  const unplanned = await site.run("producer", [
    ...["--rate", "max", "--count", "5", "--quiet", "--fail-if", "behind>1s"],
  ]);
  assert.equal(unplanned.code, 3);
});

Deno.test("producer --json shows progress on standard error, and warns if it did not reach its rate", async () => {
  await using site = await createSite();
  const ended = await site.run("producer", [
    ...["--rate", "1000000", "--duration", "5500ms", "--buffer", "500", "--json"],
  ]);
  assert.equal(ended.code, 0, ended.stderr);
  assert.equal(ended.stdout.trimEnd().split("\n").length, 1);
  assert.match(ended.stderr, /^[5-9] s: [\d,]+ orders acknowledged, latency p50 .*; BEHIND: /m);
  assert.match(ended.stderr, /^warning: BEHIND: 5,500,000 planned, .* at the end: /m);
});

Deno.test("producer ends at the first signal also while a payload module is still loading", async () => {
  await using site = await createSite();
  await writeFile(site, "slow.ts", "console.error('loading'); await new Promise(() => {});");
  const { output, signal, exitCode } = await site.start("producer", [
    ...["--payload-module", "slow.ts"],
  ]);
  await until("the module is loading", () => output.stderr.includes("loading"));
  signal("SIGINT");
  let code: number | undefined;
  exitCode.then((each) => code = each);
  await until("the producer has ended", () => code !== undefined);
  assert.equal(code, 0, output.stderr);
  assert.match(output.stdout, /^0 records generated = 0 acknowledged/m);
});
