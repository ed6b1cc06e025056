/**
 * Formats the monitor's figures as text: a block for `--once`, and one line at a time for a followed run.
 */

import { toDecimal } from "../../order/money.ts";
import { hasOrders, REVENUE_MINUTES } from "../model/business.ts";
import { styled } from "../../terminal.ts";
import { counted, inBytes, printable, printableShort, withThousands } from "../../text.ts";
import {
  BEHIND_BYTES_MIN,
  duration,
  type Health,
  levelOf,
  milliseconds,
  percent,
  statusName,
} from "../model/health.ts";
import type { RecentEvent } from "../model/recent_event.ts";
import { type LogLine, logText } from "../model/log_model.ts";
import type { PartitionView, Snapshot } from "../model/read_model.ts";
import type { TailStatus } from "../tail/tail.ts";
import type { Counted } from "../model/tally.ts";

const LABEL_WIDTH = 13;
const TEXT_LENGTH_MAX = 160;
const RECENT_EVENTS_SHOWN = 5;
const RECENT_LOGS_SHOWN = 3;
const PARTITIONS_SHOWN = 20;
const TOP_SHOWN = 3;

/** A label and the lines that it stands before; without lines it is left out. */
type Section = readonly [label: string, texts: readonly string[]];

export function formatText(snapshot: Snapshot, { folder }: { readonly folder: string }): string {
  const { health, errorKinds, deadLetters, messagesPerSecond, messagesPerSecondOverall } = snapshot;
  const reasons = health.reasons.map((reason) => `- ${printableShort(reason, TEXT_LENGTH_MAX)}`);
  const sections: readonly Section[] = [
    ["health", [healthText(snapshot), ...reasons]],
    ["messages", [totalsText(snapshot)]],
    ["throughput", [
      `${messagesPerSecond} msg/s in the last minute, ` +
      `${messagesPerSecondOverall} from the first message to the newest`,
    ]],
    ["quality", [qualityText(snapshot)]],
    ["partitions", partitionTexts(snapshot)],
    ["tracker says", lagTexts(snapshot)],
    ...(hasOrders(snapshot) ? businessSections(snapshot) : trafficSections(snapshot)),
    ["errors", countsTexts(errorKinds)],
    ["dead letters", countsTexts(deadLetters)],
    ["last error", lastErrorTexts(snapshot)],
    ["recent", snapshot.recentEvents.slice(-RECENT_EVENTS_SHOWN).map(eventText)],
    ["log", snapshot.recentLogs.slice(-RECENT_LOGS_SHOWN).map(logLineText)],
    ["files", fileTexts(snapshot)],
  ];
  return [
    `${styled(`monitor of ${printable(folder)}`, "bold")}  ${isoTime(snapshot.takenAtMs)}`,
    ...sections.flatMap(([label, texts]) =>
      texts.map((text, index) =>
        `${styled((index === 0 ? label : "").padEnd(LABEL_WIDTH), "dim")}${text}`
      )
    ),
  ].join("\n");
}

export function formatProgress({ readBytes, behindBytes }: TailStatus): string {
  return `counting: ${inBytes(readBytes)} of ${inBytes(readBytes + behindBytes)}`;
}

/** Returns one line of the changing figures, for a followed run. */
export function formatStatusLine(snapshot: Snapshot): string {
  const { totals, quality, lag, health } = snapshot;
  const behindBytes = snapshot.files.journal?.behindBytes ?? 0;
  const parts = [
    isoTime(snapshot.takenAtMs).slice(11, 19),
    styledStatus(health),
    `received ${withThousands(totals.received)}`,
    `failed ${withThousands(totals.failed)}`,
    `${snapshot.messagesPerSecond} msg/s`,
    ...(totals.successRatePercent === undefined
      ? []
      : [`success ${percent(totals.successRatePercent)}`]),
    `quality ${quality.score}`,
    ...(lag === undefined ? [] : [`lag ${withThousands(lag)}`]),
    ...(behindBytes >= BEHIND_BYTES_MIN ? [`${inBytes(behindBytes)} still to read`] : []),
  ];
  return parts.join("  ");
}

