/**
 * Record batches as they lie in a partition's log and come in a fetch, decoded here and not by the client:
 *
 *     batch    base offset i64 · length i32 · leader epoch i32 · magic i8 (2) · CRC-32C u32 of all that follows
 *              · attributes i16 · last offset delta i32 · base timestamp i64 · max timestamp i64
 *              · producer id i64 · producer epoch i16 · base sequence i32 · record count i32 · records
 *     record   length · attributes i8 · timestamp delta · offset delta · key · value · header count · headers
 *              (lengths, counts and deltas are zigzag varints; a length of -1 is null)
 *
 * kafkajs hides what a reader needs to be sure of what it read: a batch that compaction left without
 * records, and the last offset of one of which it took the last records (without both a reader stands
 * still there), the checksum, and the order of headers with different names.
 *
 * https://kafka.apache.org/documentation/#recordbatch
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { CompressionCodecs } from "kafkajs";
import { crc32c } from "./crc32c.ts";
import type { KafkaRecord, RecordHeader } from "./record.ts";

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
  readonly baseTimestampMs: number;
  /** Given where the broker's time stands for every record's own. */
  readonly appendTimeMs: number | undefined;
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

/** What was fetched is not what a Kafka log can hold. */
export class CorruptBatchError extends Error {
  override readonly name = "CorruptBatchError";
}

const LENGTH_AT = 8;
const LENGTH_END = 12;
const LEADER_EPOCH_AT = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const RECORD_COUNT_AT = 57;
const HEADER_BYTES = 61;

const MAGIC = 2;
const CODEC_MASK = 0x07;
const APPEND_TIME_FLAG = 0x08;
const TRANSACTIONAL_FLAG = 0x10;
const CONTROL_FLAG = 0x20;

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
 */
export function epochRunsIn(bytes: Uint8Array): readonly EpochRun[] {
  const runs: EpochRun[] = [];
  for (const batch of wholeBatches(bytes)) {
    const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
    const start = safeNumber(view.getBigInt64(0));
    const end = start + view.getInt32(LAST_OFFSET_DELTA_AT) + 1;
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
  return {
    baseOffset,
    leaderEpoch: leaderEpochOf(view),
    lastOffset: baseOffset + view.getInt32(LAST_OFFSET_DELTA_AT),
    producerId: view.getBigInt64(PRODUCER_ID_AT),
    isTransactional: (attributes & TRANSACTIONAL_FLAG) !== 0,
    isControl: (attributes & CONTROL_FLAG) !== 0,
    codec: attributes & CODEC_MASK,
    recordCount: view.getInt32(RECORD_COUNT_AT),
    baseTimestampMs: Number(view.getBigInt64(BASE_TIMESTAMP_AT)),
    appendTimeMs: (attributes & APPEND_TIME_FLAG) === 0
      ? undefined
      : Number(view.getBigInt64(MAX_TIMESTAMP_AT)),
    payload: bytes.subarray(HEADER_BYTES),
  };
}

/** Whether a control batch ends its transaction by throwing the records away. */
export function isAbortMarker(batch: RecordBatch): boolean {
  const cursor = new Cursor(batch.payload);
  const record = decodeRecord(cursor, { batch, topic: "", partition: 0 });
  // The key is two numbers of 16 bits: a version and the marker's type.
  return record.key !== null && record.key.length >= 4 &&
    new DataView(record.key.buffer, record.key.byteOffset).getInt16(2) === 0;
}

/**
 * The records of a batch, to be gone through once, their bytes being views of the batch's own.
 *
 * @throws {Error} where the batch is compressed in a way that the client has no codec for.
 */
export async function decodeRecords(
  batch: RecordBatch,
  { topic, partition }: { readonly topic: string; readonly partition: number },
): Promise<Iterable<KafkaRecord>> {
  return recordsIn(new Cursor(await decompressed(batch)), { batch, topic, partition });
}

function* recordsIn(cursor: Cursor, place: RecordPlace): Generator<KafkaRecord> {
  for (let index = 0; index < place.batch.recordCount; index++) yield decodeRecord(cursor, place);
}

interface RecordPlace {
  readonly batch: RecordBatch;
  readonly topic: string;
  readonly partition: number;
}

const CODEC_NAMES = ["none", "gzip", "snappy", "lz4", "zstd"];

async function decompressed({ codec, payload, baseOffset }: RecordBatch): Promise<Uint8Array> {
  if (codec === 0 || payload.length === 0) return payload;
  try {
    const { decompress } = CompressionCodecs[codec as keyof typeof CompressionCodecs]();
    return await decompress(
      Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
    );
  } catch (cause) {
    const name = CODEC_NAMES[codec] ?? `codec ${codec}`;
    throw new Error(`the batch at offset ${baseOffset}, compressed with ${name}, cannot be read`, {
      cause,
    });
  }
}

function decodeRecord(cursor: Cursor, { batch, topic, partition }: RecordPlace): KafkaRecord {
  cursor.varint(); // length
  cursor.skipByte(); // attributes
  const timestampDelta = cursor.varint();
  const offset = batch.baseOffset + cursor.varint();
  const key = cursor.bytes();
  const value = cursor.bytes();
  return {
    topic,
    partition,
    offset,
    timestampMs: batch.appendTimeMs ?? batch.baseTimestampMs + timestampDelta,
    key,
    value,
    headers: decodeHeaders(cursor),
    leaderEpoch: batch.leaderEpoch,
  };
}

const NO_HEADERS: readonly RecordHeader[] = [];
const TEXT_DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

function decodeHeaders(cursor: Cursor): readonly RecordHeader[] {
  const count = cursor.varint();
  if (count === 0) return NO_HEADERS;
  const headers: RecordHeader[] = [];
  for (let index = 0; index < count; index++) {
    const key = TEXT_DECODER.decode(cursor.bytes() ?? new Uint8Array());
    headers.push({ key, value: cursor.bytes() });
  }
  return headers;
}

/** Reads on from byte to byte; an index past the end is a corrupt batch. */
class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  skipByte(): void {
    this.#at++;
  }

  /** A zigzag varint; exact up to 2^53. */
  varint(): number {
    let factor = 1;
    let zigzag = 0;
    for (;;) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new CorruptBatchError("a record ends past its batch");
      zigzag += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 0x80;
    }
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }

  /** Bytes after their length; null at length -1. */
  bytes(): Uint8Array | null {
    const length = this.varint();
    if (length < 0) return null;
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) {
      throw new CorruptBatchError("a record ends past its batch");
    }
    return this.#bytes.subarray(start, this.#at);
  }
}

/** @throws {RangeError} at an offset past 2^53, which a number cannot hold. */
function safeNumber(offset: bigint): number {
  const number = Number(offset);
  if (!Number.isSafeInteger(number)) throw new RangeError(`offset ${offset} is past 2^53`);
  return number;
}
