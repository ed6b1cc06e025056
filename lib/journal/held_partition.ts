/**
 * The offsets that a journal holds of one partition, and the leader epoch in which each was appended.
 *
 * A log that was truncated has other records at the same offsets, in another epoch. In one history of a
 * partition epochs never fall as offsets rise, so a journal line tells that the log was truncated
 * before it was written:
 *
 *     held   offset 0 ---- epoch 1 ---- 100 ---- epoch 2 ---- 150
 *     line   offset 120, epoch 4        => 120 to 149 are superseded; 120 is held in epoch 4
 *
 * The rule, for a line at offset `o` in epoch `e`:
 *
 *     o is held in e, or e is unknown and o is held    the line is a duplicate
 *     o is held in another epoch                       all held offsets from o on are superseded
 *     o is not held                                    held offsets from o on in known, lower epochs are superseded
 *     then o is held in e, and what is superseded is no longer held
 *
 * A tracker never appends an offset that is held, so a line at a held offset means that the partition was truncated
 * at that offset or below, and nothing above it survived. A line in a gap proves no truncation: offsets above it in an
 * equal, higher, or unknown epoch stay held, because another tracker may have journaled the records in between.
 *
 * @module
 */

import { gapsIn, type Interval, IntervalSet, requireInterval } from "./intervals.ts";

/**
 * A leader epoch's first offset: what is held from `start` on, up to the start of the next epoch in a
 * list, was appended in this epoch.
 */
export interface EpochStart {
  /** Undefined where it is not known: lines of earlier versions have none. */
  readonly epoch: number | undefined;
  readonly start: number;
}

/** Offsets that were appended in one leader epoch. */
export interface EpochRun extends Interval {
  /** Undefined where it is not known. */
  readonly epoch: number | undefined;
}

/** Where a partition's log was truncated. */
export interface NotedTruncation {
  /** The first offset that was superseded. */
  readonly offset: number;
  /** Leader epoch of the record that was superseded there; undefined if it is not known. */
  readonly epoch: number | undefined;
}

/** What one journal line does to what is held. */
export interface LineEffect {
  /** Whether the record was held already. */
  readonly isRepeated: boolean;
  /** What is no longer held, because the log was truncated before the line was written. */
  readonly superseded: readonly EpochRun[];
}

const NOTHING: readonly EpochRun[] = [];
const NEW_LINE: LineEffect = { isRepeated: false, superseded: NOTHING };
const REPEATED_LINE: LineEffect = { isRepeated: true, superseded: NOTHING };

/** Adding at the end costs the same whatever is held. */
export class HeldPartition {
  readonly #offsets = new IntervalSet();
  /**
   * Sorted by `start`, which is held; neighbors differ. What is held before the first entry was appended
   * in an unknown epoch.
   */
  #epochs: EpochStart[] = [];
  #truncation: NotedTruncation | undefined;

  /** Returns what is held as it was read back: sorted intervals, and {@link epochs} of them. */
  static from(
    intervals: readonly Interval[],
    epochs: readonly EpochStart[],
    truncation?: NotedTruncation,
  ): HeldPartition {
    const held = new HeldPartition();
    for (const interval of intervals) held.#offsets.add(interval);
    held.#epochs = [...epochs];
    held.#truncation = truncation;
    return held;
  }

  /** Not to be changed by the caller. */
  get offsets(): IntervalSet {
    return this.#offsets;
  }

  /** Where each epoch begins, sorted by `start`. What is held before the first entry has an unknown epoch. */
  get epochs(): readonly EpochStart[] {
    return this.#epochs;
  }

  /** The log was truncated here, and no record was added since: the next line has to say so. */
  get truncation(): NotedTruncation | undefined {
    return this.#truncation;
  }

  /** Epoch of the highest held offset; undefined where it is not known, or nothing is held. */
  get lastEpoch(): number | undefined {
    return this.#epochs.at(-1)?.epoch;
  }

  /** What is held, an entry for each interval in one epoch, sorted. */
  get runs(): readonly EpochRun[] {
    return this.#runsFrom(0);
  }

