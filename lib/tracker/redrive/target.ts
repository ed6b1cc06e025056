/**
 * Where a redriven record goes.
 *
 * @module
 */

import { keyPartitioner } from "../../kafka/partitioner.ts";
import type { OpenedLetter } from "./letter.ts";

/**
 * Returns a function that chooses a record's partition: its own where the target has it; else its key's, as any
 * producer would; else one for all records of that partition.
 */
export function targetPartitioner(partitionCount: number): (letter: OpenedLetter) => number {
  const partitionOfKey = keyPartitioner(partitionCount);
  return ({ record, original: { key }, source: { partition } }) => {
    if (partition !== undefined && partition < partitionCount) return partition;
    if (key !== null) return partitionOfKey(key);
    return (partition ?? record.partition) % partitionCount;
  };
}
