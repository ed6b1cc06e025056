/**
 * Which dead letters a redrive is asked for.
 *
 * @module
 */

import type { OffsetRange } from "../../kafka/cluster.ts";
import type { PartitionRange } from "../../kafka/topic_reader.ts";
import type { FailureReason } from "../judge.ts";
import type { OpenedLetter } from "./letter.ts";

/** Letters are selected where all of it fits; what is undefined fits all. */
export interface Selection {
  readonly reasons: ReadonlySet<FailureReason> | undefined;
  /** The topic that the records came from. A letter that does not say fits any. */
  readonly source: string | undefined;
  /** A partition of the dead-letter topic, and offsets in it. */
  readonly place: LetterPlace | undefined;
}

export interface LetterPlace {
  readonly partition: number;
  /** The first and the last offset; from the first letter and to the last where undefined. */
  readonly fromOffset: number | undefined;
  readonly toOffset: number | undefined;
}

/** Why a letter that was read is not asked for; undefined where it is. */
export type LeftOut = "other_reason" | "other_topic";

/** Whether a letter is asked for; {@link rangesOf} has seen to its place already. */
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
 * What is to be read of the dead-letter topic.
 *
 * @throws {RangeError} where it has no such partition.
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
