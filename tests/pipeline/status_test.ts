import assert from "node:assert/strict";
import { join } from "node:path";
import { liveBroker } from "../live_broker.ts";
import { createSite, until } from "../site.ts";
import { fill } from "../faults/fault_site.ts";
import { lagOf, readStatus, runMonitor, startWatched } from "../faults/standing_site.ts";

await liveBroker();

/** The maximum age of a status when a test on a busy machine reads it. */
const FRESH_MS = 4_000;

/**
 * Goal: the status file is current from the first moment to the last.
 * Method: it is read in a loop while a tracker starts, works, and stops.
 * Invariants: every read finds a complete object; it is never older than a few seconds; the states come in order.
 */
Deno.test("tracker.status is current from start to end, and complete at every read", async () => {
  await using site = await createSite();
  await fill(site, { count: 500 });
  const states: string[] = [];
  let oldestMs = 0;
  const note = () => {
    const status = readStatus(site.logs);
    if (status === undefined) return undefined;
    if (states.at(-1) !== status.state) states.push(status.state);
    if (status.state !== "stopped") {
      oldestMs = Math.max(oldestMs, Date.now() - Date.parse(status.timestamp));
    }
    return status;
  };
  const reading = setInterval(note, 5);
  try {
    const tracker = await startWatched(site);
    await until("all is committed", () => {
      const status = note();
      return status?.counters["received"] === 500 && lagOf(status) === 0;
    });
    const status = note();
    assert.equal(status?.pid, tracker.pid);
    assert.deepEqual([status?.topic, status?.group], [site.topic, site.group]);
    assert.equal(status?.ready, true);
    for (const { position, committed, lag } of status?.partitions ?? []) {
      assert.equal(position, committed);
      assert.equal(lag, 0);
    }
    assert.ok((status?.latency_ms?.max ?? 0) > 0);
    assert.equal(((await Deno.lstat(join(site.logs, "tracker.status"))).mode ?? 0) & 0o777, 0o600);

    const figures = await runMonitor(site);
    assert.equal(figures.code, 0);
    assert.equal(figures["lag"], 0);
    assert.equal(figures["reason"], null);
    const { p50, p99 } = note()?.latency_ms ?? {};
    assert.deepEqual(
      [figures["end_to_end_latency_ms"]].map((it) => it && Object.keys(it)),
      [["p50", "p99", "max"]],
    );
    assert.ok(p50 !== undefined && p99 !== undefined);
    tracker.signal("SIGTERM");
    assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
    note();
  } finally {
    clearInterval(reading);
  }
  assert.deepEqual(states.filter((state) => state !== "waiting"), [
    "starting",
    "consuming",
    ...(states.includes("stopping") ? ["stopping"] : []),
    "stopped",
  ]);
  assert.ok(oldestMs < FRESH_MS, `${oldestMs} ms old`);
  const names = [...Deno.readDirSync(site.logs)].map(({ name }) => name);
  assert.deepEqual(names.filter((name) => name.startsWith("tracker.status")), ["tracker.status"]);
});

/**
 * Goal: nobody trusts the status of a tracker that was killed.
 * Method: SIGKILL under load, with records left in the topic; the monitor looks before and after.
 * Invariants: within 5 s the monitor considers the tracker lost: lag and latency unknown, health stale, exit code 3.
 * It trusts the next tracker on the folder.
 */
Deno.test("5 s after a tracker was killed, the monitor reports its lag and latency as unknown", async () => {
  await using site = await createSite();
  await fill(site, { count: 100 });
  const tracker = await startWatched(site);
  await tracker.untilStatus("all is committed", (status) => lagOf(status) === 0);
  assert.equal((await runMonitor(site))["lag"], 0);
  tracker.signal("SIGKILL");
  await tracker.exitCode;
  await until("the monitor reports it", async () => (await runMonitor(site)).code === 3, 15_000);
  const figures = await runMonitor(site);
  assert.deepEqual([figures["health"], figures["state"], figures["lag"]], [
    "stale",
    "silent",
    null,
  ]);
  assert.equal(figures["end_to_end_latency_ms"], null);
  const last = Date.parse(readStatus(site.logs)?.timestamp ?? "");
  const newest = Date.parse(String(figures["newest_event_at"]));
  assert.ok(Date.now() - newest < 60_000, "the journal alone would not be stale yet");
  assert.ok(Date.now() - last >= 5_000);

  const next = await startWatched(site);
  await next.untilReady();
  await next.untilStatus("the status shows it", ({ state }) => state === "consuming");
  const again = await runMonitor(site);
  assert.deepEqual([again["health"], again["lag"]], ["healthy", 0]);
});

/**
 * Goal: two trackers on one folder do not both write the status.
 * Method: a second tracker is started on the first one's folder.
 * Invariants: it is refused, and the status remains the first one's.
 */
Deno.test("a second tracker on the same folder does not touch the status", async () => {
  await using site = await createSite();
  const tracker = await startWatched(site);
  await tracker.untilReady();
  await tracker.untilStatus("the status shows it", ({ state }) => state === "consuming");
  const { code, stderr } = await site.run("tracker", ["--exit-at-end"]);
  assert.equal(code, 1);
  assert.match(stderr, /another tracker/);
  assert.equal(readStatus(site.logs)?.pid, tracker.pid);
  assert.equal(readStatus(site.logs)?.state, "consuming");
});
