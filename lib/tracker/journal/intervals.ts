/**
 * Which offsets a journal holds: for each partition of each topic, a sorted list of disjoint
 * intervals.
 *
 * @module
 */

/** The offsets from `start` up to, not including, `end`. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

/** A set of offsets, kept as few intervals as it can be. Adding at the end costs the same whatever the size. */
export class IntervalSet {
  readonly #intervals: Interval[] = [];

  get intervals(): readonly Interval[] {
    return this.#intervals;
  }

  /** One past the highest offset in the set; undefined where it is empty. */
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

  /** @throws {RangeError} where the interval is not one: whole numbers, 0 <= start < end. */
  add({ start, end }: Interval): void {
    requireInterval({ start, end });
    // Neighbours that only touch are merged too, hence start - 1 and <= end.
    const from = this.#firstEndingAfter(start - 1);
    let to = from;
    let merged = { start, end };
    for (let next = this.#intervals[to]; next && next.start <= end; next = this.#intervals[++to]) {
      merged = { start: Math.min(merged.start, next.start), end: Math.max(merged.end, next.end) };
    }
    this.#intervals.splice(from, to - from, merged);
  }

  /** Index of the first interval with `end > offset`; the number of intervals where there is none. */
  #firstEndingAfter(offset: number): number {
    let low = 0;
    let high = this.#intervals.length;
    // Nearly every question is about the end of the journal.
    if ((this.#intervals.at(-1)?.end ?? 0) <= offset) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#intervals[middle]?.end ?? Infinity) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** @throws {RangeError} where it is not an interval of offsets. */
export function requireInterval({ start, end }: Interval): void {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end <= start) {
    throw new RangeError(
      `Cannot hold the offsets ${start} to ${end}: expected whole numbers with 0 <= start < end`,
    );
  }
}

/**
 * A partition as a journal tells them apart: by the topic's id, which changes when a topic is
 * deleted and created again. Lines that have no id (the founding project's tracker writes none)
 * count as id `""`; those are told apart by the topic's name.
 */
export interface JournalPartition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
}

/** What is held of one topic. */
export interface HeldTopic {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: ReadonlyMap<number, IntervalSet>;
}

const NOTHING = new IntervalSet();

/** The offsets held, by topic and partition. */
export class HeldOffsets {
  readonly #topics = new Map<string, HeldTopic & { partitions: Map<number, IntervalSet> }>();

  topics(): Iterable<HeldTopic> {
    return this.#topics.values();
  }

  /** What is held of a partition: an empty set, not to be added to, where nothing is. */
  of({ topic, topicId, partition }: JournalPartition): IntervalSet {
    return this.#topics.get(keyOf(topic, topicId))?.partitions.get(partition) ?? NOTHING;
  }

  add({ topic, topicId, partition }: JournalPartition, interval: Interval): void {
    const key = keyOf(topic, topicId);
    let held = this.#topics.get(key);
    if (held === undefined) {
      held = { topic, topicId, partitions: new Map() };
      this.#topics.set(key, held);
    }
    let intervals = held.partitions.get(partition);
    if (intervals === undefined) {
      intervals = new IntervalSet();
      held.partitions.set(partition, intervals);
    }
    intervals.add(interval);
  }

  /** Whether any of this partition is held under the same name and another id; lines without an id do not tell. */
  hasNamesake({ topic, topicId, partition }: JournalPartition): boolean {
    for (const held of this.#topics.values()) {
      const isOther = held.topic === topic && held.topicId !== topicId && held.topicId !== "";
      if (isOther && held.partitions.has(partition)) return true;
    }
    return false;
  }

  /** Whether any record is held of a topic of this name, whatever its id. */
  hasTopic(topic: string): boolean {
    return [...this.#topics.values()].some((held) => held.topic === topic);
  }

  /** How many offsets are held here and not in `other`. */
  countNotIn(other: HeldOffsets): number {
    let count = 0;
    for (const { topic, topicId, partitions } of this.#topics.values()) {
      for (const [partition, { intervals }] of partitions) {
        count += lengthNotIn(intervals, other.of({ topic, topicId, partition }).intervals);
      }
    }
    return count;
  }
}

/** Walks both lists once: a journal of a compacted topic may have as many intervals as records. */
function lengthNotIn(intervals: readonly Interval[], others: readonly Interval[]): number {
  let length = 0;
  let first = 0;
  for (const { start, end } of intervals) {
    length += end - start;
    while ((others[first]?.end ?? Infinity) <= start) first++;
    for (let index = first; index < others.length; index++) {
      const other = others[index];
      if (other === undefined || other.start >= end) break;
      length -= Math.min(end, other.end) - Math.max(start, other.start);
    }
  }
  return length;
}

function keyOf(topic: string, topicId: string): string {
  return topicId === "" ? `name ${topic}` : `id ${topicId}`;
}

/** The first offset from `from` on that lies in none of the intervals, which are sorted and disjoint. */
export function firstGap(intervals: readonly Interval[], from: number): number {
  let offset = from;
  for (const { start, end } of intervals) {
    if (start > offset) break;
    offset = Math.max(offset, end);
  }
  return offset;
}

/** The parts of a range that lie in none of the intervals, which are sorted and disjoint. */
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
