/**
 * Formats the monitor's figures as a self-contained page: the report of a run.
 */

import { counted, inBytes, withThousands } from "../../text.ts";
import { duration, levelOf, milliseconds, percent, statusName } from "../model/health.ts";
import { lastWordsOf, type Outcome, outcomeOf } from "../model/outcome.ts";
import { VERSION } from "../../version.ts";
import { htmlChart } from "../../html/chart.ts";
import { htmlPage } from "../../html/page.ts";
import { countRow, section, table, text, tiles } from "../../html/parts.ts";
import { niceMax } from "../../html/scale.ts";
import { businessSection } from "./html_business.ts";
import { RECENT_COUNT } from "../model/journal_model.ts";
import type { RecentEvent } from "../model/recent_event.ts";
import { logText } from "../model/log_model.ts";
import type { PartitionView, Snapshot } from "../model/read_model.ts";
import type { TailStatus } from "../tail/tail.ts";

/** Length of `2026-01-31 `. */
const DATE_LENGTH = 11;
/** Characters shown of a value without an order. */
const VALUE_LENGTH_MAX = 120;

/**
 * Returns a whole HTML document: a report if the run has finished, otherwise the current figures. It has no script, and
 * its content policy allows no requests.
 */
export function formatHtml(
  snapshot: Snapshot,
  { folder, commandLine = "" }: { readonly folder: string; readonly commandLine?: string },
): string {
  const { health } = snapshot;
  const outcome = outcomeOf(snapshot);
  const level = outcome.isFinished ? outcome.problems.length > 0 ? "bad" : "good" : levelOf(health);
  const name = !outcome.isFinished
    ? statusName(health)
    : outcome.problems.length > 0
    ? "FINISHED WITH PROBLEMS"
    : "FINISHED";
  const title = `orderflow: ${name}`;
  return htmlPage(
    title,
    `<h1>orderflow <span class="${level}">${text(name)}</span></h1>
<p class="lead">${text(outcome.sentence)}</p>
<p>${text(folder)}, tracker ${text(health.state)}; messages from ${
      text(time(snapshot.firstEventMs))
    } to ${text(time(snapshot.newestEventMs))} UTC, seen at ${
      text(time(snapshot.takenAtMs))
    } UTC</p>
${mainFigures(snapshot, outcome)}
<main>
${outcome.isFinished ? "" : healthSection(snapshot) + quality(snapshot)}
${charts(snapshot)}
${businessSection(snapshot, outcome)}
${partitions(snapshot, outcome)}
${failures(snapshot)}
${recentEvents(snapshot, outcome)}
${recentLogs(snapshot)}
</main>
<footer>${text(footer(snapshot))}<br>${text(commandLine)}<br>orderflow ${text(VERSION)}</footer>`,
  );
}

const UNKNOWN = { lag: undefined, latencyMs: undefined };

function mainFigures(snapshot: Snapshot, { isFinished }: Outcome): string {
  const { totals, quality } = snapshot;
  const { lag, latencyMs: latency } = isFinished ? lastWordsOf(snapshot) ?? UNKNOWN : snapshot;
  const rate = totals.successRatePercent;
  const facts: readonly (readonly [name: string, value: string, note: string])[] = [
    ["received", withThousands(totals.received), ""],
    ["processed", withThousands(totals.processed), ""],
    ["failed", withThousands(totals.failed), ""],
    ["success", rate === undefined ? "none" : percent(rate), ""],
    [
      "messages a second",
      String(snapshot.messagesPerSecondOverall),
      isFinished ? "overall" : `overall; ${snapshot.messagesPerSecond} now`,
    ],
    [
      "latency p50",
      latency?.p50 === undefined ? "unknown" : milliseconds(latency.p50),
      latency?.p99 === undefined ? "" : `end to end; p99 ${milliseconds(latency.p99)}`,
    ],
    ["lag", lagText(lag), isFinished ? "when the tracker stopped" : "as the tracker last said"],
    ...(isFinished ? [] : [["quality", `${quality.score}/100`, ""] as const]),
  ];
  return tiles(facts);
}

function lagText(lag: number | undefined): string {
  return lag === undefined ? "unknown" : withThousands(lag);
}

function healthSection({ health }: Snapshot): string {
  const reasons = health.reasons.map((reason) => `<li>${text(reason)}</li>`).join("");
  const checks = health.checks.map(({ name, level, reason }) => [
    text(name),
    `<span class="${level}">${text(level)}</span>`,
    text(reason),
  ]);
  return section("Health", `<ul>${reasons}</ul>${table(["check", "level", "why"], checks)}`);
}

function quality({ quality: { score, parts } }: Snapshot): string {
  return section(
    `Quality ${score}/100`,
    table(
      ["part", "#points", "why"],
      parts.map(({ name, points, pointsMax, reason }) => [
        text(name),
        `${points} of ${pointsMax}`,
        text(reason),
      ]),
    ),
  );
}

function charts({ runChart: chart, firstEventMs, newestEventMs }: Snapshot): string {
  const { messagesPerSecond, failedCounts, startMs, stepMs } = chart;
  const ends = { from: time(firstEventMs), to: time(newestEventMs) };
  const noteOf = (index: number, value: string) =>
    `${time(startMs + index * stepMs).slice(0, 19)}: ${value}`;
  const failures = chart.failed === 0 ? "<p>No record failed.</p>" : htmlChart({
    ...ends,
    name: "failed records",
    color: "bad",
    values: failedCounts,
    notes: failedCounts.map((count, index) => noteOf(index, `${count} failed`)),
    max: niceMax(Math.max(...failedCounts)),
  });
  return section(
    "Throughput, msg/s",
    htmlChart({
      ...ends,
      name: "messages a second",
      color: "accent",
      values: messagesPerSecond,
      notes: messagesPerSecond.map((rate, index) => noteOf(index, `${rate} msg/s`)),
      max: niceMax(Math.max(0, ...messagesPerSecond)),
    }),
    "wide",
  ) + section(`Failed records, each ${duration(stepMs)}`, failures, "wide");
}

