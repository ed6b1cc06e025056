/**
 * The summary of a replay, as one JSON object and as lines.
 */

import { counted, printable, withThousands } from "../text.ts";
import type { ReplayOptions } from "./replay.ts";
import type { MovedGroup } from "./replay_groups.ts";
import { countOf, type Plan } from "./replay_plan.ts";
import type { Proof } from "./replay_proof.ts";

/** The object that `--json` prints. */
export interface ReplaySummary {
  readonly topic: string;
  /** Null if a dry run found no topic. */
  readonly topic_id: string | null;
  readonly partitions: number;
  /** True if the topic was created, or would be in a dry run. */
  readonly created: boolean;
  readonly dry_run: boolean;
  /** Records of the journal that were asked for, each counted once. */
  readonly selected: number;
  /** Records that a dry run would send; 0 in other runs. */
  readonly would_replay: number;
  /** Records that this run sent. */
  readonly sent: number;
  /** Records that earlier runs of this replay sent. */
  readonly already_replayed: number;
  /** Records that this replay has put on the topic, in all its runs. */
  readonly replayed: number;
  /** As {@link Proof}; null if the topic was not read back. */
  readonly in_topic: number | null;
  /** Selected records that are not in the topic, for whatever reason. */
  readonly missing: number | null;
  readonly duplicated: number | null;
  readonly different: number | null;
  readonly foreign: number | null;
  readonly examples: Proof["examples"];
  /** Selected records that cannot be replayed: the journal does not have all of them. */
  readonly omitted: number;
  /** Selected lines whose record another line has, too. */
  readonly repeated: number;
  /** Selected lines whose record the cluster gave up before the journal went on. */
  readonly superseded: number;
  readonly unreadable_lines: number;
  readonly sources: readonly {
    readonly topic: string;
    readonly topic_id: string | null;
    readonly partition: number;
    readonly records: number;
    readonly first_offset: number;
    readonly last_offset: number;
  }[];
  readonly groups: readonly MovedGroup[];
  readonly warnings: readonly string[];
  readonly transactions: number;
  readonly seconds: number;
  /** False if the run was stopped before its end. */
  readonly complete: boolean;
  /** True if the topic holds the selected records, each once and unchanged; in a dry run, if it could. */
  readonly ok: boolean;
}

/** The outcome of a replay, or of a dry run. */
export interface ReplayOutcome {
  readonly options: Pick<ReplayOptions, "topic" | "isDryRun" | "append">;
  readonly plan: Plan;
  readonly proof?: Proof;
  readonly replayed: number;
  readonly partitionCount: number;
  readonly topicId: string | undefined;
  readonly created: boolean;
  readonly warnings: readonly string[];
  readonly problems: readonly string[];
  readonly seconds: number;
  readonly sent?: number;
  readonly transactions?: number;
  readonly isComplete?: boolean;
  readonly moved?: readonly MovedGroup[];
}

export function summaryOf(outcome: ReplayOutcome): ReplaySummary {
  const { options, plan, proof, replayed, topicId, created, warnings, problems, seconds } = outcome;
  const { sent = 0, transactions = 0, isComplete = true, moved = [] } = outcome;
  const omitted = plan.omitted?.count ?? 0;
  const isWhole = omitted === 0 && plan.unreadable === 0 && problems.length === 0;
  const missing = proof === undefined ? null : proof.missing + plan.count - replayed + omitted;
  const isProven = proof !== undefined && missing === 0 &&
    proof.duplicated + proof.different + proof.foreign === 0;
  return {
    topic: options.topic,
    topic_id: topicId ?? null,
    partitions: outcome.partitionCount,
    created,
    dry_run: options.isDryRun,
    selected: plan.count + omitted,
    would_replay: options.isDryRun ? plan.count - replayed : 0,
    sent,
    already_replayed: Math.max(0, replayed - sent),
    replayed,
    in_topic: proof?.in_topic ?? null,
    missing,
    duplicated: proof?.duplicated ?? null,
    different: proof?.different ?? null,
    foreign: proof?.foreign ?? null,
    examples: proof?.examples ?? [],
    omitted,
    repeated: plan.repeated,
    superseded: plan.superseded,
    unreadable_lines: plan.unreadable,
    sources: Array.from(plan.partitions.values(), ({ source, offsets: { intervals } }) => ({
      topic: source.topic,
      topic_id: source.topicId ?? null,
      partition: source.partition,
      records: countOf(intervals),
      first_offset: intervals[0]?.start ?? 0,
      last_offset: (intervals.at(-1)?.end ?? 0) - 1,
    })),
    groups: moved,
    warnings,
    transactions,
    seconds: Math.round(seconds * 1_000) / 1_000,
    complete: isComplete,
    ok: isWhole && (options.isDryRun || (isComplete && isProven)),
  };
}

