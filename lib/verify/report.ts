/**
 * Formats a verification as text.
 */

import type { LedgerVerification } from "./ledger_check.ts";
import { counted, printable, withThousands } from "../text.ts";
import { FAULT_KINDS, type Verification, type VerificationCounts } from "./verification.ts";

/** With more partitions than this, the table shows only those with problems. */
const PARTITIONS_SHOWN_MAX = 24;
const EXAMPLE_LINES_MAX = 12;

const COLUMNS = [
  "records",
  "journaled",
  "missing",
  "duplicated",
  "mismatched",
  "expired",
  "compacted",
  "unexplained",
] as const;

const MEANINGS: Readonly<Record<typeof FAULT_KINDS[number], string>> = {
  missing: "in the topic, not in the journal",
  duplicated: "more than once in the journal",
  mismatched: "the journal line differs from the record, or is not one that a tracker writes",
  out_of_order: "the journal line comes after the line of a later record",
  unexplained: "in the journal, not in the topic, for no known reason",
};

/** Returns plain text; control characters from the journal are neutralized. */
export function describeVerification(verification: Verification): readonly string[] {
  const { topic, topic_id, journals } = verification;
  return [
    `topic ${printable(topic)} (${topic_id}) against ${counted(journals, "journal")}`,
    ...describeTable(verification),
    ...describeExamples(verification),
    ...describeUndecided(verification),
    ...describeAsides(verification),
    ...describeSegments(verification),
    describeVerdict(verification),
  ];
}

function describeTable(verification: Verification): readonly string[] {
  const { partitions } = verification;
  const shown = partitions.length <= PARTITIONS_SHOWN_MAX
    ? partitions
    : partitions.filter((counts) => FAULT_KINDS.some((kind) => counts[kind] > 0))
      .slice(0, PARTITIONS_SHOWN_MAX);
  const rows = [
    ["partition", ...COLUMNS],
    ...shown.map((counts) => [String(counts.partition), ...cellsOf(counts)]),
    ["all", ...cellsOf(verification)],
  ];
  const widths =
    rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("  ")
  );
  const hidden = partitions.length - shown.length;
  return hidden === 0 ? lines : [...lines, `(${counted(hidden, "partition")} not shown)`];
}

function cellsOf(counts: VerificationCounts): string[] {
  return COLUMNS.map((column) => withThousands(counts[column]));
}

function describeExamples({ topic, partitions }: Verification): readonly string[] {
  const lines: string[] = [];
  for (const kind of FAULT_KINDS) {
    for (const { partition, examples, [kind]: count } of partitions) {
      if (count === 0) continue;
      const rest = count - examples[kind].length;
      lines.push(
        `${kind.replaceAll("_", " ")} (${MEANINGS[kind]}): ${printable(topic)}[${partition}] ` +
          (examples[kind].length === 1 ? "offset " : "offsets ") + examples[kind].join(", ") +
          (rest > 0 ? ` and ${withThousands(rest)} more` : ""),
      );
    }
  }
  return shortened(lines, "line");
}

function shortened(lines: readonly string[], noun: string): readonly string[] {
  const hidden = lines.length - EXAMPLE_LINES_MAX;
  return hidden <= 0
    ? lines
    : [...lines.slice(0, EXAMPLE_LINES_MAX), `and ${counted(hidden, `more such ${noun}`)}`];
}

function describeUndecided({ topic, partitions }: Verification): readonly string[] {
  const lines = partitions.flatMap(({ partition, high, undecided, undecided_at_end }) => {
    const place = `${printable(topic)}[${partition}]`;
    const heldBack = undecided - undecided_at_end;
    const atEnd = undecided_at_end === 0 ? [] : [
      `undecided (not journaled yet, and a tracker is running): ${place} ` +
      counted(undecided_at_end, "record"),
    ];
    return heldBack === 0 ? atEnd : [
      ...atEnd,
      `undecided (held back by an open transaction, not judged): ${place} ` +
      `${counted(heldBack, "record")} from offset ${high} on`,
    ];
  });
  return shortened(lines, "line");
}

