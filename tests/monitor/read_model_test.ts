import assert from "node:assert/strict";
import { formatJson } from "../../lib/monitor/views/json_view.ts";
import { ReadModel } from "../../lib/monitor/model/read_model.ts";
import { formatChanges, formatStatusLine, formatText } from "../../lib/monitor/views/text_view.ts";
import { feed, journalLine, logLine, orderJson, VALIDATION_FAILURE } from "./journal_lines.ts";

const NOW_MS = Date.parse("2026-03-01T12:00:00.000Z");
const HOSTILE = "\u001b]0;owned\u0007\u001b[2J\u202e\u009b31m\0\r\n";

function modelOf({ journal = "", log = "" }: { journal?: string; log?: string }): ReadModel {
  const model = new ReadModel();
  model.tick(NOW_MS);
  model.journal.begin();
  model.log.begin();
  if (journal !== "") feed(model.journal, journal);
  if (log !== "") feed(model.log, log);
  return model;
}

/** Returns one line per second up to `endMs`; every `badEvery`th line is a failure. */
function traffic(
  { count, badEvery = Infinity, endMs = NOW_MS }: {
    count: number;
    badEvery?: number;
    endMs?: number;
  },
): string {
  let text = "";
  for (let index = 0; index < count; index++) {
    const isBad = index % badEvery === badEvery - 1;
    text += journalLine({
      receivedAtMs: endMs - (count - 1 - index) * 1000,
      partition: index % 2,
      offset: Math.floor(index / 2),
      ...(isBad && { verdict: VALIDATION_FAILURE }),
    });
  }
  return text;
}

const METRICS = {
  messages_received: 500,
  messages_processed: 490,
  messages_failed: 10,
  messages_per_second: 1.5,
  success_rate_percent: 98,
  uptime_seconds: 333,
  lag: { "0": 3, "1": 4 },
  end_to_end_latency_ms: { p50: 12, p99: 80, max: 100 },
};

Deno.test("ReadModel takes totals only from the journal, not from the log", () => {
  const model = modelOf({
    journal: traffic({ count: 100, badEvery: 10 }),
    log: logLine({ atMs: NOW_MS, message: "Metrics", metadata: METRICS }) +
      logLine({
        atMs: NOW_MS,
        level: "WARN",
        message: "A record was sent to the dead-letter topic",
        error: "total",
        metadata: { topic: "orders", partition: 0, offset: 4, reason: "VALIDATION" },
      }),
  });
  const snapshot = model.snapshot({ nowMs: NOW_MS });
  assert.deepEqual(snapshot.totals, {
    received: 100,
    processed: 90,
    failed: 10,
    successRatePercent: 90,
  });
  assert.deepEqual([...snapshot.errorKinds], [["validation", 10]]);
  assert.deepEqual([...snapshot.deadLetters], [["VALIDATION", 1]]);
  assert.equal(snapshot.lag, 7);
  assert.deepEqual(snapshot.metrics?.latencyMs, { p50: 12, p99: 80 });
  assert.equal(snapshot.messagesPerSecond, 1);
  assert.deepEqual(
    snapshot.partitions.map(({ topic, partition, received, failed, lastOffset, lag }) => ({
      topic,
      partition,
      received,
      failed,
      lastOffset,
      lag,
    })),
    [
      { topic: "orders", partition: 0, received: 50, failed: 0, lastOffset: 49, lag: 3 },
      { topic: "orders", partition: 1, received: 50, failed: 10, lastOffset: 49, lag: 4 },
    ],
  );
  assert.equal(snapshot.recentEvents.length, 100);
  assert.equal(snapshot.recentEvents.at(-1)?.offset, 49);
  assert.deepEqual(snapshot.recentEvents.at(-2)?.order, {
    orderId: "00000000-0000-4000-8000-000000000049",
    status: "pending",
    total: 14.5,
    currency: "EUR",
    customerId: "CUST-1",
    customerName: "Zoë",
    itemCount: 1,
  });
  assert.equal(snapshot.recentLogs.length, 2);
  assert.equal(snapshot.charts["5m"].messagesPerSecond.length, 50);
  assert.equal(snapshot.charts["5m"].messagesPerSecond.at(-2), 1);
  assert.equal(snapshot.charts["5m"].successRatePercent.at(0), undefined);
});

