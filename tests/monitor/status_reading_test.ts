import assert from "node:assert/strict";
import { join } from "node:path";
import { formatJson } from "../../lib/monitor/views/json_view.ts";
import { ReadModel } from "../../lib/monitor/model/read_model.ts";
import {
  judgeStatus,
  readStatus,
  type StatusReading,
  validForMs,
} from "../../lib/monitor/tail/status_reading.ts";
import { STATUS_BYTES_MAX } from "../../lib/tracker_status.ts";
import { feed, journalLine, logLine } from "./journal_lines.ts";

const NOW_MS = Date.UTC(2026, 0, 1, 12);

const PARTITIONS = [
  { partition: 0, position: 7, committed: 5, lag: 2 },
  { partition: 1, position: 9, committed: 9, lag: 0 },
];

function statusText(fields: object = {}, ageMs = 1_000): string {
  return JSON.stringify({
    timestamp: new Date(NOW_MS - ageMs).toISOString(),
    pid: 1,
    version: "1",
    state: "consuming",
    ready: true,
    topic: "orders",
    group: "group",
    partitions: PARTITIONS,
    unassigned: null,
    open_transactions: [],
    latency_ms: { p50: 12, p99: 80, max: 90 },
    counters: { received: 3, processed: 3, failed: 0, dead_lettered: 0, already_journaled: 0 },
    ...fields,
  });
}

/** Returns the figures of a two-partition journal whose tracker logged lag 7, combined with this status. */
function figuresWith(status: StatusReading, { logAgeMs = 10_000 }: { logAgeMs?: number } = {}) {
  const model = new ReadModel();
  model.tick(NOW_MS);
  const receivedAtMs = NOW_MS - logAgeMs;
  for (const partition of [0, 1]) feed(model.journal, journalLine({ receivedAtMs, partition }));
  feed(
    model.log,
    logLine({
      atMs: receivedAtMs,
      message: "Metrics",
      metadata: {
        messages_received: 2,
        lag: { "0": 3, "1": 4 },
        end_to_end_latency_ms: { p50: 100, p99: 200 },
      },
    }),
  );
  return JSON.parse(formatJson(model.snapshot({ nowMs: NOW_MS, status })));
}

Deno.test("a status up to 5 s old supplies lag, latency, state, and reason", () => {
  const reason = "orders[0] has not advanced for 12 s: 2 records behind";
  const figures = figuresWith(
    judgeStatus(statusText({ state: "blocked", ready: false, reason }, 5_000), NOW_MS),
  );
  assert.equal(figures.lag, 2);
  assert.deepEqual(figures.partitions.map(({ lag }: { lag: number }) => lag), [2, 0]);
  assert.deepEqual(figures.end_to_end_latency_ms, { p50: 12, p99: 80, max: 90 });
  assert.equal(figures.state, "blocked");
  assert.equal(figures.reason, reason);
  assert.equal(figures.health, "unhealthy");
  assert.equal(figures.reasons[0], `the tracker is blocked: ${reason}`);
  assert.equal(figures.tracker_status.fresh, true);
  assert.equal(figures.tracker_status.age_seconds, 5);
  assert.deepEqual(figures.tracker_status.partitions, PARTITIONS);
});

Deno.test("a fresh status of a running tracker does not change the healthy and idle states", () => {
  const figures = figuresWith(judgeStatus(statusText(), NOW_MS));
  assert.deepEqual([figures.health, figures.state, figures.reason], ["healthy", "running", null]);
  const idle = figuresWith(judgeStatus(statusText(), NOW_MS), { logAgeMs: 600_000 });
  assert.deepEqual([idle.health, idle.state], ["healthy", "idle"], "the status is a sign of life");
});

Deno.test("an older status leaves the lag unknown and the tracker lost", () => {
  for (const ageMs of [5_001, 600_000]) {
    const figures = figuresWith(judgeStatus(statusText({}, ageMs), NOW_MS), { logAgeMs: ageMs });
    assert.equal(figures.lag, null);
    assert.deepEqual(figures.partitions.map(({ lag }: { lag: null }) => lag), [null, null]);
    assert.equal(figures.end_to_end_latency_ms, null);
    assert.equal(figures.reason, null);
    assert.equal(figures.tracker_status.fresh, false);
  }
  const figures = figuresWith(judgeStatus(statusText({}, 7_000), NOW_MS));
  assert.deepEqual([figures.health, figures.state], ["stale", "silent"]);
  assert.match(figures.reasons[0], /^the tracker has not said anything for 7 s/);
});

