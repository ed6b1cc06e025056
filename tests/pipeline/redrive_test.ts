import assert from "node:assert/strict";
import { ConfigResourceTypes } from "kafkajs";
import { startProgram } from "../../dev/programs.ts";
import { redriveLogTopicOf } from "../../lib/resend/redrive_log.ts";
import type { RedriveSummary } from "../../lib/resend/redrive_summary.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, type Ended, readTopic, type Site, until, withAdmin } from "../site.ts";

await liveBroker();

const HOUR_MS = 3_600_000;

async function runRedrive(site: Site, args: readonly string[] = []): Promise<Ended> {
  const cluster = ["--broker", site.broker, "--topic", site.topic];
  const { exitCode, output } = await startProgram(
    "tracker",
    ["redrive", ...cluster, "--dead-letters", site.deadLetterTopic, ...args],
    { cwd: site.folder },
  );
  return { code: await exitCode, ...output };
}

async function redrive(site: Site, args: readonly string[] = []): Promise<RedriveSummary> {
  const { code, stdout, stderr } = await runRedrive(site, [...args, "--json"]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trimEnd().split("\n").length, 1);
  return JSON.parse(stdout);
}

async function deleteLog(site: Site): Promise<void> {
  const admin = site.kafka.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [redriveLogTopicOf(site.deadLetterTopic)] });
  await admin.disconnect();
}

/**
 * Goal: redriven letters are processed by the tracker, and those that are still bad become new letters.
 * Method: bad orders, tracker, redrive, tracker, redrive, tracker; then `verify`, with transaction markers in the
 * topic.
 * Invariants: each round redrives exactly the letters of the round before; journal and topic agree.
 */
Deno.test("tracker redrive sends dead letters back, and records that are still bad become new letters", async () => {
  await using site = await createSite();
  await site.run("producer", ["--count", "400", "--rate", "max", "--bad", "10", "--seed", "7"]);
  const track = async () => {
    const { code, stdout, stderr } = await site.run("tracker", ["--exit-at-end", "--json"]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  const { dead_lettered: bad } = await track();
  assert.ok(bad > 10, `${bad} dead letters`);

  const would = await redrive(site, ["--dry-run"]);
  assert.deepEqual([would.dry_run, would.would_redrive, would.redriven], [true, bad, 0]);

  assert.equal((await redrive(site)).redriven, bad);
  assert.equal((await redrive(site)).redriven, 0);
  assert.equal((await track()).dead_lettered, bad);

  const again = await redrive(site);
  assert.deepEqual([again.found, again.redriven, again.already_redriven], [2 * bad, bad, bad]);
  const third = await track();
  assert.deepEqual([third.received, third.dead_lettered], [bad, bad]);

  const { code, stdout } = await site.run("tracker", ["verify", "--json"]);
  const verification = JSON.parse(stdout);
  assert.deepEqual([code, verification.ok, verification.records], [0, true, 400 + 2 * bad]);
  const redriven = (await site.journal()).filter(({ kafka_headers: headers }) =>
    JSON.stringify(headers ?? "").includes("orderflow.redriven.from")
  );
  assert.equal(redriven.length, 2 * bad);
  for (const { kafka_headers: headers } of redriven) {
    assert.doesNotMatch(JSON.stringify(headers), /errors/);
  }
  await deleteLog(site);
});

Deno.test("tracker redrive reports its results in lines, by partition and reason", async () => {
  await using site = await createSite({ partitions: 1 });
  await site.run("producer", ["--count", "100", "--rate", "max", "--bad", "20", "--seed", "3"]);
  await site.run("tracker", ["--exit-at-end", "--json"]);
  const dry = await runRedrive(site, ["--dry-run"]);
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /-> .* \(dry run: nothing is sent\)\npartition {2}reason +letters\n/);
  assert.match(dry.stdout, /\d+ letters found = \d+ that would be redriven \+ 0 already redriven/);
  const { code, stdout } = await runRedrive(site, ["--reason", "validation"]);
  assert.equal(code, 0);
  assert.match(stdout, /^ +0 {2}VALIDATION +\d+$/m);
  assert.match(stdout, /left out: \d+ letters? of other reasons/);
  assert.doesNotMatch(stdout, /DESERIALIZATION/);
  await deleteLog(site);
});

/**
 * Creates a site with bad records, one of them dated two hours ahead, which the topic still accepted when it was
 * sent.
 */
async function siteWithBadRecords(count: number, { hasLateOne = false } = {}): Promise<Site> {
  const site = await createSite({ partitions: 1 });
  const setBound = (value: string) =>
    withAdmin(site, (admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [{
          type: ConfigResourceTypes.TOPIC,
          name: site.topic,
          configEntries: [{ name: "message.timestamp.after.max.ms", value }],
        }],
      }));
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await setBound("9223372036854775807");
  await producer.connect();
  const nowMs = Date.now();
  const messages = Array.from({ length: count }, (_, index) => ({
    value: `bad ${index}`,
    timestamp: String(hasLateOne && index === 3 ? nowMs + 2 * HOUR_MS : nowMs),
  }));
  // The broker applies the setting a moment after it has answered.
  await until(
    "the topic accepts such records",
    () => producer.send({ topic: site.topic, messages }).then(() => true, () => false),
  );
  await producer.disconnect();
  await setBound(String(HOUR_MS));
  return site;
}