Deno.test("rewinding a file removes exactly its lines from ReadModel", () => {
  const model = modelOf({ journal: traffic({ count: 10 }) });
  model.journal.begin();
  feed(model.journal, traffic({ count: 6, badEvery: 2 }) + "junk\n");
  assert.equal(model.journal.totals.received, 16);
  model.journal.rewind();
  feed(model.journal, traffic({ count: 4 }));
  model.journal.rewind();
  feed(model.journal, traffic({ count: 2 }));
  const { totals, errorKinds, unreadable, window, partitions } = model.snapshot({ nowMs: NOW_MS });
  assert.equal(totals.received, 12);
  assert.equal(window.received, 12);
  assert.equal(errorKinds.size, 0);
  assert.equal(unreadable.journalLines, 0);
  assert.deepEqual(partitions.map(({ received }) => received), [6, 6]);
});

Deno.test("ReadModel is healthy with the full score in normal traffic", () => {
  const { health, quality } = modelOf({ journal: traffic({ count: 60 }) })
    .snapshot({ nowMs: NOW_MS });
  assert.deepEqual([health.status, health.state], ["healthy", "running"]);
  assert.deepEqual(health.reasons, ["100 % of 60 messages in 5 min succeeded"]);
  assert.equal(quality.score, 100);
});

Deno.test("ReadModel lists the parts of the score, and the score recovers once the errors are in the past", () => {
  const journal = traffic({ count: 100, badEvery: 14, endMs: NOW_MS });
  const model = modelOf({ journal });
  const { quality, health } = model.snapshot({ nowMs: NOW_MS });
  assert.deepEqual(quality.parts, [
    { name: "success", points: 46.5, pointsMax: 50, reason: "93 % in 5 min" },
    { name: "throughput", points: 30, pointsMax: 30, reason: "1 msg/s" },
    { name: "errors", points: 6, pointsMax: 20, reason: "7 errors in 5 min" },
  ]);
  assert.equal(quality.score, 83);
  assert.equal(health.status, "healthy");
  assert.equal(health.checks[0]?.level, "warning");

  const laterMs = NOW_MS + 400_000;
  model.tick(laterMs);
  feed(model.journal, traffic({ count: 100, endMs: laterMs }));
  assert.equal(model.snapshot({ nowMs: laterMs }).quality.score, 100);
  assert.equal(model.journal.totals.failed, 7);
});

Deno.test("ReadModel is unhealthy and gives the failure rate while too many records fail", () => {
  const { health } = modelOf({ journal: traffic({ count: 100, badEvery: 2 }) })
    .snapshot({ nowMs: NOW_MS });
  assert.equal(health.status, "unhealthy");
  assert.equal(health.reasons[0], "50 % of 100 messages in 5 min succeeded");
  assert.equal(health.reasons.filter((reason) => reason === health.reasons[0]).length, 1);
});

Deno.test("ReadModel is unhealthy after a tracker error, and healthy again a minute later", () => {
  const model = modelOf({
    journal: traffic({ count: 60 }),
    log: logLine({
      atMs: NOW_MS - 5000,
      level: "ERROR",
      message: "The journal cannot be written",
      error: "ENOSPC",
    }),
  });
  const { health, quality, lastError } = model.snapshot({ nowMs: NOW_MS });
  assert.equal(health.status, "unhealthy");
  assert.equal(
    health.reasons[0],
    "the tracker had an error 5 s ago: The journal cannot be written",
  );
  assert.equal(quality.score, 98);
  assert.equal(lastError?.text, "The journal cannot be written: ENOSPC");
  assert.equal(model.snapshot({ nowMs: NOW_MS + 56_000 }).health.status, "healthy");
});

