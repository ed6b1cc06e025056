/**
 * Counts what a segment holds of each partition, while it is written or from its lines.
 */

import { type EpochStart, HeldPartition } from "./held_partition.ts";
import { type Interval, IntervalSet, type JournalPartition } from "./intervals.ts";
import { quickClassify } from "./line_scan.ts";

/** A partition's share of a segment, as checkpoints and manifests store it. */
export interface PartitionShare {
  readonly topic: string;
  readonly topic_id: string;
  readonly partition: number;
  readonly records: number;
  /** Lowest and highest offset of a line; null if there is no line. */
  readonly first_offset: number | null;
  readonly last_offset: number | null;
  /**
   * Offsets held because of this segment, `[start, end)`; includes offsets without a record, such as compacted ones.
   */
  readonly held: readonly OffsetPair[];
}

/**
 * A partition's leader epochs in a segment. Kept apart from the share, because earlier versions compare all fields
 * of a share with the segment's lines.
 */
export interface PartitionEpochs {
  readonly topic: string;
  readonly topic_id: string;
  readonly partition: number;
  /** `[epoch, start]`: offsets of the share from `start` on have this epoch; null if it is unknown. */
  readonly starts: readonly EpochPair[];
  /**
   * Offsets no longer held since this segment was written, `[start, end)`, because the log was truncated. The share
   * may hold them again.
   */
  readonly superseded: readonly OffsetPair[];
}

export interface AccountData {
  /** Lines of any kind, including those that are not records. */
  readonly lines: number;
  readonly partitions: readonly PartitionShare[];
  /** Partitions with a known epoch or superseded offsets; absent if there are none. */
  readonly leader_epochs?: readonly PartitionEpochs[];
  /** The range of all record timestamps; absent if a record's timestamp is unknown, or there are no records. */
  readonly record_times?: RecordTimes;
}

/** A range of record timestamps in milliseconds since the epoch, both ends included. */
export interface RecordTimes {
  readonly min: number;
  readonly max: number;
}

const NO_TIMES: RecordTimes = { min: Infinity, max: -Infinity };
const ANY_TIMES: RecordTimes = { min: -Infinity, max: Infinity };

/** Returns the range of the timestamps of some records, in milliseconds since the epoch. */
export function recordTimesOf(timestampsMs: Iterable<number>): RecordTimes {
  let { min, max } = NO_TIMES;
  for (const timestampMs of timestampsMs) {
    min = Math.min(min, timestampMs);
    max = Math.max(max, timestampMs);
  }
  return { min, max };
}

export type OffsetPair = readonly [start: number, end: number];
export type EpochPair = readonly [epoch: number | null, start: number];

export function offsetPairs(intervals: readonly Interval[]): readonly OffsetPair[] {
  return intervals.map(({ start, end }) => [start, end]);
}

export function intervalsOf(pairs: readonly OffsetPair[]): readonly Interval[] {
  return pairs.map(([start, end]) => ({ start, end }));
}

export function epochPairs(epochs: readonly EpochStart[]): readonly EpochPair[] {
  return epochs.map(({ epoch, start }) => [epoch ?? null, start]);
}

export function epochStarts(pairs: readonly EpochPair[]): readonly EpochStart[] {
  return pairs.map(([epoch, start]) => ({ epoch: epoch ?? undefined, start }));
}

/** The offsets of a partition in a segment, and those of earlier segments that it superseded. */
export interface SegmentOffsets {
  readonly partition: JournalPartition;
  readonly held: HeldPartition;
  readonly superseded: readonly Interval[];
}

export function offsetsIn(
  { partitions, leader_epochs = [] }: Pick<AccountData, "partitions" | "leader_epochs">,
): readonly SegmentOffsets[] {
  const epochs = new Map(leader_epochs.map((each) => [keyOf(partitionOf(each)), each]));
  return partitions.map((share) => {
    const partition = partitionOf(share);
    const { starts = [], superseded = [] } = epochs.get(keyOf(partition)) ?? {};
    return {
      partition,
      held: HeldPartition.from(intervalsOf(share.held), epochStarts(starts)),
      superseded: intervalsOf(superseded),
    };
  });
}

interface Share {
  readonly of: JournalPartition;
  records: number;
  first: number;
  last: number;
  readonly held: HeldPartition;
  readonly superseded: IntervalSet;
}

export class SegmentAccount {
  #lines = 0;
  #times = NO_TIMES;
  readonly #shares = new Map<string, Share>();

  static from(data: AccountData): SegmentAccount {
    const account = new SegmentAccount();
    account.#lines = data.lines;
    account.#times = data.record_times ?? (data.lines === 0 ? NO_TIMES : ANY_TIMES);
    for (const { partition, held, superseded } of offsetsIn(data)) {
      const share = account.#shareOf(partition, held);
      for (const interval of superseded) share.superseded.add(interval);
    }
    for (const { records, first_offset, last_offset, ...rest } of data.partitions) {
      const share = account.#shareOf(partitionOf(rest));
      share.records = records;
      share.first = first_offset ?? Infinity;
      share.last = last_offset ?? -Infinity;
    }
    return account;
  }

