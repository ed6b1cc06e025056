/**
 * Encodes the note in the metadata of a tracker's commits: whose commit it is, and the leader epoch before it.
 */

import type { NotedTruncation } from "../../journal/held_partition.ts";

export interface CommitNote {
  readonly journalId: string;
  readonly topicId: string;
  /** Leader epoch of the record before the committed offset; absent if not known. */
  readonly leaderEpoch?: number;
  /** Set if the log was truncated and none of the replacing records has been journaled yet. */
  readonly truncation?: NotedTruncation;
}

const PREFIX = "orderflow";
const NUMBER = /^\d+$/;
const TRUNCATION = /^(\d+)@(\d*)$/;

/** Formats a note as `orderflow:JOURNAL:TOPIC[:EPOCH[:OFFSET@EPOCH]]`; earlier versions read the first three parts. */
export function formatCommitNote(
  { journalId, topicId, leaderEpoch, truncation }: CommitNote,
): string {
  const parts = [PREFIX, journalId, topicId];
  if (leaderEpoch !== undefined || truncation !== undefined) parts.push(String(leaderEpoch ?? ""));
  if (truncation !== undefined) parts.push(`${truncation.offset}@${truncation.epoch ?? ""}`);
  return parts.join(":");
}

/** Parses a note; returns undefined if the commit was not made by a tracker. */
export function parseCommitNote(metadata: string | null): CommitNote | undefined {
  const [prefix, journalId, topicId, epoch = "", truncated = ""] = metadata?.split(":") ?? [];
  if (prefix !== PREFIX || !journalId || topicId === undefined) return undefined;
  const [, offset, supersededEpoch] = TRUNCATION.exec(truncated) ?? [];
  return {
    journalId,
    topicId,
    ...(NUMBER.test(epoch) && { leaderEpoch: Number(epoch) }),
    ...(offset !== undefined && {
      truncation: {
        offset: Number(offset),
        epoch: supersededEpoch ? Number(supersededEpoch) : undefined,
      },
    }),
  };
}