Deno.test("ReadModel distinguishes no data, no traffic, stuck, stopped, and stale", () => {
  const verdict = (model: ReadModel, nowMs: number) => {
    const { status, state, reasons } = model.snapshot({ nowMs }).health;
    return { status, state, reasons };
  };
  assert.deepEqual(verdict(modelOf({}), NOW_MS), {
    status: "no_data",
    state: "absent",
    reasons: ["there is no journal and no log yet"],
  });

  const alive = logLine({ atMs: NOW_MS + 110_000, message: "Metrics", metadata: METRICS });
  const idle = modelOf({ journal: traffic({ count: 10 }) });
  idle.tick(NOW_MS + 120_000);
  feed(idle.log, alive.replace(/"lag":\{[^}]*\}/, `"lag":{"0":0}`));
  assert.deepEqual(verdict(idle, NOW_MS + 120_000), {
    status: "healthy",
    state: "idle",
    reasons: [
      "100 % of 10 messages in 5 min succeeded",
      "no message for 2 min, but the tracker is alive: its log's last line is 10 s old",
    ],
  });

  const stuck = modelOf({ journal: traffic({ count: 10 }) });
  stuck.tick(NOW_MS + 120_000);
  feed(stuck.log, alive);
  assert.equal(verdict(stuck, NOW_MS + 120_000).status, "unhealthy");
  assert.equal(
    verdict(stuck, NOW_MS + 120_000).reasons[0],
    "nothing is journaled although 7 records wait in the topic",
  );

  const stopped = modelOf({
    journal: traffic({ count: 10 }),
    log: logLine({
      atMs: NOW_MS + 1000,
      message: "Tracker stopped",
      metadata: { ...METRICS, stopped: true },
    }),
  });
  assert.deepEqual(verdict(stopped, NOW_MS + 5000), {
    status: "healthy",
    state: "stopped",
    reasons: [
      "100 % of 10 messages in 5 min succeeded",
      "the tracker stopped in order 4 s ago",
    ],
  });
  assert.deepEqual(verdict(stopped, NOW_MS + 90_000), {
    status: "stale",
    state: "stopped",
    reasons: [
      "no data for 89 s (stale after 60 s)",
      "the tracker stopped in order 89 s ago",
    ],
  });
  stopped.tick(NOW_MS + 101_000);
  feed(stopped.log, logLine({ atMs: NOW_MS + 100_000, message: "Tracker started" }));
  assert.equal(verdict(stopped, NOW_MS + 101_000).state, "idle");

  assert.deepEqual(verdict(modelOf({ journal: traffic({ count: 10 }) }), NOW_MS + 75_000), {
    status: "stale",
    state: "silent",
    reasons: [
      "no data for 75 s (stale after 60 s)",
      "the tracker did not say that it stopped",
    ],
  });
});

Deno.test("ReadModel counts an event with a timestamp far in the future but keeps it out of the windows", () => {
  const future = journalLine({ receivedAtMs: NOW_MS + 1e11 });
  const snapshot = modelOf({ journal: traffic({ count: 5 }) + future }).snapshot({ nowMs: NOW_MS });
  assert.equal(snapshot.totals.received, 6);
  assert.equal(snapshot.window.received, 5);
  assert.equal(snapshot.newestEventMs, NOW_MS);
  assert.equal(snapshot.aheadOfClockCount, 1);
});

