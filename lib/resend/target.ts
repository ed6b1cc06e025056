/**
 * The record that a redrive sends for a dead letter, and the partition it sends it to.
 */

import { keyPartitioner } from "../kafka/partitioner.ts";
import type { OutgoingRecord } from "../record.ts";
import type { OpenedLetter } from "../tracker/opened_letter.ts";

/** Header of a redriven record that names the letter it was restored from, such as `orders-dlq/2/17`. */
export const REDRIVEN_HEADER = "orderflow.redriven.from";

const ENCODER = new TextEncoder();

/**
 * Returns the record as it was before it was dead-lettered, with {@link REDRIVEN_HEADER} added. An older header of
 * that name, from an earlier redrive of the same record, is replaced.
 */
export function originalOf(
  { record, original }: OpenedLetter,
  partition: number,
): OutgoingRecord {
  const from = `${record.topic}/${record.partition}/${record.offset}`;
  return {
    ...original,
    partition,
    headers: [
      ...original.headers.filter(({ key }) => key !== REDRIVEN_HEADER),
      { key: REDRIVEN_HEADER, value: ENCODER.encode(from) },
    ],
  };
}

/**
 * Returns a function that chooses a record's partition: the record's own if the target has it, else the one its key
 * hashes to, else one shared by all records of that partition.
 */
export function targetPartitioner(partitionCount: number): (letter: OpenedLetter) => number {
  const partitionOfKey = keyPartitioner(partitionCount);
  return ({ record, original: { key }, source: { partition } }) => {
    if (partition !== undefined && partition < partitionCount) return partition;
    if (key !== null) return partitionOfKey(key);
    return (partition ?? record.partition) % partitionCount;
  };
}