  /** Returns whether the record at an offset is held. Where either epoch is unknown, the offset alone decides. */
  holds(offset: number, epoch: number | undefined): boolean {
    if (!this.#offsets.has(offset)) return false;
    const held = this.#epochAt(offset);
    return epoch === undefined || held === undefined || held === epoch;
  }

  /**
   * Holds an interval, which was appended in the epochs that begin where `epochs` says: sorted; the first of
   * them holds for what comes before it; empty: unknown. Returns what that supersedes, by the rule above.
   */
  add(interval: Interval, epochs: readonly EpochStart[]): readonly EpochRun[] {
    if (epochs.length <= 1) return this.#add(interval, epochs[0]?.epoch);
    return epochs.flatMap(({ epoch, start }, index) => {
      const run = {
        start: index === 0 ? interval.start : Math.max(start, interval.start),
        end: Math.min(epochs[index + 1]?.start ?? Infinity, interval.end),
      };
      return run.start < run.end ? this.#add(run, epoch) : NOTHING;
    });
  }

  #add(interval: Interval, epoch: number | undefined): readonly EpochRun[] {
    if (interval.start >= (this.#offsets.end ?? 0)) {
      this.#truncation = undefined;
      this.#offsets.add(interval);
      if (epoch !== this.lastEpoch) this.#epochs.push({ epoch, start: interval.start });
      return NOTHING;
    }
    requireInterval(interval);
    const superseded = epoch === undefined ? NOTHING : this.#supersede(interval, epoch);
    const gaps = gapsIn(this.#offsets.within(interval), interval);
    if (gaps.length > 0) this.#truncation = undefined;
    for (const gap of gaps) this.#offsets.add(gap);
    const isLabeled = gaps.map((gap) => this.#label(gap, epoch));
    if (superseded.length > 0 || isLabeled.includes(true)) this.#normalize();
    return superseded;
  }

  /** Holds the record of one journal line. */
  addLine(offset: number, epoch: number | undefined): LineEffect {
    if (this.#offsets.has(offset) && (epoch === undefined || epoch === this.#epochAt(offset))) {
      return REPEATED_LINE;
    }
    const superseded = this.#add({ start: offset, end: offset + 1 }, epoch);
    return superseded.length === 0 ? NEW_LINE : { isRepeated: false, superseded };
  }

  /** Holds nothing from `offset` on any more; returns what was held there. */
  truncate(offset: number): readonly EpochRun[] {
    const superseded = this.#runsFrom(offset);
    this.remove([{ start: offset, end: Infinity }]);
    const [first] = superseded;
    if (first !== undefined) this.noteTruncation({ offset, epoch: first.epoch });
    return superseded;
  }

  /** Notes a truncation for the next line; of two the lower one counts, and at one offset the later one. */
  noteTruncation(truncation: NotedTruncation): void {
    if (truncation.offset > (this.#truncation?.offset ?? Infinity)) return;
    this.#truncation = { offset: truncation.offset, epoch: truncation.epoch };
  }

  /** Holds these offsets no more, whatever their epochs. */
  remove(intervals: readonly Interval[]): void {
    if (intervals.length === 0) return;
    for (const interval of intervals) this.#offsets.remove(interval);
    this.#normalize();
  }

  /**
   * Holds these records no more, and returns those that were held. What is held at their offsets in another
   * known epoch stays.
   */
  removeRuns(runs: readonly EpochRun[]): readonly EpochRun[] {
    const removed = runs.flatMap(({ start, end, epoch }) =>
      this.#runsFrom(start).flatMap((held) => {
        const isSame = held.epoch === undefined || held.epoch === epoch;
        return isSame && held.start < end ? [{ ...held, end: Math.min(held.end, end) }] : [];
      })
    );
    this.remove(removed);
    return removed;
  }

  /**
   * Says in which epoch the offsets from `start` on were appended that are held in an unknown one, up to
   * the first that is held in a known one.
   */
  establish({ epoch, start }: { readonly epoch: number; readonly start: number }): void {
    for (const run of this.#runsFrom(start)) {
      if (run.epoch !== undefined) break;
      this.#label(run, epoch);
    }
    this.#normalize();
  }

  /** The rule at the top, for each line of an interval; asks about epochs, however many intervals are held. */
  #supersede({ start, end }: Interval, epoch: number): readonly EpochRun[] {
    const superseded: EpochRun[] = [];
    // Up to here the lines are repetitions.
    const [gap] = gapsIn(this.#offsets.within({ start, end }), { start, end });
    const replaced = this.#firstHeldInAnother(epoch, { start, end }) ?? Infinity;
    let offset: number | undefined = Math.min(gap?.start ?? Infinity, replaced);
    while (offset !== undefined && offset < end) {
      const runs = this.#supersededBy(offset, epoch);
      for (const run of runs) this.#offsets.remove(run);
      superseded.push(...runs);
      offset = this.#firstHeldInAnother(epoch, { start: offset, end });
    }
    return superseded;
  }

  #supersededBy(offset: number, epoch: number): readonly EpochRun[] {
    const isReplaced = this.#epochAt(offset) !== epoch && this.#offsets.has(offset);
    return this.#spansFrom(offset).flatMap((span) => {
      const isSuperseded = isReplaced || (span.epoch !== undefined && span.epoch < epoch);
      return isSuperseded ? this.#runsIn(span) : [];
    });
  }

