/**
 * Encodes record batches as a broker stores them, without the product's encoder or decoder, so that a test can serve
 * any batch: with the broker's time, in a transaction, or in a leader epoch.
 *
 * https://kafka.apache.org/documentation/#recordbatch
 */

import { Buffer } from "node:buffer";
import { crc32c } from "../../../lib/kafka/protocol/crc32c.ts";
import { int16, int32, int64, int8, varint } from "./wire.ts";

export interface RecordSpec {
  readonly value?: string | Uint8Array | null;
  readonly key?: string | Uint8Array | null;
  readonly headers?: readonly (readonly [key: string, value: string | Uint8Array | null])[];
  /** The producer's timestamp. */
  readonly timestampMs?: number;
  /** Relative to the batch; defaults to the record's index in the batch. */
  readonly offsetDelta?: number;
}

export interface BatchSpec {
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  /** The broker's time, which replaces each record's own (`message.timestamp.type=LogAppendTime`). */
  readonly appendTimeMs?: number;
  readonly producerId?: bigint;
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  /** Defaults to that of the last record; compaction can remove the last records of a batch. */
  readonly lastOffsetDelta?: number;
}

const MAGIC = 2;
const APPEND_TIME_FLAG = 0x08;
const TRANSACTIONAL_FLAG = 0x10;
const CONTROL_FLAG = 0x20;
const DEFAULT_TIMESTAMP_MS = 1_756_684_800_000;

/** Encodes a batch; a string stands for a record with that value. */
export function encodeBatch(
  records: readonly (string | RecordSpec)[],
  {
    baseOffset = 0,
    leaderEpoch = 0,
    appendTimeMs,
    producerId = -1n,
    isTransactional = false,
    isControl = false,
    lastOffsetDelta,
  }: BatchSpec = {},
): Uint8Array {
  const specs = records.map((record) => typeof record === "string" ? { value: record } : record);
  const timestamps = specs.map(({ timestampMs = DEFAULT_TIMESTAMP_MS }) => timestampMs);
  const baseTimestampMs = timestamps[0] ?? DEFAULT_TIMESTAMP_MS;
  const deltas = specs.map(({ offsetDelta }, index) => offsetDelta ?? index);
  const attributes = (appendTimeMs === undefined ? 0 : APPEND_TIME_FLAG) |
    (isTransactional ? TRANSACTIONAL_FLAG : 0) | (isControl ? CONTROL_FLAG : 0);
  const guarded = Buffer.concat([
    int16(attributes),
    int32(lastOffsetDelta ?? deltas.at(-1) ?? 0),
    int64(baseTimestampMs),
    int64(appendTimeMs ?? Math.max(baseTimestampMs, ...timestamps)),
    int64(producerId),
    int16(producerId < 0n ? -1 : 0), // producer epoch
    int32(producerId < 0n ? -1 : baseOffset), // base sequence
    int32(specs.length),
    ...specs.map((spec, index) =>
      encodeRecord(spec, {
        timestampDelta: (timestamps[index] ?? 0) - baseTimestampMs,
        offsetDelta: deltas[index] ?? index,
      })
    ),
  ]);
  const afterLength = Buffer.concat([
    int32(leaderEpoch),
    int8(MAGIC),
    Buffer.from(Uint32Array.of(crc32c(guarded)).buffer).swap32(),
    guarded,
  ]);
  return Uint8Array.from(
    Buffer.concat([int64(baseOffset), int32(afterLength.length), afterLength]),
  );
}

/** Encodes the control batch that ends a transaction. */
export function encodeEndMarker(
  { isCommit, ...batch }: BatchSpec & { readonly producerId: bigint; readonly isCommit: boolean },
): Uint8Array {
  const key = Buffer.concat([int16(0), int16(isCommit ? 1 : 0)]);
  const value = Buffer.concat([int16(0), int32(0)]);
  return encodeBatch([{ key, value }], { ...batch, isTransactional: true, isControl: true });
}

function encodeRecord(
  { key = null, value = null, headers = [] }: RecordSpec,
  { timestampDelta, offsetDelta }: {
    readonly timestampDelta: number;
    readonly offsetDelta: number;
  },
): Buffer {
  const body = Buffer.concat([
    int8(0), // attributes
    varint(timestampDelta),
    varint(offsetDelta),
    nullableBytes(key),
    nullableBytes(value),
    varint(headers.length),
    ...headers.flatMap((header) => header.map(nullableBytes)),
  ]);
  return Buffer.concat([varint(body.length), body]);
}

function nullableBytes(value: string | Uint8Array | null): Buffer {
  if (value === null) return varint(-1);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint(bytes.length), bytes]);
}
