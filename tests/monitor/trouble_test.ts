import assert from "node:assert/strict";
import { Business } from "../../lib/monitor/model/business.ts";
import { ReadModel } from "../../lib/monitor/model/read_model.ts";
import { INITIAL_CONTROLS } from "../../lib/monitor/screen/controls.ts";
import { frameLines } from "../../lib/monitor/screen/frame.ts";
import { toText } from "../../lib/monitor/screen/parts/line.ts";
import { judgeStatus } from "../../lib/monitor/tail/status_reading.ts";
import { formatJson } from "../../lib/monitor/views/json_view.ts";
import { hindranceText } from "../../lib/tracker/standing.ts";
import { feed, journalLine, logLine } from "./journal_lines.ts";

const NOW_MS = Date.UTC(2026, 0, 1, 12);

function statusOf(fields: object, writtenAtMs = NOW_MS): string {
  return JSON.stringify({
    timestamp: new Date(writtenAtMs).toISOString(),
    ready: false,
    topic: "orders",
    partitions: [{ partition: 0, position: 1, committed: 1, lag: 0 }],
    ...fields,
  });
}

function runningModel(): ReadModel {
  const model = new ReadModel();
  model.tick(NOW_MS);
  feed(model.journal, journalLine({ receivedAtMs: NOW_MS - 500 }));
  return model;
}

function look(model: ReadModel, status: string, nowMs = NOW_MS) {
  const snapshot = model.snapshot({ nowMs, status: judgeStatus(status, nowMs) });
  const lines = frameLines({
    snapshot,
    newCount: 0,
    controls: INITIAL_CONTROLS,
    columns: 200,
    rows: 30,
    glyphs: "braille",
    folder: "logs",
    intervalMs: 500,
    notice: "",
  });
  const tone = lines[0]?.find(({ text }) => text.startsWith("●"))?.tone;
  return { snapshot, title: toText(lines[0] ?? []), tone, text: lines.map(toText).join("\n") };
}

Deno.test("a problem reported by the tracker is shown in red, and HEALTHY is green again afterwards", () => {
  const unreachable = hindranceText({ kind: "unreachable", forMs: 4_000 }, "orders");
  const troubles = [
    ["BROKER AWAY", { state: "waiting", reason: unreachable }],
    ["BROKER AWAY", { state: "starting", reason: unreachable }],
    ["DISK FULL", {
      state: "blocked",
      reason: "the journal cannot be written: No space left on device (os error 28)",
    }],
    ["BLOCKED", {
      state: "blocked",
      reason: "dead letters cannot be sent: orders[0] waits at offset 7: denied",
    }],
    ["HELD UP", {
      state: "waiting",
      reason: hindranceText({ kind: "topic-missing" }, "orders"),
    }],
    ["FAILED", { state: "stopped", reason: "the topic is gone" }],
  ] as const;
  for (const [name, status] of troubles) {
    const { title, tone, text, snapshot } = look(runningModel(), statusOf(status));
    assert.match(title, new RegExp(`● ${name} `));
    assert.equal(tone, "bad", name);
    assert.ok(text.replaceAll(/[│\s-]+/g, " ").includes(status.reason.slice(0, 20)), text);
    assert.equal(JSON.parse(formatJson(snapshot)).trouble, name);
  }
  const ready = statusOf({ state: "consuming", ready: true });
  const { title, tone } = look(runningModel(), ready);
  assert.match(title, /● HEALTHY /);
  assert.equal(tone, "good");
});

Deno.test("a tracker whose status is older than 5 s is gone, even if its journal just grew", () => {
  const status = statusOf({ state: "consuming", ready: true }, NOW_MS - 5_001);
  const { title, tone, snapshot } = look(runningModel(), status);
  assert.match(title, /● NO TRACKER /);
  assert.equal(tone, "bad");
  assert.equal(snapshot.lag, undefined);
});

Deno.test("without a status file, the log reveals a full disk", () => {
  const model = runningModel();
  feed(
    model.log,
    logLine({
      atMs: NOW_MS - 1_000,
      level: "ERROR",
      message: "The journal cannot be written; nothing is committed until it can",
      error: "No space left on device (os error 28)",
    }),
  );
  assert.equal(model.snapshot({ nowMs: NOW_MS }).health.trouble?.name, "DISK FULL");
});

