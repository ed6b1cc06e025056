/**
 * Appends that are not yet flushed to disk, in order: the group that is being written, and those queued behind it.
 *
 * @module
 */

import { splitAppend } from "./split_append.ts";
import type { HeldOffsets } from "./held_offsets.ts";
import type { EpochStart } from "./held_partition.ts";
import { type Interval, IntervalSet, isSamePartition, type JournalPartition } from "./intervals.ts";

/** A group takes no further append beyond this; one append alone may be larger. */
const GROUP_BYTES_MAX = 32 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Lines of one partition, in the order of their offsets. */
export interface JournalAppend extends JournalPartition {
  /**
   * Offsets that are held once the append is durable; not empty, in any order, none held already. They may include
   * offsets without a line: compacted records and transaction markers.
   */
  readonly intervals: readonly Interval[];
  /**
   * The first offset of each leader epoch, sorted; empty where none is known. The first of them holds for
   * the offsets before it too.
   */
  readonly epochs: readonly EpochStart[];
  /** Whole lines, including the last newline; must not change until the append has resolved. */
  readonly lines: Uint8Array;
  /** The end of each line, just past its newline; the last one is the length of `lines`. */
  readonly lineEnds: ArrayLike<number>;
}

/** The append was not made, because the journal was closed or abandoned before. */
export class JournalClosedError extends Error {
  override readonly name = "JournalClosedError";
}

/**
 * The files were modified by another process while the append waited, and were read again. Ask `holds` which of the
 * records are held now, and append the others.
 */
export class JournalReopenedError extends Error {
  override readonly name = "JournalReopenedError";
}

interface QueuedAppend {
  readonly append: JournalAppend;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class AppendQueue {
  readonly #waiting: QueuedAppend[] = [];
  readonly #group: QueuedAppend[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Appends that are being written. */
  get group(): readonly JournalAppend[] {
    return this.#group.map(({ append }) => append);
  }

  /** Counts of what is not yet flushed to disk. */
  get pending(): { readonly lineCount: number; readonly bytes: number } {
    const all = this.#all();
    return {
      lineCount: all.reduce((sum, { lineEnds }) => sum + lineEnds.length, 0),
      bytes: all.reduce((sum, { lines }) => sum + lines.length, 0),
    };
  }

  /** Resolves with {@link resolveGroup}, rejects with {@link refuseAll}. */
  add(append: JournalAppend): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ append, resolve, reject }));
  }

  /**
   * Makes a group of the first appends that wait, at least of one, for a segment that has `roomBytes` left. An append
   * that is larger than a segment is split: what fits comes first, its rest in the next groups.
   */
  takeGroup(
    { roomBytes, segmentBytesMax }: {
      readonly roomBytes: number;
      readonly segmentBytesMax: number;
    },
  ): void {
    const splitBytes = this.#splitFirst({ roomBytes, segmentBytesMax });
    const limit = Math.min(GROUP_BYTES_MAX, splitBytes ?? segmentBytesMax);
    let bytes = 0;
    let count = 0;
    for (const { append } of this.#waiting) {
      bytes += append.lines.length;
      if (count > 0 && bytes > limit) break;
      count++;
    }
    this.#group.push(...this.#waiting.splice(0, count));
  }

  /** Returns the size of the first append if it was split. */
  #splitFirst(
    { roomBytes, segmentBytesMax }: { roomBytes: number; segmentBytesMax: number },
  ): number | undefined {
    const [first] = this.#waiting;
    if (first === undefined || first.append.lines.length <= segmentBytesMax) return undefined;
    const isRoomLeft = (first.append.lineEnds[0] ?? 0) <= roomBytes;
    const parts = splitAppend(first.append, isRoomLeft ? roomBytes : segmentBytesMax);
    if (parts === undefined) return undefined;
    const [head, tail] = parts;
    // The append is on the disk when its last part is; a refusal is the last part's as well.
    const settlesLater = { resolve() {}, reject() {} };
    this.#waiting.splice(0, 1, { append: head, ...settlesLater }, { ...first, append: tail });
    return head.lines.length;
  }

  resolveGroup(): void {
    // A caller may append again at once, and must not find its last append still in the queue.
    for (const { resolve } of this.#group.splice(0)) resolve();
  }

  refuseAll(errorOf: () => Error): void {
    const refused = [...this.#group.splice(0), ...this.#waiting.splice(0)];
    for (const { reject } of refused) reject(errorOf());
  }

  has(partition: JournalPartition): boolean {
    return this.#all().some((append) => isSamePartition(append, partition));
  }

  /**
   * Checks that an append can join the queue.
   *
   * @throws {RangeError} if its lines or epochs are malformed, or some of its offsets are held or queued already.
   */
  requireNew(
    { intervals, epochs, lines, lineEnds, ...partition }: JournalAppend,
    held: HeldOffsets,
  ): void {
    if (!areWholeLines(lines, lineEnds)) {
      throw new RangeError(
        `Cannot append ${lines.length} bytes as ${lineEnds.length} lines: expected each to end with a newline, and the last to end the bytes`,
      );
    }
    if (epochs.some(({ start }, index) => start <= (epochs[index - 1]?.start ?? -1))) {
      throw new RangeError("Cannot append: expected each epoch to start above the one before");
    }
    const own = new IntervalSet();
    for (const append of this.#all()) {
      if (!isSamePartition(append, partition)) continue;
      for (const interval of append.intervals) own.add(interval);
    }
    for (const interval of intervals) {
      if (own.overlaps(interval) || held.of(partition).overlaps(interval)) {
        throw new RangeError(
          `Cannot append offsets ${interval.start} to ${interval.end} of partition ${partition.partition} ` +
            `of topic "${partition.topic}": the journal holds some of them, or is about to`,
        );
      }
      own.add(interval);
    }
  }

  #all(): readonly JournalAppend[] {
    return [...this.#group, ...this.#waiting].map(({ append }) => append);
  }
}

function areWholeLines(bytes: Uint8Array, ends: ArrayLike<number>): boolean {
  let start = 0;
  for (let index = 0; index < ends.length; index++) {
    const end = ends[index] ?? 0;
    if (end <= start || bytes[end - 1] !== NEWLINE) return false;
    start = end;
  }
  return start === bytes.length;
}