/** Lists observations that are not faults of a record. */
function describeAsides(verification: Verification): readonly string[] {
  const lines: string[] = [];
  const say = (count: number, noun: string, what: string) => {
    if (count > 0) lines.push(`${counted(count, noun)} ${what}`);
  };
  say(verification.expired, "journaled record", "below the topic's first offset: expired");
  say(verification.compacted, "journaled record", "removed from the topic by compaction");
  say(
    verification.duplicated_across_journals,
    "duplicate",
    "between two journals: a tracker journaled it and lost its partition before it could commit",
  );
  say(
    verification.without_details,
    "journal line",
    "without key, headers, and timestamp: only the values were compared",
  );
  say(
    verification.undetailed,
    "journal line",
    "undetailed: without a topic id, or with an order_full that JSON parsers may read differently",
  );
  say(
    verification.removed,
    "record",
    "in segments removed for their age, according to their manifests",
  );
  say(
    verification.superseded,
    "journal line",
    "superseded: the topic lost their records when its log was truncated",
  );
  say(verification.beyond_end, "journal line", "newer than this verification: not judged");
  say(verification.outside_range, "journal line", "outside the range: not judged");
  say(
    verification.other_topics,
    "journal line",
    "of other topics, or of an earlier topic of this name: not judged",
  );
  say(verification.torn_bytes, "byte", "at the journal's end without a newline yet: not judged");
  say(verification.unreadable_lines, "line", "in the journal that cannot be read:");
  for (const { path, byte } of verification.unreadable) {
    lines.push(`  ${printable(path)}, byte ${withThousands(byte)}`);
  }
  return lines;
}

/** Summarizes the closed segments, with a line for each that changed. */
function describeSegments({ segments }: Verification): readonly string[] {
  const good = segments.filter(({ ok, state }) => ok && state !== "unsealed");
  const lines: string[] = [];
  if (good.length > 0) {
    const removedCount = good.filter(({ state }) => state === "removed").length;
    lines.push(
      `${counted(good.length, "closed segment")} unchanged, by manifest` +
        (removedCount > 0 ? ` (${withThousands(removedCount)} removed for age)` : ""),
    );
  }
  const bad = segments.filter(({ ok }) => !ok)
    .map(({ journal, name, reason = "" }) =>
      `${printable(`${journal}/${name}`)}: ${printable(reason)}`
    );
  return [...lines, ...shortened(bad, "segment")];
}

function describeVerdict(verification: Verification): string {
  if (verification.ok) return "every record of the topic is in the journal, exactly once";
  const troubles: string[] = FAULT_KINDS
    .filter((kind) => verification[kind] > 0)
    .map((kind) => `${withThousands(verification[kind])} ${kind.replaceAll("_", " ")}`);
  if (verification.undecided > 0) {
    troubles.push(
      `${withThousands(verification.undecided)} undecided ` +
        (verification.undecided > verification.undecided_at_end
          ? "(verify again when the transaction has been committed or aborted)"
          : "(verify again when the tracker has journaled them)"),
    );
  }
  if (verification.unreadable_lines > 0) {
    troubles.push(counted(verification.unreadable_lines, "unreadable line"));
  }
  const badSegmentCount = verification.segments.filter(({ ok }) => !ok).length;
  if (badSegmentCount > 0) troubles.push(counted(badSegmentCount, "changed segment"));
  return `NOT PROVEN: ${troubles.join(", ")}`;
}

export function describeLedger(
  { path, entries, in_topic, different, missing, in_deleted_topic: deleted = 0 }:
    LedgerVerification,
): string {
  const ofDeleted = deleted === 0
    ? ""
    : ` (${withThousands(deleted)} of them were in a deleted topic of this name)`;
  return `ledger ${printable(path)}: ${withThousands(entries)} acknowledged = ` +
    `${withThousands(in_topic)} in the topic + ${withThousands(different)} different + ` +
    `${withThousands(missing)} missing${ofDeleted}`;
}
