/**
 * How far behind a member of a group is: for each partition that it has, where the partition ends, what is
 * committed of it, and whether records wait behind an open transaction.
 *
 *     committed          last stable offset       high watermark
 *     |------- can be read -------|-- open transaction --|
 *     |----------------------- lag ----------------------|
 *
 * Pure: the time is handed in, in milliseconds of any clock that only goes forward.
 *
 * @module
 */

import type { PartitionEnds } from "../partition_ends.ts";

/** Records that wait behind a transaction that is neither committed nor aborted. */
export interface OpenTransaction {
  /** The offset at which it begins: nothing from here on can be read. */
  readonly firstOffset: number;
  /** Offsets from there to the high watermark, other transactions' and markers included. */
  readonly recordCount: number;
  /** How long nothing could be read past this offset. */
  readonly openMs: number;
}

/** What is known of one partition now. */
export interface PartitionLag {
  readonly partition: number;
  /** One past the last offset that is committed; undefined until anything is. */
  readonly committed: number | undefined;
  /** Records between what is committed and the high watermark; undefined where it is not known any more. */
  readonly lag: number | undefined;
  readonly openTransaction: OpenTransaction | undefined;
}

/** What was heard of a partition's end counts for so long: then it may be another. */
export const ENDS_VALID_MS = 5_000;
/** Shorter transactions are everyday life. */
export const TRANSACTION_NOTED_AFTER_MS = 2_000;

interface KnownEnds extends PartitionEnds {
  readonly heardAtMs: number;
  /** Since when the last stable offset stands below the high watermark. */
  readonly openSinceMs: number | undefined;
}

interface KnownPartition {
  committed: number | undefined;
  ends: KnownEnds | undefined;
}

export class LagBook {
  readonly #partitions = new Map<number, KnownPartition>();

  /** This member's partitions from now on, and what is committed of them; all else is forgotten. */
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

  /** Notes what a broker has just said. */
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

  /** What was heard before does not count any more: the topic is gone. */
  forgetEnds(): void {
    for (const known of this.#partitions.values()) known.ends = undefined;
  }

  /** The partitions of whose end nothing was heard for so long. */
  unheard(forMs: number, nowMs: number): readonly number[] {
    return [...this.#partitions].filter(([, { ends }]) =>
      ends === undefined || nowMs - ends.heardAtMs >= forMs
    ).map(([partition]) => partition);
  }

  /** All partitions of this member, in order. */
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
