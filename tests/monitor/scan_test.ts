import assert from "node:assert/strict";
import { EventScanner } from "../../lib/monitor/model/scan.ts";
import { parseTimestamp } from "../../lib/monitor/model/timestamp.ts";
import type { Verdict } from "../../lib/journal/line.ts";
import { journalLine, orderJson, VALIDATION_FAILURE } from "./journal_lines.ts";

const ENCODER = new TextEncoder();
const AT_MS = Date.parse("2026-03-01T12:00:00.123Z");

/** Scans a line alone and in the middle of a buffer, and asserts that the results are equal. */
function scan(line: string) {
  const alone = scanBytes(ENCODER.encode(line));
  const before = `{"timestamp":"x}`;
  const bytes = ENCODER.encode(`${before}${line}"}}}`);
  const scanner = new EventScanner();
  const found = scanner.scan(bytes, before.length, bytes.length - 4, true);
  assert.deepEqual(found ? factsOf(scanner) : undefined, alone);
  return alone;
}

function scanBytes(bytes: Uint8Array, whole = true) {
  const scanner = new EventScanner();
  return scanner.scan(bytes, 0, bytes.length, whole) ? factsOf(scanner) : undefined;
}

function factsOf({ timestampMs, topic, partition, offset, kind, failed, error }: EventScanner) {
  return { timestampMs, topic, partition, offset, kind, failed, error };
}

/** The verdict of a tracker with `--schema none`, for any record. */
const OPAQUE: Verdict = { eventType: "message.received", isText: true, deserialized: false };

const GOOD = {
  timestampMs: AT_MS,
  topic: "orders",
  partition: 2,
  offset: 77,
  kind: "processed",
  failed: false,
  error: undefined,
};

function line(value?: string, verdict?: Parameters<typeof journalLine>[0]["verdict"]): string {
  return journalLine({
    receivedAtMs: AT_MS,
    partition: 2,
    offset: 77,
    ...(value !== undefined && { value }),
    ...(verdict && { verdict }),
  }).trimEnd();
}

Deno.test("EventScanner extracts the fields of a good line", () => {
  assert.deepEqual(scan(line()), GOOD);
});

Deno.test("EventScanner extracts the error of a failed line", () => {
  assert.deepEqual(scan(line(orderJson(1), VALIDATION_FAILURE)), {
    ...GOOD,
    kind: "validation",
    failed: true,
    error: "total: expected 14.50, actual 1.00",
  });
  const error = 'Unexpected token \\ " \u001b[2J \u202e in JSON';
  assert.deepEqual(
    scan(line("{nope", {
      eventType: "message.received.deserialization_error",
      isText: true,
      deserialized: false,
      error,
    })),
    { ...GOOD, kind: "deserialization", failed: true, error },
  );
});

Deno.test("EventScanner is not misled by its own field names inside the order or the message", () => {
  const imitation =
    `{"timestamp":"1999-01-01T00:00:00Z","event_type":"message.received.deserialization_error",` +
    `"kafka_partition":9,"kafka_offset":9,"raw_message":"","message_size":0,"deserialized":false,` +
    `"error":"fake","order_full":{},"x":"}}}","y":"\\"\\\\"}`;
  assert.deepEqual(scan(line(imitation)), GOOD);
  assert.equal(scan(line(imitation, VALIDATION_FAILURE))?.error, VALIDATION_FAILURE.error);
});

Deno.test("EventScanner reads an order that is formatted differently from its message", () => {
  const spaced = orderJson(1).replaceAll(":", " : ").replaceAll(",", ", ");
  assert.deepEqual(
    scan(line(spaced).replace(`"order_full":${spaced}`, `"order_full":${orderJson(1)}`)),
    GOOD,
  );
});

Deno.test("EventScanner reads a line with reordered fields and spaces as JSON.parse does", () => {
  const fields = JSON.parse(line());
  const reversed = Object.fromEntries(Object.entries(fields).reverse());
  assert.deepEqual(scan(JSON.stringify(reversed)), GOOD);
  assert.deepEqual(scan(JSON.stringify(fields, undefined, 1).replaceAll("\n", " ")), GOOD);
});