/** Returns lines about what happened between two snapshots: health, files, unreadable lines. */
export function formatChanges(before: Snapshot | undefined, after: Snapshot): readonly string[] {
  const changes: string[] = [];
  const { status, state, reasons } = after.health;
  const isSame = before?.health.status === status && before.health.state === state &&
    before.health.trouble?.name === after.health.trouble?.name;
  if (!isSame) {
    const why = reasons.map((reason) => printableShort(reason, TEXT_LENGTH_MAX)).join("; ");
    changes.push(`${statusName(after.health)}, tracker ${state}: ${why}`);
  }
  const unreadable = unreadableCount(after) - (before === undefined ? 0 : unreadableCount(before));
  if (unreadable > 0) {
    const sample = printableShort(after.unreadable.sample ?? "", 60);
    changes.push(`${counted(unreadable, "line")} could not be read${sample && `: ${sample}`}`);
  }
  for (const name of ["journal", "log"] as const) {
    changes.push(...fileChanges(before?.files[name], after.files[name]));
  }
  const time = isoTime(after.takenAtMs).slice(11, 19);
  return changes.map((change) => `${time}  ${change}`);
}

export function isChanged(before: Snapshot, after: Snapshot): boolean {
  return before.totals.received !== after.totals.received ||
    before.totals.failed !== after.totals.failed ||
    statusName(before.health) !== statusName(after.health) ||
    before.lag !== after.lag;
}

function fileChanges(
  before: TailStatus | undefined,
  after: TailStatus | undefined,
): readonly string[] {
  if (after === undefined) return [];
  const since = (count: (status: TailStatus) => number) =>
    count(after) - (before === undefined ? 0 : count(before));
  const changes: string[] = [];
  const rotations = since((status) => status.rotationCount);
  const truncations = since((status) => status.truncationCount);
  const cuts = since((status) => status.cutCount);
  if (rotations > 0) changes.push(`${after.name} was rotated; the old file was read to its end`);
  if (truncations > 0) changes.push(`${after.name} was truncated; what was counted stays counted`);
  if (cuts > 0) changes.push(`${after.name} was cut by its writer; its lines were counted again`);
  return changes;
}

function healthText({ health, newestEventMs, takenAtMs }: Snapshot): string {
  const age = newestEventMs === undefined
    ? ""
    : `, newest message ${duration(takenAtMs - newestEventMs)} old`;
  return `${styledStatus(health)}, tracker ${health.state}${age}`;
}

function totalsText({ totals, window }: Snapshot): string {
  const success = totals.successRatePercent === undefined
    ? ""
    : `, success ${percent(totals.successRatePercent)}`;
  const recent = window.received === 0
    ? ""
    : `; in ${duration(window.windowMs)}: ${withThousands(window.received)} received, ` +
      `${withThousands(window.failed)} failed`;
  return `${withThousands(totals.received)} received, ${
    withThousands(totals.processed)
  } processed, ` +
    `${withThousands(totals.failed)} failed${success}${recent}`;
}

function qualityText({ quality }: Snapshot): string {
  const parts = quality.parts.map(({ name, points, pointsMax, reason }) =>
    `${name} ${points}/${pointsMax} (${reason})`
  );
  return `${quality.score}/100: ${parts.join(", ")}`;
}

function partitionTexts({ partitions }: Snapshot): readonly string[] {
  const texts = partitions.slice(0, PARTITIONS_SHOWN).map(partitionText);
  const left = partitions.length - texts.length;
  return left > 0 ? [...texts, `and ${withThousands(left)} more`] : texts;
}

function partitionText(partition: PartitionView): string {
  const lag = partition.lag === undefined ? "" : `, lag ${withThousands(partition.lag)}`;
  return `${printableShort(partition.topic, 60)}/${partition.partition}  ` +
    `${withThousands(partition.received)} received, ${withThousands(partition.failed)} failed, ` +
    `last offset ${partition.lastOffset}, ${partition.messagesPerSecond} msg/s${lag}`;
}

function lagTexts({ lag, latencyMs, status }: Snapshot): readonly string[] {
  const parts = [
    ...(lag === undefined ? [] : [`lag ${counted(lag, "record")}`]),
    ...Object.entries(latencyMs ?? {}).map(([name, ms]) => `latency ${name} ${milliseconds(ms)}`),
    ...(status.kind === "fresh" ? status.status.open_transactions : []).map(
      ({ partition, first_offset, records, seconds }) =>
        `${
          counted(records, "record")
        } of partition ${partition} from offset ${first_offset} on behind an open ` +
        `transaction for ${duration(seconds * 1000)}`,
    ),
  ];
  return parts.length === 0 ? [] : [parts.join(", ")];
}

function businessSections({ business }: Snapshot): readonly Section[] {
  const { ordersByStatus, revenue, topProducts, topCustomers } = business;
  const amount = (cents: number) => toDecimal(cents).toFixed(2);
  const revenueTexts = revenue.map(({ currency, totalCents, perMinuteCents }) =>
    `${amount(totalCents)} ${printableShort(currency, 10)}, ` +
    `${amount(perMinuteCents)} a minute in the last ${REVENUE_MINUTES}`
  );
  return [
    ["orders", countsTexts(ordersByStatus)],
    ["revenue", revenueTexts],
    ["products", topProducts.length === 0 ? [] : [topText(topProducts)]],
    ["customers", topCustomers.length === 0 ? [] : [topText(topCustomers)]],
  ];
}

