/**
 * Decides by leader epochs whether a partition's log still has the records that were read from it.
 *
 * Each leader election starts an epoch, and each record carries the epoch of the leader that appended it. Within a log,
 * epochs never decrease as offsets increase, and a leader appends each offset of its epoch once. Hence two logs that
 * have the same epoch at an offset are equal up to it:
 *
 *     held       0 ------ epoch 1 ------ 500 ------ epoch 2 ------ 1000
 *     the log    0 ------ epoch 1 ------ 500 - epoch 4 - 700                 diverges at 500
 *
 * The divergence is found as a follower does it (KIP-101, KIP-279): ask the leader where each epoch ends, from the
 * highest epoch down, until one ends where it was read to.
 */

import type { EpochEnd } from "../protocol/offset_for_leader_epoch.ts";
import type { EpochRun } from "../protocol/record_batch.ts";

/** The point from which the log has other records than those that were read, or none. */
export interface Divergence {
  readonly offset: number;
  /** Epoch of the record that was read at this offset; undefined if not known. */
  readonly epoch: number | undefined;
}

/**
 * Finds where the log diverges from what was read. Returns undefined if the log has all of it, or if retention has
 * deleted the evidence.
 *
 * Offsets without a record (transaction markers, or removed by compaction) are in no run, and the log may have records
 * there now. So the divergence begins directly after the last record that the log still has. If it has none of them,
 * the divergence begins where the lowest epoch that was read ends in the log.
 *
 * @param read by offset, lowest first; each run ends after the last offset that was read in its epoch.
 * @param ask returns where an epoch ends in the leader's log; undefined if the log has no such epoch.
 */
export async function findDivergence(
  read: readonly EpochRun[],
  ask: (epoch: number) => Promise<EpochEnd | undefined>,
): Promise<Divergence | undefined> {
  // From this offset on the log is known to have other records, or none.
  let limit = Infinity;
  const lowest = read.find(({ epoch }) => epoch !== undefined);
  for (const run of read.toReversed()) {
    const { epoch, start, end } = run;
    if (epoch === undefined || (start >= limit && run !== lowest)) continue;
    const answer = await ask(epoch);
    if (answer !== undefined && answer.epoch === epoch) {
      const isWhole = answer.endOffset >= end;
      if (isWhole && limit === Infinity) return undefined;
      limit = Math.min(limit, answer.endOffset);
      if (isWhole || limit > start) break;
    } else {
      // The log has no record of this epoch.
      limit = Math.min(limit, start, answer?.endOffset ?? Infinity);
    }
  }
  if (limit === Infinity) return undefined;
  limit = Math.min(limit, read.findLast(({ start }) => start < limit)?.end ?? limit);
  return { offset: limit, epoch: read.find(({ end }) => end > limit)?.epoch };
}

/** A start without a record that was read just before it: another reader's end, or a chosen offset. */
export interface ReadPoint {
  readonly offset: number;
  /** The highest epoch of the records before `offset`. */
  readonly epoch: number;
}

/**
 * Returns the offset from which the log differs before the point; undefined if it does not, as far as the answer for
 * the point's epoch shows.
 *
 * @param low the first offset in the log.
 */
export function divergenceBefore(
  { offset }: ReadPoint,
  { answer, low }: { readonly answer: EpochEnd | undefined; readonly low: number },
): number | undefined {
  // The leader's epoch went back: nothing is known about the log.
  if (answer === undefined) return low;
  return answer.endOffset < offset ? answer.endOffset : undefined;
}

export type BatchFit =
  /** The batch overlaps what was read, or continues the epoch of the last record. */
  | { readonly kind: "continues" }
  /**
   * The leader must confirm that the log still has all of the last epoch, and that this epoch ends before the batch.
   */
  | {
    readonly kind: "new epoch";
    /** The epoch of the last record before the batch. */
    readonly epoch: number;
    readonly end: number;
  }
  /** The batch and what was read before it cannot be in the same log. */
  | {
    readonly kind: "contradicts";
    /** From this offset on, a log that has the batch cannot have what was read. */
    readonly offset: number;
  };

/**
 * Determines what must be known before records of the batch may be appended.
 *
 * @param read as for {@link findDivergence}.
 * @param batch the offsets of the record batches, lowest first; offsets missing from the log are in no run.
 */
export function fitOf(read: readonly EpochRun[], batch: readonly EpochRun[]): BatchFit {
  const conflicts = batch.flatMap((run) => read.flatMap((other) => conflictOf(other, run)));
  if (conflicts.length > 0) return { kind: "contradicts", offset: Math.min(...conflicts) };
  const [first] = batch;
  // Both have this epoch, so they are equal up to it.
  if (first?.epoch === undefined || read.some(({ epoch }) => epoch === first.epoch)) {
    return { kind: "continues" };
  }
  const before = read.findLast(({ start }) => start < first.start);
  return before?.epoch === undefined
    ? { kind: "continues" }
    : { kind: "new epoch", epoch: before.epoch, end: before.end };
}

/** Returns the offset from which a log with the batch's run cannot have what was read: its epochs would decrease. */
function conflictOf(read: EpochRun, batch: EpochRun): readonly number[] {
  if (read.epoch === undefined || batch.epoch === undefined) return [];
  if (read.epoch < batch.epoch && read.end > batch.start) {
    return [Math.max(read.start, batch.start)];
  }
  return read.epoch > batch.epoch && batch.end > read.start ? [read.start] : [];
}

/** Reports whether the leader's answer for a "new epoch" shows that the batch continues what was read. */
export function isSucceeded(
  { epoch, end }: Extract<BatchFit, { kind: "new epoch" }>,
  { batchStart, answer }: { readonly batchStart: number; readonly answer: EpochEnd | undefined },
): boolean {
  return answer?.epoch === epoch && answer.endOffset >= end && answer.endOffset <= batchStart;
}