  get lines(): number {
    return this.#lines;
  }

  /** Counts a line that is a record. */
  addRecord(
    partition: JournalPartition,
    { offset, leaderEpoch, timestampMs }: {
      readonly offset: number;
      readonly leaderEpoch: number | undefined;
      readonly timestampMs: number | undefined;
    },
  ): void {
    const share = this.#shareOf(partition);
    this.#lines++;
    this.#addTimes(timestampMs === undefined ? ANY_TIMES : { min: timestampMs, max: timestampMs });
    share.records++;
    share.first = Math.min(share.first, offset);
    share.last = Math.max(share.last, offset);
    noteSuperseded(share, share.held.addLine(offset, leaderEpoch).superseded);
  }

  addForeign(lineCount: number): void {
    this.#lines += lineCount;
  }

  /**
   * Counts lines of one partition, sorted by offset. Parses only the first and the last: returns false, and counts
   * nothing, if either is not a record.
   */
  addAppend(
    { intervals, epochs, lines, lineEnds, recordTimes, ...partition }: JournalPartition & {
      readonly intervals: readonly Interval[];
      readonly epochs: readonly EpochStart[];
      readonly lines: Uint8Array;
      readonly lineEnds: ArrayLike<number>;
      readonly recordTimes?: RecordTimes;
    },
  ): boolean {
    const share = this.#shareOf(partition);
    const lineCount = lineEnds.length;
    if (lineCount > 0) {
      const first = quickClassify(lines.subarray(0, (lineEnds[0] ?? 0) - 1));
      const last = quickClassify(lines.subarray(lineEnds[lineCount - 2] ?? 0, -1));
      if (first.kind !== "record" || last.kind !== "record") return false;
      share.first = Math.min(share.first, first.offset);
      share.last = Math.max(share.last, last.offset);
      this.#addTimes(recordTimes ?? ANY_TIMES);
    }
    this.#lines += lineCount;
    share.records += lineCount;
    for (const interval of intervals) noteSuperseded(share, share.held.add(interval, epochs));
    return true;
  }

  /** Notes offsets that are no longer held, whichever segment has their lines. */
  supersede(partition: JournalPartition, intervals: readonly Interval[]): void {
    if (intervals.length === 0) return;
    const share = this.#shareOf(partition);
    share.held.remove(intervals);
    noteSuperseded(share, intervals);
  }

  /** Returns the account sorted by topic, id, and partition, so that equal accounts have equal text. */
  data(): AccountData {
    const shares = [...this.#shares.values()].sort(({ of: a }, { of: b }) =>
      compare(a.topic, b.topic) || compare(a.topicId, b.topicId) || a.partition - b.partition
    );
    const partitions = shares.map(({ of, records, first, last, held }) => ({
      ...fieldsOf(of),
      records,
      first_offset: records === 0 ? null : first,
      last_offset: records === 0 ? null : last,
      held: offsetPairs(held.offsets.intervals),
    }));
    const epochs = shares.flatMap(({ of, held, superseded }) =>
      held.epochs.length === 0 && superseded.end === undefined ? [] : [{
        ...fieldsOf(of),
        starts: epochPairs(held.epochs),
        superseded: offsetPairs(superseded.intervals),
      }]
    );
    return {
      lines: this.#lines,
      partitions,
      ...(epochs.length > 0 && { leader_epochs: epochs }),
      ...(Number.isFinite(this.#times.min + this.#times.max) && { record_times: this.#times }),
    };
  }

  #addTimes({ min, max }: RecordTimes): void {
    this.#times = { min: Math.min(this.#times.min, min), max: Math.max(this.#times.max, max) };
  }

  #shareOf(of: JournalPartition, held?: HeldPartition): Share {
    const key = keyOf(of);
    let share = this.#shares.get(key);
    if (share === undefined) {
      const { topic, topicId, partition } = of;
      share = {
        of: { topic, topicId, partition },
        records: 0,
        first: Infinity,
        last: -Infinity,
        held: held ?? new HeldPartition(),
        superseded: new IntervalSet(),
      };
      this.#shares.set(key, share);
    }
    return share;
  }
}

function noteSuperseded({ superseded }: Share, intervals: readonly Interval[]): void {
  for (const interval of intervals) superseded.add(interval);
}

function keyOf({ topic, topicId, partition }: JournalPartition): string {
  return `${partition} ${topicId} ${topic}`;
}

function partitionOf(
  { topic, topic_id, partition }: Pick<PartitionShare, "topic" | "topic_id" | "partition">,
): JournalPartition {
  return { topic, topicId: topic_id, partition };
}

function fieldsOf({ topic, topicId, partition }: JournalPartition) {
  return { topic, topic_id: topicId, partition };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
