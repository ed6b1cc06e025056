/**
 * Where to read a partition on, from what the group has committed and what the journal holds.
 *
 * The group's commit says where to read on; the journal keeps a record from being appended twice. A
 * commit carries the id of the journal and of the topic that it speaks of, so that it can be told
 * whether it may be trusted:
 *
 *     the commit's note          means                                     read on from
 *     this journal, this topic   our own commit                            the commit, or where the journal ends if lower
 *     another journal            another tracker had the partition         the commit
 *     another topic id           the topic was created again               the beginning
 *     none                       an operator reset the group, or another   the commit, or where the journal ends if lower
 *                                program was a member of it
 *     no commit at all           the partition was added, its commit       the first offset that the journal does not hold
 *                                expired, or the topic was created again
 *
 * A group that has committed nothing of a topic yet begins where `--from` says. Its beginning is committed before any
 * record is handed over, for all partitions at once where it is the topic's end. So a partition without a commit was
 * never read, or not for so long that its commit expired, and all of it is read: `--from latest` skips no record that
 * came after the group began.
 *
 * @module
 */

import type { PartitionStart } from "../kafka/consumer/api.ts";
import { parseCommitNote } from "./epochs/commit_note.ts";

export interface StartPosition {
  readonly offset: number;
  /** What was noticed, for the journal and the log; absent where all is as expected. */
  readonly mark?: string;
  /**
   * The mark is right only if a record below this offset is read: there need be none, where a partition
   * ends with aborted records or a transaction's marker, which the journal does not have.
   */
  readonly markBelow?: number;
}

/** What the journal knows of a partition of this topic id. */
export interface JournaledPartition {
  /** One past the highest offset held; undefined where it holds none. */
  readonly end: number | undefined;
  /** The first offset from the given one on that it does not hold. */
  firstGap(from: number): number;
  /**
   * Whether another topic of this name was read before: the brokers delete a topic's commits with it, so that
   * none is left to tell. Default false.
   */
  readonly hasOlderTopic?: boolean;
}

export function startPosition(
  { start, topicId, journalId, journaled }: {
    readonly start: PartitionStart;
    readonly topicId: string;
    readonly journalId: string;
    readonly journaled: JournaledPartition;
  },
): StartPosition {
  const chosen = choose({ start, topicId, journalId, journaled });
  if (chosen.offset >= start.low) return chosen;
  const gap = `offsets ${chosen.offset} to ${start.low - 1} were deleted before they were read`;
  const unread = journaled.firstGap(chosen.offset) < start.low;
  // Of a commit at the first offset that is left, made at a start before, no record below can be read.
  const noticed = (chosen.markBelow ?? Infinity) > start.low ? chosen.mark : undefined;
  const mark = [noticed, unread ? gap : undefined].filter((part) => part !== undefined).join("; ");
  return { offset: start.low, ...(mark !== "" && { mark }) };
}

/** Marks of a partition that is read from an offset below what the journal may hold already. */
const MOVED_BACK =
  /(?:^|; )(?:the group (?:was reset to offset|has no committed offset)|the committed offset \d+ is past|offset \d+ was committed by another program)/;

/** Returns whether a mark explains that its line has a lower offset than an earlier line of its partition. */
export function explainsLowerOffset(mark: string): boolean {
  return MOVED_BACK.test(mark);
}

const CREATED_AGAIN = "the topic was created again: reading it from its beginning";

function choose(
  { start, topicId, journalId, journaled }: Parameters<typeof startPosition>[0],
): StartPosition {
  const { committed, low, high } = start;
  if (committed === undefined) {
    if (journaled.end === undefined) {
      return { offset: low, ...(journaled.hasOlderTopic === true && { mark: CREATED_AGAIN }) };
    }
    return {
      offset: journaled.firstGap(low),
      mark: "the group has no committed offset any more: reading on from what the journal holds",
    };
  }
  const note = parseCommitNote(committed.metadata);
  if (note !== undefined && note.topicId !== topicId) {
    return { offset: low, mark: CREATED_AGAIN };
  }
  if (note !== undefined && note.journalId !== journalId) return { offset: committed.offset };
  if (committed.offset > high) {
    return {
      offset: low,
      mark: `the committed offset ${committed.offset} is past the topic's end ${high}: ` +
        "reading it from its beginning",
    };
  }
  const offset = Math.min(committed.offset, journaled.end ?? committed.offset);
  if (note === undefined && journaled.end === undefined) {
    return {
      offset,
      mark: `offset ${offset} was committed by another program: reading on from it`,
    };
  }
  if (note === undefined && committed.offset !== journaled.end) {
    return { offset, mark: `the group was reset to offset ${committed.offset}` };
  }
  if (note !== undefined && offset < committed.offset) {
    return {
      offset,
      mark: `the journal ends before the committed offset ${committed.offset}`,
      markBelow: committed.offset,
    };
  }
  // Begun by an earlier run, which saw no record to put the mark on.
  const isBegun = note !== undefined && journaled.end === undefined;
  return { offset, ...(isBegun && journaled.hasOlderTopic === true && { mark: CREATED_AGAIN }) };
}
