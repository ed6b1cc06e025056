import assert from "node:assert/strict";
import type { KafkaRecord } from "../../lib/kafka/record.ts";
import { decodeEvent, decodeText, encodeEvent, type Verdict } from "../../lib/tracker/event.ts";

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

function encode(
  fields: Partial<KafkaRecord>,
  verdict: Verdict = { eventType: "message.received" },
): string {
  const each = record(fields);
  const value = each.value === null ? { text: "", exact: true } : decodeText(each.value);
  return encodeEvent(each, value, verdict, { receivedAt: RECEIVED_AT, topicId: "aa" });
}

Deno.test("encodeEvent() writes the contract's fields in the contract's order on one line", () => {
  assert.equal(
    encode({}, { eventType: "message.received", orderJson: '{"a":1}' }),
    '{"timestamp":"2026-11-23T07:00:00.005Z","event_type":"message.received","kafka_topic":"orders",' +
      '"kafka_partition":2,"kafka_offset":41,"raw_message":"{\\"a\\":1}","message_size":7,' +
      '"deserialized":true,"order_full":{"a":1},"kafka_key":"customer-1",' +
      '"kafka_timestamp":1795417200000,"kafka_topic_id":"aa"}\n',
  );
});

Deno.test("a record comes back from its line byte for byte, whatever its bytes", () => {
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
      const line = encode({ value, key, headers });
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

Deno.test("decodeEvent() says what is wrong with a line that is none", () => {
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
