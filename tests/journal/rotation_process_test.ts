/** Tests the tracker as a process, with its journal in small segments, on a live broker. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import { liveBroker } from "../live_broker.ts";
import { assertJournalIsTopic, createSite, until } from "../site.ts";

await liveBroker();

const ORDERS = 10_000;
const SEGMENT_BYTES_MAX = 1_000_000;
/** 31 MB of lines. */
const SEGMENTS_MIN = 12;

function namesIn(folder: string, start: string): readonly string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name)
    .filter((name) => name.startsWith(start)).sort();
}

Deno.test("tracker --rotate, killed with SIGKILL while running, loses and splits no line, and seals each segment", async () => {
  await using site = await createSite();
  await site.run("producer", ["--count", String(ORDERS), "--rate", "max", "--json"]);
  await Deno.mkdir(site.logs);
  const args = ["--rotate", "1MB", "--json"];
  for (const segmentsMin of [2, 5, 8]) {
    const tracker = await site.start("tracker", args);
    await until(
      `${segmentsMin} segments`,
      () => namesIn(site.logs, "tracker.events.").length >= segmentsMin,
    );
    tracker.signal("SIGKILL");
    await tracker.exitCode;
  }
  const { code, stderr } = await site.run("tracker", [...args, "--exit-at-end"]);
  assert.equal(code, 0, stderr);
  assert.equal((await assertJournalIsTopic(site)).length, ORDERS);

  const closed = namesIn(site.logs, "tracker.events.");
  assert.ok(closed.length >= SEGMENTS_MIN, `${closed.length} segments`);
  for (const name of closed) {
    assert.ok((await Deno.stat(join(site.logs, name))).size <= SEGMENT_BYTES_MAX, name);
  }
  assert.equal(namesIn(site.logs, "tracker.manifest.").length, closed.length);
  const { segments } = await checkManifests(site.logs);
  assert.deepEqual(segments, closed.map((name) => ({ name, state: "plain", ok: true })));

  const verified = await site.run("tracker", ["verify", "--json"]);
  assert.equal(verified.code, 0, verified.stderr);
  assert.equal(JSON.parse(verified.stdout).ok, true);
});

Deno.test("tracker --compress --keep does not journal removed records again, whenever it is killed", async () => {
  await using site = await createSite();
  await site.run("producer", ["--count", String(ORDERS), "--rate", "max", "--json"]);
  await Deno.mkdir(site.logs);
  const args = ["--rotate", "1MB", "--compress", "--json"];
  const killed = await site.start("tracker", args);
  await until("an archive", () => namesIn(site.logs, "tracker.archive.").length >= 4);
  killed.signal("SIGKILL");
  await killed.exitCode;

  const compressing = await site.start("tracker", args);
  await until("all segments are compressed", async () => {
    const admin = site.kafka.admin();
    await admin.connect();
    const [committed] = await admin.fetchOffsets({ groupId: site.group, topics: [site.topic] });
    await admin.disconnect();
    const count = committed?.partitions.reduce((sum, { offset }) => sum + Number(offset), 0);
    return count === ORDERS && namesIn(site.logs, "tracker.events.").length === 0;
  });
  compressing.signal("SIGTERM");
  assert.equal(await compressing.exitCode, 0);
  const { segments } = await checkManifests(site.logs);
  assert.ok(segments.length >= SEGMENTS_MIN, `${segments.length} segments`);
  assert.ok(segments.every(({ ok, state }) => ok && state === "compressed"));

  // All of them are old after a second; the group is reset to the beginning.
  await until("a second has passed", () => {
    const { size: _, mtime } = Deno.statSync(
      `${site.logs}/${namesIn(site.logs, "tracker.manifest.").at(-1)}`,
    );
    return Date.now() - (mtime?.getTime() ?? 0) > 1_000;
  });
  const removing = await site.start("tracker", ["--rotate", "1MB", "--keep", "1s", "--json"]);
  await until(
    "all segments are removed",
    () => namesIn(site.logs, "tracker.archive.").length === 0,
  );
  removing.signal("SIGTERM");
  assert.equal(await removing.exitCode, 0);
  const admin = site.kafka.admin();
  await admin.connect();
  await admin.resetOffsets({ groupId: site.group, topic: site.topic, earliest: true });
  await admin.disconnect();
  Deno.removeSync(`${site.logs}/tracker.checkpoint`);
  const before = (await site.journal()).length;
  const { code, stdout } = await site.run("tracker", [
    "--rotate",
    "1MB",
    "--exit-at-end",
    "--json",
  ]);
  assert.equal(code, 0);
  const totals = JSON.parse(stdout);
  assert.equal(totals.received, 0);
  assert.equal((await site.journal()).length, before);
});
