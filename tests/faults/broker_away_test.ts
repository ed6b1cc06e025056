import assert from "node:assert/strict";
import { createSite, until } from "../site.ts";
import {
  assertAllCommitted,
  assertSameRecords,
  FaultBroker,
  fill,
  logged,
  readLog,
  say,
  scaled,
  startFaultTracker,
  stopTracker,
  TEST_TIMEOUT_MS,
  untilAllCommitted,
} from "./fault_site.ts";

/**
 * Goal: a long broker outage is waited for without noise.
 * Method: the broker is stopped for a minute (12 s in the short form) under an idle tracker, then started.
 * Invariants: the tracker logs the outage once, and then at most once a minute; new records are journaled by the same
 * process; the group's offsets are the topic's end.
 */
Deno.test("a long broker outage is logged once, then at most once a minute, and the tracker recovers by itself", async () => {
  const awayMs = scaled({ long: 65_000, short: 12_000 });
  await using broker = await FaultBroker.start();
  await using site = await createSite({ broker: broker.address });
  await fill(site, { count: 1_000 });
  using tracker = startFaultTracker(site);
  await untilAllCommitted(site);
  const linesBefore = readLog(site.logs).length;
  await broker.stop();
  const stoppedAtMs = Date.now();
  await until("the outage is long enough", () => Date.now() - stoppedAtMs > awayMs, awayMs * 2);
  const lines = readLog(site.logs).slice(linesBefore)
    .filter(({ message, level }) => level !== "INFO" && message !== "Metrics");
  assert.equal(logged(site.logs, /No broker is responding/).length, 1, JSON.stringify(lines));
  assert.ok(lines.length <= 1 + Math.ceil(awayMs / 60_000), JSON.stringify(lines));
  assert.equal(tracker.output.stderr.split("\n").filter((line) => / {2}at /.test(line)).length, 0);

  await broker.restart();
  const startedAtMs = performance.now();
  await until(
    "the log says that brokers answer again",
    () => logged(site.logs, /answer again/).length === 1,
    TEST_TIMEOUT_MS,
  );
  say(`answered again ${Math.round(performance.now() - startedAtMs)} ms after the broker's start`);
  await fill(site, { count: 1_000 });
  await untilAllCommitted(site);
  await stopTracker(tracker);
  assert.equal(await assertSameRecords(site), 2_000);
  await assertAllCommitted(site);
});
