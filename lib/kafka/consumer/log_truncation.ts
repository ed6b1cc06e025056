/**
 * Decides whether a partition's log still has the records that were read from it before, by leader epochs alone.
 *
 * Each election of a leader begins an epoch, and each record carries the epoch of the leader that appended it. In
 * one log epochs never fall as offsets rise, and one leader appends each offset of its epoch once. Hence
 * two logs that have the same epoch at one offset are equal up to there:
 *
 *     held       0 ------ epoch 1 ------ 500 ------ epoch 2 ------ 1000
 *     the log    0 ------ epoch 1 ------ 500 - epoch 4 - 700                 diverges at 500
 *
 * Where they diverge is found as a follower finds it (KIP-101, KIP-279), from the highest epoch down: the leader
 * says where the epoch ends in its log, until it ends where it was read.
 *
 * @module
 */

import type { EpochEnd } from "../protocol/offset_for_leader_epoch.ts";
import type { EpochRun } from "../protocol/record_batch.ts";

/** Where the log has other records than those that were read, or none. */
export interface Divergence {
  /** The first such offset. */
  readonly offset: number;
  /** Epoch in which the record was appended that was read there; undefined where it is not known. */
  readonly epoch: number | undefined;
}

/**
 * Finds where the log diverges from what was read of it; undefined where it has all of it, or where retention has
 * deleted what could tell.
 *
 * Offsets that had no record (a transaction's marker, or removed by compaction) are in no run, and the log may have
 * records there now. So the divergence begins right after the last record that the log still has. Where it has none,
 * the log is known to differ from where it ends the lowest epoch that was read.
 *
 * @param read by offset, lowest first; each run ends after the last offset that was read in its epoch.
 * @param ask where an epoch ends in the leader's log; undefined where the log has no such epoch.
 */
export async function findDivergence(
  read: readonly EpochRun[],
  ask: (epoch: number) => Promise<EpochEnd | undefined>,
): Promise<Divergence | undefined> {
  // From here on the log is known to have other records, or none.
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

/** Where reading begins without a record that was read just before it: another reader's end, or a chosen offset. */
export interface ReadPoint {
  readonly offset: number;
  /** No record before `offset` was of a later epoch. */
  readonly epoch: number;
}

/**
 * Returns where the log now has other records than before the point; undefined where it has the same, as far as
 * the answer for the point's epoch tells.
 *
 * @param low the first offset that the log has.
 */
export function divergenceBefore(
  { offset }: ReadPoint,
  { answer, low }: { readonly answer: EpochEnd | undefined; readonly low: number },
): number | undefined {
  // The leader's epoch went back: nothing is known of the log.
  if (answer === undefined) return low;
  return answer.endOffset < offset ? answer.endOffset : undefined;
}

/** What must be known of the log before a batch may be taken for the continuation of what was read. */
export type BatchFit =
  /** Nothing: the batch has records that were read, or goes on in the epoch of the last one. */
  | { readonly kind: "continues" }
  /** Whether the log still has all that was read in an epoch, and that this epoch ends before the batch. */
  | {
    readonly kind: "new epoch";
    /** The epoch of the last record before the batch. */
    readonly epoch: number;
    /** One past that record. */
    readonly end: number;
  }
  /** The batch and what was read before cannot be of one log. */
  | {
    readonly kind: "contradicts";
    /** From here on a log that has the batch cannot have what was read. */
    readonly offset: number;
  };

/**
 * Says what must be known before records of the batch may be appended.
 *
 * @param read as for {@link findDivergence}.
 * @param batch the record batches' own offsets, lowest first: those that a log lacks between two are in none.
 */
export function fitOf(read: readonly EpochRun[], batch: readonly EpochRun[]): BatchFit {
  const conflicts = batch.flatMap((run) => read.flatMap((other) => conflictOf(other, run)));
  if (conflicts.length > 0) return { kind: "contradicts", offset: Math.min(...conflicts) };
  const [first] = batch;
  // An epoch that both have: they are equal up to it.
  if (first?.epoch === undefined || read.some(({ epoch }) => epoch === first.epoch)) {
    return { kind: "continues" };
  }
  const before = read.findLast(({ start }) => start < first.start);
  return before?.epoch === undefined
    ? { kind: "continues" }
    : { kind: "new epoch", epoch: before.epoch, end: before.end };
}

/** Returns from where on a log with the batch's run cannot have what was read: its epochs would fall. */
function conflictOf(read: EpochRun, batch: EpochRun): readonly number[] {
  if (read.epoch === undefined || batch.epoch === undefined) return [];
  if (read.epoch < batch.epoch && read.end > batch.start) {
    return [Math.max(read.start, batch.start)];
  }
  return read.epoch > batch.epoch && batch.end > read.start ? [read.start] : [];
}

/** Whether the leader's answer to a "new epoch" says that the log goes on from what was read to the batch. */
export function isSucceeded(
  { epoch, end }: Extract<BatchFit, { kind: "new epoch" }>,
  { batchStart, answer }: { readonly batchStart: number; readonly answer: EpochEnd | undefined },
): boolean {
  return answer?.epoch === epoch && answer.endOffset >= end && answer.endOffset <= batchStart;
}
