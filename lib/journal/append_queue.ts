/**
 * Queues appends that are not yet flushed to disk: the group being written, and those waiting behind it.
 */

import type { RecordTimes } from "./account.ts";
import { splitAppend } from "./split_append.ts";
import type { HeldOffsets } from "./held_offsets.ts";
import type { EpochStart } from "./held_partition.ts";
import { type Interval, IntervalSet, isSamePartition, type JournalPartition } from "./intervals.ts";

/** Maximum size of a group of appends; a single append may be larger. */
const GROUP_BYTES_MAX = 32 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Lines of one partition, sorted by offset. */
export interface JournalAppend extends JournalPartition {
  /**
   * Offsets held once the append is durable; not empty, in any order, none held already. They may include offsets
   * without a line: compacted records and transaction markers.
   */
  readonly intervals: readonly Interval[];
  /**
   * The first offset of each leader epoch, sorted; empty if none is known. The first epoch also applies to the
   * offsets before it.
   */
  readonly epochs: readonly EpochStart[];
  /** Whole lines, including the last newline; must not change until the append resolves. */
  readonly lines: Uint8Array;
  /** The end of each line, just past its newline; the last one is the length of `lines`. */
  readonly lineEnds: ArrayLike<number>;
  /** The range of the records' timestamps; if undefined, the segment's manifest has no such range. */
  readonly recordTimes?: RecordTimes;
}

/** The append was not written, because the journal was closed or abandoned first. */
export class JournalClosedError extends Error {
  override readonly name = "JournalClosedError";
}

/**
 * Another process modified the files while the append waited, and they were read again. Ask `holds` which of the
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

  get group(): readonly JournalAppend[] {
    return this.#group.map(({ append }) => append);
  }

  get pending(): { readonly lineCount: number; readonly bytes: number } {
    const all = this.#all();
    return {
      lineCount: all.reduce((sum, { lineEnds }) => sum + lineEnds.length, 0),
      bytes: all.reduce((sum, { lines }) => sum + lines.length, 0),
    };
  }

  /** Queues an append. The promise resolves with {@link resolveGroup} and rejects with {@link refuseAll}. */
  add(append: JournalAppend): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ append, resolve, reject }));
  }

  /**
   * Takes the first waiting appends, at least one, as the group to write to a segment that has `roomBytes` left. An
   * append larger than a segment is split: what fits comes first, the rest goes to the next groups.
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
    // The append settles with its last part.
    const settlesLater = { resolve() {}, reject() {} };
    this.#waiting.splice(0, 1, { append: head, ...settlesLater }, { ...first, append: tail });
    return head.lines.length;
  }

  resolveGroup(): void {
    // A caller may append again at once, and must not find its last append still queued.
    for (const { resolve } of this.#group.splice(0)) resolve();
  }

  refuseAll(errorOf: () => Error): void {
    const refused = [...this.#group.splice(0), ...this.#waiting.splice(0)];
    for (const { reject } of refused) reject(errorOf());
  }

  /** @throws {RangeError} if an append of the partition is queued. */
  requireNone(partition: JournalPartition): void {
    if (!this.#all().some((append) => isSamePartition(append, partition))) return;
    throw new RangeError(
      `Cannot truncate partition ${partition.partition} of topic "${partition.topic}": appends to it are in progress`,
    );
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
            `of topic "${partition.topic}": the journal holds some of them already, or is writing them`,
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