Deno.test("the charts' time axis marks when a problem was seen", () => {
  const model = runningModel();
  const away = { state: "waiting", reason: "no broker has answered for 3 s" };
  look(model, statusOf(away));
  const afterMs = NOW_MS + 10_000;
  const { text, snapshot } = look(
    model,
    statusOf({ state: "consuming", ready: true }, afterMs),
    afterMs,
  );
  assert.deepEqual(snapshot.troubles, [
    { name: "BROKER AWAY", fromMs: NOW_MS, toMs: afterMs },
  ]);
  assert.match(text, /━/);
});

Deno.test("logged lag and latency are unknown once they are old or the tracker has ended", () => {
  const metrics = {
    messages_received: 2,
    lag: { "0": 3 },
    end_to_end_latency_ms: { p50: 120, p99: 230.1, max: 229.9 },
  };
  const said = (ageMs: number, ...later: readonly string[]) => {
    const model = runningModel();
    feed(model.log, logLine({ atMs: NOW_MS - ageMs, message: "Metrics", metadata: metrics }));
    for (const message of later) feed(model.log, logLine({ atMs: NOW_MS - 1_000, message }));
    const { lag, latencyMs } = model.snapshot({ nowMs: NOW_MS });
    return { lag, latencyMs };
  };
  assert.deepEqual(said(30_000), { lag: 3, latencyMs: { p50: 120, p99: 229.9 } });
  assert.deepEqual(said(70_000), { lag: undefined, latencyMs: undefined });
  assert.deepEqual(said(10_000, "The tracker started"), { lag: undefined, latencyMs: undefined });
});

Deno.test("revenue per minute is measured from the first order if there are less than five minutes of data", () => {
  const business = new Business();
  const order = {
    status: "pending",
    total: 100,
    currency: "EUR",
    customerId: undefined,
    customerName: undefined,
    items: [],
  };
  for (let index = 0; index <= 20; index++) business.note(order, NOW_MS + index * 1_000);
  assert.equal(business.revenue(NOW_MS + 20_000)[0]?.perMinuteCents, 630_000);
});

Deno.test("the first step of a chart covers only the time since the first record", () => {
  const model = new ReadModel();
  model.tick(NOW_MS);
  for (let second = 0; second < 20; second++) {
    feed(
      model.journal,
      journalLine({ receivedAtMs: NOW_MS - (20 - second) * 1_000, offset: second }),
    );
  }
  const { charts } = model.snapshot({ nowMs: NOW_MS });
  for (const name of ["5m", "15m", "1h"] as const) {
    const rates = charts[name].messagesPerSecond.filter((rate) => rate > 0);
    for (const rate of rates) assert.ok(rate > 0.9 && rate < 1.2, `${name}: ${rates}`);
  }
});

const STALLED = "The journal cannot be written; nothing is committed until it can";

/** Returns a model with the log of a tracker whose disk was full 30 s ago, followed by this message. */
function modelAfterFullDisk(message: string): ReadModel {
  const model = runningModel();
  const error = "No space left on device (os error 28)";
  feed(model.log, logLine({ atMs: NOW_MS - 30_000, level: "ERROR", message: STALLED, error }));
  feed(model.log, logLine({ atMs: NOW_MS - 10_000, message }));
  return model;
}

Deno.test("a full disk that has space again is no current problem of a running or a killed tracker", () => {
  const running = statusOf({ state: "consuming", ready: true });
  for (const message of ["The journal can be written again", "The tracker started"]) {
    const { title, snapshot } = look(modelAfterFullDisk(message), running);
    assert.match(title, /● HEALTHY /, message);
    assert.doesNotMatch(formatJson(snapshot), /the tracker had an error/, message);

    const killed = look(modelAfterFullDisk(message), running, NOW_MS + 9_000);
    assert.match(killed.title, /● NO TRACKER /, message);
  }
  assert.match(look(modelAfterFullDisk("Metrics"), running).title, /● UNHEALTHY /);
});
