/**
 * What became of the letters that a redrive read: every one is in exactly one of the counts.
 *
 *     found = redriven (or would_redrive, in a dry run) + already_redriven + skipped + left_out
 *
 * @module
 */

import { counted, printable, withThousands } from "../../text.ts";
import type { FailureReason } from "../judge.ts";
import type { OpenedLetter } from "./letter.ts";
import type { LeftOut } from "./selection.ts";

/** Why a letter that was asked for cannot be redriven. */
export type Skipped =
  /** Its value was left out as too large for a dead letter: only the journal has it. */
  | "value_omitted"
  /** The target refuses it as too large. */
  | "too_large";

/** Letters of one partition of the dead-letter topic and one reason. */
export interface RedrivenGroup {
  readonly partition: number;
  readonly reason: FailureReason;
  readonly letters: number;
}

/** A letter that was skipped, and where its record was before (and is, in the journal). */
export interface SkippedLetter {
  readonly partition: number;
  readonly offset: number;
  readonly why: Skipped;
  readonly source_topic: string | null;
  readonly source_partition: number | null;
  readonly source_offset: number | null;
}

/** As `--json` prints it. */
export interface RedriveSummary {
  readonly dead_letters: string;
  readonly topic: string;
  readonly dry_run: boolean;
  /** Letters read: those of the place that was asked for. */
  readonly found: number;
  readonly redriven: number;
  /** What a dry run would redrive; else 0. */
  readonly would_redrive: number;
  /** By an earlier redrive, to the same topic. */
  readonly already_redriven: number;
  /** Asked for, and cannot be sent. */
  readonly skipped: number;
  readonly skipped_by: Readonly<Record<Skipped, number>>;
  /** The first {@link SKIPPED_EXAMPLES_MAX}. */
  readonly skipped_letters: readonly SkippedLetter[];
  /** Read, and not asked for. */
  readonly left_out: number;
  readonly left_out_by: Readonly<Record<LeftOut, number>>;
  /** Of `redriven`, or of `would_redrive`; sorted. */
  readonly groups: readonly RedrivenGroup[];
  readonly transactions: number;
  readonly seconds: number;
  /** False where it was stopped before its end: run it again for the rest. */
  readonly complete: boolean;
}

const SKIPPED_EXAMPLES_MAX = 20;

export class Tally {
  readonly #skippedBy: Record<Skipped, number> = { value_omitted: 0, too_large: 0 };
  readonly #leftOutBy: Record<LeftOut, number> = { other_reason: 0, other_topic: 0 };
  readonly #skippedLetters: SkippedLetter[] = [];
  readonly #groups = new Map<string, { readonly group: RedrivenGroup; letters: number }>();
  readonly #startedAtMs = performance.now();
  #alreadyRedriven = 0;
  #sent = 0;
  #transactions = 0;

  /** Redriven, or in a dry run what would be. */
  get sent(): number {
    return this.#sent;
  }

  addSent(letters: readonly OpenedLetter[]): void {
    this.#sent += letters.length;
    for (const { record: { partition }, reason } of letters) {
      const key = `${partition} ${reason}`;
      const entry = this.#groups.get(key);
      if (entry === undefined) {
        this.#groups.set(key, { group: { partition, reason, letters: 0 }, letters: 1 });
      } else entry.letters++;
    }
  }

  addTransaction(): void {
    this.#transactions++;
  }

  addAlreadyRedriven(count: number): void {
    this.#alreadyRedriven += count;
  }

  addLeftOut(why: LeftOut): void {
    this.#leftOutBy[why]++;
  }

  addSkipped({ record, source }: OpenedLetter, why: Skipped): void {
    this.#skippedBy[why]++;
    if (this.#skippedLetters.length === SKIPPED_EXAMPLES_MAX) return;
    this.#skippedLetters.push({
      partition: record.partition,
      offset: record.offset,
      why,
      source_topic: source.topic ?? null,
      source_partition: source.partition ?? null,
      source_offset: source.offset ?? null,
    });
  }

  summary(
    { deadLetterTopic, topic, isDryRun, isComplete }: {
      readonly deadLetterTopic: string;
      readonly topic: string;
      readonly isDryRun: boolean;
      readonly isComplete: boolean;
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
      skipped,
      skipped_by: { ...this.#skippedBy },
      skipped_letters: [...this.#skippedLetters],
      left_out: leftOut,
      left_out_by: { ...this.#leftOutBy },
      groups: [...this.#groups.values()]
        .map(({ group, letters }) => ({ ...group, letters }))
        .sort((a, b) => a.partition - b.partition || (a.reason < b.reason ? -1 : 1)),
      transactions: this.#transactions,
      seconds: Math.round(performance.now() - this.#startedAtMs) / 1_000,
      complete: isComplete,
    };
  }
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

const SKIPPED_MEANINGS: Readonly<Record<Skipped, string>> = {
  value_omitted: "its value was too large for a dead letter: only the journal has it",
  too_large: "the topic refuses it as too large (max.message.bytes)",
};

/** The summary as lines that a person reads; free of control characters whatever the letters held. */
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

function describeSkipped({ skipped, skipped_letters }: RedriveSummary): readonly string[] {
  const lines = skipped_letters.map((letter) => {
    const source = letter.source_topic === null
      ? ""
      : `, once ${
        printable(letter.source_topic)
      }[${letter.source_partition}] offset ${letter.source_offset}`;
    return `skipped: partition ${letter.partition} offset ${letter.offset}${source}: ${
      SKIPPED_MEANINGS[letter.why]
    }`;
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
