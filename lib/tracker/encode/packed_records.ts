/**
 * Records of one partition in two buffers that can be handed to another thread without copying.
 *
 *     table   offset | timestamp | key length | value length   four numbers a record, -1 for null
 *     bytes   key value key value ...                          one after another
 *
 * @module
 */

import type { KafkaRecord, RecordHeader } from "../../kafka/record.ts";

export interface PackedRecords {
  readonly topic: string;
  readonly partition: number;
  readonly table: Float64Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Only of the records that have any. */
  readonly headers: ReadonlyMap<number, readonly RecordHeader[]>;
}

const COLUMNS = 4;
const NULL_LENGTH = -1;
const NO_HEADERS: readonly RecordHeader[] = [];

/** Copies the records, whose own bytes are views of what the client received. They are of one partition. */
export function packRecords(records: readonly KafkaRecord[]): PackedRecords {
  const byteLength = records.reduce(
    (sum, { key, value }) => sum + lengthOf(key) + lengthOf(value),
    0,
  );
  const table = new Float64Array(records.length * COLUMNS);
  const bytes = new Uint8Array(byteLength);
  const headers = new Map<number, readonly RecordHeader[]>();
  let at = 0;
  records.forEach((record, index) => {
    const { key, value } = record;
    table.set(
      [
        record.offset,
        record.timestampMs,
        key?.byteLength ?? NULL_LENGTH,
        value?.byteLength ?? NULL_LENGTH,
      ],
      index * COLUMNS,
    );
    for (const part of [key, value]) {
      if (part === null) continue;
      bytes.set(part, at);
      at += part.byteLength;
    }
    if (record.headers.length > 0) headers.set(index, record.headers.map(copyOf));
  });
  const [first] = records;
  return { topic: first?.topic ?? "", partition: first?.partition ?? 0, table, bytes, headers };
}

/** The records again, their bytes views of the packed ones. */
export function unpackRecords(packed: PackedRecords): readonly KafkaRecord[] {
  const { topic, partition, table, bytes, headers } = packed;
  let at = 0;
  const take = (length: number): Uint8Array | null => {
    if (length === NULL_LENGTH) return null;
    const part = bytes.subarray(at, at + length);
    at += length;
    return part;
  };
  return Array.from({ length: table.length / COLUMNS }, (_, index) => {
    const [offset = 0, timestampMs = 0, keyLength = 0, valueLength = 0] = table.subarray(
      index * COLUMNS,
      (index + 1) * COLUMNS,
    );
    const key = take(keyLength);
    const value = take(valueLength);
    return {
      topic,
      partition,
      offset,
      timestampMs,
      key,
      value,
      headers: headers.get(index) ?? NO_HEADERS,
    };
  });
}

function lengthOf(part: Uint8Array | null): number {
  return part?.byteLength ?? 0;
}

/** A view would take the whole of what the client received along to the other thread. */
function copyOf({ key, value }: RecordHeader): RecordHeader {
  return { key, value: value && value.slice() };
}
