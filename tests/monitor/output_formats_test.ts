import assert from "node:assert/strict";
import { formatHtml } from "../../lib/monitor/views/html_view.ts";
import { formatJson } from "../../lib/monitor/views/json_view.ts";
import { ReadModel, type Snapshot } from "../../lib/monitor/model/read_model.ts";
import { INITIAL_CONTROLS } from "../../lib/monitor/screen/controls.ts";
import { frameLines } from "../../lib/monitor/screen/frame.ts";
import { toText } from "../../lib/monitor/screen/parts/line.ts";
import { formatProgress, formatText } from "../../lib/monitor/views/text_view.ts";
import type { TailStatus } from "../../lib/monitor/tail/tail.ts";
import { feed, journalLine, logLine, VALIDATION_FAILURE } from "./journal_lines.ts";

const NOW_MS = Date.UTC(2026, 4, 1, 12, 0, 0);
const JOURNAL: TailStatus = {
  name: "tracker.events",
  file: "logs/tracker.events",
  readBytes: 12_300_000,
  behindBytes: 0,
  heldBytes: 0,
  rotationCount: 3,
  truncationCount: 1,
  cutCount: 2,
};

/** Returns a snapshot of 100 messages within 100 s in two partitions, ten of them invalid, and a tracker's log. */
function snapshotAt(nowMs: number, journalFile: TailStatus = JOURNAL): Snapshot {
  const model = new ReadModel();
  model.tick(nowMs);
  const journal = Array.from({ length: 100 }, (_, index) =>
    journalLine({
      receivedAtMs: NOW_MS - (99 - index) * 1_000,
      partition: index % 2,
      offset: Math.floor(index / 2),
      ...(index % 10 === 9 && { verdict: VALIDATION_FAILURE }),
    }));
  const letter = (reason: string, offset: number) =>
    logLine({
      atMs: NOW_MS,
      level: "WARN",
      message: "A record was sent to the dead-letter topic",
      metadata: { topic: "orders", partition: 1, offset, reason },
    });
  const log = [
    letter("VALIDATION", 4),
    letter("VALIDATION", 9),
    letter("TIMEOUT", 14),
    logLine({
      atMs: NOW_MS - 5_000,
      message: "Metrics",
      metadata: {
        messages_received: 100,
        lag: { "0": 3, "1": 4 },
        end_to_end_latency_ms: { p50: 12, p99: 80 },
      },
    }),
  ];
  for (const line of [...journal, "junk\n"]) feed(model.journal, line);
  for (const line of log) feed(model.log, line);
  return model.snapshot({ nowMs, journalFile });
}

function screenOf(snapshot: Snapshot, { columns = 200, rows = 45 } = {}): string {
  return frameLines({
    snapshot,
    newCount: 0,
    controls: INITIAL_CONTROLS,
    columns,
    rows,
    glyphs: "braille",
    folder: "logs",
    intervalMs: 500,
    notice: "",
  }).map(toText).join("\n");
}

function pageOf(snapshot: Snapshot): string {
  return formatHtml(snapshot, { folder: "logs" }).replace(/<style>.*<\/style>/s, "")
    .replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
}

Deno.test("the screen, text, JSON, and page show latency, lag, dead letters, revenue, score, and file events", () => {
  const snapshot = snapshotAt(NOW_MS);
  const figures = JSON.parse(formatJson(snapshot));
  assert.deepEqual(figures.end_to_end_latency_ms, { p50: 12, p99: 80 });
  assert.equal(figures.lag, 7);
  assert.deepEqual(figures.partitions.map((each: { lag: number }) => each.lag), [3, 4]);
  assert.deepEqual(figures.dead_letters_by_reason, { VALIDATION: 2, TIMEOUT: 1 });
  assert.deepEqual(figures.errors_by_kind, { validation: 10 });
  assert.deepEqual(figures.revenue, [{ currency: "EUR", total: 1305, per_minute: 790.91 }]);
  assert.deepEqual(
    figures.quality_parts.map(({ name, points }: { name: string; points: number }) => [
      name,
      points,
    ]),
    [["success", 45], ["throughput", 30], ["errors", 0]],
  );
  assert.equal(figures.unreadable_lines.journal, 1);
  const { rotations, truncations, cuts } = figures.files.journal;
  assert.deepEqual({ rotations, truncations, cuts }, { rotations: 3, truncations: 1, cuts: 2 });

  const outputs: readonly (readonly [output: string, expected: readonly RegExp[]])[] = [
    [screenOf(snapshot), [
      /latency p50 +12 ms +p99 80 ms/,
      /lag +7 +said 5 s ago/,
      / 1 +50 +10 +49 +0\.5 +4/,
      /A record was sent to the dead-letter topic - orders\/1@14, reason TIMEOUT/,
      /dead letters +3 +VALIDATION 2, TIMEOUT 1/,
      /failed +10 +validation 10/,
      /1,305 EUR +791 a minute/,
      /quality +75\/100 +-20/,
      /journal +12\.3 MB +1 unreadable, 1 truncation/,
    ]],
    [formatText(snapshot, { folder: "logs" }), [
      /lag 7 records, latency p50 12 ms, latency p99 80 ms/,
      /orders\/1 .*lag 4/,
      /VALIDATION 2, TIMEOUT 1/,
      /1305\.00 EUR, 790\.91 a minute/,
      /75\/100: success 45\/50 .*, throughput 30\/30 .*, errors 0\/20/,
      /1 line of the journal/,
    ]],
    [pageOf(snapshot), [
      /latency p50 12 ms end to end; p99 80 ms/,
      /lag 7 as the tracker last said/,
      /orders\/1 50 10 49 0\.5 4/,
      /VALIDATION 2 TIMEOUT 1/,
      /EUR 1,305\.00 790\.91/,
      /success 45 of 50 .*throughput 30 of 30 .*errors 0 of 20/,
      /12\.3 MB of journal read; 3 rotations; 1 truncation; 2 cuts; 1 line could not be read/,
    ]],
  ];
  for (const [output, expected] of outputs) {
    for (const each of expected) assert.match(output, each);
  }
});

Deno.test("each output format distinguishes stale, unhealthy, and still counting", () => {
  const stale = snapshotAt(NOW_MS + 600_000);
  assert.match(screenOf(stale, { columns: 80, rows: 24 }), /● STALE[^]*no data for 10 min/);
  assert.equal(JSON.parse(formatJson(stale)).health, "stale");
  assert.match(pageOf(stale), /orderflow STALE .*no data for 10 min/);
  assert.match(formatText(stale, { folder: "logs" }), /STALE/);

  const behind = { ...JOURNAL, behindBytes: 110_700_000 };
  const counting = snapshotAt(NOW_MS + 600_000, behind);
  const screen = screenOf(counting, { columns: 80, rows: 24 });
  assert.match(screen, /● COUNTING {2}10 % of 123\.0 MB/);
  assert.match(screen, /received +100 +so far/);
  assert.doesNotMatch(screen, /quality|throughput +0/);
  assert.equal(JSON.parse(formatJson(counting)).health, "counting");
  assert.equal(JSON.parse(formatJson(counting)).files.journal.behind_bytes, 110_700_000);
  assert.match(screenOf(snapshotAt(NOW_MS, behind)), /HEALTHY {2}behind by 110\.7 MB/);
  assert.equal(formatProgress(behind), "counting: 12.3 MB of 123.0 MB");
});
