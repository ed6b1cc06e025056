import assert from "node:assert/strict";
import { decodeEvent, type JournaledRecord } from "../../../lib/tracker/event.ts";
import { LineDecoder } from "../../../lib/tracker/verify/line_decoder.ts";
import { newSeed, seededRandom } from "../journal/fixture.ts";
import { EventWriter, type Verdict } from "../../../lib/tracker/event.ts";
import type { KafkaRecord } from "../../../lib/kafka/record.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ORDER = JSON.stringify({
  order_id: "5f0c2f5e-0000-4000-8000-000000000000",
  items: [{ item_name: 'a "chair" \\ of wood / caf\u00e9 \ud83d\ude00', unit_price: 10.5 }],
  note: "first\nsecond\tthird\u0001",
});

function bytesOf(text: string): Uint8Array {
  return ENCODER.encode(text);
}

/** What `decodeEvent` makes of a line, with plain arrays of bytes; undefined where it refuses it. */
function expectedOf(line: Uint8Array): JournaledRecord | undefined {
  try {
    return decodeEvent(DECODER.decode(line));
  } catch {
    return undefined;
  }
}

const decoder = new LineDecoder();

function actualOf(line: Uint8Array): JournaledRecord | undefined {
  try {
    const record = decoder.decode(line);
    return { ...record, value: record.value && Uint8Array.from(record.value) };
  } catch {
    return undefined;
  }
}

function lineOf(record: Partial<KafkaRecord>, verdict: Partial<Verdict> = {}): Uint8Array {
  const writer = new EventWriter();
  writer.write(
    {
      topic: "orders",
      partition: 1,
      offset: 123_456,
      timestampMs: 1_756_684_800_000,
      key: bytesOf("customer"),
      value: bytesOf(ORDER),
      headers: [],
      ...record,
    },
    { eventType: "message.received", isText: true, deserialized: true, ...verdict },
    { receivedAt: new Date(0), topicId: "0".repeat(32), mark: 'a "mark"' },
  );
  return writer.lines.slice(0, -1);
}

const LINES: readonly Uint8Array[] = [
  lineOf({}),
  lineOf({}, { error: 'items[0].quantity: expected > 0, got "0"' }),
  lineOf({ value: bytesOf(`{"a":\n  1,\r\n "b": 2}`) }),
  lineOf({ value: bytesOf("{}") }),
  lineOf({ value: bytesOf("{broken"), key: null }, { deserialized: false, error: "no JSON" }),
  lineOf({ value: bytesOf("\ufeffmarked \u0000 \u007f \u2028") }, { deserialized: false }),
  lineOf({ value: new Uint8Array() }, { deserialized: false }),
  lineOf({ value: null }, { deserialized: false }),
  lineOf({ value: Uint8Array.of(0xff, 0x22, 0x5c) }, { deserialized: false, isText: false }),
  lineOf({ value: bytesOf("x".repeat(200_000)) }, { deserialized: false }),
  lineOf({
    value: bytesOf(`,"order_full":{"raw_message":"1","kafka_offset":9}`),
    headers: [{ key: "raw_message", value: bytesOf(`","order_full":`) }, { key: "h", value: null }],
  }, { deserialized: false }),
  bytesOf(
    `{"timestamp":"2025-09-01T00:00:00Z","event_type":"message.received","kafka_topic":"orders",` +
      `"kafka_partition":0,"kafka_offset":7,"raw_message":"{\\"a\\":\\u003c\\u00e9}",` +
      `"message_size":9,"deserialized":true,"order_full":{"a":1}}`,
  ),
];

Deno.test("LineDecoder.decode() reads every kind of line as decodeEvent() does", () => {
  for (const line of LINES) {
    const expected = expectedOf(line);
    assert.ok(expected, DECODER.decode(line.subarray(0, 300)));
    assert.deepEqual(actualOf(line), expected);
  }
});

Deno.test("LineDecoder.decode() takes no field for another where a line says things twice", () => {
  const head =
    `{"timestamp":"t","event_type":"e","kafka_topic":"o","kafka_partition":0,"kafka_offset":7`;
  const tails = [
    `,"raw_message":"a","raw_message":"b"}`,
    `,"raw_message":"a","raw_message":""}`,
    `,"raw_message":"a","kafka_offset":8}`,
    `,"raw_message":"{}","message_size":2,"deserialized":true,"order_full":{},"order_full":{"a":1}}`,
    `,"raw_message":"{}","message_size":2,"deserialized":true,"order_full":{} , "mark":"m"}`,
    `,"raw_message":"{}","message_size":2,"deserialized":true,"order_full":{}1}`,
    `,"raw_message":"{}","message_size":02,"deserialized":true,"order_full":{}}`,
    `,"raw_message":"{}","error":"x,"order_full":{},"mark":"m"}`,
    `,"nested":{"a":1,"raw_message":"inner"},"raw_message":"outer"}`,
    `,"nested":{"a":1,"raw_message":"inner"},"raw_message":""}`,
    `,"nested":{"a":1,"raw_message":"inner"}}`,
    `,"raw_message":"a","value_null":true}`,
    `,"raw_message":"a","raw_message_base64":""}`,
    `,"raw_message":"\\u12"}`,
    `,"raw_message":"\\u00zz"}`,
    `,"raw_message":"\\x"}`,
    `,"raw_message":"a\tb"}`,
    `,"raw_message":"a`,
    `,"raw_message":1}`,
  ];
  for (const tail of tails) {
    const line = bytesOf(head + tail);
    assert.deepEqual(actualOf(line), expectedOf(line), tail);
  }
});

Deno.test("LineDecoder.decode() reads a damaged line as decodeEvent() does", () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const lines = LINES.filter((line) => line.length < 10_000);
  for (let round = 0; round < 20_000; round++) {
    const line = Uint8Array.from(lines[below(lines.length)] ?? []);
    const at = below(line.length);
    const damages = [
      () => line.with(at, (line[at] ?? 0) ^ (1 << below(8))),
      () => line.with(at, bytesOf('"\\{}:,u0')[below(8)] ?? 0),
      () => line.subarray(0, at),
      () => Uint8Array.from([...line.subarray(0, at), ...line.subarray(at + 1 + below(3))]),
      () => Uint8Array.from([...line.subarray(0, at), ...line.subarray(below(line.length))]),
    ];
    const damaged = damages[below(damages.length)]?.() ?? line;
    assert.deepEqual(
      actualOf(damaged),
      expectedOf(damaged),
      `seed ${seed}, round ${round}: ${new TextDecoder().decode(damaged)}`,
    );
  }
});
