/**
 * Records that are superseded, and whose lines do not say so: their log was truncated, and nothing was appended at
 * their offsets since. A checkpoint says it; so this is for files that are read again without one.
 *
 * @module
 */

import type { SegmentAccount } from "./account.ts";
import type { HeldOffsets } from "./held_offsets.ts";
import type { EpochRun } from "./held_partition.ts";
import {
  gapsIn,
  type Interval,
  IntervalSet,
  isSamePartition,
  type JournalPartition,
} from "./intervals.ts";

export class SupersededRuns {
  #entries: readonly { readonly partition: JournalPartition; readonly run: EpochRun }[] = [];

  add(partition: JournalPartition, runs: readonly EpochRun[]): void {
    this.#entries = [...this.#entries, ...runs.map((run) => ({ partition, run }))];
  }

  /** Forgets what was appended again: from now on the lines say it. */
  forget(partition: JournalPartition, intervals: readonly Interval[]): void {
    if (this.#entries.length === 0) return;
    const appended = new IntervalSet();
    for (const interval of intervals) appended.add(interval);
    this.#entries = this.#entries.flatMap((entry) =>
      isSamePartition(entry.partition, partition)
        ? gapsIn(appended.intervals, entry.run).map((gap) => ({
          partition,
          run: { ...entry.run, ...gap },
        }))
        : [entry]
    );
  }

  /** Takes them out of what was found held. */
  removeFrom(held: HeldOffsets, account: SegmentAccount | undefined): void {
    for (const { partition, run } of this.#entries) {
      const removed = held.removeRuns(partition, [run]);
      account?.supersede(partition, removed);
    }
  }
}
