/**
 * A set of records as dead letters name them: by the topic's name and id, partition, offset, and leader epoch. A
 * letter of another program, or of an older tracker, may lack the id and the epoch. What is missing matches
 * anything, so that a record with letters of both kinds is sent once.
 */

import { type Interval, IntervalSet } from "../journal/intervals.ts";
import type { LetterSource } from "../tracker/opened_letter.ts";

/** A source with topic, partition, and offset. */
type SourceRecord = LetterSource & {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
};

/** Records of one partition of one topic, of one leader epoch. */
export interface SourceRange {
  readonly topic: string;
  readonly topicId: string | undefined;
  readonly leaderEpoch: number | undefined;
  readonly partition: number;
}

interface Entry {
  readonly range: SourceRange;
  readonly offsets: IntervalSet;
}

function isSourceRecord(source: LetterSource): source is SourceRecord {
  const { topic, partition, offset } = source;
  return topic !== undefined && partition !== undefined && offset !== undefined;
}

export class SourceRecords {
  /** By topic and partition. Several if the topic was created again, or its leader changed. */
  readonly #entries = new Map<string, Entry[]>();

  /** Returns the ranges in the order in which they were first added. */
  *[Symbol.iterator](): Generator<SourceRange & { readonly offsets: readonly Interval[] }> {
    for (const entries of this.#entries.values()) {
      for (const { range, offsets } of entries) yield { ...range, offsets: offsets.intervals };
    }
  }

  /** Returns whether the record is in the set, or may be as far as the letters say. */
  has(source: LetterSource): boolean {
    if (!isSourceRecord(source)) return false;
    const { offset } = source;
    return this.#entries.get(keyOf(source))?.some(({ range, offsets }) =>
      isCompatible(range.topicId, source.topicId) &&
      isCompatible(range.leaderEpoch, source.leaderEpoch) && offsets.has(offset)
    ) ?? false;
  }

  /** Adds the record of a letter, unless the letter does not name it. */
  add(source: LetterSource): void {
    if (!isSourceRecord(source)) return;
    this.addRange(source, { start: source.offset, end: source.offset + 1 });
  }

  addRange({ topic, topicId, leaderEpoch, partition }: SourceRange, offsets: Interval): void {
    const key = keyOf({ topic, partition });
    const entries = this.#entries.get(key) ?? [];
    this.#entries.set(key, entries);
    let entry = entries.find(({ range }) =>
      range.topicId === topicId && range.leaderEpoch === leaderEpoch
    );
    if (entry === undefined) {
      entry = { range: { topic, topicId, leaderEpoch, partition }, offsets: new IntervalSet() };
      entries.push(entry);
    }
    entry.offsets.add(offsets);
  }
}

function keyOf({ topic, partition }: Pick<SourceRange, "topic" | "partition">): string {
  return `${topic}/${partition}`;
}

function isCompatible<Value>(a: Value | undefined, b: Value | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}
