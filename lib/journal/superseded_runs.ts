/**
 * Keeps records superseded by a truncation after which nothing was appended at their offsets, so no line says so. A
 * checkpoint does; this is for files that are read again without one.
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

  /** Forgets offsets that were appended again: from now on, the lines show it. */
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

  removeFrom(held: HeldOffsets, account: SegmentAccount | undefined): void {
    for (const { partition, run } of this.#entries) {
      const removed = held.removeRuns(partition, [run]);
      account?.supersede(partition, removed);
    }
  }
}
