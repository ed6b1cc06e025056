/**
 * Records of one partition in two buffers, which another thread can be given.
 *
 *     table   offset | timestamp | key length | value length | leader epoch   five numbers per record;
 *                                                                             -1: null, or not known
 *     bytes   key value key value ...                          one after another
 *
 * @module
 */

import type { KafkaRecord, RecordHeader } from "../record.ts";

export interface PackedRecords {
  readonly topic: string;
  readonly partition: number;
  readonly table: Float64Array<ArrayBuffer>;
  readonly bytes: Uint8Array;
  /** Only of the records that have any. */
  readonly headers: ReadonlyMap<number, readonly RecordHeader[]>;
  /** Timestamps that a number would round. */
  readonly exactTimestamps: ReadonlyMap<number, bigint>;
  /** What was too large to be kept. */
  readonly omissions: ReadonlyMap<number, Pick<KafkaRecord, "omittedValue" | "omittedKey">>;
}

const COLUMNS = 5;
const NULL_LENGTH = -1;
const UNKNOWN_EPOCH = -1;
const NO_HEADERS: readonly RecordHeader[] = [];

/**
 * Copies the records, whose own bytes are views of what the client received. They are of one partition.
 *
 * @param take gives the bytes to copy to, at least so many.
 */
export function packRecords(
  records: readonly KafkaRecord[],
  take: (byteLength: number) => Uint8Array,
): PackedRecords {
  const byteLength = records.reduce(
    (sum, { key, value }) => sum + lengthOf(key) + lengthOf(value),
    0,
  );
  const table = new Float64Array(records.length * COLUMNS);
  const bytes = take(byteLength);
  const headers = new Map<number, readonly RecordHeader[]>();
  const exactTimestamps = new Map<number, bigint>();
  const omissions = new Map<number, Pick<KafkaRecord, "omittedValue" | "omittedKey">>();
  let at = 0;
  records.forEach((record, index) => {
    const { key, value } = record;
    const row = index * COLUMNS;
    table[row] = record.offset;
    table[row + 1] = record.timestampMs;
    table[row + 2] = key?.byteLength ?? NULL_LENGTH;
    table[row + 3] = value?.byteLength ?? NULL_LENGTH;
    table[row + 4] = record.leaderEpoch ?? UNKNOWN_EPOCH;
    if (key !== null) bytes.set(key, at);
    at += lengthOf(key);
    if (value !== null) bytes.set(value, at);
    at += lengthOf(value);
    const { omittedValue, omittedKey } = record;
    if (omittedValue ?? omittedKey) {
      omissions.set(index, {
        ...(omittedValue !== undefined && { omittedValue }),
        ...(omittedKey !== undefined && { omittedKey }),
      });
    }
    if (record.exactTimestampMs !== undefined) exactTimestamps.set(index, record.exactTimestampMs);
    if (record.headers.length > 0) headers.set(index, record.headers.map(copyOf));
  });
  const [first] = records;
  const { topic = "", partition = 0 } = first ?? {};
  return { topic, partition, table, bytes, headers, exactTimestamps, omissions };
}

/** The records again, their bytes views of the packed ones. */
export function unpackRecords(packed: PackedRecords): readonly KafkaRecord[] {
  const { topic, partition, table, bytes, headers, exactTimestamps, omissions } = packed;
  let at = 0;
  const take = (length: number): Uint8Array | null => {
    if (length === NULL_LENGTH) return null;
    const part = bytes.subarray(at, at + length);
    at += length;
    return part;
  };
  return Array.from({ length: table.length / COLUMNS }, (_, index) => {
    const row = index * COLUMNS;
    const leaderEpoch = table[row + 4] ?? UNKNOWN_EPOCH;
    return {
      topic,
      partition,
      offset: table[row] ?? 0,
      timestampMs: table[row + 1] ?? 0,
      exactTimestampMs: exactTimestamps.get(index),
      key: take(table[row + 2] ?? NULL_LENGTH),
      value: take(table[row + 3] ?? NULL_LENGTH),
      headers: headers.get(index) ?? NO_HEADERS,
      leaderEpoch: leaderEpoch === UNKNOWN_EPOCH ? undefined : leaderEpoch,
      ...omissions.get(index),
    };
  });
}

function lengthOf(part: Uint8Array | null): number {
  return part?.byteLength ?? 0;
}

/** A view would take the whole of what the client received along to the other thread. */
function copyOf(header: RecordHeader): RecordHeader {
  return { ...header, value: header.value && header.value.slice() };
}
