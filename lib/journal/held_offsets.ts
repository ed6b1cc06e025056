/**
 * Tracks which offsets a journal holds, by topic and partition, and the leader epochs in which they were appended.
 */

import {
  type EpochRun,
  type EpochStart,
  HeldPartition,
  type LineEffect,
  type NotedTruncation,
} from "./held_partition.ts";
import { type Interval, IntervalSet, type JournalPartition } from "./intervals.ts";

export interface HeldTopic {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: ReadonlyMap<number, HeldPartition>;
}

const NO_OFFSETS = new IntervalSet();

export class HeldOffsets {
  readonly #topics = new Map<string, HeldTopic & { partitions: Map<number, HeldPartition> }>();

  topics(): Iterable<HeldTopic> {
    return this.#topics.values();
  }

  /** Returns whether any record is held of a topic of this name, whatever its id. */
  hasTopic(topic: string): boolean {
    return [...this.#topics.values()].some((held) => held.topic === topic);
  }

  /** Returns the offsets held of a partition, possibly an empty set. Callers must not change it. */
  of(partition: JournalPartition): IntervalSet {
    return this.#find(partition)?.offsets ?? NO_OFFSETS;
  }

  /** Returns where each leader epoch begins; see {@link HeldPartition.epochs}. */
  epochsOf(partition: JournalPartition): readonly EpochStart[] {
    return this.#find(partition)?.epochs ?? [];
  }

  /** Returns the leader epoch of the highest offset held; undefined if unknown. */
  lastEpochOf(partition: JournalPartition): number | undefined {
    return this.#find(partition)?.lastEpoch;
  }

  add(
    partition: JournalPartition,
    interval: Interval,
    epochs: readonly EpochStart[] = [],
  ): readonly EpochRun[] {
    return this.partition(partition).add(interval, epochs);
  }

  /** Holds the record of one journal line. Lines must come in the order in which they were written. */
  addLine(
    partition: JournalPartition,
    { offset, leaderEpoch }: { readonly offset: number; readonly leaderEpoch: number | undefined },
  ): LineEffect {
    return this.partition(partition).addLine(offset, leaderEpoch);
  }

  /** {@link HeldPartition.truncate}; @throws {RangeError} if it is not an offset. */
  truncate(partition: JournalPartition, offset: number): readonly EpochRun[] {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new RangeError(
        `Cannot truncate at offset ${offset}: expected a whole number >= 0`,
      );
    }
    return this.#find(partition)?.truncate(offset) ?? [];
  }

  truncationOf(partition: JournalPartition): NotedTruncation | undefined {
    return this.#find(partition)?.truncation;
  }

  /** Takes over the truncations that `other` has noted for the next lines. */
  noteTruncationsOf(other: HeldOffsets): void {
    for (const { topic, topicId, partitions } of other.topics()) {
      for (const [partition, { truncation }] of partitions) {
        if (truncation === undefined) continue;
        this.partition({ topic, topicId, partition }).noteTruncation(truncation);
      }
    }
  }

  establish(
    partition: JournalPartition,
    epoch: { readonly epoch: number; readonly start: number },
  ): void {
    this.#find(partition)?.establish(epoch);
  }

  removeRuns(partition: JournalPartition, runs: readonly EpochRun[]): readonly EpochRun[] {
    return this.#find(partition)?.removeRuns(runs) ?? [];
  }

  /** Returns the held offsets of a partition, which the caller may change. */
  partition(of: JournalPartition): HeldPartition {
    const { partitions } = this.#topic(of);
    let held = partitions.get(of.partition);
    if (held === undefined) {
      held = new HeldPartition();
      partitions.set(of.partition, held);
    }
    return held;
  }

  set(of: JournalPartition, held: HeldPartition): void {
    this.#topic(of).partitions.set(of.partition, held);
  }

  /**
   * Returns whether offsets of this partition are held under the same name and another id. Lines without an id do
   * not count.
   */
  hasNamesake({ topic, topicId, partition }: JournalPartition): boolean {
    for (const held of this.#topics.values()) {
      const isOther = held.topic === topic && held.topicId !== topicId && held.topicId !== "";
      if (isOther && held.partitions.has(partition)) return true;
    }
    return false;
  }

  countNotIn(other: HeldOffsets): number {
    let count = 0;
    for (const { topic, topicId, partitions } of this.#topics.values()) {
      for (const [partition, { offsets }] of partitions) {
        count += lengthNotIn(offsets.intervals, other.of({ topic, topicId, partition }).intervals);
      }
    }
    return count;
  }

  #topic({ topic, topicId }: JournalPartition) {
    const key = keyOf(topic, topicId);
    let held = this.#topics.get(key);
    if (held === undefined) {
      held = { topic, topicId, partitions: new Map() };
      this.#topics.set(key, held);
    }
    return held;
  }

  #find({ topic, topicId, partition }: JournalPartition): HeldPartition | undefined {
    return this.#topics.get(keyOf(topic, topicId))?.partitions.get(partition);
  }
}

function keyOf(topic: string, topicId: string): string {
  return topicId === "" ? `name ${topic}` : `id ${topicId}`;
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
