/**
 * What can be moved through: records, log, partitions, and one record in full. Pure.
 *
 * @module
 */

import { printable, withThousands } from "../../text.ts";
import type { RecentEvent } from "../model/recent_event.ts";
import { type LogLine, logText } from "../model/log_model.ts";
import type { Snapshot } from "../model/read_model.ts";
import type { Controls, PaneName, Subjects } from "./controls.ts";
import { GLYPHS } from "./glyphs.ts";
import { chunked, column, columnsOf, type Line, type Span, span, type Tone } from "./line.ts";
import type { Extent, FrameSpec, Pane } from "./pane.ts";
import { businessLineCount } from "./summary_panes.ts";

const PLACE_WIDTH_MAX = 24;
const AMOUNT_WIDTH = 10;
const CURRENCY_WIDTH = 3;
const CUSTOMER_WIDTH = 20;
const STATUS_WIDTH = 7;
const LEVEL_WIDTH = 6;
const PARTITION_COLUMNS = ["partition", "received", "failed", "offset", "msg/s", "lag"] as const;
/** Of a line too long to be kept whole. */
const BEGINNING_LENGTH = 4_000;

/** The recent records and log lines that the filter leaves, newest first. */
export function subjectsOf(snapshot: Snapshot, { filter }: Controls): Subjects {
  const records = filteredEvents(snapshot, filter).map(placeOf);
  return {
    records,
    failed: snapshot.recentFailedEvents.map(placeOf).toReversed(),
    counts: {
      records: records.length,
      log: filteredLogs(snapshot, filter).length,
      partitions: snapshot.partitions.length,
      business: businessLineCount(snapshot),
    },
  };
}

export function recordsPane({ snapshot, controls, glyphs }: FrameSpec, { height }: Extent): Pane {
  const events = filteredEvents(snapshot, controls.filter);
  const { top, selected, isFocused } = viewOf("records", controls, {
    count: events.length,
    height,
  });
  const shown = events.slice(top, top + height);
  const placeWidth = Math.min(
    PLACE_WIDTH_MAX,
    Math.max(0, ...shown.map((event) => columnsOf(printable(placeOf(event))))),
  );
  return {
    title: `Recent records${controls.filter === "" ? "" : `, ${events.length} match`}`,
    isFocused,
    lines: shown.map((event, index) => {
      const isSelected = isFocused && top + index === selected;
      const mark = isSelected ? GLYPHS[glyphs].pointer : " ";
      const line = eventLine(event, { mark, placeWidth });
      return isSelected ? line.map(({ text }): Span => span(text, "selected")) : line;
    }),
  };
}

function eventLine(
  event: RecentEvent,
  { mark, placeWidth }: { readonly mark: string; readonly placeWidth: number },
): Line {
  return [
    span(`${mark} ${clock(event.timestampMs)} `, "dim"),
    span(event.failed ? "FAILED " : "ok     ", event.failed ? "bad" : "good"),
    span(column(printable(placeOf(event)), placeWidth)),
    ...whatOf(event),
  ];
}

function whatOf({ failed, kind, error, order }: RecentEvent): Line {
  if (failed) return [span(`  ${printable(kind)}: ${printable(error ?? "")}`)];
  if (order === undefined) return [];
  const { total, currency = "", customerName = "", status = "", orderId = "" } = order;
  const amount = total === undefined ? "" : total.toFixed(2);
  return [
    span(`  ${column(amount, AMOUNT_WIDTH, "right")} `),
    span(column(printable(currency), CURRENCY_WIDTH)),
    span(`  ${column(printable(customerName), CUSTOMER_WIDTH)}`),
    span(`  ${column(printable(status), STATUS_WIDTH)}`),
    span(`  ${printable(orderId)}`, "dim"),
  ];
}

export function logPane({ snapshot, controls, glyphs }: FrameSpec, { height }: Extent): Pane {
  const logs = filteredLogs(snapshot, controls.filter);
  const { top, selected, isFocused } = viewOf("log", controls, { count: logs.length, height });
  return {
    title: `Log${controls.filter === "" ? "" : `, ${logs.length} match`}`,
    isFocused,
    lines: logs.slice(top, top + height).map(({ level, timestampMs, ...log }, index): Line => {
      const mark = isFocused && top + index === selected ? GLYPHS[glyphs].pointer : " ";
      return [
        span(`${mark} ${clock(timestampMs)} `, "dim"),
        span(
          level.padEnd(LEVEL_WIDTH),
          level === "ERROR" ? "bad" : level === "WARN" ? "warning" : "dim",
        ),
        span(printable(logText(log))),
      ];
    }),
  };
}

