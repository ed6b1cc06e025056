/**
 * From the bytes of a fetch to records: those of committed batches whose checksum was right. Transaction
 * markers and aborted records are left out.
 */

import type { KafkaRecord } from "../../record.ts";
import { Turns } from "../../async.ts";
import { CorruptBatchError, decodeBatches, type RecordBatch } from "./record_batch.ts";
import {
  decodeRecords,
  isAbortMarker,
  recordsInSpans,
  type RecordSpan,
  spanOf,
} from "./records.ts";

/** Records of a producer whose transaction was aborted, from `firstOffset` to the transaction's end marker. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

/** The fetched bytes of a partition. */
export interface FetchedBytes {
  readonly topic: string;
  readonly partition: number;
  /** The offset that was asked for; the first batch may begin before it. */
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly abortedTransactions: readonly AbortedTransaction[];
}

/** A part of what was fetched. */
export interface CommittedRecords {
  /** Decoded where they are asked for; their bytes are views. */
  readonly records: readonly KafkaRecord[];
  /** The same records as bytes, among others from before `start`; undefined where a batch is too large for it. */
  readonly spans?: readonly RecordSpan[];
  /** The offset of the last record that the part had when it was written; undefined where it is empty. */
  readonly lastOffset: number | undefined;
  /** True for the last part. */
  readonly isLast: boolean;
}

/** A part takes no further record beyond this; nearly always all that was fetched is one part. */
const PART_BYTES_MAX = 16 * 1024 * 1024;
/** Approximate size in bytes of a record without its value. */
const RECORD_OVERHEAD_BYTES = 200;

/**
 * Returns the committed records from `start` on, in order, in parts of bounded size: a batch may decompress to any size.
 * There is always a last part, which may be empty.
 *
 * @throws {CorruptBatchError} where the bytes are not what was stored; {Error} where a batch cannot be
 * decompressed.
 */
export async function* committedRecords(
  fetched: FetchedBytes,
): AsyncGenerator<CommittedRecords, void, void> {
  const { abortedTransactions, start } = fetched;
  const batches = [...decodeBatches(fetched.bytes)];
  if ((batches.at(-1)?.lastOffset ?? -1) < start) {
    throw new CorruptBatchError(`there is no whole batch at offset ${start}`);
  }
  using turns = new Turns();
  let spans: RecordSpan[] = [];
  let bytes = 0;
  for (const batch of committedBatches(batches, abortedTransactions)) {
    const span = spanOf(batch);
    if (spans.length > 0 && (span === undefined || bytes > PART_BYTES_MAX)) {
      yield new SpannedRecords(spans, fetched, { isLast: false });
      spans = [];
      bytes = 0;
    }
    if (span === undefined) {
      yield* largeBatch(batch, fetched);
    } else {
      spans.push(span);
      bytes += span.bytes.length;
    }
    await turns.next();
  }
  yield new SpannedRecords(spans, fetched, { isLast: true });
}

class SpannedRecords implements CommittedRecords {
  readonly spans: readonly RecordSpan[];
  readonly isLast: boolean;
  readonly #fetched: FetchedBytes;
  #records: readonly KafkaRecord[] | undefined;

  constructor(
    spans: readonly RecordSpan[],
    fetched: FetchedBytes,
    { isLast }: { readonly isLast: boolean },
  ) {
    this.spans = spans;
    this.isLast = isLast;
    this.#fetched = fetched;
  }

  get lastOffset(): number | undefined {
    return this.spans.at(-1)?.batch.lastOffset;
  }

  get records(): readonly KafkaRecord[] {
    this.#records ??= [...recordsInSpans(this.spans, this.#fetched)];
    return this.#records;
  }
}

/** The records of a batch that is decompressed in steps. */
async function* largeBatch(
  batch: RecordBatch,
  { topic, partition, start }: FetchedBytes,
): AsyncGenerator<CommittedRecords, void, void> {
  let records: KafkaRecord[] = [];
  let bytes = 0;
  const part = () => ({ records, lastOffset: records.at(-1)?.offset, isLast: false });
  for await (const step of decodeRecords(batch, { topic, partition })) {
    if (bytes > PART_BYTES_MAX) {
      yield part();
      records = [];
      bytes = 0;
    }
    for (const record of step) {
      if (record.offset < start) continue;
      records.push(record);
      bytes += (record.value?.length ?? 0) + RECORD_OVERHEAD_BYTES;
    }
  }
  if (records.length > 0) yield part();
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
