import assert from "node:assert/strict";
import { join } from "node:path";
import { loggerOf } from "../../lib/log.ts";
import { StatusFile } from "../../lib/tracker/status_file.ts";
import { parseStatus, type TrackerReport } from "../../lib/tracker_status.ts";
import { until } from "../site.ts";
import { MAY_MOUNT, mountSmallDisk, succeeds } from "../small_disk.ts";

const REPORT: TrackerReport = {
  state: "consuming",
  ready: true,
  partitions: [{ partition: 0, position: 7, committed: 5, lag: 2 }],
  unassigned: [],
  open_transactions: [],
  latency_ms: { p50: 1, p99: 2, max: 3 },
  counters: { received: 7, processed: 7, failed: 0, dead_lettered: 0, already_journaled: 0 },
};

async function createStatusFile() {
  const directory = await Deno.makeTempDir({ prefix: "orderflow-status-" });
  const path = join(directory, "tracker.status");
  const file = new StatusFile({
    directory,
    topic: "orders",
    groupId: "group",
    log: loggerOf("test"),
    intervalMs: 5,
  });
  return {
    directory,
    path,
    file,
    read: () => JSON.parse(Deno.readTextFileSync(path)),
    names: () => [...Deno.readDirSync(directory)].map(({ name }) => name).sort(),
    async [Symbol.asyncDispose]() {
      await file.close();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

Deno.test("StatusFile writes nothing before its start, then starting, then what its source reports, then stopped", async () => {
  await using site = await createStatusFile();
  await site.file.close();
  assert.deepEqual(site.names(), []);
  site.file.noteStep("opening the journal");
  site.file.start();
  await until("it is there", () => site.names().includes("tracker.status"));
  const first = site.read();
  assert.equal(first.state, "starting");
  assert.equal(first.ready, false);
  assert.equal(first.reason, "starting: opening the journal");
  assert.deepEqual([first.topic, first.group, first.pid], ["orders", "group", Deno.pid]);

  site.file.follow(() => REPORT);
  await until("it reports consuming", () => site.read().state === "consuming");
  const { timestamp, version, ...rest } = site.read();
  assert.ok(Math.abs(Date.now() - Date.parse(timestamp)) < 5_000);
  assert.match(version, /^\d+\.\d+\.\d+ /);
  assert.deepEqual(rest, { pid: Deno.pid, topic: "orders", group: "group", ...REPORT });

  site.file.noteFailure(new Error("the cluster refuses"));
  await site.file.close();
  const last = site.read();
  assert.deepEqual([last.state, last.ready, last.reason], [
    "stopped",
    false,
    "the cluster refuses",
  ]);
  assert.equal(last.counters.received, 7);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(site.read().timestamp, last.timestamp, "nothing is written after stopped");
});

Deno.test("StatusFile always shows a reader a complete object, and leaves no other file behind", async () => {
  await using site = await createStatusFile();
  let count = 0;
  site.file.follow(() => ({ ...REPORT, reason: "x".repeat(++count % 7 * 10_000) }));
  site.file.start();
  await until("it is there", () => site.names().includes("tracker.status"));
  const seen = new Set<string>();
  for (let reads = 0; seen.size < 30; reads++) {
    const text = Deno.readTextFileSync(site.path);
    assert.ok(text.endsWith("}\n"), `read ${reads} ends with ${text.slice(-20)}`);
    seen.add(JSON.parse(text).timestamp);
    if (reads % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await site.file.close();
  assert.deepEqual(site.names(), ["tracker.status"]);
});

Deno.test({
  name: "StatusFile is readable by its owner only, and never follows a symlink in its place",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using site = await createStatusFile();
    const victim = join(site.directory, "victim");
    await Deno.writeTextFile(victim, "mine");
    await Deno.symlink(victim, site.path);
    await Deno.symlink(victim, `${site.path}.tmp`);
    site.file.follow(() => REPORT);
    site.file.start();
    await until("it is a regular file", () => Deno.lstatSync(site.path).isFile);
    assert.equal((Deno.lstatSync(site.path).mode ?? 0) & 0o777, 0o600);
    await site.file.close();
    assert.equal(await Deno.readTextFile(victim), "mine");
    assert.deepEqual(site.names(), ["tracker.status", "victim"]);
  },
});

Deno.test("StatusFile retries when it cannot be written, and does not disturb the tracker", async () => {
  await using site = await createStatusFile();
  await Deno.mkdir(join(site.path, "in the way"), { recursive: true });
  site.file.follow(() => REPORT);
  site.file.start();
  await new Promise((resolve) => setTimeout(resolve, 30)); // some writes fail meanwhile
  await until("no partial status is left", () => site.names().join() === "tracker.status");
  await Deno.remove(site.path, { recursive: true });
  await until(
    "it is written",
    () => site.names().includes("tracker.status") && Deno.lstatSync(site.path).isFile,
  );
  assert.equal(site.read().state, "consuming");
});

Deno.test("parseStatus() reads what StatusFile writes, and returns nothing for anything else", () => {
  const status = {
    timestamp: "2026-01-01T00:00:00.000Z",
    pid: 1,
    version: "1",
    topic: "orders",
    group: "group",
    ...REPORT,
    reason: "why",
  };
  assert.deepEqual(parseStatus(JSON.stringify(status)), status);
  for (
    const text of ["", "{", "null", "[]", "3", "{}", JSON.stringify({ ...status, state: "fine" })]
  ) {
    assert.equal(parseStatus(text), undefined, text);
  }
  for (const half of [10, 100, 300]) {
    assert.equal(parseStatus(JSON.stringify(status).slice(0, half)), undefined);
  }
});

Deno.test("parseStatus() accepts only numbers as numbers, and limits lists and texts", () => {
  const partition = (fields: object) =>
    parseStatus(JSON.stringify({
      timestamp: "2026-01-01T00:00:00.000Z",
      state: "consuming",
      reason: "x".repeat(100_000),
      partitions: Array.from({ length: 20_000 }, (_, index) => ({ partition: index, ...fields })),
    }));
  for (const lag of [-1, 1.5, "7", 1e300, null, {}]) {
    assert.equal(partition({ lag })?.partitions[0]?.lag, null, JSON.stringify(lag));
  }
  const parsed = partition({ lag: 7 });
  assert.equal(parsed?.partitions[0]?.lag, 7);
  assert.equal(parsed?.partitions.length, 10_000);
  assert.equal(parsed?.reason?.length, 1_000);
  assert.deepEqual(parsed?.open_transactions, []);
  assert.equal(parsed?.latency_ms, null);
});

Deno.test({
  name: "StatusFile stays up to date while its disk is full" +
    (MAY_MOUNT ? "" : " (SKIPPED: mounting is not permitted)"),
  ignore: !MAY_MOUNT,
  async fn() {
    await using site = await createStatusFile();
    assert.ok(await mountSmallDisk(site.directory, "256k"));
    try {
      site.file.start();
      await until("it is there", () => site.names().includes("tracker.status"));
      assert.throws(() =>
        Deno.writeFileSync(join(site.directory, "fill"), new Uint8Array(1 << 20))
      );
      site.file.follow(() => ({ ...REPORT, state: "blocked", ready: false, reason: "no space" }));
      await until("it reports the new state", () => site.read().reason === "no space");
      assert.equal(site.read().state, "blocked");
    } finally {
      await site.file.close();
      await succeeds("umount", "-l", site.directory);
    }
  },
});