export function partitionsPane({ snapshot, controls }: FrameSpec, { height }: Extent): Pane {
  const { partitions } = snapshot;
  const rowCount = height - 1;
  const top = Math.min(
    controls.focus === "partitions" ? controls.selected.partitions : 0,
    Math.max(0, partitions.length - rowCount),
  );
  const shown = partitions.slice(top, top + rowCount);
  const range = shown.length === partitions.length
    ? ""
    : `, ${top + 1} to ${top + shown.length} of ${partitions.length}`;
  const rows = shown.map((each) => [
    column(`${printable(each.topic)}/${each.partition}`, PLACE_WIDTH_MAX).trimEnd(),
    withThousands(each.received),
    withThousands(each.failed),
    String(each.lastOffset),
    String(each.messagesPerSecond),
    each.lag === undefined ? "?" : withThousands(each.lag),
  ]);
  const [head = [], ...lines] = aligned([PARTITION_COLUMNS, ...rows]);
  return {
    title: `Partitions${range}`,
    isFocused: controls.focus === "partitions",
    lines: [[span(head.join("  "), "dim")], ...lines.map((cells) => [span(cells.join("  "))])],
  };
}

/** Each column as wide as its widest cell: the first one's text at the left, numbers at the right. */
function aligned(rows: readonly (readonly string[])[]): readonly (readonly string[])[] {
  const widths = (rows[0] ?? []).map((_, index) =>
    Math.max(...rows.map((cells) => columnsOf(cells[index] ?? "")))
  );
  return rows.map((cells) =>
    cells.map((cell, index) => column(cell, widths[index] ?? 0, index === 0 ? "left" : "right"))
  );
}

/** Which lines of a list are shown: the selected one among them. */
function viewOf(
  pane: PaneName,
  { focus, selected }: Controls,
  { count, height }: { readonly count: number; readonly height: number },
): { readonly top: number; readonly selected: number; readonly isFocused: boolean } {
  const index = Math.min(selected[pane], Math.max(0, count - 1));
  return { top: Math.max(0, index - height + 1), selected: index, isFocused: focus === pane };
}

/** The record that is shown in full, or undefined where none is. */
export function detailPane(
  { snapshot, controls }: FrameSpec,
  { width }: Extent,
): Pane | undefined {
  const event = [...snapshot.recentFailedEvents, ...snapshot.recentEvents]
    .find((each) => placeOf(each) === controls.detail);
  if (event === undefined) return undefined;
  const inLines = (text: string, tone: Tone = "plain") =>
    chunked(printable(text), width).map((piece): Line => [span(piece, tone)]);
  const lines = [
    ...(event.failed ? inLines(`FAILED, ${event.kind}: ${event.error ?? ""}`, "bad") : []),
    ...wholeText(event).flatMap((text) => inLines(text)),
  ];
  const top = Math.min(controls.detailTop, Math.max(0, lines.length - 1));
  return {
    title: `${printable(placeOf(event))}, Esc closes`,
    isFocused: true,
    lines: lines.slice(top),
  };
}

/** The order in full, else the message as it came. */
function wholeText({ line }: RecentEvent): readonly string[] {
  const text = new TextDecoder().decode(line);
  try {
    const { order_full, ...rest } = JSON.parse(text);
    return JSON.stringify(order_full ?? rest, undefined, 2).split("\n");
  } catch {
    return [
      "the line is too long to be shown whole; it begins:",
      text.slice(0, BEGINNING_LENGTH),
    ];
  }
}

function filteredEvents({ recentEvents }: Snapshot, filter: string): readonly RecentEvent[] {
  if (filter === "") return recentEvents.toReversed();
  const decoder = new TextDecoder();
  return recentEvents.filter(({ line }) => contains(decoder.decode(line), filter)).toReversed();
}

function filteredLogs({ recentLogs }: Snapshot, filter: string): readonly LogLine[] {
  return recentLogs.filter(({ level, ...log }) => contains(`${level} ${logText(log)}`, filter))
    .toReversed();
}

function contains(text: string, filter: string): boolean {
  return filter === "" || text.toLowerCase().includes(filter.toLowerCase());
}

function placeOf({ topic, partition, offset }: RecentEvent): string {
  return `${topic}/${partition}@${offset}`;
}

function clock(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? "--:--:--" : time.toISOString().slice(11, 19);
}