Deno.test("ReadModel counts and shows unreadable lines, and no output format lets an unsafe character through", () => {
  const hostileError = { ...VALIDATION_FAILURE, error: HOSTILE };
  const order = JSON.stringify({ ...JSON.parse(orderJson(1)), status: HOSTILE, order_id: HOSTILE });
  const journal = journalLine({ receivedAtMs: NOW_MS, value: order }) +
    journalLine({ receivedAtMs: NOW_MS, verdict: hostileError, topic: `t${HOSTILE}` }) +
    `{"timestamp":"2026-03-01T12:00:00Z","event_type":"message.receiv${"\u001b[2J\u202e"}\n` +
    "\0\0\0\n";
  const log = logLine({
    atMs: NOW_MS,
    level: "WARN",
    message: HOSTILE,
    error: HOSTILE,
    metadata: { partition: 0, offset: 1, reason: HOSTILE },
  }) + "junk\u001b[2J\n" + logLine({ atMs: NOW_MS, level: "ERROR", message: HOSTILE });
  const model = modelOf({ journal, log });
  const snapshot = model.snapshot({ nowMs: NOW_MS });
  assert.equal(snapshot.totals.received, 2);
  assert.equal(snapshot.unreadable.journalLines, 2);
  assert.equal(snapshot.unreadable.logLines, 1);

  // deno-lint-ignore no-control-regex -- the characters that must not get through
  const unsafe = /[\0-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/;
  const json = formatJson(snapshot);
  assert.doesNotMatch(json, unsafe);
  assert.doesNotMatch(json, /\n/);
  const parsed = JSON.parse(json);
  assert.equal(parsed.recent_events[0].order.status, HOSTILE);
  assert.equal(parsed.unreadable_lines.journal, 2);
  const text = formatText(snapshot, { folder: `logs${HOSTILE}` });
  assert.doesNotMatch(text, unsafe);
  assert.match(text, /2 lines of the journal and 1 of the log could not be read/);
  assert.doesNotMatch(formatStatusLine(snapshot), unsafe);
  for (const line of formatChanges(undefined, snapshot)) assert.doesNotMatch(line, /\n/);
  assert.doesNotMatch(formatChanges(undefined, snapshot).join("\n"), unsafe);
});

Deno.test("ReadModel shows the metadata of a line too long to be kept", () => {
  const value = JSON.stringify({ ...JSON.parse(orderJson(1)), note: "x".repeat(1_000_000) });
  const model = modelOf({ journal: journalLine({ receivedAtMs: NOW_MS, offset: 7, value }) });
  const [{ line, ...event } = assert.fail("an event is shown")] =
    model.snapshot({ nowMs: NOW_MS }).recentEvents;
  assert.equal(line.length, 64 * 1024);
  assert.deepEqual(event, {
    timestampMs: NOW_MS,
    topic: "orders",
    partition: 0,
    offset: 7,
    kind: "processed",
    failed: false,
  });
});

Deno.test("ReadModel shows the same facts from a journal and a log in the Go tracker's format", () => {
  const read = (name: string) =>
    Deno.readTextFileSync(new URL(`../fixtures/monitor/go/${name}`, import.meta.url));
  const model = new ReadModel();
  const nowMs = Date.parse("2026-02-03T09:00:31Z");
  model.tick(nowMs);
  feed(model.journal, read("tracker.events"));
  feed(model.log, read("tracker.log"));
  const snapshot = model.snapshot({ nowMs });
  assert.deepEqual(snapshot.totals, {
    received: 10,
    processed: 9,
    failed: 1,
    successRatePercent: 90,
  });
  assert.equal(snapshot.unreadable.journalLines + snapshot.unreadable.logLines, 0);
  assert.equal(snapshot.messagesPerSecond, 0.32);
  assert.deepEqual([...snapshot.errorKinds], [["deserialization", 1]]);
  assert.equal(
    snapshot.lastError?.text,
    "deserialization of orders/0 offset 4: unexpected end of JSON input",
  );
  assert.equal(snapshot.metrics?.received, 10);
  assert.equal(snapshot.recentEvents.at(-1)?.order?.customerName, "Zoë");
  assert.equal(snapshot.recentEvents.at(-1)?.order?.total, 10.9);
  assert.equal(snapshot.health.status, "healthy");
  assert.equal(snapshot.health.checks[0]?.level, "warning");
});

Deno.test("ReadModel shows a tracker as running from the first message after the final totals of its predecessor", () => {
  const model = modelOf({
    journal: traffic({ count: 10 }),
    log: logLine({
      atMs: NOW_MS + 1_000,
      message: "Tracker stopped",
      metadata: { ...METRICS, stopped: true },
    }),
  });
  assert.equal(model.snapshot({ nowMs: NOW_MS + 2_000 }).health.state, "stopped");
  model.tick(NOW_MS + 3_000);
  feed(model.journal, journalLine({ receivedAtMs: NOW_MS + 2_000, offset: 5 }));
  assert.equal(model.snapshot({ nowMs: NOW_MS + 3_000 }).health.state, "running");
});

Deno.test("ReadModel is unhealthy if nothing is journaled while a single record waits", () => {
  const verdict = (lag: number) => {
    const model = modelOf({ journal: traffic({ count: 10 }) });
    model.tick(NOW_MS + 120_000);
    const metadata = { ...METRICS, lag: { "0": lag } };
    feed(model.log, logLine({ atMs: NOW_MS + 110_000, message: "Metrics", metadata }));
    return model.snapshot({ nowMs: NOW_MS + 120_000 }).health;
  };
  assert.equal(verdict(0).status, "healthy");
  const { status, reasons } = verdict(1);
  assert.equal(status, "unhealthy");
  assert.equal(reasons[0], "nothing is journaled although 1 record waits in the topic");
});

Deno.test("ReadModel shows no partition lag if the journal has several topics, since the log's lag names no topic", () => {
  const log = logLine({ atMs: NOW_MS, message: "Metrics", metadata: METRICS });
  const lines = ["orders", "returns"].map((topic) => journalLine({ receivedAtMs: NOW_MS, topic }));
  const one = modelOf({ journal: lines[0] ?? "", log }).snapshot({ nowMs: NOW_MS });
  assert.deepEqual(one.partitions.map(({ lag }) => lag), [3]);
  const both = modelOf({ journal: lines.join(""), log }).snapshot({ nowMs: NOW_MS });
  assert.deepEqual(both.partitions.map(({ lag }) => lag), [undefined, undefined]);
});

Deno.test("ReadModel keeps at most 10,000 partitions of a hostile journal and still counts every line", () => {
  const model = modelOf({});
  const template = journalLine({ receivedAtMs: NOW_MS, partition: 0 });
  for (let partition = 0; partition < 10_020; partition++) {
    feed(model.journal, template.replace('"kafka_partition":0', `"kafka_partition":${partition}`));
  }
  const { partitions, totals } = model.snapshot({ nowMs: NOW_MS });
  assert.deepEqual([partitions.length, totals.received], [10_000, 10_020]);
});
