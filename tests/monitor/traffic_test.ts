import assert from "node:assert/strict";
import { EventWriter } from "../../lib/journal/line.ts";
import { LAG_HISTORY_SECONDS, LagHistory } from "../../lib/monitor/model/lag_history.ts";
import { ReadModel, type Snapshot } from "../../lib/monitor/model/read_model.ts";
import { EventScanner } from "../../lib/monitor/model/scan.ts";
import { INITIAL_CONTROLS } from "../../lib/monitor/screen/controls.ts";
import { frameLines } from "../../lib/monitor/screen/frame.ts";
import type { GlyphName } from "../../lib/monitor/screen/parts/glyphs.ts";
import { toText } from "../../lib/monitor/screen/parts/line.ts";
import { formatHtml } from "../../lib/monitor/views/html_view.ts";
import { formatJson } from "../../lib/monitor/views/json_view.ts";
import { formatText } from "../../lib/monitor/views/text_view.ts";
import { journalLine, logLine } from "./journal_lines.ts";

const NOW_MS = Date.UTC(2026, 4, 1, 12, 0, 0);
const ENCODER = new TextEncoder();

/** Returns the line that a tracker with `--schema none` writes, without its newline. */
function plainLine(
  { key, value, omittedBytes, offset = 0, ageMs = 0 }: {
    readonly key: Uint8Array | null;
    readonly value: Uint8Array | null;
    readonly omittedBytes?: number;
    readonly offset?: number;
    readonly ageMs?: number;
  },
): Uint8Array {
  const writer = new EventWriter();
  const omitted = omittedBytes === undefined
    ? {}
    : { omittedValue: { size: omittedBytes, sha256: "0".repeat(64) } };
  writer.write(
    {
      topic: "metrics",
      partition: 0,
      offset,
      key,
      value,
      headers: [{ key: "kafka_key", value: ENCODER.encode("no key") }],
      timestampMs: NOW_MS - ageMs,
      ...omitted,
    },
    {
      eventType: "message.received",
      isText: value === null || value.every((byte) => byte < 0x80),
      deserialized: false,
    },
    { receivedAt: new Date(NOW_MS - ageMs) },
  );
  return writer.lines.slice(0, -1);
}

Deno.test("EventScanner finds the same size and key of any record as parsing its line", () => {
  const text = (value: string) => ENCODER.encode(value);
  const binary = new Uint8Array([0xff, 0x00]);
  const long = "k".repeat(1_000);
  const cases: readonly [Parameters<typeof plainLine>[0], size: number, key: string | undefined][] =
    [
      [{ key: text("sensor-1"), value: text("{}") }, 2, "sensor-1"],
      [{ key: text('a "quoted" \n ключ'), value: text("x") }, 1, 'a "quoted" \n ключ'],
      [{ key: null, value: text(`,"kafka_key":"no"`) }, 17, undefined],
      [{ key: text(""), value: null }, 0, ""],
      [{ key: binary, value: binary }, 2, "/wA="],
      [{ key: text(long), value: text("x") }, 1, long.slice(0, 256)],
      [{ key: text("k"), value: text(""), omittedBytes: 99_000_000 }, 99_000_000, "k"],
    ];
  for (const [record, size, key] of cases) {
    const line = plainLine(record);
    for (const whole of [true, false]) {
      const scanner = new EventScanner();
      assert.ok(scanner.scan(line, 0, line.length, whole));
      const { valueBytes, hasOrder } = scanner;
      assert.deepEqual({ valueBytes, hasOrder, key: scanner.key }, {
        valueBytes: size,
        hasOrder: false,
        key,
      });
    }
  }
});

function snapshotOf(lines: readonly Uint8Array[]): Snapshot {
  const model = new ReadModel();
  model.tick(NOW_MS);
  for (const line of lines) {
    model.journal.line(line, 0, line.length, true);
    model.journal.settle();
  }
  return model.snapshot({ nowMs: NOW_MS });
}

function screenOf(snapshot: Snapshot, glyphs: GlyphName = "block"): string {
  return frameLines({
    snapshot,
    newCount: 0,
    controls: INITIAL_CONTROLS,
    columns: 150,
    rows: 45,
    glyphs,
    folder: "logs",
    intervalMs: 500,
    notice: "",
  }).map(toText).join("\n");
}

