/**
 * Tracks a group member's lag: for each of its partitions the end, the committed offset, and whether records wait
 * behind an open transaction.
 *
 *     committed          last stable offset       high watermark
 *     |------- can be read -------|-- open transaction --|
 *     |----------------------- lag ----------------------|
 *
 * Pure: times are parameters, in milliseconds of any monotonic clock.
 */

import type { PartitionEnds } from "../partition_ends.ts";

/** A transaction that is neither committed nor aborted, and the records that wait behind it. */
export interface OpenTransaction {
  /** Its first offset; records from here on cannot be read. */
  readonly firstOffset: number;
  /** Offsets from there to the high watermark, including other transactions and markers. */
  readonly recordCount: number;
  /** Time for which the last stable offset has been at this offset. */
  readonly openMs: number;
}

/** The lag of one partition. */
export interface PartitionLag {
  readonly partition: number;
  /** The committed offset; undefined before the first commit. */
  readonly committed: number | undefined;
  /** High watermark minus committed offset; undefined if either is not known. */
  readonly lag: number | undefined;
  readonly openTransaction: OpenTransaction | undefined;
}

/** Age up to which a partition's ends are considered current. */
export const ENDS_VALID_MS = 5_000;
/** Shorter transactions are normal. */
const TRANSACTION_NOTED_AFTER_MS = 2_000;

interface KnownEnds extends PartitionEnds {
  readonly heardAtMs: number;
  /** The time since which the last stable offset has been below the high watermark. */
  readonly openSinceMs: number | undefined;
}

interface KnownPartition {
  committed: number | undefined;
  ends: KnownEnds | undefined;
}

export class LagTracker {
  readonly #partitions = new Map<number, KnownPartition>();

  /** Replaces this member's partitions and their committed offsets. */
  assign(committed: ReadonlyMap<number, number | undefined>): void {
    this.#partitions.clear();
    for (const [partition, offset] of committed) {
      this.#partitions.set(partition, { committed: offset, ends: undefined });
    }
  }

  noteCommitted(partition: number, offset: number): void {
    const known = this.#partitions.get(partition);
    if (known !== undefined) known.committed = offset;
  }

  /** Records the ends that a broker has just reported. */
  noteEnds(partition: number, ends: PartitionEnds, nowMs: number): void {
    const known = this.#partitions.get(partition);
    if (known === undefined) return;
    const { lastStableOffset, highWatermark } = ends;
    const isOpen = lastStableOffset < highWatermark;
    const isSameTransaction = known.ends?.lastStableOffset === lastStableOffset;
    known.ends = {
      lastStableOffset,
      highWatermark,
      heardAtMs: nowMs,
      openSinceMs: !isOpen ? undefined : isSameTransaction && known.ends?.openSinceMs || nowMs,
    };
  }

  /** Forgets all ends, because the topic is gone. */
  forgetEnds(): void {
    for (const known of this.#partitions.values()) known.ends = undefined;
  }

  /** Returns the partitions whose ends were last reported at least `forMs` ago. */
  unheard(forMs: number, nowMs: number): readonly number[] {
    return [...this.#partitions].filter(([, { ends }]) =>
      ends === undefined || nowMs - ends.heardAtMs >= forMs
    ).map(([partition]) => partition);
  }

  /** Returns the lag of all partitions of this member, in order. */
  at(nowMs: number): readonly PartitionLag[] {
    return [...this.#partitions].sort(([a], [b]) => a - b).map(([partition, known]) => {
      const { committed } = known;
      const isValid = known.ends !== undefined && nowMs - known.ends.heardAtMs < ENDS_VALID_MS;
      const ends = isValid ? known.ends : undefined;
      return {
        partition,
        committed,
        lag: ends === undefined || committed === undefined
          ? undefined
          : Math.max(0, ends.highWatermark - committed),
        openTransaction: openTransactionOf(ends, nowMs),
      };
    });
  }
}

function openTransactionOf(
  ends: KnownEnds | undefined,
  nowMs: number,
): OpenTransaction | undefined {
  if (ends?.openSinceMs === undefined) return undefined;
  const openMs = nowMs - ends.openSinceMs;
  if (openMs < TRANSACTION_NOTED_AFTER_MS) return undefined;
  const { lastStableOffset, highWatermark } = ends;
  return { firstOffset: lastStableOffset, recordCount: highWatermark - lastStableOffset, openMs };
}
