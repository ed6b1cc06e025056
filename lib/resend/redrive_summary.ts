/**
 * Counts what became of the letters that a redrive read. Each letter is in exactly one of the counts:
 *
 *     found = redriven (or would_redrive, in a dry run) + already_redriven + skipped + left_out
 */

import { reasonOf } from "../kafka/errors.ts";
import { isSizeReason } from "../kafka/error_classifier.ts";
import { counted, printable, withThousands } from "../text.ts";
import { IntervalSet } from "../journal/intervals.ts";
import type { FailureReason } from "../tracker/failures.ts";
import type { OpenedLetter } from "../tracker/opened_letter.ts";
import { runsOf } from "./redrive_log.ts";
import type { LeftOut } from "./redrive_selection.ts";

/** Why a selected letter was not redriven. */
export type Skipped =
  /** The letter lacks a part of its record, which only the journal has. */
  | "value_omitted"
  | "headers_omitted"
  | "key_omitted"
  /** The target topic refuses the record. */
  | "too_large"
  | "refused";

/** Letters of one partition of the dead-letter topic and one reason. */
export interface RedrivenGroup {
  readonly partition: number;
  readonly reason: FailureReason;
  readonly letters: number;
  /** First and last offset of each run of letters. */
  readonly offsets: readonly (readonly [number, number])[];
}

/** A letter that was skipped, and where its record came from. */
export interface SkippedLetter {
  readonly partition: number;
  readonly offset: number;
  readonly why: Skipped;
  /** The broker's answer; null if it was not asked. */
  readonly error: string | null;
  readonly source_topic: string | null;
  readonly source_partition: number | null;
  readonly source_offset: number | null;
}

/** The object that `--json` prints. */
export interface RedriveSummary {
  readonly dead_letters: string;
  readonly topic: string;
  readonly dry_run: boolean;
  /** Letters in the selected range. */
  readonly found: number;
  readonly redriven: number;
  /** Letters that a dry run would redrive; 0 in other runs. */
  readonly would_redrive: number;
  /** Letters whose record was sent to the same topic before, by this letter or another one. */
  readonly already_redriven: number;
  /** The part of them whose record was sent by another letter. */
  readonly repeats: number;
  /** Selected, and not sent. */
  readonly skipped: number;
  readonly skipped_by: Readonly<Record<Skipped, number>>;
  /** The first {@link SKIPPED_EXAMPLES_MAX}. */
  readonly skipped_letters: readonly SkippedLetter[];
  /** Skipped letters whose record the target refused. The next redrive tries them again. */
  readonly refused: number;
  /** By Kafka's name of the error. */
  readonly refused_by: Readonly<Record<string, number>>;
  /** In the selected range, and not selected. */
  readonly left_out: number;
  readonly left_out_by: Readonly<Record<LeftOut, number>>;
  /** The letters of `redriven` or `would_redrive`, sorted. */
  readonly groups: readonly RedrivenGroup[];
  readonly transactions: number;
  readonly seconds: number;
  /** False if the run was stopped before its end. */
  readonly complete: boolean;
}

const SKIPPED_EXAMPLES_MAX = 20;

interface Group {
  readonly partition: number;
  readonly reason: FailureReason;
  readonly offsets: IntervalSet;
  letters: number;
}

