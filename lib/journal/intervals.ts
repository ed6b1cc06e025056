/**
 * Sets of offsets, as sorted lists of disjoint intervals.
 */

/** The offsets from `start` up to, not including, `end`. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

/** A set of offsets, stored as the fewest intervals. Adding at the end takes constant time. */
export class IntervalSet {
  readonly #intervals: Interval[] = [];

  get intervals(): readonly Interval[] {
    return this.#intervals;
  }

  /** One past the highest offset in the set; undefined if it is empty. */
  get end(): number | undefined {
    return this.#intervals.at(-1)?.end;
  }

  has(offset: number): boolean {
    const interval = this.#intervals[this.#firstEndingAfter(offset)];
    return interval !== undefined && interval.start <= offset;
  }

  overlaps({ start, end }: Interval): boolean {
    const interval = this.#intervals[this.#firstEndingAfter(start)];
    return interval !== undefined && interval.start < end;
  }

  /** Returns the lowest offset in the set that is at or above `offset`. */
  firstFrom(offset: number): number | undefined {
    const interval = this.#intervals[this.#firstEndingAfter(offset)];
    return interval && Math.max(interval.start, offset);
  }

  /** Returns the parts of a range that are in the set; the range may end at infinity. */
  within({ start, end }: Interval): readonly Interval[] {
    const parts: Interval[] = [];
    for (let index = this.#firstEndingAfter(start);; index++) {
      const next = this.#intervals[index];
      if (next === undefined || next.start >= end) return parts;
      parts.push({ start: Math.max(start, next.start), end: Math.min(end, next.end) });
    }
  }

  /** @throws {RangeError} unless start and end are whole numbers and 0 <= start < end. */
  add({ start, end }: Interval): void {
    requireInterval({ start, end });
    // Adjacent intervals are merged too, hence start - 1 and <= end.
    const from = this.#firstEndingAfter(start - 1);
    let to = from;
    let merged = { start, end };
    for (let next = this.#intervals[to]; next && next.start <= end; next = this.#intervals[++to]) {
      merged = { start: Math.min(merged.start, next.start), end: Math.max(merged.end, next.end) };
    }
    this.#intervals.splice(from, to - from, merged);
  }

  /** Removes a range, which may end at infinity. Offsets that are not in the set are ignored. */
  remove({ start, end }: Interval): void {
    const from = this.#firstEndingAfter(start);
    const kept: Interval[] = [];
    let to = from;
    for (let next = this.#intervals[to]; next && next.start < end; next = this.#intervals[++to]) {
      if (next.start < start) kept.push({ start: next.start, end: start });
      if (next.end > end) kept.push({ start: end, end: next.end });
    }
    this.#intervals.splice(from, to - from, ...kept);
  }

  /** Index of the first interval with `end > offset`; the number of intervals if there is none. */
  #firstEndingAfter(offset: number): number {
    let low = 0;
    let high = this.#intervals.length;
    // Nearly every lookup is at the end of the journal.
    if ((this.#intervals.at(-1)?.end ?? 0) <= offset) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#intervals[middle]?.end ?? Infinity) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** @throws {RangeError} if it is not an interval of offsets. */
export function requireInterval({ start, end }: Interval): void {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end <= start) {
    throw new RangeError(
      `Cannot hold the offsets ${start} to ${end}: expected whole numbers with 0 <= start < end`,
    );
  }
}

/**
 * Identifies a partition in a journal. The topic's id changes when a topic is deleted and created again. Lines
 * without an id (the founding project's tracker writes none) get id `""` and are told apart by the topic's name.
 */
export interface JournalPartition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
}

export function isSamePartition(a: JournalPartition, b: JournalPartition): boolean {
  return a.partition === b.partition && a.topicId === b.topicId && a.topic === b.topic;
}

/** Returns the first offset from `from` on outside all intervals, which are sorted and disjoint. */
export function firstGap(intervals: readonly Interval[], from: number): number {
  let offset = from;
  for (const { start, end } of intervals) {
    if (start > offset) break;
    offset = Math.max(offset, end);
  }
  return offset;
}

/** Returns the parts of a range outside all intervals, which are sorted and disjoint. */
export function gapsIn(intervals: readonly Interval[], range: Interval): readonly Interval[] {
  const gaps: Interval[] = [];
  let offset = range.start;
  for (const { start, end } of intervals) {
    if (end <= offset) continue;
    if (start >= range.end) break;
    if (start > offset) gaps.push({ start: offset, end: start });
    offset = end;
  }
  if (offset < range.end) gaps.push({ start: offset, end: range.end });
  return gaps;
}
