import assert from "node:assert/strict";
import stringWidth from "string-width";
import { ReadModel } from "../../lib/monitor/model/read_model.ts";
import { chartRows, resampled } from "../../lib/monitor/screen/parts/chart.ts";
import { niceMax } from "../../lib/monitor/views/scale.ts";
import {
  type Controls,
  INITIAL_CONTROLS,
  type Key,
  pressed,
} from "../../lib/monitor/screen/controls.ts";
import { frameLines } from "../../lib/monitor/screen/frame.ts";
import { glyphsOf } from "../../lib/monitor/screen/parts/glyphs.ts";
import { subjectsOf } from "../../lib/monitor/screen/panes.ts";
import type { FrameSpec } from "../../lib/monitor/screen/parts/pane.ts";
import {
  column,
  columnsOf,
  fitted,
  span,
  toAnsi,
  toText,
} from "../../lib/monitor/screen/parts/line.ts";

const NOW_MS = Date.UTC(2026, 4, 1, 12, 0, 0);
const HOSTILE = "Zoë 漢字 \u001b[31m\u202eevil\u0007";

function modelOf(recordCount: number): ReadModel {
  const model = new ReadModel();
  model.tick(NOW_MS);
  const encoder = new TextEncoder();
  for (let index = 0; index < recordCount; index++) {
    const failed = index % 50 === 7;
    const order = {
      order_id: `order-${index}`,
      status: "pending",
      total: 14.5,
      currency: "EUR",
      customer_info: { customer_id: "C1", name: HOSTILE },
    };
    const line = encoder.encode(JSON.stringify({
      timestamp: new Date(NOW_MS - (recordCount - index) * 100).toISOString(),
      event_type: failed ? "message.received.validation_error" : "message.received",
      kafka_topic: "orders",
      kafka_partition: index % 3,
      kafka_offset: index,
      raw_message: JSON.stringify(order),
      message_size: 100,
      deserialized: true,
      ...(failed && { error: `total: wrong ${HOSTILE}` }),
      order_full: order,
    }));
    model.journal.line(line, 0, line.length, true);
    model.journal.settle();
  }
  return model;
}

function specOf(overrides: Partial<FrameSpec> = {}): FrameSpec {
  return {
    snapshot: modelOf(500).snapshot({ nowMs: NOW_MS }),
    newCount: 0,
    controls: INITIAL_CONTROLS,
    columns: 80,
    rows: 24,
    glyphs: "braille",
    folder: "logs",
    intervalMs: 500,
    notice: "",
    ...overrides,
  };
}

function typed(controls: Controls, { snapshot }: FrameSpec, keys: string): Controls {
  return Array.from(keys).reduce(
    (after, text) => pressed(after, keyOf(text), subjectsOf(snapshot, after)),
    controls,
  );
}

function keyOf(text: string): Key {
  return text === "\n" ? { name: "enter" } : { name: "character", text };
}

function textOf(spec: FrameSpec): string {
  return frameLines(spec).map(toText).join("\n");
}

Deno.test("a frame fills the screen exactly at any size and with any glyphs", () => {
  const spec = specOf();
  for (const [columns, rows] of [[20, 5], [40, 12], [80, 24], [120, 40], [233, 61]] as const) {
    for (const glyphs of ["braille", "block", "ascii"] as const) {
      for (const keys of ["", "?", "e", "/wrong\n", "t "]) {
        const controls = typed(INITIAL_CONTROLS, spec, keys);
        const lines = frameLines({ ...spec, columns, rows, glyphs, controls });
        assert.equal(lines.length, rows, `${columns}x${rows} ${keys}`);
        for (const line of lines) assert.equal(columnsOf(toText(line)), columns, toText(line));
      }
    }
  }
});

