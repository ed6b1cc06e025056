import assert from "node:assert/strict";
import { CorruptBatchError } from "../../lib/kafka/protocol/cursor.ts";
import { decodeBatches } from "../../lib/kafka/protocol/record_batch.ts";
import { decodeRecords, spanOf } from "../../lib/kafka/protocol/records.ts";
import { batchBytes } from "../kafka/batch_bytes.ts";

/** A record with value "a": attributes, timestamp delta, offset delta, no key, the value, no headers. */
const BODY = [0, 0, 0, 1, 2, 0x61, 0];
const LENGTH = BODY.length * 2;
const WHOLE = [LENGTH, ...BODY];
const LONG_ZERO = [...new Array(9).fill(0x80), 0];

const BROKEN: Readonly<Record<string, readonly [recordCount: number, bytes: readonly number[]]>> = {
  "is longer than its fields": [1, [LENGTH + 2, ...BODY, 0]],
  "is shorter than its fields": [1, [LENGTH - 2, ...BODY]],
  "ends past its batch": [1, [LENGTH, ...BODY.slice(0, -1)]],
  "has a negative length": [1, [LENGTH + 1, ...BODY]],
  "has a value that ends past it": [2, [LENGTH, 0, 0, 0, 1, 20, 0x61, 0, ...WHOLE]],
  "has a negative header count": [1, [LENGTH, ...BODY.slice(0, -1), 1]],
  "has a header without a name": [1, [LENGTH + 4, ...BODY.slice(0, -1), 2, 1, 1]],
  "has a six-byte length": [1, [LENGTH | 0x80, 0x80, 0x80, 0x80, 0x80, 0, ...BODY]],
  "has an eleven-byte timestamp delta": [1, [LENGTH + 20, 0, 0x80, ...LONG_ZERO, ...BODY.slice(2)]],
  "follows the last record of the batch": [1, [...WHOLE, ...WHOLE]],
  "is missing": [2, WHOLE],
  "belongs to a batch with a negative record count": [-1, WHOLE],
};
const UNUSUAL: Readonly<Record<string, readonly number[]>> = {
  "a five-byte length": [LENGTH | 0x80, 0x80, 0x80, 0x80, 0, ...BODY],
  "a ten-byte timestamp delta": [LENGTH + 18, 0, ...LONG_ZERO, ...BODY.slice(2)],
};

function batchOf(recordCount: number, bytes: readonly number[]) {
  const [batch] = decodeBatches(
    batchBytes({ payload: Uint8Array.from(bytes), codec: 0, recordCount }),
  );
  assert.ok(batch !== undefined);
  return batch;
}

async function valuesOf(
  batch: ReturnType<typeof batchOf>,
): Promise<readonly (readonly number[])[]> {
  const parts = await Array.fromAsync(
    decodeRecords(batch, { topic: "orders", partition: 0 }),
    (part) => [...part],
  );
  return parts.flat().map(({ value }) => [...value ?? []]);
}

for (const [what, [recordCount, bytes]] of Object.entries(BROKEN)) {
  Deno.test(`the kernel and the decoder both refuse a batch in which a record ${what}`, async () => {
    const batch = batchOf(recordCount, bytes);
    assert.throws(() => spanOf(batch), CorruptBatchError);
    await assert.rejects(valuesOf(batch), CorruptBatchError);
  });
}

Deno.test("the kernel and the decoder both accept varints that are longer than necessary", async () => {
  for (const [what, bytes] of Object.entries(UNUSUAL)) {
    const batch = batchOf(1, bytes);
    assert.ok(spanOf(batch), what);
    assert.deepEqual(await valuesOf(batch), [[0x61]], what);
  }
});
