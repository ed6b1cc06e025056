/**
 * The dead letters that a redrive is asked for.
 */

import type { OffsetRange } from "../kafka/cluster_answers.ts";
import type { PartitionRange } from "../kafka/topic_reader.ts";
import type { FailureReason } from "../tracker/failures.ts";
import type { OpenedLetter } from "../tracker/opened_letter.ts";

/** A letter must match every criterion; undefined matches any. */
export interface Selection {
  readonly reasons: ReadonlySet<FailureReason> | undefined;
  /** The topic that the records came from. A letter that does not state its topic matches any. */
  readonly source: string | undefined;
  /** A partition of the dead-letter topic, and offsets in it. */
  readonly place: LetterPlace | undefined;
}

export interface LetterPlace {
  readonly partition: number;
  /** The first and the last offset, both included. */
  readonly fromOffset: number | undefined;
  readonly toOffset: number | undefined;
}

/** Why a letter is not selected. */
export type LeftOut = "other_reason" | "other_topic";

/** Returns why a letter in the selected range is not selected; undefined if it is. */
export function leftOutBy(
  { reasons, source }: Selection,
  letter: OpenedLetter,
): LeftOut | undefined {
  const { topic } = letter.source;
  if (source !== undefined && topic !== undefined && topic !== source) return "other_topic";
  if (reasons !== undefined && !reasons.has(letter.reason)) return "other_reason";
  return undefined;
}

/**
 * Returns the ranges of the dead-letter topic to read.
 *
 * @throws {RangeError} if it has no such partition.
 */
export function rangesOf(
  { place }: Selection,
  { topic, offsets }: { readonly topic: string; readonly offsets: readonly OffsetRange[] },
): readonly PartitionRange[] {
  if (place === undefined) {
    return offsets.map(({ partition, low, high }) => ({ topic, partition, start: low, end: high }));
  }
  const range = offsets.find(({ partition }) => partition === place.partition);
  if (range === undefined) {
    throw new RangeError(
      `topic "${topic}" has no partition ${place.partition}: expected one from 0 to ${
        offsets.length - 1
      }`,
    );
  }
  const { partition, low, high } = range;
  const start = Math.max(low, place.fromOffset ?? low);
  const end = Math.min(high, place.toOffset === undefined ? high : place.toOffset + 1);
  return [{ topic, partition, start, end: Math.max(start, end) }];
}
