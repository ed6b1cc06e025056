/**
 * What one segment has in it, partition by partition: counted while it is written, or from its lines.
 *
 * @module
 */

import { type Interval, IntervalSet, type JournalPartition } from "./intervals.ts";
import { quickClassify } from "./line_scan.ts";

/** A partition's share of a segment, as a checkpoint and a manifest have it. */
export interface PartitionShare {
  readonly topic: string;
  readonly topic_id: string;
  readonly partition: number;
  /** Lines of this partition. */
  readonly records: number;
  /** Lowest and highest offset of a line; null where there is none. */
  readonly first_offset: number | null;
  readonly last_offset: number | null;
  /** Offsets held since these lines are there, `[start, end)`: wider than the lines where offsets do not exist. */
  readonly held: readonly (readonly [number, number])[];
}

export interface AccountData {
  /** Lines of any kind. */
  readonly lines: number;
  readonly partitions: readonly PartitionShare[];
}

interface Share {
  readonly of: JournalPartition;
  records: number;
  first: number;
  last: number;
  readonly held: IntervalSet;
}

export class SegmentAccount {
  #lines = 0;
  readonly #shares = new Map<string, Share>();

  static from({ lines, partitions }: AccountData): SegmentAccount {
    const account = new SegmentAccount();
    account.#lines = lines;
    for (const { topic, topic_id, partition, records, ...offsets } of partitions) {
      const share = account.#shareOf({ topic, topicId: topic_id, partition });
      share.records = records;
      share.first = offsets.first_offset ?? Infinity;
      share.last = offsets.last_offset ?? -Infinity;
      for (const [start, end] of offsets.held) share.held.add({ start, end });
    }
    return account;
  }

  get lines(): number {
    return this.#lines;
  }

  /** A line that is a record's. */
  addRecord(partition: JournalPartition, offset: number): void {
    const share = this.#shareOf(partition);
    this.#lines++;
    share.records++;
    share.first = Math.min(share.first, offset);
    share.last = Math.max(share.last, offset);
    share.held.add({ start: offset, end: offset + 1 });
  }

  /** Lines that are no records. */
  addForeign(lineCount: number): void {
    this.#lines += lineCount;
  }

  /**
   * Lines of one partition in the order of their offsets, of which only the first and the last are
   * looked at. Returns whether these are records; where not, nothing was counted.
   */
  addAppend(
    { intervals, lines, lineEnds, ...partition }: JournalPartition & {
      readonly intervals: readonly Interval[];
      readonly lines: Uint8Array;
      readonly lineEnds: ArrayLike<number>;
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
    }
    this.#lines += lineCount;
    share.records += lineCount;
    for (const interval of intervals) share.held.add(interval);
    return true;
  }

  /** In the order of topic, id and partition, so that equal accounts are equal as text. */
  data(): AccountData {
    const partitions = Array.from(this.#shares.values(), ({ of, records, first, last, held }) => ({
      topic: of.topic,
      topic_id: of.topicId,
      partition: of.partition,
      records,
      first_offset: records === 0 ? null : first,
      last_offset: records === 0 ? null : last,
      held: held.intervals.map(({ start, end }) => [start, end] as const),
    }));
    partitions.sort((a, b) =>
      compare(a.topic, b.topic) || compare(a.topic_id, b.topic_id) || a.partition - b.partition
    );
    return { lines: this.#lines, partitions };
  }

  #shareOf(of: JournalPartition): Share {
    const key = `${of.partition} ${of.topicId} ${of.topic}`;
    let share = this.#shares.get(key);
    if (share === undefined) {
      const { topic, topicId, partition } = of;
      share = {
        of: { topic, topicId, partition },
        records: 0,
        first: Infinity,
        last: -Infinity,
        held: new IntervalSet(),
      };
      this.#shares.set(key, share);
    }
    return share;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
