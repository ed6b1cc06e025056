/**
 * Draws a snapshot and the user's settings as lines that fill the screen exactly. Pure.
 */

import { inBytes, printable, withThousands } from "../../text.ts";
import { BEHIND_BYTES_MIN, duration, levelOf, statusName } from "../model/health.ts";
import type { Snapshot } from "../model/read_model.ts";
import { GLYPHS } from "./parts/glyphs.ts";
import { helpPane, type Hint, hintsFor } from "./keys.ts";
import { onlyTopic } from "./parts/list_pane.ts";
import { column, columnsOf, fitted, inAscii, type Line, span, widthOf } from "./parts/line.ts";
import { type DrawPane, type Extent, framed, type FrameSpec, insideOf } from "./parts/pane.ts";
import { detailPane, focusedPane } from "./panes.ts";
import { BUSINESS_PANE } from "./panes/business.ts";
import { successPane, throughputPane } from "./panes/charts.ts";
import { LOG_PANE } from "./panes/log.ts";
import { PARTITIONS_PANE } from "./panes/partitions.ts";
import { RECORDS_PANE } from "./panes/records.ts";
import { healthPane, messagesPane } from "./panes/summary.ts";

const COLUMNS_MIN = 40;
const ROWS_MIN = 12;
/** Narrower screens show only the messages; the title shows the health. */
const COLUMNS_FOR_TWO = 56;
/** Larger screens show business, partitions, and log next to the records. */
const COLUMNS_LARGE = 110;
const ROWS_LARGE = 32;
const SUMMARY_ROWS = 9;
const CHART_ROWS_SMALL = 5;
const LIST_ROWS_MIN = 5;
/** With fewer rows, charts would leave no room for the records. */
const BODY_ROWS_WITH_CHARTS = 20;
const SIDE_SHARE = 0.47;
/** The panes that have a place of their own on a large screen; any other takes that of the records when it has the focus. */
const PLACED_PANES = new Set([PARTITIONS_PANE, LOG_PANE, BUSINESS_PANE].map(({ name }) => name));
const FOLDER_WIDTH_MAX = 24;
const TOPIC_WIDTH_MAX = 24;

/** Returns exactly `rows` lines of exactly `columns` columns. */
export function frameLines(spec: FrameSpec): readonly Line[] {
  const { columns, rows, glyphs } = spec;
  if (columns < COLUMNS_MIN || rows < ROWS_MIN) return tooSmall(spec);
  const body = bodyLines(spec, { width: columns, height: rows - 2 });
  const lines = [titleLine(spec), ...body, footerLine(spec)].map((line) => fitted(line, columns));
  return glyphs === "ascii" ? lines.map(inAscii) : lines;
}

function tooSmall({ columns, rows, snapshot }: FrameSpec): readonly Line[] {
  const lines: Line[] = [
    [span(statusName(snapshot.health), levelOf(snapshot.health))],
    [span(`needs ${COLUMNS_MIN}x${ROWS_MIN}`)],
  ];
  return Array.from({ length: rows }, (_, index) => fitted(lines[index] ?? [], columns));
}

function bodyLines(spec: FrameSpec, extent: Extent): readonly Line[] {
  if (spec.controls.isHelpShown) return drawn(helpPane, spec, extent);
  const detail = detailPane(spec, insideOf(extent));
  if (detail !== undefined) return drawn(() => detail, spec, extent);
  return spec.columns >= COLUMNS_LARGE && spec.rows >= ROWS_LARGE
    ? largeBody(spec, extent)
    : smallBody(spec, extent);
}

function smallBody(spec: FrameSpec, { width, height }: Extent): readonly Line[] {
  const chartHeight = height >= BODY_ROWS_WITH_CHARTS ? CHART_ROWS_SMALL : 0;
  const summaryHeight = Math.min(SUMMARY_ROWS, height - LIST_ROWS_MIN);
  const listHeight = height - summaryHeight - chartHeight;
  const isNarrow = width < COLUMNS_FOR_TWO;
  const summary = isNarrow ? [messagesPane] : [messagesPane, healthPane];
  const charts = isNarrow ? [throughputPane] : [throughputPane, successPane];
  return [
    ...beside(spec, summary, { width, height: summaryHeight }),
    ...(chartHeight === 0 ? [] : beside(spec, charts, { width, height: chartHeight })),
    ...drawn(focusedPane, spec, { width, height: listHeight }),
  ];
}

