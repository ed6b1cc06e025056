/**
 * The offsets that a journal holds of one partition, and the leader epoch in which each was appended.
 *
 * After a truncation, a log has other records at the same offsets, in another epoch. Within one history of a
 * partition, epochs never fall as offsets rise. So a journal line can show that the log was truncated before the
 * line was written:
 *
 *     held   offset 0 ---- epoch 1 ---- 100 ---- epoch 2 ---- 150
 *     line   offset 120, epoch 4        => 120 to 149 are superseded; 120 is held in epoch 4
 *
 * The rule, for a line at offset `o` in epoch `e`:
 *
 *     o is held in e, or e is unknown and o is held    the line is a duplicate
 *     o is held in another epoch                       all held offsets from o on are superseded
 *     o is not held                                    held offsets from o on in known, lower epochs are superseded
 *     then o is held in e, and superseded offsets are no longer held
 *
 * A tracker never appends an offset that is held, so a line at a held offset means that the partition was truncated
 * at that offset or below, and nothing above it survived. A line in a gap proves no truncation: offsets above it in
 * an equal, higher, or unknown epoch stay held, because another tracker may have journaled the records in between.
 */

import { gapsIn, type Interval, IntervalSet, requireInterval } from "./intervals.ts";

/**
 * A leader epoch's first offset. Held offsets from `start` up to the next entry of a list were appended in this
 * epoch.
 */
export interface EpochStart {
  /** Undefined if unknown: lines of earlier versions have none. */
  readonly epoch: number | undefined;
  readonly start: number;
}

export interface EpochRun extends Interval {
  readonly epoch: number | undefined;
}

/** Where a partition's log was truncated. */
export interface NotedTruncation {
  readonly offset: number;
  /** Leader epoch of the record superseded there; undefined if unknown. */
  readonly epoch: number | undefined;
}

/** The effect of one journal line on the held offsets. */
export interface LineEffect {
  readonly isRepeated: boolean;
  /** Offsets no longer held, because the log was truncated before the line was written. */
  readonly superseded: readonly EpochRun[];
}

const NOTHING: readonly EpochRun[] = [];
const NEW_LINE: LineEffect = { isRepeated: false, superseded: NOTHING };
const REPEATED_LINE: LineEffect = { isRepeated: true, superseded: NOTHING };

/** Adding at the end takes constant time. */
export class HeldPartition {
  readonly #offsets = new IntervalSet();
  /** Sorted by `start`, which is held; neighbors differ. Offsets before the first entry have an unknown epoch. */
  #epochs: EpochStart[] = [];
  #truncation: NotedTruncation | undefined;

  /** Restores sorted intervals and their {@link epochs}. */
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

  /** Callers must not change it. */
  get offsets(): IntervalSet {
    return this.#offsets;
  }

  /** Where each epoch begins, sorted by `start`. Offsets before the first entry have an unknown epoch. */
  get epochs(): readonly EpochStart[] {
    return this.#epochs;
  }

  /** Where the log was truncated, if no record has been added since; the next line must note it. */
  get truncation(): NotedTruncation | undefined {
    return this.#truncation;
  }

  /** Epoch of the highest held offset; undefined if unknown, or if nothing is held. */
  get lastEpoch(): number | undefined {
    return this.#epochs.at(-1)?.epoch;
  }

  /** The held offsets, split where the epoch changes; sorted. */
  get runs(): readonly EpochRun[] {
    return this.#runsFrom(0);
  }

  /** Returns whether the record at an offset is held. If either epoch is unknown, the offset alone decides. */
  holds(offset: number, epoch: number | undefined): boolean {
    if (!this.#offsets.has(offset)) return false;
    const held = this.#epochAt(offset);
    return epoch === undefined || held === undefined || held === epoch;
  }

  /**
   * Holds an interval, whose epochs begin as `epochs` says: sorted; the first also applies to the offsets before
   * it; empty if unknown. Returns what the interval supersedes, by the rule above.
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

  addLine(offset: number, epoch: number | undefined): LineEffect {
    if (this.#offsets.has(offset) && (epoch === undefined || epoch === this.#epochAt(offset))) {
      return REPEATED_LINE;
    }
    const superseded = this.#add({ start: offset, end: offset + 1 }, epoch);
    return superseded.length === 0 ? NEW_LINE : { isRepeated: false, superseded };
  }

  /** Removes everything from `offset` on; returns what was held there. */
  truncate(offset: number): readonly EpochRun[] {
    const superseded = this.#runsFrom(offset);
    this.remove([{ start: offset, end: Infinity }]);
    const [first] = superseded;
    if (first !== undefined) this.noteTruncation({ offset, epoch: first.epoch });
    return superseded;
  }

  /** Notes a truncation for the next line. The lowest offset wins; at the same offset, the later truncation. */
  noteTruncation(truncation: NotedTruncation): void {
    if (truncation.offset > (this.#truncation?.offset ?? Infinity)) return;
    this.#truncation = { offset: truncation.offset, epoch: truncation.epoch };
  }

  /** Removes these offsets, whatever their epochs. */
  remove(intervals: readonly Interval[]): void {
    if (intervals.length === 0) return;
    for (const interval of intervals) this.#offsets.remove(interval);
    this.#normalize();
  }

  /**
   * Removes these records, and returns those that were held. Records held at the same offsets in another known
   * epoch stay.
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

  /** Sets the epoch of held offsets whose epoch is unknown, from `start` up to the first with a known one. */
  establish({ epoch, start }: { readonly epoch: number; readonly start: number }): void {
    for (const run of this.#runsFrom(start)) {
      if (run.epoch !== undefined) break;
      this.#label(run, epoch);
    }
    this.#normalize();
  }

  /**
   * Applies the rule at the top to each line of an interval. Its cost depends on the number of epochs, not of
   * intervals.
   */
  #supersede({ start, end }: Interval, epoch: number): readonly EpochRun[] {
    const superseded: EpochRun[] = [];
    // The lines before the gap are duplicates.
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

  /** The held offsets from `offset` on, split where the epoch changes. */
  #runsFrom(offset: number): readonly EpochRun[] {
    return this.#spansFrom(offset).flatMap((span) => this.#runsIn(span));
  }

  #runsIn(span: EpochRun): readonly EpochRun[] {
    return this.#offsets.within(span).map((part) => ({ ...part, epoch: span.epoch }));
  }

  /** The epochs from `offset` on, each up to the start of the next, the last up to infinity. */
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

  /** Index of the last entry that starts at or before `offset`; -1 if there is none. */
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

  /** Returns whether that changed the entries, which must then be normalized. */
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

  /** Leaves one entry for each run of held offsets in one epoch, at its first offset. */
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

/** Returns the first offset of each leader epoch among a partition's records, sorted by offset. */
export function epochStartsOf(
  records: readonly { readonly offset: number; readonly leaderEpoch?: number | undefined }[],
): readonly EpochStart[] {
  const [first, last] = [records[0], records.at(-1)];
  if (first === undefined) return [];
  // Epochs never fall within a log: if both ends are equal, so is everything between.
  const isOneEpoch = first.leaderEpoch === last?.leaderEpoch;
  const starts: EpochStart[] = [];
  for (const { offset, leaderEpoch } of isOneEpoch ? [first] : records) {
    const isNext = starts.length === 0 || starts.at(-1)?.epoch !== leaderEpoch;
    if (isNext) starts.push({ epoch: leaderEpoch, start: offset });
  }
  return starts;
}