Deno.test("no character of a message reaches the screen unescaped", () => {
  const spec = specOf({ columns: 200, rows: 50 });
  for (const keys of ["", "e", "\n", "/evil\n"]) {
    const text = textOf({ ...spec, controls: typed(INITIAL_CONTROLS, spec, keys) });
    // deno-lint-ignore no-control-regex -- control characters are what must not be there
    assert.doesNotMatch(text.replaceAll("\n", ""), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
    assert.match(text, /\\u001b\[31m/, keys);
  }
});

Deno.test("the ASCII glyphs send only ASCII characters", () => {
  const spec = specOf({ glyphs: "ascii", columns: 120, rows: 40 });
  for (const keys of ["", "?", "e"]) {
    const text = textOf({ ...spec, controls: typed(INITIAL_CONTROLS, spec, keys) });
    assert.match(text.replaceAll("\n", ""), /^[\x20-\x7e]*$/);
  }
  assert.match(textOf(spec), /Zo\? \?{4}/);
});

Deno.test("a narrow screen stacks the panes and keeps the figures", () => {
  const text = textOf(specOf({ columns: 40, rows: 24 }));
  assert.match(text, /received +500 +10 msg\/s/);
  assert.match(text, /● HEALTHY/);
  assert.match(text, /─ Throughput/);
});

Deno.test("with more partitions than rows, the list shows its position and scrolls", () => {
  const model = modelOf(30);
  const encoder = new TextEncoder();
  for (let partition = 0; partition < 50; partition++) {
    const line = encoder.encode(
      `{"timestamp":"2026-05-01T11:59:59Z","event_type":"message.received","kafka_topic":"t",` +
        `"kafka_partition":${partition},"kafka_offset":7,"raw_message":"{}","message_size":2,"deserialized":true}`,
    );
    model.journal.line(line, 0, line.length, true);
    model.journal.settle();
  }
  const spec = specOf({ snapshot: model.snapshot({ nowMs: NOW_MS }) });
  const tab: Key = { name: "tab" };
  const subjects = subjectsOf(spec.snapshot, INITIAL_CONTROLS);
  let controls = [tab, tab].reduce((after, key) => pressed(after, key, subjects), INITIAL_CONTROLS);
  assert.match(textOf({ ...spec, controls }), /Partitions, 1 to 5 of 53/);
  controls = pressed(controls, { name: "pagedown" }, subjects);
  assert.match(textOf({ ...spec, controls }), /Partitions, 11 to 15 of 53/);
});

Deno.test("the small screen shows totals, health, charts, and records", () => {
  const text = textOf(specOf());
  for (
    const expected of [
      /HEALTHY|UNHEALTHY/,
      /received\s+500/,
      /failed\s+10/,
      /Throughput/,
      / 1@499 /,
    ]
  ) {
    assert.match(text, expected);
  }
  assert.doesNotMatch(text, /Partitions/);
  assert.match(
    textOf(specOf({ columns: 140, rows: 42 })),
    /Partitions[^]*part {2}received[^]* 2 +166 [^]*Log/,
  );
});

Deno.test("columns that are equal on all lines (status, topic, verdict) are left out, and names are shown in full", () => {
  const text = textOf(specOf({ columns: 120, rows: 30 }));
  assert.match(text, /│ › 11:59:59 ok 1@499 +14\.50 EUR {2}Zoë 漢字 .*evil\S* {2}order-499/);
  assert.doesNotMatch(text, /ok .*pending|orders\//);
  assert.match(text, /● HEALTHY {2}orders in logs/);
});

Deno.test("e jumps to the newest failed record and then to older ones; E goes back", () => {
  const spec = specOf();
  let controls = typed(INITIAL_CONTROLS, spec, "e");
  assert.match(
    textOf({ ...spec, controls }),
    /orders\/1@457, Esc closes[\s\S]*FAILED, validation[\s\S]*order-457/,
  );
  controls = typed(controls, spec, "e");
  assert.equal(controls.detail, "orders/2@407");
  controls = typed(controls, spec, "E");
  assert.equal(controls.detail, "orders/1@457");
  assert.equal(
    pressed(controls, { name: "escape" }, subjectsOf(spec.snapshot, controls)).detail,
    undefined,
  );
});

Deno.test("Enter opens a log line in full, and the line at the cursor is highlighted", () => {
  const model = modelOf(3);
  const details = "a detail too long for the pane ".repeat(20);
  const encoder = new TextEncoder();
  for (const message of ["Older", "Newer"]) {
    const line = encoder.encode(
      JSON.stringify({ timestamp: "2026-05-01T11:59:59Z", level: "WARN", message, details }),
    );
    model.log.line(line, 0, line.length, true);
  }
  const spec = specOf({ snapshot: model.snapshot({ nowMs: NOW_MS }) });
  const subjects = subjectsOf(spec.snapshot, INITIAL_CONTROLS);
  const keys: readonly Key[] = [{ name: "tab" }, { name: "down" }];
  let controls = keys.reduce((after, key) => pressed(after, key, subjects), INITIAL_CONTROLS);
  const marked = frameLines({ ...spec, controls }).filter((line) =>
    line.some(({ tone }) => tone === "selected")
  );
  assert.deepEqual(marked.map((line) => /Older|Newer/.exec(toText(line))?.[0]), ["Older"]);
  controls = pressed(controls, { name: "enter" }, subjects);
  const text = textOf({ ...spec, controls });
  assert.match(text, /WARN at 11:59:59, Esc closes[^]*"message": "Older"/);
  assert.equal(text.replaceAll(" │\n│ ", "").match(/too long/g)?.length, 20);
});

Deno.test("a filter keeps the lines that contain its text, ignoring case", () => {
  const spec = specOf();
  const controls = typed(INITIAL_CONTROLS, spec, "/ORDER-49\n");
  assert.equal(subjectsOf(spec.snapshot, controls).panes[0]?.count, 10);
  assert.match(textOf({ ...spec, controls }), /Recent records, 10 match[\s\S]*filter "ORDER-49"/);
});

Deno.test("a paused screen shows that it is paused and how many records are new", () => {
  const spec = specOf({ newCount: 1284 });
  const controls = typed(INITIAL_CONTROLS, spec, " ");
  assert.match(textOf({ ...spec, controls }), /PAUSED, \+1,284 new/);
});

Deno.test("charts scale by value, draw a dot for the smallest positive value, and leave gaps for unknown values", () => {
  const spec = { width: 4, height: 1, min: 0, max: 8, glyphs: "block" } as const;
  assert.deepEqual(chartRows({ ...spec, values: [0, 0.001, 4, 8] }), [" ▁▄█"]);
  assert.deepEqual(chartRows({ ...spec, values: [undefined, 8, undefined, 8] }), [" █ █"]);
  assert.deepEqual(chartRows({ ...spec, glyphs: "ascii", height: 2, values: [0, 8, 4, 99] }), [
    " # #",
    " ###",
  ]);
  assert.deepEqual(chartRows({ ...spec, width: 1, glyphs: "braille", values: [8, 2] }), ["⣇"]);
  assert.deepEqual([0, 0.3, 1, 3, 7, 1001].map(niceMax), [1, 0.3, 1, 3, 8, 1500]);
  assert.deepEqual(resampled([1, 3, undefined, 5], 2), [2, 5]);
});

Deno.test("widths are in columns: wide characters count as two and are never split", () => {
  assert.equal(column("漢字", 6), "漢字  ");
  assert.equal(column("漢字漢字", 4), "漢… ".trimEnd());
  assert.equal(toText(fitted([span("ab"), span("cdef")], 4)), "abc…");
  assert.equal(toText(fitted([span("漢字")], 3)), "漢…");
  assert.equal(toText(fitted([span("ab")], 4)), "ab  ");
});

Deno.test("columnsOf() agrees with string-width on every character", () => {
  for (let codePoint = 0x20; codePoint < 0x3000; codePoint++) {
    const text = `x${String.fromCodePoint(codePoint)}x`;
    assert.equal(columnsOf(text), stringWidth(text), codePoint.toString(16));
  }
});

Deno.test("without colors only weight, underline, and reverse are used", () => {
  for (const tone of ["dim", "strong", "accent", "good", "warning", "bad", "selected"] as const) {
    assert.doesNotMatch(toAnsi([span("x", tone)], "mono"), /\[(?:[0-9;]*;)?(?:3\d|9\d)/);
  }
});

Deno.test("glyphs are chosen by what the terminal can display", () => {
  assert.equal(glyphsOf({ LANG: "C.UTF-8", TERM: "xterm-256color" }), "braille");
  assert.equal(glyphsOf({ LANG: "en_US.utf8", TERM: "linux" }), "block");
  assert.equal(glyphsOf({ LANG: "C", TERM: "xterm" }), "ascii");
  assert.equal(glyphsOf({ LC_ALL: "C", LANG: "C.UTF-8" }), "ascii");
});
