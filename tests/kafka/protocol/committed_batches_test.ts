import assert from "node:assert/strict";
import { committedBatches } from "../../../lib/kafka/protocol/committed_records.ts";
import type { RecordBatch } from "../../../lib/kafka/protocol/record_batch.ts";

function batchOf(offset: number, producerId: bigint, isTransactional = true): RecordBatch {
  return {
    baseOffset: offset,
    lastOffset: offset,
    producerId,
    isTransactional,
    isControl: false,
    codec: 0,
    recordCount: 1,
    leaderEpoch: 0,
    baseTimestamp: 0n,
    baseTimestampMs: 0,
    appendTime: undefined,
    payload: new Uint8Array(),
  };
}

Deno.test("committedBatches() leaves out aborted batches, in whatever order the transactions are listed", () => {
  const batches = [batchOf(0, 1n), batchOf(1, 2n), batchOf(2, 3n), batchOf(3, 1n, false)];
  const aborted = [{ producerId: 2n, firstOffset: 1 }, { producerId: 1n, firstOffset: 0 }];
  for (const transactions of [aborted, aborted.toReversed()]) {
    const left = [...committedBatches(batches, transactions)];
    assert.deepEqual(left.map(({ baseOffset }) => baseOffset), [2, 3]);
  }
});