export class RedriveCounts {
  readonly #skippedBy: Record<Skipped, number> = {
    value_omitted: 0,
    headers_omitted: 0,
    key_omitted: 0,
    too_large: 0,
    refused: 0,
  };
  readonly #refusedBy = new Map<string, number>();
  readonly #leftOutBy: Record<LeftOut, number> = { other_reason: 0, other_topic: 0 };
  readonly #skippedLetters: SkippedLetter[] = [];
  readonly #groups = new Map<string, Group>();
  readonly #startedAtMs = performance.now();
  #alreadyRedriven = 0;
  #repeats = 0;
  #sent = 0;

  /** Letters redriven, or in a dry run those that would be. */
  get sent(): number {
    return this.#sent;
  }

  addSent({ record: { partition, offset }, reason }: OpenedLetter): void {
    this.#sent++;
    const key = `${partition} ${reason}`;
    const group = this.#groups.get(key) ??
      { partition, reason, offsets: new IntervalSet(), letters: 0 };
    this.#groups.set(key, group);
    group.letters++;
    group.offsets.add({ start: offset, end: offset + 1 });
  }

  addAlreadyRedriven(): void {
    this.#alreadyRedriven++;
  }

  /** Counts a letter whose record is sent by another letter. */
  addRepeat(): void {
    this.#repeats++;
    this.#alreadyRedriven++;
  }

  addLeftOut(why: LeftOut): void {
    this.#leftOutBy[why]++;
  }

  addOmitted(letter: OpenedLetter, part: "value" | "headers" | "key"): void {
    this.#addSkipped(letter, `${part}_omitted`, null);
  }

  addRefused(letter: OpenedLetter, error: Error): void {
    const reason = reasonOf(error);
    this.#refusedBy.set(reason, (this.#refusedBy.get(reason) ?? 0) + 1);
    this.#addSkipped(
      letter,
      isSizeReason(reason) ? "too_large" : "refused",
      `${reason}: ${error.message}`,
    );
  }

  #addSkipped({ record, source }: OpenedLetter, why: Skipped, error: string | null): void {
    this.#skippedBy[why]++;
    if (this.#skippedLetters.length === SKIPPED_EXAMPLES_MAX) return;
    this.#skippedLetters.push({
      partition: record.partition,
      offset: record.offset,
      why,
      error,
      source_topic: source.topic ?? null,
      source_partition: source.partition ?? null,
      source_offset: source.offset ?? null,
    });
  }

  summary(
    { deadLetterTopic, topic, isDryRun, isComplete, transactions }: {
      readonly deadLetterTopic: string;
      readonly topic: string;
      readonly isDryRun: boolean;
      readonly isComplete: boolean;
      readonly transactions: number;
    },
  ): RedriveSummary {
    const skipped = sumOf(this.#skippedBy);
    const leftOut = sumOf(this.#leftOutBy);
    return {
      dead_letters: deadLetterTopic,
      topic,
      dry_run: isDryRun,
      found: this.#sent + this.#alreadyRedriven + skipped + leftOut,
      redriven: isDryRun ? 0 : this.#sent,
      would_redrive: isDryRun ? this.#sent : 0,
      already_redriven: this.#alreadyRedriven,
      repeats: this.#repeats,
      skipped,
      skipped_by: { ...this.#skippedBy },
      skipped_letters: [...this.#skippedLetters],
      refused: this.#skippedBy.too_large + this.#skippedBy.refused,
      refused_by: Object.fromEntries(this.#refusedBy),
      left_out: leftOut,
      left_out_by: { ...this.#leftOutBy },
      groups: [...this.#groups.values()]
        .map(({ partition, reason, letters, offsets }) => (
          { partition, reason, letters, offsets: runsOf(offsets.intervals) }
        ))
        .sort((a, b) => a.partition - b.partition || (a.reason < b.reason ? -1 : 1)),
      transactions,
      seconds: Math.round(performance.now() - this.#startedAtMs) / 1_000,
      complete: isComplete,
    };
  }
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

const SKIPPED_MEANINGS: Readonly<Record<Skipped, string>> = {
  value_omitted: "its value was left out of the letter: only the journal has it",
  headers_omitted: "its headers were left out of the letter: only the journal has them",
  key_omitted: "its key was left out of the letter: only the journal has it",
  too_large: "the topic refuses it as too large (max.message.bytes)",
  refused: "the topic refuses it",
};

/** Returns the summary as lines of text, without control characters whatever the letters hold. */
export function describeSummary(summary: RedriveSummary): readonly string[] {
  const { dry_run, found, redriven, would_redrive, already_redriven, skipped, left_out } = summary;
  const sent = dry_run
    ? `${withThousands(would_redrive)} that would be redriven`
    : `${withThousands(redriven)} redriven`;
  return [
    `${summary.dead_letters} -> ${summary.topic}${dry_run ? "  (dry run: nothing is sent)" : ""}`,
    ...describeGroups(summary.groups),
    `${counted(found, "letter")} found = ${sent} + ${
      withThousands(already_redriven)
    } already redriven + ${withThousands(skipped)} skipped + ${withThousands(left_out)} left out`,
    ...(dry_run ? describeOffsets(summary) : []),
    ...(summary.repeats === 0
      ? []
      : [`already redriven: ${counted(summary.repeats, "more letter")} of the same records`]),
    ...Object.entries(summary.refused_by).map(([reason, count]) =>
      `refused: ${counted(count, "letter")}, ${reason}`
    ),
    ...describeSkipped(summary),
    ...describeLeftOut(summary),
    ...(summary.complete ? [] : ["stopped before the end: run it again for the rest"]),
  ];
}

function describeGroups(groups: readonly RedrivenGroup[]): readonly string[] {
  if (groups.length === 0) return [];
  return [
    "partition  reason           letters",
    ...groups.map(({ partition, reason, letters }) =>
      `${String(partition).padStart(9)}  ${reason.padEnd(15)}${withThousands(letters).padStart(9)}`
    ),
  ];
}

function describeOffsets({ dead_letters, groups }: RedriveSummary): readonly string[] {
  return groups.map(({ partition, reason, offsets }) => {
    const runs = offsets.map(([first, last]) => first === last ? `${first}` : `${first}-${last}`);
    return `would be redriven: ${dead_letters}[${partition}] ${reason} offsets ${runs.join(", ")}`;
  });
}

function describeSkipped({ skipped, skipped_letters }: RedriveSummary): readonly string[] {
  const lines = skipped_letters.map((letter) => {
    const source = letter.source_topic === null
      ? ""
      : `, once ${
        printable(letter.source_topic)
      }[${letter.source_partition}] offset ${letter.source_offset}`;
    const error = letter.error === null ? "" : `: ${printable(letter.error)}`;
    return `skipped: partition ${letter.partition} offset ${letter.offset}${source}: ${
      SKIPPED_MEANINGS[letter.why]
    }${error}`;
  });
  const hidden = skipped - lines.length;
  return hidden === 0 ? lines : [...lines, `skipped: ${counted(hidden, "more letter")}`];
}

function describeLeftOut({ left_out_by: by, topic }: RedriveSummary): readonly string[] {
  const lines: string[] = [];
  if (by.other_reason > 0) {
    lines.push(`left out: ${counted(by.other_reason, "letter")} of other reasons`);
  }
  if (by.other_topic > 0) {
    lines.push(
      `left out: ${counted(by.other_topic, "letter")} of records that were not in ${topic} ` +
        `(--from-topic sends those of another topic, or of any)`,
    );
  }
  return lines;
}
