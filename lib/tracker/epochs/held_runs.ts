/**
 * What a journal holds of a partition, by leader epoch: the form in which it is compared with the log.
 *
 * @module
 */

import type { EpochRun } from "../../kafka/protocol/record_batch.ts";
import type { KafkaRecord } from "../../record.ts";
import { type EpochStart, epochStartsOf } from "../../journal/held_partition.ts";
import type { Interval } from "../../journal/intervals.ts";

/**
 * Returns a run for each epoch, from the first to past the last offset that is held in it. Offsets between two of
 * one epoch that are not held are in its run too: no other epoch has them.
 *
 * @param intervals sorted and disjoint.
 * @param epochs sorted; what is held before the first has an unknown epoch.
 */
export function heldRuns(
  intervals: readonly Interval[],
  epochs: readonly EpochStart[],
): readonly EpochRun[] {
  const starts = [{ epoch: undefined, start: 0 }, ...epochs];
  const runs: EpochRun[] = [];
  let at = 0;
  for (const [index, { epoch, start }] of starts.entries()) {
    const next = starts[index + 1]?.start ?? Infinity;
    let run: EpochRun | undefined;
    while ((intervals[at]?.end ?? Infinity) <= start) at++;
    for (let interval = intervals[at]; interval !== undefined && interval.start < next;) {
      run = {
        epoch,
        start: run?.start ?? Math.max(interval.start, start),
        end: Math.min(interval.end, next),
      };
      interval = interval.end <= next ? intervals[++at] : undefined;
    }
    if (run !== undefined) runs.push(run);
  }
  return runs;
}

/**
 * Returns the first offset of each epoch in a batch. Offsets between two record batches belong to the later one: they
 * were of either epoch, and of the earlier one the log may have fewer.
 */
export function epochStartsIn(
  { records, epochRuns }: {
    readonly records: readonly KafkaRecord[];
    readonly epochRuns?: readonly EpochRun[];
  },
): readonly EpochStart[] {
  if (epochRuns === undefined) return epochStartsOf(records);
  return epochRuns.map(({ epoch, start }, index) => ({
    epoch,
    start: epochRuns[index - 1]?.end ?? start,
  }));
}
