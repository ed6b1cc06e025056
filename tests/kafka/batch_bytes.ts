/**
 * Builds record batches byte by byte, so that a test controls their contents.
 */

import { Buffer } from "node:buffer";
import { crc32c } from "../../lib/kafka/protocol/crc32c.ts";

const HEADER_BYTES = 61;

/** Encodes the records of a batch, before compression, from their values; null is a tombstone. */
export function recordsBytes(values: Iterable<Uint8Array | null>): Buffer {
  const parts: Uint8Array[] = [];
  let index = 0;
  for (const value of values) {
    const head = Buffer.from([0, 0, ...varint(index++), ...varint(-1)]); // attributes, timestamp delta, offset delta, key
    const length = varint(value?.length ?? -1);
    const size = head.length + length.length + (value?.length ?? 0) + 1;
    parts.push(Buffer.from(varint(size)), head, Buffer.from(length));
    if (value !== null) parts.push(value);
    parts.push(Buffer.from([0])); // no headers
  }
  return Buffer.concat(parts);
}

/** Encodes a complete batch, with a correct checksum. */
export function batchBytes(
  { payload, codec, recordCount }: {
    readonly payload: Uint8Array;
    readonly codec: number;
    readonly recordCount: number;
  },
): Buffer {
  const batch = Buffer.concat([Buffer.alloc(HEADER_BYTES), payload]);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt8(2, 16); // magic
  batch.writeInt16BE(codec, 21);
  batch.writeInt32BE(recordCount - 1, 23);
  batch.writeBigInt64BE(-1n, 43); // no producer id
  batch.writeInt32BE(recordCount, 57);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push(rest % 0x80 | 0x80);
  return [...bytes, rest];
}