/**
 * Goal: a letter that the topic refuses affects no other.
 * Method: seven bad records, one dated two hours ahead; the topic allows one hour when they are redriven.
 */
Deno.test("tracker redrive skips the one letter of seven that the topic refuses, names it, and exits with code 1", async () => {
  await using site = await siteWithBadRecords(7, { hasLateOne: true });
  await site.run("tracker", ["--exit-at-end", "--json"]);
  const { code, stdout, stderr } = await runRedrive(site, ["--json"]);
  assert.equal(code, 1, stderr);
  const summary: RedriveSummary = JSON.parse(stdout);
  assert.deepEqual([summary.redriven, summary.skipped, summary.found], [6, 1, 7]);
  assert.deepEqual(summary.refused_by, { INVALID_TIMESTAMP: 1 });
  const again = await runRedrive(site);
  assert.equal(again.code, 1);
  assert.match(again.stdout, /7 letters found = 0 redriven \+ 6 already redriven \+ 1 skipped/);
  assert.match(
    again.stdout,
    /skipped: partition 0 offset 3, once \S+\[0\] offset 3: the topic refuses it: INVALID_TIMESTAMP/,
  );
  await deleteLog(site);
});

Deno.test("tracker redrive sends each of 47 records once, although three groups wrote letters of them", async () => {
  await using site = await siteWithBadRecords(47);
  for (const group of ["a", "b", "c"]) {
    const folder = ["--group", `${site.group}-${group}`, "--logs", `${site.logs}-${group}`];
    const { code, stderr } = await site.run("tracker", [...folder, "--exit-at-end", "--json"]);
    assert.equal(code, 0, stderr);
  }
  const dry = await runRedrive(site, ["--dry-run"]);
  assert.match(dry.stdout, /141 letters found = 47 that would be redriven \+ 94 already redriven/);
  assert.match(dry.stdout, /would be redriven: \S+\[0\] DESERIALIZATION offsets 0-46$/m);
  const summary = await redrive(site);
  assert.deepEqual([summary.found, summary.redriven, summary.already_redriven], [141, 47, 94]);
  assert.equal((await readTopic(site)).length, 94);
  assert.equal((await redrive(site)).redriven, 0);
  await deleteLog(site);
});

for (
  const [args, code, pattern] of [
    [["--reason", "BAD"], 2, /expected one or more of DESERIALIZATION, VALIDATION/],
    [["--from-offset", "3"], 2, /--from-offset and --to-offset need --partition/],
    [
      ["--partition", "0", "--from-offset", "3", "--to-offset", "2"],
      2,
      /--from-offset 3 is past --to-offset 2/,
    ],
    [["--partition", "-1"], 2, /expected a whole number from 0/],
    [["--dead-letters", "orders", "--topic", "orders"], 2, /holds the dead letters/],
    [["--dead-letters", "redrive-nowhere"], 1, /nothing was dead-lettered yet/],
    [
      ["--topic", "redrive-nowhere"],
      1,
      /topic "redrive-\w+" does not exist: .*; the nearest existing name is "/,
    ],
  ] as const
) {
  Deno.test(`tracker redrive ${args.join(" ")}: one error line and exit code ${code}`, async () => {
    await using site = await createSite({ partitions: 1 });
    const ended = await runRedrive(site, args);
    assert.equal(ended.code, code, ended.stderr);
    assert.equal(ended.stdout, "");
    assert.match(ended.stderr, pattern);
    assert.equal(ended.stderr.trimEnd().split("\n").length, 1, ended.stderr);
  });
}
