/**
 * The result of `tracker verify`; its fields are what `--json` prints.
 *
 * For each partition, and so for all of them:
 *
 *     journaled = records - missing - removed + duplicated + expired + compacted + unexplained
 */

import type { SegmentCheck } from "../journal/manifest_check.ts";

/** Counts of records and lines. */
export interface VerificationCounts {
  /** Records in the topic. */
  readonly records: number;
  /** Journal lines judged. */
  readonly journaled: number;
  /** Records in no journal. */
  readonly missing: number;
  /** Journal lines beyond the first of a record. */
  readonly duplicated: number;
  /** Duplicated lines whose record is once in this journal and also in another one. */
  readonly duplicated_across_journals: number;
  /**
   * Records whose line differs (another value, key, header, timestamp, or leader epoch), or is not one that a tracker
   * writes: a field is missing or unknown, or `order_full` is not the value.
   */
  readonly mismatched: number;
  /** Journal lines that come after a line of a later record of their partition. */
  readonly out_of_order: number;
  /** Journaled records below the first offset that the topic still holds. */
  readonly expired: number;
  /** Journaled records that compaction may have removed, by the topic's cleanup policy. */
  readonly compacted: number;
  /** Journaled records that are not in the topic, for no known reason. */
  readonly unexplained: number;
  /** Records in segments removed for their age, by the segments' manifests. */
  readonly removed: number;
  /**
   * Journal lines of records lost when the topic's log was truncated, by their leader epochs; in no other count. They
   * stay in the journal and are not a fault of it.
   */
  readonly superseded: number;
  /**
   * Records that cannot be judged yet, so verify must be run again: those held back by an open transaction, those
   * that a running tracker has not journaled yet, and those whose lines it removed during the comparison. The first
   * two kinds are in no other count.
   */
  readonly undecided: number;
  /** Undecided records after the last line of their partition, which a running tracker has not journaled yet. */
  readonly undecided_at_end: number;
}

/** Sums the counts of all partitions. */
export function totalOf(partitions: readonly VerificationCounts[]): VerificationCounts {
  const sum = (name: keyof VerificationCounts) =>
    partitions.reduce((total, counts) => total + counts[name], 0);
  return {
    records: sum("records"),
    journaled: sum("journaled"),
    missing: sum("missing"),
    duplicated: sum("duplicated"),
    duplicated_across_journals: sum("duplicated_across_journals"),
    mismatched: sum("mismatched"),
    out_of_order: sum("out_of_order"),
    expired: sum("expired"),
    compacted: sum("compacted"),
    unexplained: sum("unexplained"),
    removed: sum("removed"),
    superseded: sum("superseded"),
    undecided: sum("undecided"),
    undecided_at_end: sum("undecided_at_end"),
  };
}

/** The result of checking a closed segment against its manifest. */
export interface SegmentVerification extends SegmentCheck {
  /** Folder of the segment. */
  readonly journal: string;
}

/** Kinds of records whose first offsets are kept. */
export const EXAMPLE_KINDS = [
  "missing",
  "duplicated",
  "mismatched",
  "out_of_order",
  "expired",
  "compacted",
  "unexplained",
] as const;

/** One of {@link EXAMPLE_KINDS}. */
export type ExampleKind = (typeof EXAMPLE_KINDS)[number];

/** The first offsets of each kind, at most 10. */
export type Examples = Readonly<Record<ExampleKind, readonly number[]>>;

/** The result for one partition. */
export interface PartitionVerification extends VerificationCounts {
  /** Partition number, from 0. */
  readonly partition: number;
  /** The first offset that the topic holds. */
  readonly low: number;
  /** One past the last judged offset; later records were not judged. */
  readonly high: number;
  /** Offsets to look at first. */
  readonly examples: Examples;
}

/** A line that is not a journal line. */
export interface UnreadableLine {
  /** File that contains the line. */
  readonly path: string;
  /** Position of the line's first byte. */
  readonly byte: number;
}

/** The result of comparing a topic with its journals. */
export interface Verification extends VerificationCounts {
  /** Name of the topic. */
  readonly topic: string;
  /** Topic id as 32 hexadecimal digits; changes when the topic is deleted and created again. */
  readonly topic_id: string;
  /** Number of journals judged together. */
  readonly journals: number;
  /** Journal lines without key, headers, and timestamp to compare: the founding project's tracker keeps none. */
  readonly without_details: number;
  /**
   * Journal lines with less than the tracker writes today, such as no topic id, or with something JSON readers may
   * read differently, such as a too deeply nested `order_full` of earlier versions. Their fields were compared.
   */
  readonly undetailed: number;
  /** Journal lines of records that arrived after the verification began: not judged. */
  readonly beyond_end: number;
  /** Journal lines outside the requested offsets: not judged. */
  readonly outside_range: number;
  /** Journal lines of other topics, or of an earlier one of the same name: not judged. */
  readonly other_topics: number;
  /** Lines that are not journal lines. They make the result not ok: it is unknown what such a line was. */
  readonly unreadable_lines: number;
  /** Positions of the first unreadable lines. */
  readonly unreadable: readonly UnreadableLine[];
  /** Bytes after the last newline of a journal that is being written, or whose tracker died: not judged. */
  readonly torn_bytes: number;
  /** Results by partition. */
  readonly partitions: readonly PartitionVerification[];
  /** Results of the closed segments. They also cover records that have expired from the topic. */
  readonly segments: readonly SegmentVerification[];
  /**
   * True if every record of the topic is journaled once and in order, nothing else is journaled, and no closed
   * segment changed.
   */
  readonly ok: boolean;
}

/** The kinds that are faults. */
export const FAULT_KINDS = [
  "missing",
  "duplicated",
  "mismatched",
  "out_of_order",
  "unexplained",
] as const;

/** Returns whether the journals hold every record exactly once and nothing unexplained. */
export function isOk(verification: Omit<Verification, "ok">): boolean {
  const faults = [...FAULT_KINDS, "undecided", "unreadable_lines"] as const;
  return faults.every((fault) => verification[fault] === 0) &&
    verification.segments.every(({ ok }) => ok);
}
