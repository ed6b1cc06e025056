/**
 * Record batches as they lie in a partition's log and come in a fetch, decoded here and not by the client.
 *
 * kafkajs hides what a reader needs to be sure of what it read: a batch that compaction left without
 * records, and the last offset of one of which it took the last records (without both a reader stands
 * still there), the checksum, and the order of headers with different names.
 */

import { crc32c } from "./crc32c.ts";
import { type Timestamp, timestampOf } from "../../int64.ts";
import {
  APPEND_TIME_FLAG,
  ATTRIBUTES_AT,
  BASE_TIMESTAMP_AT,
  CODEC_MASK,
  CONTROL_FLAG,
  CRC_AT,
  HEADER_BYTES,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  LENGTH_AT,
  LENGTH_END,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  TRANSACTIONAL_FLAG,
} from "./batch_layout.ts";
import { CorruptBatchError } from "./cursor.ts";

export { CorruptBatchError };

/** A batch whose checksum was right. */
export interface RecordBatch {
  /** The offset of the last record that the batch had when it was written. */
  readonly lastOffset: number;
  readonly producerId: bigint;
  readonly isTransactional: boolean;
  /** It holds a transaction's end marker and no records. */
  readonly isControl: boolean;
  readonly codec: number;
  readonly recordCount: number;
  readonly baseOffset: number;
  /** Which leader of the partition appended the batch (KIP-101); undefined where the header has -1. */
  readonly leaderEpoch: number | undefined;
  /** Milliseconds since the epoch, to which each record has its difference. */
  readonly baseTimestamp: bigint;
  /** The same as a number; NaN where a number would round it. */
  readonly baseTimestampMs: number;
  /** The broker's time, present where it replaces every record's own. */
  readonly appendTime: Timestamp | undefined;
  /** The records' bytes, compressed as `codec` says. */
  readonly payload: Uint8Array;
}

/** Offsets that were appended in one leader epoch, from `start` up to, not including, `end`. */
export interface EpochRun {
  /** Undefined where it is not known. */
  readonly epoch: number | undefined;
  readonly start: number;
  readonly end: number;
}

/** The batches that are there in whole; a fetch may cut the last one short, unless it is the only one. */
export function* decodeBatches(bytes: Uint8Array): Generator<RecordBatch> {
  for (const batch of wholeBatches(bytes)) yield decodeBatch(batch);
}

/**
 * The offset of the last record that the whole batches had when they were written, by their headers alone;
 * undefined where no batch is there in whole.
 */
export function lastOffsetIn(bytes: Uint8Array): number | undefined {
  let lastOffset: number | undefined;
  for (const batch of wholeBatches(bytes)) {
    const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
    lastOffset = safeNumber(view.getBigInt64(0)) + view.getInt32(LAST_OFFSET_DELTA_AT);
  }
  return lastOffset;
}

/**
 * Returns the offsets of the whole batches by leader epoch, lowest first, by their headers alone. Offsets between two
 * batches are in no run, unless both are of one epoch.
 *
 * @param range batches outside it are left out, and what goes beyond its end.
 */
export function epochRunsIn(
  bytes: Uint8Array,
  range: { readonly start: number; readonly end: number } = { start: 0, end: Infinity },
): readonly EpochRun[] {
  const runs: EpochRun[] = [];
  for (const batch of wholeBatches(bytes)) {
    const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
    const start = safeNumber(view.getBigInt64(0));
    const end = Math.min(start + view.getInt32(LAST_OFFSET_DELTA_AT) + 1, range.end);
    if (end <= range.start || start >= end) continue;
    const epoch = leaderEpochOf(view);
    const last = runs.at(-1);
    if (last !== undefined && last.epoch === epoch) runs[runs.length - 1] = { ...last, end };
    else runs.push({ epoch, start, end });
  }
  return runs;
}

function leaderEpochOf(header: DataView): number | undefined {
  const epoch = header.getInt32(LEADER_EPOCH_AT);
  return epoch < 0 ? undefined : epoch;
}

/** Cut apart by their lengths; what has one that makes no sense is given as it is, to be refused. */
function* wholeBatches(bytes: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 0;
  while (start + HEADER_BYTES <= bytes.length) {
    const end = start + LENGTH_END + view.getInt32(start + LENGTH_AT);
    if (end < start + HEADER_BYTES) return yield bytes.subarray(start);
    if (end > bytes.length) return;
    yield bytes.subarray(start, end);
    start = end;
  }
}

function decodeBatch(bytes: Uint8Array): RecordBatch {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const baseOffset = safeNumber(view.getBigInt64(0));
  const magic = bytes.length < HEADER_BYTES ? undefined : view.getInt8(MAGIC_AT);
  if (magic !== MAGIC) {
    throw new CorruptBatchError(
      `the batch at offset ${baseOffset} has format ${magic}: expected ${MAGIC} (Kafka 0.11 and later)`,
    );
  }
  const length = view.getInt32(LENGTH_AT);
  if (length !== bytes.length - LENGTH_END) {
    throw new CorruptBatchError(`the batch at offset ${baseOffset} has length ${length}`);
  }
  const expected = view.getUint32(CRC_AT);
  const actual = crc32c(bytes.subarray(ATTRIBUTES_AT));
  if (actual !== expected) {
    throw new CorruptBatchError(
      `the batch at offset ${baseOffset} has checksum ${actual}: expected ${expected}`,
    );
  }
  const attributes = view.getInt16(ATTRIBUTES_AT);
  const baseTimestamp = view.getBigInt64(BASE_TIMESTAMP_AT);
  return {
    baseOffset,
    leaderEpoch: leaderEpochOf(view),
    lastOffset: baseOffset + view.getInt32(LAST_OFFSET_DELTA_AT),
    producerId: view.getBigInt64(PRODUCER_ID_AT),
    isTransactional: (attributes & TRANSACTIONAL_FLAG) !== 0,
    isControl: (attributes & CONTROL_FLAG) !== 0,
    codec: attributes & CODEC_MASK,
    recordCount: view.getInt32(RECORD_COUNT_AT),
    baseTimestamp,
    baseTimestampMs: Number.isSafeInteger(Number(baseTimestamp)) ? Number(baseTimestamp) : NaN,
    appendTime: (attributes & APPEND_TIME_FLAG) === 0
      ? undefined
      : timestampOf(view.getBigInt64(MAX_TIMESTAMP_AT)),
    payload: bytes.subarray(HEADER_BYTES),
  };
}

/** @throws {RangeError} at an offset past 2^53, which a number cannot hold. */
function safeNumber(offset: bigint): number {
  const number = Number(offset);
  if (!Number.isSafeInteger(number)) throw new RangeError(`offset ${offset} is past 2^53`);
  return number;
}