Deno.test("EventScanner agrees with JSON.parse on a line cut at any byte", () => {
  for (const whole of [line(), line(orderJson(1), VALIDATION_FAILURE)]) {
    const bytes = ENCODER.encode(whole);
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(scanBytes(bytes.subarray(0, length)), undefined, `cut at byte ${length}`);
      assert.equal(scanBytes(bytes.subarray(0, length), false), undefined);
    }
    assert.notEqual(scanBytes(bytes), undefined);
    assert.notEqual(scanBytes(bytes, false), undefined);
  }
});

Deno.test("EventScanner rejects a line torn at any byte and joined with the next line", () => {
  const next = ENCODER.encode(line());
  const bytes = ENCODER.encode(line(orderJson(3), VALIDATION_FAILURE));
  for (const torn of [bytes, next]) {
    for (let length = 1; length < torn.length; length++) {
      const glued = new Uint8Array([...torn.subarray(0, length), ...next]);
      assert.equal(scanBytes(glued), undefined, `torn at byte ${length}`);
    }
  }
});

Deno.test("EventScanner rejects input that is not a journal line", () => {
  const bad = [
    "",
    " ",
    "null",
    "[]",
    "{}",
    "\0\0\0\0",
    `{"timestamp":"2026-01-01T00:00:00Z"}`,
    line().replace(`"kafka_offset":77`, `"kafka_offset":-1`),
    line().replace(`"kafka_offset":77`, `"kafka_offset":1.5`),
    line().replace(`"kafka_offset":77`, `"kafka_offset":99999999999999999999`),
    line().replace(`"kafka_partition":2`, `"kafka_partition":"2"`),
    line().replace("message.received", "tracker.started"),
    line().replace("message.received", "message.receivedx"),
    `${line()}}`,
    `${line()} x`,
    `\u001b[2J${line()}`,
  ];
  for (const text of bad) assert.equal(scan(text), undefined, text);
  const notUtf8 = ENCODER.encode(line().replace(`"raw_message":"{`, `"raw_message" :"~`));
  notUtf8[notUtf8.indexOf(0x7e)] = 0xff;
  assert.equal(scanBytes(notUtf8), undefined);
});

Deno.test("EventScanner counts a line with an invalid timestamp, without a time", () => {
  assert.deepEqual(scan(line().replace("2026-03-01T12:00:00.123Z", "yesterday")), {
    ...GOOD,
    timestampMs: NaN,
  });
});

Deno.test("a record counts as failed by its event type or error, not because its value is not JSON", () => {
  const opaque = line("key=value; no JSON", OPAQUE);
  assert.deepEqual(scan(opaque), GOOD);
  assert.deepEqual(scan(opaque.replace(/^\{/, "{ ")), GOOD);
  const failed = { ...GOOD, kind: "deserialization", failed: true, error: "no JSON" };
  const error = `"deserialized":false,"error":"no JSON"`;
  assert.deepEqual(scan(opaque.replace(`"deserialized":false`, error)), failed);
  assert.deepEqual(scan(opaque.replace(`.received"`, `.received.deserialization_error"`)), {
    ...failed,
    error: undefined,
  });
});

Deno.test("EventScanner does not keep an order for the next line", () => {
  const scanner = new EventScanner();
  for (const [text, status] of [[line(), "pending"], [line("x", OPAQUE), undefined]] as const) {
    const bytes = ENCODER.encode(text);
    assert.ok(scanner.scan(bytes, 0, bytes.length, true));
    assert.equal(scanner.order.status, status);
  }
});

Deno.test("parseTimestamp agrees with Date on RFC 3339, including nanoseconds and offsets", () => {
  for (let day = -200_000; day < 200_000; day += 97) {
    const text = new Date(day * 86_400_000 + (day * 7_919_993) % 86_400_000).toISOString();
    if (!/^\d{4}-/.test(text)) continue;
    assert.equal(parseTimestamp(text), Date.parse(text), text);
  }
  assert.equal(parseTimestamp("2026-03-01T12:00:00Z"), Date.parse("2026-03-01T12:00:00Z"));
  assert.equal(parseTimestamp("2026-03-01T12:00:00.123456789Z"), AT_MS);
  assert.equal(parseTimestamp("2026-03-01T13:30:00.123+01:30"), AT_MS);
  assert.equal(parseTimestamp("2026-03-01T11:00:00.1239-01:00"), AT_MS);
  for (
    const text of ["", "2026-03-01", "2026-13-01T00:00:00Z", "2026-03-01T12:00:00", "x".repeat(24)]
  ) {
    assert.equal(parseTimestamp(text), NaN, text);
  }
});
