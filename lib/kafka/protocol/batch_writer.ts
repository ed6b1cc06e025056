/**
 * Writes record batches in one pass into one buffer.
 */

import { Buffer } from "node:buffer";
import { compress } from "./compress.ts";
import { crc32c } from "./crc32c.ts";
import type { OutgoingRecord, RecordHeader } from "../../record.ts";
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  CRC_AT,
  HEADER_BYTES,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  LENGTH_AT,
  LENGTH_END,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  TRANSACTIONAL_FLAG,
} from "./batch_layout.ts";

export interface OutgoingBatch {
  readonly records: readonly OutgoingRecord[];
  /** The codec's place in `CODEC_NAMES`. */
  readonly compression: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly isTransactional: boolean;
}

/** Writes a record batch. The broker sets its base offset and leader epoch. */
export async function writeBatch(
  writer: RequestWriter,
  { records, compression, producerId, producerEpoch, firstSequence, isTransactional }:
    OutgoingBatch,
): Promise<void> {
  const nowMs = Date.now();
  const timestampOf = ({ exactTimestampMs, timestampMs = nowMs }: OutgoingRecord) =>
    exactTimestampMs ?? timestampMs;
  const firstTimestamp = records[0] === undefined ? nowMs : timestampOf(records[0]);
  let maxTimestamp = firstTimestamp;
  const start = writer.skip(HEADER_BYTES);
  let offsetDelta = 0;
  for (const record of records) {
    const timestamp = timestampOf(record);
    writer.record(record, { offsetDelta, timestampDelta: difference(timestamp, firstTimestamp) });
    if (timestamp > maxTimestamp) maxTimestamp = timestamp;
    offsetDelta++;
  }
  if (compression !== 0) {
    const recordsStart = start + HEADER_BYTES;
    writer.replaceFrom(recordsStart, await compress(compression, writer.since(recordsStart)));
  }

  const { view, end } = writer;
  view.setBigInt64(start, 0n);
  view.setInt32(start + LENGTH_AT, end - start - LENGTH_END);
  view.setInt32(start + LEADER_EPOCH_AT, 0);
  view.setInt8(start + MAGIC_AT, MAGIC);
  view.setInt16(start + ATTRIBUTES_AT, compression | (isTransactional ? TRANSACTIONAL_FLAG : 0));
  view.setInt32(start + LAST_OFFSET_DELTA_AT, records.length - 1);
  view.setBigInt64(start + BASE_TIMESTAMP_AT, BigInt(firstTimestamp));
  view.setBigInt64(start + MAX_TIMESTAMP_AT, BigInt(maxTimestamp));
  view.setBigInt64(start + PRODUCER_ID_AT, producerId);
  view.setInt16(start + PRODUCER_EPOCH_AT, producerEpoch);
  view.setInt32(start + BASE_SEQUENCE_AT, firstSequence);
  view.setInt32(start + RECORD_COUNT_AT, records.length);
  view.setUint32(start + CRC_AT, crc32c(writer.since(start + ATTRIBUTES_AT)));
}

/** Writes a request's body into one buffer, with headroom before it. */
export class RequestWriter {
  readonly view: DataView;
  readonly #bytes: Buffer;
  readonly #headroom: number;
  #end: number;

  /**
   * @param headroom bytes left free before the body.
   * @param bytesMax maximum length of the body.
   */
  constructor(headroom: number, bytesMax: number) {
    this.#headroom = headroom;
    this.#end = headroom;
    // Uninitialized: every byte up to the end is written.
    this.#bytes = Buffer.allocUnsafeSlow(headroom + bytesMax);
    this.view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  get end(): number {
    return this.#end;
  }

  get body(): Buffer {
    return this.#bytes.subarray(this.#headroom, this.#end);
  }

  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#end);
  }

  replaceFrom(start: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, start);
    this.#end = start + bytes.length;
  }

  /** Reserves bytes; returns where they begin. */
  skip(byteCount: number): number {
    this.#end += byteCount;
    return this.#end - byteCount;
  }

  int16(value: number): void {
    this.view.setInt16(this.skip(2), value);
  }

  int32(value: number): void {
    this.view.setInt32(this.skip(4), value);
  }

  text(text: string | null): void {
    const bytes = Buffer.from(text ?? "");
    this.int16(text === null ? -1 : bytes.length);
    this.#bytes.set(bytes, this.skip(bytes.length));
  }

  record(
    { key, value, headers }: OutgoingRecord,
    { offsetDelta, timestampDelta }: { offsetDelta: number; timestampDelta: number | bigint },
  ): void {
    const headerKeys = headers.length === 0
      ? NO_KEYS
      : headers.map((header) => Buffer.from(header.key));
    this.#varint(
      1 + varlongBytes(timestampDelta) + varintBytes(offsetDelta) + nullableBytes(key) +
        nullableBytes(value) + varintBytes(headers.length) + headerBytes(headers, headerKeys),
    );
    this.#bytes[this.#end++] = 0; // attributes: none are in use
    this.#varlong(timestampDelta);
    this.#varint(offsetDelta);
    this.#nullable(key);
    this.#nullable(value);
    this.#varint(headers.length);
    for (const [index, header] of headers.entries()) {
      this.#nullable(headerKeys[index] ?? null);
      this.#nullable(header.value);
    }
  }

  #nullable(bytes: Uint8Array | null): void {
    if (bytes === null) return this.#varint(-1);
    this.#varint(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #varlong(value: number | bigint): void {
    if (typeof value === "number") return this.#varint(value);
    let rest = BigInt.asUintN(64, value << 1n ^ value >> 63n);
    for (; rest >= 0x80n; rest >>= 7n) this.#bytes[this.#end++] = Number(rest & 0x7fn) | 0x80;
    this.#bytes[this.#end++] = Number(rest);
  }

  /** Writes a zigzag varint (0, -1, 1, -2, ... as 0, 1, 2, 3, ...), seven bits per byte, lowest first. */
  #varint(value: number): void {
    let rest = zigzag(value);
    while (rest >= 0x80) {
      this.#bytes[this.#end++] = rest % 0x80 | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#end++] = rest;
  }
}

const NO_KEYS: readonly Buffer[] = [];

/** Returns `a - b`, as a number if it is exact. Wraps around at 64 bits, as does the decoder's addition. */
function difference(a: number | bigint, b: number | bigint): number | bigint {
  const number = typeof a === "number" && typeof b === "number" ? a - b : NaN;
  return Number.isSafeInteger(number * 2) ? number : BigInt.asIntN(64, BigInt(a) - BigInt(b));
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function varlongBytes(value: number | bigint): number {
  if (typeof value === "number") return varintBytes(value);
  let count = 1;
  for (let rest = BigInt.asUintN(64, value << 1n ^ value >> 63n); rest >= 0x80n; rest >>= 7n) {
    count++;
  }
  return count;
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) count++;
  return count;
}

function nullableBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintBytes(bytes.length) + bytes.length;
}

function headerBytes(headers: readonly RecordHeader[], keys: readonly Buffer[]): number {
  return headers.reduce(
    (sum, { value }, index) => sum + nullableBytes(keys[index] ?? null) + nullableBytes(value),
    0,
  );
}