function trafficSections({ traffic, totals }: Snapshot): readonly Section[] {
  if (totals.received === 0) return [];
  const { valueBytes, valueBytesPerSecond, valueBytesMax, keyCount, keylessCount, topKeys } =
    traffic;
  const mean = Math.round(valueBytes / totals.received);
  const keys = [
    `${withThousands(keyCount)}${traffic.areKeysCapped ? " or more" : ""} different`,
    ...(keylessCount === 0 ? [] : [`${counted(keylessCount, "record")} without one`]),
    ...(topKeys.length === 0 ? [] : [`most frequent ${topText(topKeys)}`]),
  ];
  const values = `${inBytes(valueBytes)}, ${inBytes(valueBytesPerSecond)}/s in the last minute, ` +
    `${inBytes(mean)} on average, ${inBytes(valueBytesMax)} at most`;
  return [["values", [values]], ["keys", [keys.join(", ")]]];
}

function topText(counted: readonly Counted[]): string {
  return counted.slice(0, TOP_SHOWN)
    .map(({ label, count }) => `${printableShort(label, 30)} ${withThousands(count)}`).join(", ");
}

function lastErrorTexts({ lastError, takenAtMs }: Snapshot): readonly string[] {
  if (lastError === undefined) return [];
  const { timestampMs, text } = lastError;
  return [`${duration(takenAtMs - timestampMs)} ago: ${printableShort(text, TEXT_LENGTH_MAX)}`];
}

function countsTexts(counts: ReadonlyMap<string, number>): readonly string[] {
  if (counts.size === 0) return [];
  return [
    counts.entries().map(([name, count]) => `${printableShort(name, 40)} ${withThousands(count)}`)
      .toArray().join(", "),
  ];
}

function eventText(event: RecentEvent): string {
  const { order } = event;
  const place = `${printableShort(event.topic, 60)}/${event.partition}@${event.offset}`;
  const what = event.failed
    ? `${printableShort(event.kind, 40)}: ${printableShort(event.error ?? "", TEXT_LENGTH_MAX)}`
    : order === undefined
    ? contentText(event)
    : [
      order.orderId,
      order.status,
      order.total === undefined ? undefined : `${order.total} ${order.currency ?? ""}`.trim(),
      order.customerName,
    ].filter((text) => text !== undefined).map((text) => printableShort(text, 60)).join("  ");
  return `${isoTime(event.timestampMs).slice(11, 19)}  ${place}  ${what}`;
}

function contentText({ content }: RecentEvent): string {
  if (content === undefined) return "";
  const { key = "(no key)", valueBytes, text } = content;
  return `${printableShort(key, 40)}  ${inBytes(valueBytes)}  ${printableShort(text, 60)}`;
}

function logLineText({ timestampMs, level, ...log }: LogLine): string {
  return `${isoTime(timestampMs).slice(11, 19)}  ${level.padEnd(5)} ` +
    printableShort(logText(log), TEXT_LENGTH_MAX);
}

function fileTexts(snapshot: Snapshot): readonly string[] {
  const { journalLines, logLines, sample } = snapshot.unreadable;
  const heldBytes = snapshot.files.journal?.heldBytes ?? 0;
  const lines: string[] = [];
  if (journalLines + logLines > 0) {
    lines.push(
      `${counted(journalLines, "line")} of the journal and ${withThousands(logLines)} of the log ` +
        `could not be read${sample === undefined ? "" : `, as ${printableShort(sample, 60)}`}`,
    );
  }
  if (heldBytes > 0) lines.push(`${inBytes(heldBytes)} of a line without its end yet`);
  if (snapshot.supersededCount > 0) {
    const superseded = counted(snapshot.supersededCount, "journal line");
    lines.push(
      `${superseded} superseded: their topic lost these records when its log was truncated`,
    );
  }
  if (snapshot.aheadOfClockCount > 0) {
    lines.push(`${counted(snapshot.aheadOfClockCount, "message")} stamped ahead of this clock`);
  }
  return lines;
}

function unreadableCount({ unreadable }: Snapshot): number {
  return unreadable.journalLines + unreadable.logLines;
}

const STYLES = { good: "green", warning: "yellow", bad: "red" } as const;

function styledStatus(health: Health): string {
  return styled(statusName(health), STYLES[levelOf(health)]);
}

function isoTime(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? "at no known time" : `${time.toISOString().slice(0, 19)}Z`;
}
