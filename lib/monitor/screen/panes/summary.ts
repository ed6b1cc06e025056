/**
 * Overview of messages and health. Pure.
 */

import { counted, inBytes, printable, withThousands } from "../../../text.ts";
import {
  duration,
  type Health,
  levelOf,
  milliseconds,
  percent,
  statusName,
} from "../../model/health.ts";
import type { Quality } from "../../model/quality.ts";
import type { Snapshot } from "../../model/read_model.ts";
import { column, columnsOf, type Line, span, type Tone, wrapped } from "../parts/line.ts";
import type { Extent, FrameSpec, Pane } from "../parts/pane.ts";

export const NAME_WIDTH = 13;
/** Wider panes show a reason for each part of the score. */
const REASONS_WIDTH = 60;

/** A name, a value in its own column, and a comment. */
export interface Fact {
  readonly name: string;
  readonly value: string;
  readonly note: string;
  readonly tone?: Tone;
  readonly noteTone?: Tone;
}

export function factLines(facts: readonly Fact[]): readonly Line[] {
  const valueWidth = Math.max(...facts.map(({ value }) => columnsOf(value)));
  return facts.map(({ name, value, note, tone = "strong", noteTone = "dim" }) => [
    span(column(name, NAME_WIDTH), "dim"),
    span(column(value, valueWidth, "right"), tone),
    span(`  ${note}`, noteTone),
  ]);
}

export function messagesPane({ snapshot }: FrameSpec): Pane {
  const { totals, messagesPerSecond, lag, latencyMs: latency, saidAtMs, deadLetters, takenAtMs } =
    snapshot;
  const success = totals.successRatePercent;
  const letters = deadLetters.values().reduce((sum, count) => sum + count, 0);
  return {
    title: "Messages",
    lines: factLines([
      {
        name: "received",
        value: withThousands(totals.received),
        note: isCounting(snapshot) ? "so far" : `${messagesPerSecond} msg/s`,
      },
      {
        name: "processed",
        value: withThousands(totals.processed),
        note: success === undefined ? "" : percent(success),
      },
      {
        name: "failed",
        value: withThousands(totals.failed),
        note: countsText(snapshot.errorKinds),
        tone: totals.failed > 0 ? "bad" : "strong",
      },
      {
        name: "dead letters",
        value: withThousands(letters),
        note: countsText(deadLetters),
        tone: letters > 0 ? "bad" : "strong",
      },
      {
        name: "lag",
        value: lag === undefined ? "unknown" : withThousands(lag),
        note: lag === undefined || saidAtMs === undefined
          ? ""
          : `said ${duration(takenAtMs - saidAtMs)} ago`,
      },
      {
        name: "latency p50",
        value: latency?.p50 === undefined ? "unknown" : milliseconds(latency.p50),
        note: latency?.p99 === undefined ? "" : `p99 ${milliseconds(latency.p99)}`,
      },
      journalFact(snapshot),
    ]),
  };
}

function journalFact({ files: { journal }, unreadable }: Snapshot): Fact {
  const events = [
    [journal?.truncationCount ?? 0, "truncation"],
    [journal?.cutCount ?? 0, "cut"],
    [journal?.rotationCount ?? 0, "rotation"],
  ] as const;
  const unreadableCount = unreadable.journalLines + unreadable.logLines;
  return {
    name: "journal",
    value: inBytes(journal?.readBytes ?? 0),
    note: [
      ...(unreadableCount > 0 ? [`${withThousands(unreadableCount)} unreadable`] : []),
      ...events.filter(([count]) => count > 0).map(([count, noun]) => counted(count, noun)),
    ].join(", "),
    noteTone: unreadableCount > 0 ? "warning" : "dim",
  };
}

export function healthPane({ snapshot }: FrameSpec, { width, height }: Extent): Pane {
  const { health, quality } = snapshot;
  // While something is wrong, the space is used for the reasons.
  const facts = isCounting(snapshot) || health.trouble !== undefined ? [] : [
    ...factLines(health.checks.map(({ name, value, level }) => ({
      name,
      value,
      note: level,
      noteTone: level,
    }))),
    ...factLines([{
      name: "quality",
      value: `${quality.score}/100`,
      note: lossesText(quality, width),
    }]),
  ];
  return {
    title: "Health",
    lines: [
      [span(statusName(health), levelOf(health)), span(`, tracker ${health.state}`)],
      ...reasonLines(health, { width, height: height - 1 - facts.length }),
      ...facts,
    ],
  };
}

/**
 * Returns whether the journal is still being counted. Rates and judgments are hidden then, because the current state
 * is unknown.
 */
export function isCounting({ health }: Snapshot): boolean {
  return health.status === "counting";
}

/** Returns as many lines as fit; the last says that there are more. */
function reasonLines({ reasons }: Health, { width, height }: Extent): readonly Line[] {
  const texts = reasons.flatMap((reason) =>
    wrapped(printable(reason), width - 2).map((text, index) =>
      `${index === 0 ? "- " : "  "}${text}`
    )
  );
  const shown = texts.slice(0, Math.max(0, height));
  return shown.map((text, index) => {
    const isCut = index === shown.length - 1 && texts.length > shown.length;
    return [span(isCut ? `${text} …` : text)];
  });
}

/** Returns the deductions from the score: `-20 errors, -1 success`, with the reason if there is room. */
function lossesText({ parts }: Quality, width: number): string {
  return parts.map(({ name, points, pointsMax, reason }) => ({
    lost: Math.round((pointsMax - points) * 10) / 10,
    name,
    reason,
  })).filter(({ lost }) => lost > 0).sort((one, other) => other.lost - one.lost)
    .map(({ lost, name, reason }) =>
      width < REASONS_WIDTH ? `-${lost} ${name}` : `-${lost}: ${printable(reason)}`
    ).join(", ");
}

export function countsText(counts: ReadonlyMap<string, number>): string {
  return counts.entries().map(([name, count]) => `${printable(name)} ${withThousands(count)}`)
    .toArray().join(", ");
}
