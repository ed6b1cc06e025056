/**
 * The verdict of `tracker verify`; its fields are what `--json` prints.
 *
 * For each partition, and so for all of them:
 *
 *     journaled = records - missing - removed + duplicated + expired + compacted + unexplained
 *
 * @module
 */

import type { SegmentCheck } from "../journal/manifest_check.ts";

/** What was found, in records and lines. */
export interface VerificationCounts {
  /** Records that the topic holds. */
  readonly records: number;
  /** Journal lines that were judged. */
  readonly journaled: number;
  /** Records that are in no journal. */
  readonly missing: number;
  /** Journal lines beyond the first of a record. */
  readonly duplicated: number;
  /** Of these, the lines whose record is once in this journal and also in another one. */
  readonly duplicated_across_journals: number;
  /**
   * Records of which a line says something else (another value, key, header, timestamp, or leader epoch), or of which no
   * tracker writes such a line: a field is missing or unknown, or `order_full` is not the value.
   */
  readonly mismatched: number;
  /** Journal lines that come after a line of a later record of their partition. */
  readonly out_of_order: number;
  /** Journaled records below the first offset that the topic still holds. */
  readonly expired: number;
  /** Journaled records that compaction may have removed: the topic's policy has it. */
  readonly compacted: number;
  /** Journaled records that the topic does not hold, for no reason that could be found. */
  readonly unexplained: number;
  /** Records that were in a segment which was removed for its age, by the segment's manifest. */
  readonly removed: number;
  /**
   * Journal lines of records that the topic lost when its log was truncated, by their leader epochs; in no other count.
   * They stay in the journal, and are no fault of it.
   */
  readonly superseded: number;
  /**
   * Records that cannot be judged yet, so that verify has to be run again: those that an open transaction holds back, its
   * own and those behind it; and those that a running tracker has not journaled yet, or whose lines it removed while they
   * were compared. The first two are in no other count.
   */
  readonly undecided: number;
  /** Of these, the records after the last line of their partition, which a running tracker has not journaled yet. */
  readonly undecided_at_end: number;
}

/** Returns the counts of all partitions together. */
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

/** A closed segment, against its manifest. */
export interface SegmentVerification extends SegmentCheck {
  /** Its folder. */
  readonly journal: string;
}

/** Kinds of records of which the first offsets are kept. */
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

/** The first offsets of each kind, ten at most. */
export type Examples = Readonly<Record<ExampleKind, readonly number[]>>;

/** What was found of one partition. */
export interface PartitionVerification extends VerificationCounts {
  /** From 0 on. */
  readonly partition: number;
  /** The first offset that the topic holds. */
  readonly low: number;
  /** One past the last offset that was judged; what came into the topic later was not. */
  readonly high: number;
  /** Where to look first. */
  readonly examples: Examples;
}

/** A line that is no journal line: its file, and the byte at which it begins. */
export interface UnreadableLine {
  /** The file. */
  readonly path: string;
  /** Where the line begins. */
  readonly byte: number;
}

/** Whether a topic and its journals agree. */
export interface Verification extends VerificationCounts {
  /** Its name. */
  readonly topic: string;
  /** 32 hexadecimal digits; another one after the topic was deleted and created again. */
  readonly topic_id: string;
  /** How many journals were judged together. */
  readonly journals: number;
  /** Journal lines with no key, headers and timestamp to compare: the founding project's tracker keeps none. */
  readonly without_details: number;
  /**
   * Journal lines that say less than the tracker writes today, or more than all JSON readers agree on: lines without a topic
   * id, and an `order_full` that earlier versions wrote although it is nested too deeply, for instance. What they say was
   * compared.
   */
  readonly undetailed: number;
  /** Journal lines of records that came into the topic after the verification began: not judged. */
  readonly beyond_end: number;
  /** Journal lines outside the offsets that were asked about: not judged. */
  readonly outside_range: number;
  /** Journal lines of other topics, or of an earlier one of the same name: not judged. */
  readonly other_topics: number;
  /**
   * Lines that are no journal lines. Not ok: a journal has nothing else in it, and what such a line was
   * nobody can say.
   */
  readonly unreadable_lines: number;
  /** Where the first of them are. */
  readonly unreadable: readonly UnreadableLine[];
  /** Bytes after the last newline of a journal that is being written, or was when its tracker died: not judged. */
  readonly torn_bytes: number;
  /** What was found, by partition. */
  readonly partitions: readonly PartitionVerification[];
  /**
   * The closed segments: are they what they were when they were closed? That holds when the topic has forgotten
   * their records, too.
   */
  readonly segments: readonly SegmentVerification[];
  /** Every record of the topic is journaled once and in order, nothing else is, and no closed segment was changed. */
  readonly ok: boolean;
}

const FAULTS = [
  "missing",
  "duplicated",
  "mismatched",
  "out_of_order",
  "unexplained",
  "undecided",
  "unreadable_lines",
] as const;

/** Verification asks for a journal that holds every record exactly once, and nothing that it cannot explain. */
export function isOk(verification: Omit<Verification, "ok">): boolean {
  return FAULTS.every((fault) => verification[fault] === 0) &&
    verification.segments.every(({ ok }) => ok);
}