/** Shows rates only while the run continues. */
function partitions(snapshot: Snapshot, { isFinished }: Outcome): string {
  const lastWords = isFinished ? lastWordsOf(snapshot) : undefined;
  const lagOf = (each: PartitionView) => isFinished ? lastWords?.lagOf(each) : each.lag;
  return section(
    "Partitions",
    table(
      [
        "partition",
        "#received",
        "#failed",
        "#last offset",
        ...(isFinished ? [] : ["#msg/s"]),
        "#lag",
      ],
      snapshot.partitions.map((each) => [
        text(`${each.topic}/${each.partition}`),
        withThousands(each.received),
        withThousands(each.failed),
        String(each.lastOffset),
        ...(isFinished ? [] : [String(each.messagesPerSecond)]),
        lagText(lagOf(each)),
      ]),
    ),
  );
}

function failures({ errorKinds, deadLetters }: Snapshot): string {
  return section(
    "Failures",
    errorKinds.size + deadLetters.size === 0
      ? "<p>No record failed.</p>"
      : table(["kind", "#records"], errorKinds.entries().map(countRow).toArray()) +
        table(["dead letters", "#records"], deadLetters.entries().map(countRow).toArray()),
  );
}

/** For a finished run, lists only failed records: the figures cover the others. */
function recentEvents(
  { recentEvents, recentFailedEvents }: Snapshot,
  { isFinished }: Outcome,
): string {
  const events = (isFinished ? recentFailedEvents : recentEvents).slice(-RECENT_COUNT).toReversed();
  if (events.length === 0) return "";
  const timeOf = timesFor(events);
  const hasOrders = events.some(({ order }) => order !== undefined);
  const rows = events.map((event) => {
    const [amount, what, orderId] = whatOf(event);
    const place = text(`${event.topic}/${event.partition}@${event.offset}`);
    const verdict = `<span class="${event.failed ? "bad" : "good"}">${
      event.failed ? "FAILED" : "ok"
    }</span>`;
    const start = [timeOf(event.timestampMs), place];
    return isFinished ? [...start, what, orderId] : [...start, verdict, amount, what, orderId];
  });
  const order = hasOrders ? "=order" : "";
  return section(
    isFinished ? "Latest failed records" : "Recent records",
    table(
      isFinished ? ["=at (UTC)", "record", "+reason", order] : [
        "=at (UTC)",
        "record",
        "",
        hasOrders ? "#amount" : "#size",
        hasOrders ? "+what" : "+key and value",
        order,
      ],
      rows,
    ),
    "wide",
  );
}

/** Returns the amount, or the size of a value without an order; a description; the order's id. */
function whatOf(
  { failed, kind, error = "", order, content }: RecentEvent,
): readonly [amount: string, what: string, orderId: string] {
  const { total, currency = "", status = "", customerName = "", orderId = "" } = order ?? {};
  if (failed) return ["", text(`${kind}: ${error}`), text(orderId)];
  if (content !== undefined) {
    const { key = "(no key)", valueBytes } = content;
    return [inBytes(valueBytes), text(`${key}: ${content.text.slice(0, VALUE_LENGTH_MAX)}`), ""];
  }
  return [
    total === undefined ? "" : text(`${total.toFixed(2)} ${currency}`),
    text([customerName, status].filter((part) => part !== "").join(", ")),
    text(orderId),
  ];
}

function recentLogs({ recentLogs }: Snapshot): string {
  const timeOf = timesFor(recentLogs);
  const rows = recentLogs.toReversed().map(({ timestampMs, level, ...log }) => [
    timeOf(timestampMs),
    text(level),
    text(logText(log)),
  ]);
  return section("Log", table(["=at (UTC)", "level", "+message"], rows), "wide");
}

/** Returns how to format a list's times: without the date if it is the same for all. */
function timesFor(
  list: readonly { readonly timestampMs: number }[],
): (timeMs: number) => string {
  const dates = new Set(list.map(({ timestampMs }) => time(timestampMs).slice(0, DATE_LENGTH)));
  return (timeMs) => text(dates.size === 1 ? time(timeMs).slice(DATE_LENGTH) : time(timeMs));
}

function footer({ unreadable, aheadOfClockCount, files }: Snapshot): string {
  return [
    `${inBytes(files.journal?.readBytes ?? 0)} of journal read`,
    ...fileEvents(files.journal),
    `${counted(unreadable.journalLines + unreadable.logLines, "line")} could not be read`,
    ...(aheadOfClockCount === 0
      ? []
      : [`${counted(aheadOfClockCount, "message")} stamped ahead of this clock`]),
  ].join("; ");
}

function fileEvents(journal: TailStatus | undefined): readonly string[] {
  const events = [
    [journal?.rotationCount ?? 0, "rotation"],
    [journal?.truncationCount ?? 0, "truncation"],
    [journal?.cutCount ?? 0, "cut"],
  ] as const;
  return events.filter(([count]) => count > 0).map(([count, noun]) => counted(count, noun));
}

/** Formats a time in UTC, to the millisecond. */
function time(timeMs: number | undefined): string {
  const date = new Date(timeMs ?? NaN);
  return Number.isNaN(date.getTime())
    ? "unknown"
    : date.toISOString().replace("T", " ").replace("Z", "");
}