Deno.test("a topic without orders is shown by bytes, keys, and rates in every output format", () => {
  const lines = Array.from({ length: 40 }, (_, index) =>
    plainLine({
      key: index % 4 === 3 ? null : ENCODER.encode(`sensor-${index % 2}`),
      value: ENCODER.encode("v".repeat(100 + index)),
      offset: index,
      ageMs: 20_000 - index * 500,
    }));
  const snapshot = snapshotOf(lines);
  const bytes = 40 * 100 + 780;
  assert.deepEqual(JSON.parse(formatJson(snapshot)).traffic, {
    value_bytes: bytes,
    // Measured since the first record, because the minute is not full.
    value_bytes_per_second: bytes / 20,
    value_bytes_mean: 120,
    value_bytes_max: 139,
    records_without_order: 40,
    records_without_key: 10,
    distinct_keys: 2,
    distinct_keys_capped: false,
    top_keys: [{ key: "sensor-0", records: 20 }, { key: "sensor-1", records: 10 }],
  });
  const screen = screenOf(snapshot);
  assert.match(screen, /─ Values and keys ─/);
  assert.doesNotMatch(screen, /Business|mean of the last/);
  assert.match(screen, /values +4\.8 kB +239 bytes\/s/);
  assert.match(screen, /mean value +120 bytes +max 139 bytes/);
  assert.match(screen, /keys +2 +10 without a key/);
  assert.match(screen, /key 1 +20 +sensor-0/);
  assert.match(screen, /ok 0@38 +sensor-0 +138 bytes +v{20}/);
  assert.match(
    formatText(snapshot, { folder: "logs" }),
    /values +4\.8 kB, 239 bytes\/s in the last minute, 120 bytes on average, 139 bytes at most\nkeys +2 different, 10 records without one, most frequent sensor-0 20, sensor-1 10\n/,
  );
  const page = formatHtml(snapshot, { folder: "logs" }).replace(/<[^>]*>/g, " ");
  assert.match(page, /Values and keys[^]*in all +4\.8 kB[^]*different +2[^]*sensor-0 +20/);
  assert.match(page, /Recent records[^]*size[^]*139 bytes +\(no key\): v{100}/);
});

Deno.test("a topic with orders shows business figures, and its keys are not counted", () => {
  const line = ENCODER.encode(journalLine({ receivedAtMs: NOW_MS }).trimEnd());
  const snapshot = snapshotOf([line]);
  assert.match(screenOf(snapshot), /─ Business ─/);
  const { distinct_keys, value_bytes } = JSON.parse(formatJson(snapshot)).traffic;
  assert.equal(distinct_keys, 0);
  assert.ok(value_bytes > 100);
});

Deno.test("LagHistory has one value per second even between slow updates, and gaps where the lag is unknown", () => {
  const history = new LagHistory();
  const look = (second: number, lag: number | undefined) =>
    history.note(second * 1_000, new Map([["orders/0", lag]]));
  look(0, undefined);
  assert.deepEqual(history.of("orders/0"), []);
  look(1, 4);
  look(1.5, 5);
  look(4, 8);
  look(5, undefined);
  look(40, 2);
  const series = history.of("orders/0");
  assert.equal(series.length, LAG_HISTORY_SECONDS);
  const known = series.map((lag, index) => [index - LAG_HISTORY_SECONDS, lag] as const)
    .filter(([, lag]) => lag !== undefined);
  assert.deepEqual(known, [[-40, 4], [-39, 8], [-38, 8], [-37, 8], [-1, 2]]);
  look(500, undefined);
  assert.ok(history.of("orders/0").every((lag) => lag === undefined));
});

Deno.test("each partition's lag is drawn over the last minute on a common scale", () => {
  const model = new ReadModel();
  model.tick(NOW_MS);
  for (const partition of [0, 1]) {
    const line = ENCODER.encode(journalLine({ receivedAtMs: NOW_MS, partition }).trimEnd());
    model.journal.line(line, 0, line.length, true);
    model.journal.settle();
  }
  const look = (second: number, lag: Readonly<Record<string, number>>) => {
    const line = ENCODER.encode(
      logLine({
        atMs: NOW_MS + second * 1_000,
        message: "Metrics",
        metadata: { messages_received: 2, lag },
      }),
    );
    model.log.line(line, 0, line.length - 1, true);
    return model.snapshot({ nowMs: NOW_MS + second * 1_000 });
  };
  for (let second = 0; second < 59; second++) look(second, { 0: 0, 1: second < 30 ? 800 : 400 });
  const screen = screenOf(look(59, { 0: 0, 1: 1_234 }));
  assert.match(screen, /part +received +failed +offset +msg\/s +lag +1 min/);
  assert.match(screen, / 0 +1 +0 +0 +[\d.]+ +0 {2}▁{20,30} /);
  assert.match(screen, / 1 +1 +0 +0 +[\d.]+ +1,234 {2}▅+▃+▅ /);
});