Deno.test("a tracker that reported its stop is not lost, and its lag is unknown", () => {
  const status = judgeStatus(statusText({ state: "stopped" }, 30_000), NOW_MS);
  const figures = figuresWith(status, { logAgeMs: 30_000 });
  assert.equal(figures.lag, null);
  assert.notEqual(figures.health, "stale");
});

Deno.test("a status older than the journal and the log is ignored, because the tracker writes none", () => {
  const status = judgeStatus(statusText({}, 3_600_000), NOW_MS);
  const figures = figuresWith(status, { logAgeMs: 1_000 });
  assert.equal(figures.lag, 7);
  assert.deepEqual([figures.health, figures.state], ["healthy", "running"]);
});

Deno.test("without a status file the figures come from the log", () => {
  const figures = figuresWith({ kind: "absent" });
  assert.equal(figures.lag, 7);
  assert.deepEqual(figures.end_to_end_latency_ms, { p50: 100, p99: 200 });
  assert.equal(figures.tracker_status, null);
});

Deno.test("an unknown lag of one partition makes the total lag unknown", () => {
  const partitions = [PARTITIONS[0], { ...PARTITIONS[1], lag: null }];
  const figures = figuresWith(judgeStatus(statusText({ partitions }), NOW_MS));
  assert.equal(figures.lag, null);
  assert.deepEqual(figures.partitions.map(({ lag }: { lag: number }) => lag), [2, null]);
  const none = { state: "starting", ready: false, partitions: [] };
  assert.equal(figuresWith(judgeStatus(statusText(none), NOW_MS)).lag, null);
});

Deno.test("the status of another topic does not affect this journal's partitions", () => {
  const figures = figuresWith(judgeStatus(statusText({ topic: "others" }), NOW_MS));
  assert.deepEqual(figures.partitions.map(({ lag }: { lag: null }) => lag), [null, null]);
});

Deno.test("an invalid status is unknown, with the reason", () => {
  for (
    const text of ["", "{", "null", statusText().slice(0, 100), statusText({ timestamp: "soon" })]
  ) {
    const figures = figuresWith(judgeStatus(text, NOW_MS));
    assert.equal(figures.lag, null, text);
    assert.deepEqual(figures.tracker_status, { fresh: false, error: "it is no status" });
  }
  const ahead = figuresWith(judgeStatus(statusText({}, -60_000), NOW_MS));
  assert.equal(ahead.lag, null);
  assert.match(ahead.tracker_status.error, /ahead of this machine's clock/);
  assert.equal(judgeStatus(statusText({}, -4_000), NOW_MS).kind, "fresh", "clocks differ a little");
});

Deno.test("readStatus() reads a regular file, but no pipe, link, or endless file", async () => {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-reading-" });
  const path = join(folder, "tracker.status");
  try {
    assert.deepEqual(readStatus(folder, NOW_MS), { kind: "absent" });
    assert.deepEqual(readStatus(join(folder, "none"), NOW_MS), { kind: "absent" });
    await Deno.writeTextFile(path, statusText());
    assert.equal(readStatus(folder, NOW_MS).kind, "fresh");
    await Deno.truncate(path, STATUS_BYTES_MAX + 1);
    assert.equal(readStatus(folder, NOW_MS).kind, "unreadable");
    await Deno.remove(path);
    await Deno.mkdir(path);
    assert.equal(readStatus(folder, NOW_MS).kind, "unreadable");
    if (Deno.build.os !== "windows") {
      await Deno.remove(path);
      assert.ok((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
      assert.equal(readStatus(folder, NOW_MS).kind, "unreadable");
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the wait after a status that is already too old is never negative", () => {
  const reading = judgeStatus(statusText(), NOW_MS);
  assert.equal(validForMs(reading, NOW_MS), 4_001);
  assert.ok(validForMs(reading, NOW_MS + 60_000) > 0);
});