  #firstHeldInAnother(epoch: number, { start, end }: Interval): number | undefined {
    for (const span of this.#spansFrom(start)) {
      if (span.start >= end) return undefined;
      const first = this.#offsets.firstFrom(span.start) ?? Infinity;
      if (span.epoch !== epoch && first < Math.min(span.end, end)) return first;
    }
    return undefined;
  }

  /** What is held from `offset` on, an entry for each interval in one epoch. */
  #runsFrom(offset: number): readonly EpochRun[] {
    return this.#spansFrom(offset).flatMap((span) => this.#runsIn(span));
  }

  #runsIn(span: EpochRun): readonly EpochRun[] {
    return this.#offsets.within(span).map((part) => ({ ...part, epoch: span.epoch }));
  }

  /** The epochs from `offset` on, each up to where the next begins, the last up to infinity. */
  #spansFrom(offset: number): readonly EpochRun[] {
    const spans: EpochRun[] = [];
    for (let index = this.#entryAt(offset); index < this.#epochs.length; index++) {
      const start = Math.max(this.#epochs[index]?.start ?? 0, offset);
      const end = this.#epochs[index + 1]?.start ?? Infinity;
      spans.push({ start, end, epoch: this.#epochs[index]?.epoch });
    }
    return spans;
  }

  #epochAt(offset: number): number | undefined {
    return this.#epochs[this.#entryAt(offset)]?.epoch;
  }

  /** Index of the last entry that starts at or before `offset`; -1 where there is none. */
  #entryAt(offset: number): number {
    let low = 0;
    let high = this.#epochs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#epochs[middle]?.start ?? Infinity) <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Returns whether that changed the entries, which then have to be normalized. */
  #label({ start, end }: Interval, epoch: number | undefined): boolean {
    const index = this.#entryAt(start);
    const isLabeled = this.#epochs[index]?.epoch === epoch &&
      (this.#epochs[index + 1]?.start ?? Infinity) >= end;
    if (isLabeled) return false;
    const after = { epoch: this.#epochAt(end), start: end };
    this.#epochs = [
      ...this.#epochs.filter((entry) => entry.start < start),
      { epoch, start },
      after,
      ...this.#epochs.filter((entry) => entry.start > end),
    ];
    return true;
  }

  /** Leaves one entry for each run of held offsets in one epoch, at the first of them. */
  #normalize(): void {
    const entries: EpochStart[] = [];
    for (const [index, { epoch, start }] of this.#epochs.entries()) {
      const first = this.#offsets.firstFrom(start);
      if (first === undefined || first >= (this.#epochs[index + 1]?.start ?? Infinity)) continue;
      if (entries.at(-1)?.epoch !== epoch) entries.push({ epoch, start: first });
    }
    this.#epochs = entries;
  }
}

/** Returns the first offset of each leader epoch among records of one partition in the order of their offsets. */
export function epochStartsOf(
  records: readonly { readonly offset: number; readonly leaderEpoch?: number | undefined }[],
): readonly EpochStart[] {
  const [first, last] = [records[0], records.at(-1)];
  if (first === undefined) return [];
  // Epochs never fall within a log: equal at both ends, they are equal between.
  const isOneEpoch = first.leaderEpoch === last?.leaderEpoch;
  const starts: EpochStart[] = [];
  for (const { offset, leaderEpoch } of isOneEpoch ? [first] : records) {
    const isNext = starts.length === 0 || starts.at(-1)?.epoch !== leaderEpoch;
    if (isNext) starts.push({ epoch: leaderEpoch, start: offset });
  }
  return starts;
}
