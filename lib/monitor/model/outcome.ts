/**
 * Sums up a run for its report: how many records, and whether any are known to be lost. Pure.
 */

import { counted, withThousands } from "../../text.ts";
import type { Snapshot } from "./read_model.ts";
import { figuresIn } from "./said_figures.ts";

export interface Outcome {
  /** True if the tracker stopped cleanly. */
  readonly isFinished: boolean;
  /** Problems, the most important first; empty if there are none. */
  readonly problems: readonly string[];
  /** One or two sentences about records, dead letters, and losses. */
  readonly sentence: string;
}

export function outcomeOf(snapshot: Snapshot): Outcome {
  const isFinished = snapshot.health.state === "stopped";
  const problems = problemsOf(snapshot);
  return { isFinished, problems, sentence: `${countsOf(snapshot)} ${lossesOf(problems)}` };
}

/** Returns the tracker's last figures; undefined if it has not stopped, or wrote no status file. */
export function lastWordsOf({ status }: Snapshot): ReturnType<typeof figuresIn> | undefined {
  const isRead = status.kind === "old" || status.kind === "fresh";
  return isRead && status.status.state === "stopped" ? figuresIn(status.status) : undefined;
}

function countsOf({ totals, deadLetters }: Snapshot): string {
  const { received, processed, failed } = totals;
  if (received === 0) return "No record was journaled.";
  const letters = deadLetters.values().reduce((sum, count) => sum + count, 0);
  return `${counted(received, "record")} ${received === 1 ? "was" : "were"} journaled: ` +
    `${withThousands(processed)} processed, ${withThousands(failed)} failed, ` +
    `and ${counted(letters, "dead letter")} sent.`;
}

function lossesOf(problems: readonly string[]): string {
  return problems.length === 0
    ? "Nothing was lost, as far as the journal shows."
    : `Not all is well: ${problems.join("; ")}.`;
}

function problemsOf(
  { health, expiredCount, supersededCount, unreadable }: Snapshot,
): readonly string[] {
  const { trouble } = health;
  return [
    ...(trouble === undefined ? [] : [`${trouble.name.toLowerCase()}: ${trouble.reason}`]),
    ...(expiredCount > 0
      ? [`${counted(expiredCount, "record")} expired in the topic before they were read`]
      : []),
    ...(supersededCount > 0
      ? [
        `${
          counted(supersededCount, "record")
        } of the journal left the topic when its log was truncated`,
      ]
      : []),
    ...(unreadable.journalLines > 0
      ? [`${counted(unreadable.journalLines, "line")} of the journal cannot be read`]
      : []),
    ...(health.state === "silent" && trouble === undefined
      ? ["the tracker did not say that it stopped"]
      : []),
  ];
}
