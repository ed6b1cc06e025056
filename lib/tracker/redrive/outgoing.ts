/**
 * Letters as the sends that bring their records back: by partition of the target, in the letters' order.
 *
 * @module
 */

import { keyPartitioner } from "../../kafka/partitioner.ts";
import type { SendRequest } from "../../kafka/producer.ts";
import type { OutgoingRecord } from "../../kafka/record.ts";
import { type OpenedLetter, originalOf } from "./letter.ts";

export interface Target {
  readonly topic: string;
  readonly partitionCount: number;
}

/** Well below the 1 MB that a broker takes by default. A record may be larger: it goes alone. */
const SEND_BYTES_MAX = 512 * 1024;
const RECORD_OVERHEAD_BYTES = 256;

/**
 * Chooses a record's partition: its own where the target has it; else its key's, as any producer would; else one
 * for all records of that partition.
 */
export function targetPartitioner(partitionCount: number): (letter: OpenedLetter) => number {
  const partitionOfKey = keyPartitioner(partitionCount);
  return ({ record, source: { partition } }) => {
    if (partition !== undefined && partition < partitionCount) return partition;
    if (record.key !== null) return partitionOfKey(record.key);
    return (partition ?? record.partition) % partitionCount;
  };
}

/** Each for one partition, and below the size that a broker takes. */
export function* sendsOf(
  letters: readonly OpenedLetter[],
  { topic, partitionOf }: {
    readonly topic: string;
    readonly partitionOf: (letter: OpenedLetter) => number;
  },
): Generator<SendRequest> {
  for (const [partition, group] of Map.groupBy(letters, partitionOf)) {
    let records: OutgoingRecord[] = [];
    let bytes = 0;
    for (const letter of group) {
      if (records.length > 0 && bytes + sizeOf(letter) > SEND_BYTES_MAX) {
        yield { topic, partition, records };
        records = [];
        bytes = 0;
      }
      records.push(originalOf(letter, partition));
      bytes += sizeOf(letter);
    }
    yield { topic, partition, records };
  }
}

/** At most; headers of the letter included that are taken off. */
export function sizeOf({ record: { key, value, headers } }: OpenedLetter): number {
  // A character of a header's name takes up to 3 bytes.
  const headerBytes = headers.reduce(
    (sum, header) => sum + 3 * header.key.length + (header.value?.length ?? 0),
    0,
  );
  return (key?.length ?? 0) + (value?.length ?? 0) + headerBytes + RECORD_OVERHEAD_BYTES;
}
