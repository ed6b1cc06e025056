/**
 * From the bytes of a fetch to records: those of committed batches whose checksum was right. Transaction
 * markers and aborted records are left out.
 *
 * @module
 */

import type { AbortedTransaction } from "./raw_fetch.ts";
import type { KafkaRecord } from "./record.ts";
import {
  CorruptBatchError,
  decodeBatches,
  decodeRecords,
  isAbortMarker,
  type RecordBatch,
} from "./record_batch.ts";

/** What a fetch brought of a partition. */
export interface FetchedBytes {
  readonly topic: string;
  readonly partition: number;
  /** The offset that was asked for; the first batch may begin before it. */
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly abortedTransactions: readonly AbortedTransaction[];
}

/**
 * The committed records from `start` on, in order; their bytes are views of what was fetched.
 *
 * @throws {CorruptBatchError} where the bytes are not what was stored; {Error} where a batch cannot be
 * decompressed.
 */
export async function committedRecords(fetched: FetchedBytes): Promise<readonly KafkaRecord[]> {
  const { bytes, abortedTransactions, start } = fetched;
  const batches = [...decodeBatches(bytes)];
  if ((batches.at(-1)?.lastOffset ?? -1) < start) {
    throw new CorruptBatchError(`there is no whole batch at offset ${start}`);
  }
  const records: KafkaRecord[] = [];
  for (const batch of committedBatches(batches, abortedTransactions)) {
    for (const record of await decodeRecords(batch, fetched)) {
      if (record.offset >= start) records.push(record);
    }
  }
  return records;
}

/**
 * The batches of committed records, by the rule of Kafka's own consumer: from an aborted transaction's first
 * offset on, its producer's transactional batches are left out, until the marker that ends it.
 */
export function* committedBatches(
  batches: readonly RecordBatch[],
  abortedTransactions: readonly AbortedTransaction[],
): Generator<RecordBatch> {
  const coming = abortedTransactions.toSorted((a, b) => a.firstOffset - b.firstOffset);
  const abortedProducers = new Set<bigint>();
  for (const batch of batches) {
    while (coming[0] !== undefined && coming[0].firstOffset <= batch.lastOffset) {
      abortedProducers.add(coming[0].producerId);
      coming.shift();
    }
    if (batch.isControl) {
      if (batch.recordCount > 0 && isAbortMarker(batch)) abortedProducers.delete(batch.producerId);
      continue;
    }
    if (!(batch.isTransactional && abortedProducers.has(batch.producerId))) yield batch;
  }
}
