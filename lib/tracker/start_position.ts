/**
 * Decides where to resume a partition, from the group's commit and the journal's contents.
 *
 * Normally the commit decides, and the journal prevents duplicates. A commit contains the ids of the journal and the
 * topic, which show whether it can be trusted:
 *
 *     the commit's note          means                                     resume from
 *     this journal, this topic   our own commit                            the commit, or the journal's end if lower
 *     another journal            another tracker had the partition         the commit
 *     another topic id           the topic was recreated                   the beginning
 *     none                       an operator reset the group, or another   the commit, or the journal's end if lower
 *                                program was a member of it
 *     no commit at all           the partition was added, its commit       the first offset not in the journal
 *                                expired, or the topic was recreated
 *
 * A group without commits begins where `--from` says. Its start is committed before any record is handed over; if that
 * is the topic's end, for all partitions at once. So a partition without a commit was never read, or its commit
 * expired, and it is read from the beginning: `--from latest` skips no record that arrived after the group began.
 */

import type { PartitionStart } from "../kafka/consumer/api.ts";
import { parseCommitNote } from "./epochs/commit_note.ts";

export interface StartPosition {
  readonly offset: number;
  /** An anomaly to note in the journal and the log. */
  readonly mark?: string;
  /**
   * The mark only applies if a record below this offset is read. There may be none: the journal holds no aborted
   * records and no transaction markers.
   */
  readonly markBelow?: number;
}

/** The journal's contents of a partition, for the current topic id. */
export interface JournaledPartition {
  /** One past the highest offset held; undefined if none is. */
  readonly end: number | undefined;
  /** Returns the first offset, from the given one on, that is not held. */
  firstGap(from: number): number;
  /**
   * True if an earlier topic with this name was read. Commits cannot show this, because brokers delete them with their
   * topic. Default: false.
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
  // A commit at the log's first offset was made by an earlier start: no record below it can be read.
  const noticed = (chosen.markBelow ?? Infinity) > start.low ? chosen.mark : undefined;
  const mark = [noticed, unread ? gap : undefined].filter((part) => part !== undefined).join("; ");
  return { offset: start.low, ...(mark !== "" && { mark }) };
}

/** Matches marks of a restart at an offset below those that the journal may already hold. */
const MOVED_BACK =
  /(?:^|; )(?:the group (?:was reset to offset|has no committed offset)|the committed offset \d+ is past|offset \d+ was committed by another program)/;

/** Reports whether a mark explains why its line has a lower offset than an earlier line of its partition. */
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
  // An earlier run committed the start, but read no record whose line could have the mark.
  const isBegun = note !== undefined && journaled.end === undefined;
  return { offset, ...(isBegun && journaled.hasOlderTopic === true && { mark: CREATED_AGAIN }) };
}
