/**
 * The record that is sent for a line of a journal.
 */

import { keyPartitioner } from "../kafka/partitioner.ts";
import { NO_TIMESTAMP, type OutgoingRecord } from "../record.ts";
import type { Hit } from "../search/query.ts";

/** Header of a record that was replayed with `--mark`: where it was before, such as `orders/2/17`. */
export const REPLAYED_HEADER = "orderflow.replayed.from";

export interface Manner {
  /** True if a record stays in its partition; otherwise its key decides. */
  readonly partitions: "same" | "key";
  readonly timestamps: "keep" | "now";
  /** Adds {@link REPLAYED_HEADER}. */
  readonly mark: boolean;
}

const ENCODER = new TextEncoder();

/** Returns a function that chooses a record's partition of the target. */
export function partitionChooser(
  { partitions }: Pick<Manner, "partitions">,
  partitionCount: number,
): (hit: Hit) => number {
  const partitionOfKey = keyPartitioner(partitionCount);
  return ({ record: { partition, details } }) => {
    if (partitions === "same") return partition;
    const key = details?.key ?? null;
    return key === null ? partition % partitionCount : partitionOfKey(key);
  };
}

/** Returns a function that makes the record to send: byte for byte what the line says, in its partition of the target. */
export function recordMaker(
  manner: Manner,
  partitionCount: number,
): (hit: Hit) => OutgoingRecord {
  const { timestamps, mark } = manner;
  const partitionOf = partitionChooser(manner, partitionCount);
  return (hit) => {
    const { record, timestampMs } = hit;
    const { topic, partition, offset, value, details } = record;
    const { key = null, headers = [], exactTimestampMs } = details ?? {};
    const from = { key: REPLAYED_HEADER, value: ENCODER.encode(`${topic}/${partition}/${offset}`) };
    return {
      partition: partitionOf(hit),
      key,
      value,
      headers: mark ? [...headers, from] : headers,
      ...(timestamps === "keep" && {
        timestampMs: Number.isNaN(timestampMs) ? NO_TIMESTAMP : timestampMs,
        exactTimestampMs,
      }),
    };
  };
}
