import assert from "node:assert/strict";
import { EventWriter } from "../../lib/journal/line.ts";
import type { RecentEvent } from "../../lib/monitor/model/recent_event.ts";
import { recentEvent } from "../../lib/monitor/model/recent_event.ts";
import { EventScanner } from "../../lib/monitor/model/scan.ts";
import { recordLines } from "../../lib/monitor/screen/panes/record_detail.ts";
import { jsonLines } from "../../lib/monitor/screen/parts/json_lines.ts";
import {
  chunked,
  columnsOf,
  type Line,
  toAnsi,
  toText,
} from "../../lib/monitor/screen/parts/line.ts";
import { orderJson } from "./journal_lines.ts";

const ENCODER = new TextEncoder();
const WIDTH = 76;

/** Returns a failed record with a key and two headers. */
function failedEvent(error: string, value = orderJson(7)): RecentEvent {
  const writer = new EventWriter();
  writer.write(
    {
      topic: "orders",
      partition: 1,
      offset: 7,
      key: ENCODER.encode("CUST-1"),
      value: ENCODER.encode(value),
      headers: [
        { key: "trace-id", value: ENCODER.encode("abc\u001b[31m") },
        { key: "raw", value: new Uint8Array([0xff]) },
      ],
      timestampMs: Date.UTC(2026, 0, 31, 8),
      leaderEpoch: 3,
    },
    { eventType: "message.received.validation_error", isText: true, deserialized: true, error },
    { receivedAt: new Date(Date.UTC(2026, 0, 31, 8, 0, 1)) },
  );
  const event = recentEvent(new EventScanner(), writer.lines.subarray(0, -1));
  assert.ok(event !== undefined);
  return event;
}

function textOf(lines: readonly Line[]): string {
  return lines.map(toText).join("\n");
}

function badTexts(lines: readonly Line[]): readonly string[] {
  return lines.filter((line) => line.some(({ tone }) => tone === "bad")).map(toText);
}

Deno.test("a failed record is shown with key, headers, and times, and each failed field is marked", () => {
  const error = "total (total): expected 10 + 2 + 2.5 = 14.5 within 0.01, got 99; " +
    'items[0].quantity (positive-quantity): expected a number above 0, got "; x (y): z"; ' +
    "customer_info.email (required): expected a value, got nothing; and 2 more";
  const lines = recordLines(failedEvent(error), WIDTH);
  const text = textOf(lines);
  for (
    const expected of [
      "received   2026-01-31T08:00:01.000Z",
      "timestamp  2026-01-31T08:00:00.000Z, leader epoch 3",
      "key        CUST-1",
      "header     trace-id: abc\\u001b[31m",
      "header     raw: /w== (base64)",
    ]
  ) assert.ok(text.includes(`\n${expected}\n`), `${expected} in ${text}`);
  const [problem = "", ...marked] = badTexts(lines);
  assert.ok(problem.startsWith("FAILED, validation: total (total)"));
  assert.deepEqual(marked.map((line) => line.trim()), [
    '"quantity": 1,  <-- positive-quantity: expected a number above 0, got "; x (y): z"',
    '"total": 14.5,  <-- total: expected 10 + 2 + 2.5 = 14.5 within 0.01, got 99',
    '"email": missing  <-- required: expected a value, got nothing',
  ]);
});

Deno.test("a value that is not JSON is shown unchanged, with a mark where the parser stopped", () => {
  const event = {
    ...failedEvent(
      "Expected ',' or '}' after property value in JSON at position 5 (line 1 column 6)",
    ),
    line: ENCODER.encode(JSON.stringify({ raw_message: '{"a":xyz}', message_size: 9 })),
  };
  const text = textOf(recordLines(event, WIDTH));
  assert.match(text, /\{"a":<-- here: xyz\}/);
});

Deno.test("JSON is colored by type, and without colors it differs only in weight", () => {
  const lines = jsonLines({ name: "Zoë", count: 3, isGood: true, list: [], none: {} }, {
    width: 80,
  });
  assert.equal(
    textOf(lines),
    '{\n  "name": "Zoë",\n  "count": 3,\n  "isGood": true,\n  "list": [],\n  "none": {}\n}',
  );
  const tones = new Map(lines.flat().map(({ text, tone }) => [text, tone]));
  assert.deepEqual(
    ['"name"', '"Zoë"', "3", "true", ","].map((text) => tones.get(text)),
    ["accent", "good", "warning", "strong", "dim"],
  );
  // deno-lint-ignore no-control-regex -- the sequences that set a color
  const color = /\u001b\[(?:\d+;)*(?:3\d|4\d|9\d)/;
  assert.ok(lines.some((line) => color.test(toAnsi(line, "dark"))));
  assert.ok(!lines.some((line) => color.test(toAnsi(line, "mono"))));
});

Deno.test("flat JSON values are packed into as few lines as fit, and the lines parse as the same JSON", () => {
  const value = {
    items: [{ item_id: "ITEM-00015", item_name: "Handmade Silk Computer", quantity: 1 }, {}],
    numbers: Array.from({ length: 60 }, (_, index) => index * 1_000),
    nested: { deeper: { list: [1, "two", null], empty: [] } },
  };
  for (const width of [20, 44, 80, 200]) {
    const lines = jsonLines(value, { width });
    assert.deepEqual(JSON.parse(textOf(lines)), value);
    if (width >= 80) assert.ok(lines.every((line) => columnsOf(toText(line)) <= width));
  }
  assert.ok(jsonLines(value, { width: 200 }).length < 16);
});

Deno.test("JSON nested 20,000 levels deep and an array of 30,000 elements take a bounded number of lines", () => {
  const deep = JSON.parse("[".repeat(20_000) + "]".repeat(20_000));
  assert.ok(jsonLines(deep, { width: 80 }).length < 100);
  const long = JSON.parse(`[${"{},".repeat(30_000)}[]]`);
  const lines = jsonLines({ long }, { width: 80 });
  assert.match(textOf(lines.slice(-1)), /^… 25,0\d\d more lines$/);
});

Deno.test("a line is wrapped at the width without losing text or tones", () => {
  const line: Line = [{ text: "漢字漢字", tone: "good" }, { text: "abcdef", tone: "bad" }];
  const pieces = chunked(line, 5);
  assert.deepEqual(pieces.map(toText), ["漢字", "漢字a", "bcdef"]);
  assert.deepEqual(pieces[1]?.map(({ tone }) => tone), ["good", "bad"]);
  assert.deepEqual(chunked([{ text: "漢", tone: "plain" }], 1).map(toText), ["", "…"]);
  assert.deepEqual(chunked([], 5), [[]]);
});