function largeBody(spec: FrameSpec, { width, height }: Extent): readonly Line[] {
  const chartHeight = Math.min(13, Math.max(7, Math.floor(height / 4)));
  const listHeight = height - SUMMARY_ROWS - chartHeight;
  const sideWidth = Math.floor(width * SIDE_SHARE);
  const partitionsHeight = Math.min(
    spec.snapshot.partitions.length + 3,
    Math.floor(listHeight / 2),
  );
  const logHeight = listHeight - partitionsHeight;
  const side = [
    ...drawn(PARTITIONS_PANE.draw, spec, { width: sideWidth, height: partitionsHeight }),
    ...drawn(LOG_PANE.draw, spec, { width: sideWidth, height: logHeight }),
  ];
  const drawMain = PLACED_PANES.has(spec.controls.focus) ? RECORDS_PANE.draw : focusedPane;
  const main = drawn(drawMain, spec, { width: width - sideWidth, height: listHeight });
  return [
    ...beside(spec, [messagesPane, healthPane, BUSINESS_PANE.draw], {
      width,
      height: SUMMARY_ROWS,
    }),
    ...beside(spec, [throughputPane, successPane], { width, height: chartHeight }),
    ...main.map((line, index) => [...line, ...(side[index] ?? [])]),
  ];
}

function drawn(pane: DrawPane, spec: FrameSpec, extent: Extent): readonly Line[] {
  return framed(pane(spec, insideOf(extent)), extent, GLYPHS[spec.glyphs]);
}

/** Draws panes side by side, of equal width except for rounding. */
function beside(
  spec: FrameSpec,
  panes: readonly DrawPane[],
  { width, height }: Extent,
): readonly Line[] {
  const columns = panes.map((pane, index) => {
    const start = Math.floor(index * width / panes.length);
    const end = Math.floor((index + 1) * width / panes.length);
    return drawn(pane, spec, { width: end - start, height });
  });
  return Array.from({ length: height }, (_, row) => columns.flatMap((lines) => lines[row] ?? []));
}

function titleLine({ snapshot, controls, newCount, folder, intervalMs, glyphs }: FrameSpec): Line {
  const { health, newestEventMs, takenAtMs, files } = snapshot;
  const age = newestEventMs === undefined
    ? "no message yet"
    : `newest message ${duration(takenAtMs - newestEventMs)} old`;
  const behindBytes = files.journal?.behindBytes ?? 0;
  const topic = onlyTopic(snapshot);
  return [
    span(" orderflow ", "strong"),
    span(`${GLYPHS[glyphs].mark} ${statusName(health)}`, levelOf(health)),
    span("  "),
    ...(controls.isPaused
      ? [span(` PAUSED, +${withThousands(newCount)} new `, "selected"), span("  ")]
      : []),
    ...(behindBytes >= BEHIND_BYTES_MIN
      ? [span(behindText(snapshot, behindBytes), "warning"), span("  ")]
      : []),
    ...(topic === undefined
      ? []
      : [span(column(printable(topic), TOPIC_WIDTH_MAX).trimEnd()), span(" in ", "dim")]),
    span(`${endOf(printable(folder), FOLDER_WIDTH_MAX)}  `),
    span(`${age}  every ${intervalMs} ms`, "dim"),
  ];
}

/** Describes the progress of a count, or how far a completed one is behind. */
function behindText({ health, files }: Snapshot, behindBytes: number): string {
  if (health.status !== "counting") return `behind by ${inBytes(behindBytes)}`;
  const readBytes = files.journal?.readBytes ?? 0;
  const share = Math.floor(100 * readBytes / (readBytes + behindBytes));
  return `${share} % of ${inBytes(readBytes + behindBytes)}`;
}

/** Cuts a path at its beginning, because its end matters more. */
function endOf(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  return `…${Array.from(text).slice(1 - width).join("")}`;
}

function footerLine({ controls, notice, columns }: FrameSpec): Line {
  if (controls.isTyping) {
    return [
      span(" filter: ", "accent"),
      span(`${printable(controls.filter)}_`, "strong"),
      span("  Enter searches the whole journal, Esc drops it", "dim"),
    ];
  }
  const told: Line = [
    ...(controls.filter === ""
      ? []
      : [span(` filter "${printable(controls.filter)}" `, "selected")]),
    ...(notice === "" ? [] : [span(` ${printable(notice)} `, "accent")]),
  ];
  return [...told, ...hintsLine(hintsFor(controls), columns - widthOf(told))];
}

function hintsLine(hints: readonly Hint[], width: number): Line {
  const line: Line[] = [];
  let left = width;
  for (const [key, meaning] of hints) {
    const gap = line.length === 0 ? 1 : 2;
    left -= gap + columnsOf(`${key} ${meaning}`);
    if (left < 0) break;
    line.push([span(`${" ".repeat(gap)}${key}`, "strong"), span(` ${meaning}`, "dim")]);
  }
  return line.flat();
}