/** Returns the summary as lines of text, without control characters whatever the records hold. */
export function describeReplay(summary: ReplaySummary): readonly string[] {
  const { topic, dry_run, created, partitions, selected, ok } = summary;
  const heading = `${counted(selected, "record")} selected -> ${topic}, ${
    counted(partitions, "partition")
  }${created ? dry_run ? ", to be created" : ", created" : ""}`;
  return [
    `${heading}${dry_run ? "  (dry run: nothing is sent)" : ""}`,
    ...summary.sources.map((each) =>
      printable(
        `${each.topic}[${each.partition}] offsets ${each.first_offset}-${each.last_offset}: ${
          counted(each.records, "record")
        }`,
      )
    ),
    ...describeLeftOut(summary),
    dry_run
      ? `${withThousands(summary.would_replay)} would be replayed, ${
        withThousands(summary.already_replayed)
      } are already`
      : `${withThousands(summary.replayed)} replayed: ${withThousands(summary.sent)} now, ${
        withThousands(summary.already_replayed)
      } before`,
    ...describeProof(summary),
    ...summary.groups.map(({ group, moved, partitions: offsets }) =>
      printable(
        `group ${group} ${moved ? "moved to" : "was moved before, to"} ${
          offsets.map(({ partition, offset }) => `${topic}[${partition}] ${offset}`).join(", ")
        }`,
      )
    ),
    ...(summary.complete ? [] : ["stopped before the end: run it again for the rest"]),
    ...(dry_run || !summary.complete
      ? []
      : [ok ? "OK: the topic holds each record once, as it was" : "NOT PROVEN"]),
  ];
}

function describeLeftOut(
  { repeated, superseded, omitted, unreadable_lines: unreadable }: ReplaySummary,
): readonly string[] {
  return [
    ...(repeated === 0 ? [] : [`left out: ${counted(repeated, "line")} of the same records`]),
    ...(superseded === 0
      ? []
      : [`left out: ${counted(superseded, "line")} of records that a truncated log has lost`]),
    ...(omitted === 0 ? [] : [`cannot be replayed: ${counted(omitted, "record")}, not kept whole`]),
    ...(unreadable === 0 ? [] : [`cannot be read: ${counted(unreadable, "line")}`]),
  ];
}

function describeProof(
  { in_topic, missing, duplicated, different, foreign, examples }: ReplaySummary,
): readonly string[] {
  if (in_topic === null) return [];
  const counts = { missing, duplicated, different, "of others": foreign };
  return [
    `${withThousands(in_topic)} in the topic: ${
      Object.entries(counts).map(([what, count]) => `${withThousands(count ?? 0)} ${what}`)
        .join(", ")
    }`,
    ...examples.map(({ what, partition, offset, source }) =>
      printable(`${what}: partition ${partition} offset ${offset}, once ${source}`)
    ),
    ...((foreign ?? 0) > 0
      ? ["others have written to the topic: with --append, only the replay's own are compared"]
      : []),
  ];
}
