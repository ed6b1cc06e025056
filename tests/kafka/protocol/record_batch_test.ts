import assert from "node:assert/strict";
import type { KafkaRecord } from "../../../lib/record.ts";
import { decodeBatches } from "../../../lib/kafka/protocol/record_batch.ts";
import { decodeRecords } from "../../../lib/kafka/protocol/records.ts";
import { encodeBatch } from "../scripted/record_batches.ts";

const TIMESTAMP_MS = 1_756_684_800_000;

async function decode(bytes: Uint8Array): Promise<readonly KafkaRecord[]> {
  const records: KafkaRecord[] = [];
  for (const batch of decodeBatches(bytes)) {
    const parts = decodeRecords(batch, { topic: "orders", partition: 3 });
    for await (const part of parts) records.push(...part);
  }
  return records;
}

Deno.test("decodeRecords() decodes key, value, headers, and timestamps from literal bytes", async () => {
  const bytes = encodeBatch([
    {
      key: "key",
      value: "value",
      timestampMs: TIMESTAMP_MS,
      headers: [["a", "1"], ["b", null], ["a", ""], ["", "2"]],
    },
    { key: null, value: null, timestampMs: TIMESTAMP_MS - 86_400_000 },
    { key: "", value: "", timestampMs: TIMESTAMP_MS + 5_000_000_000, offsetDelta: 7 },
  ], { baseOffset: 2 ** 40, leaderEpoch: 4 });
  const encoder = new TextEncoder();
  const common = { topic: "orders", partition: 3, leaderEpoch: 4, exactTimestampMs: undefined };
  const empty = new Uint8Array();
  assert.deepEqual(await decode(bytes), [
    {
      ...common,
      offset: 2 ** 40,
      timestampMs: TIMESTAMP_MS,
      key: encoder.encode("key"),
      value: encoder.encode("value"),
      headers: [
        { key: "a", value: encoder.encode("1") },
        { key: "b", value: null },
        { key: "a", value: empty },
        { key: "", value: encoder.encode("2") },
      ],
    },
    {
      ...common,
      offset: 2 ** 40 + 1,
      timestampMs: TIMESTAMP_MS - 86_400_000,
      key: null,
      value: null,
      headers: [],
    },
    {
      ...common,
      offset: 2 ** 40 + 7,
      timestampMs: TIMESTAMP_MS + 5_000_000_000,
      key: empty,
      value: empty,
      headers: [],
    },
  ]);
});

Deno.test("decodeRecords() uses the broker's time for each record if the batch says so", async () => {
  const records = [
    { value: "one", timestampMs: TIMESTAMP_MS - 2_000 },
    { value: "two", timestampMs: TIMESTAMP_MS - 1_000 },
  ];
  const timesOf = async (bytes: Uint8Array) =>
    (await decode(bytes)).map(({ timestampMs }) => timestampMs);
  assert.deepEqual(
    await timesOf(encodeBatch(records)),
    records.map(({ timestampMs }) => timestampMs),
  );
  assert.deepEqual(
    await timesOf(encodeBatch(records, { appendTimeMs: TIMESTAMP_MS })),
    [TIMESTAMP_MS, TIMESTAMP_MS],
  );
});
