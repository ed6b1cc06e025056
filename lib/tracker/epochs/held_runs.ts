/**
 * Converts the offsets that a journal holds of a partition to runs by leader epoch, for the comparison with the log.
 */

import type { EpochRun } from "../../kafka/protocol/record_batch.ts";
import type { KafkaRecord } from "../../record.ts";
import { type EpochStart, epochStartsOf } from "../../journal/held_partition.ts";
import type { Interval } from "../../journal/intervals.ts";

/**
 * Returns a run for each epoch, from the first to one past the last held offset. Gaps between two offsets of the same
 * epoch are part of its run: no other epoch has them.
 *
 * @param intervals sorted and disjoint.
 * @param epochs sorted; offsets before the first have an unknown epoch.
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
 * Returns the first offset of each epoch in a batch. Offsets between two record batches count to the later one: they
 * were of either epoch, and the log may have fewer of the earlier one.
 */
export function epochStartsIn(
  batch: { readonly records: readonly KafkaRecord[]; readonly epochRuns?: readonly EpochRun[] },
): readonly EpochStart[] {
  const { epochRuns } = batch;
  // Asking for the records decodes all of them.
  if (epochRuns === undefined) return epochStartsOf(batch.records);
  return epochRuns.map(({ epoch, start }, index) => ({
    epoch,
    start: epochRuns[index - 1]?.end ?? start,
  }));
}
