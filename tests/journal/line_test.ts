import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import type { KafkaRecord } from "../../lib/record.ts";
import { decodeEvent, EventWriter, type Verdict } from "../../lib/journal/line.ts";
import { classify, quickClassify } from "../../lib/journal/line_scan.ts";

const ENCODER = new TextEncoder();
const RECEIVED_AT = new Date(Date.UTC(2026, 10, 23, 7, 0, 0, 5));

function record(fields: Partial<KafkaRecord> = {}): KafkaRecord {
  return {
    topic: "orders",
    partition: 2,
    offset: 41,
    timestampMs: 1_795_417_200_000,
    key: ENCODER.encode("customer-1"),
    value: ENCODER.encode('{"a":1}'),
    headers: [],
    ...fields,
  };
}

const TEXT: Verdict = { eventType: "message.received", isText: true, deserialized: false };

function encode(fields: Partial<KafkaRecord>, verdict: Verdict = TEXT): string {
  const writer = new EventWriter();
  writer.write(record(fields), verdict, { receivedAt: RECEIVED_AT, topicId: "aa" });
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(writer.lines);
}

Deno.test("EventWriter writes the contract's fields in order on one line", () => {
  assert.equal(
    encode({}, { ...TEXT, deserialized: true }),
    '{"timestamp":"2026-11-23T07:00:00.005Z","event_type":"message.received","kafka_topic":"orders",' +
      '"kafka_partition":2,"kafka_offset":41,"raw_message":"{\\"a\\":1}","message_size":7,' +
      '"deserialized":true,"order_full":{"a":1},"kafka_key":"customer-1",' +
      '"kafka_timestamp":1795417200000,"kafka_topic_id":"aa"}\n',
  );
});

Deno.test("a record is restored from its line byte for byte, whatever its bytes", () => {
  const values = [
    null,
    "",
    "plain",
    "\ufeffwith a byte order mark",
    "line\r\nbreaks\u2028 and \u0000 nul \u001b escape",
    '{"__proto__":1}',
  ].map((text) => text === null ? null : ENCODER.encode(text));
  values.push(new Uint8Array([0xff, 0x00, 0xc3, 0x28]), new Uint8Array([0xed, 0xa0, 0x80]));
  const headers = [
    { key: "a", value: ENCODER.encode("1") },
    { key: "a", value: new Uint8Array([0xff]) },
    { key: "b", value: null },
  ];
  for (const value of values) {
    for (const key of [null, new Uint8Array(), ENCODER.encode("é"), new Uint8Array([0xfe])]) {
      const isText = value === null || isUtf8(value);
      const line = encode({ value, key, headers }, { ...TEXT, isText });
      JSON.parse(line);
      assert.equal(line.indexOf("\n"), line.length - 1);
      assert.deepEqual(decodeEvent(line), {
        topic: "orders",
        partition: 2,
        offset: 41,
        value,
        details: { key, headers, timestampMs: 1_795_417_200_000 },
        topicId: "aa",
      });
    }
  }
});

Deno.test("a record's leader epoch is written after its topic id, and read back", () => {
  for (const leaderEpoch of [0, 7, 2_147_483_647]) {
    const line = encode({ leaderEpoch });
    assert.ok(line.endsWith(`,"kafka_topic_id":"aa","kafka_leader_epoch":${leaderEpoch}}\n`), line);
    assert.equal(decodeEvent(line).leaderEpoch, leaderEpoch);
    const bytes = ENCODER.encode(line.trimEnd());
    assert.deepEqual(quickClassify(bytes), classify(bytes));
    assert.deepEqual(quickClassify(bytes), {
      kind: "record",
      partition: { topic: "orders", topicId: "aa", partition: 2 },
      offset: 41,
      leaderEpoch,
      timestampMs: 1_795_417_200_000,
    });
  }
  assert.doesNotMatch(encode({}), /kafka_leader_epoch/);
});

Deno.test("EventWriter escapes the same bytes as JSON.stringify", () => {
  const text = Array.from({ length: 300 }, (_, codePoint) => String.fromCodePoint(codePoint)).join(
    "",
  );
  const { raw_message } = JSON.parse(encode({ value: ENCODER.encode(text) }));
  assert.equal(raw_message, text);
  assert.ok(
    encode({ value: ENCODER.encode(text) }).includes(`"raw_message":${JSON.stringify(text)}`),
  );
});

Deno.test("EventWriter puts JSON with line breaks on one line, and otherwise keeps its text", () => {
  const value = ENCODER.encode('{\r\n  "a":\n12345678901234567890,\n"b":"x\\ny"}\n');
  const line = encode({ value }, { ...TEXT, deserialized: true });
  assert.equal(line.split("\n").length, 2);
  assert.ok(
    line.includes('"order_full":{    "a": 12345678901234567890, "b":"x\\ny"} ,"kafka_key"'),
    line,
  );
  assert.deepEqual(decodeEvent(line).value, value);
});

Deno.test("EventWriter keeps lines separate", () => {
  const writer = new EventWriter();
  for (let offset = 0; offset < 50; offset++) {
    writer.write(record({ offset, value: new Uint8Array(offset * 10) }), TEXT, {
      receivedAt: RECEIVED_AT,
    });
  }
  const lines = new TextDecoder().decode(writer.lines).trimEnd().split("\n");
  assert.deepEqual(
    lines.map((line) => decodeEvent(line).offset),
    Array.from({ length: 50 }, (_, i) => i),
  );
});

Deno.test("decodeEvent() reads a line of the founding project's tracker, which has no details", () => {
  const line =
    '{"timestamp":"2025-01-01T00:00:00Z","event_type":"message.received","kafka_topic":"orders",' +
    '"kafka_partition":0,"kafka_offset":3,"raw_message":"{}","message_size":2,"deserialized":true,"order_full":{}}';
  assert.deepEqual(decodeEvent(line), {
    topic: "orders",
    partition: 0,
    offset: 3,
    value: ENCODER.encode("{}"),
  });
});

Deno.test("decodeEvent() reports what is wrong with an invalid line", () => {
  for (
    const line of [
      "",
      "x",
      "[]",
      "null",
      '{"kafka_topic":1}',
      '{"kafka_topic":"t","kafka_partition":-1}',
    ]
  ) {
    assert.throws(() => decodeEvent(line), SyntaxError);
  }
});

Deno.test("decodeEvent() refuses partitions and offsets that are not integers from 0 to 2^53 - 1", () => {
  const lineWith = (field: string, number: string) =>
    encode({}).trimEnd().replace(new RegExp(`"kafka_${field}":\\d+`), `"kafka_${field}":${number}`);
  for (const field of ["partition", "offset"]) {
    for (const number of ["-1", "0.5", '"1"', "null", "9007199254740992", "1e300"]) {
      assert.throws(() => decodeEvent(lineWith(field, number)), SyntaxError, `${field} ${number}`);
    }
  }
  assert.equal(decodeEvent(lineWith("offset", "0")).offset, 0);
  const highest = decodeEvent(lineWith("offset", "9007199254740991")).offset;
  assert.equal(highest, Number.MAX_SAFE_INTEGER);
});
