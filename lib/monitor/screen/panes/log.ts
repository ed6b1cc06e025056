/**
 * The latest lines of the tracker's log, and one of them in full. Pure.
 */

import { parseJson } from "../../../json.ts";
import { printable } from "../../../text.ts";
import { type LogLine, logText } from "../../model/log_model.ts";
import type { Snapshot } from "../../model/read_model.ts";
import { GLYPHS } from "../parts/glyphs.ts";
import { jsonLines } from "../parts/json_lines.ts";
import { columnsOf, type Line, span } from "../parts/line.ts";
import {
  clock,
  contains,
  type Detail,
  type DetailSpec,
  type ListPane,
  viewOf,
} from "../parts/list_pane.ts";
import type { Extent, FrameSpec, Pane } from "../parts/pane.ts";

const LEVEL_WIDTH = 6;
const PREFIX_WIDTH = 11 + LEVEL_WIDTH;

export const LOG_PANE: ListPane = {
  name: "log",
  count: (snapshot, filter) => filteredLogs(snapshot, filter).length,
  draw,
  keys: (snapshot, filter) => filteredLogs(snapshot, filter).map(keyOf),
  detail,
};

function draw({ snapshot, controls, glyphs }: FrameSpec, { width, height }: Extent): Pane {
  const logs = filteredLogs(snapshot, controls.filter);
  const { top, selected, isFocused } = viewOf("log", controls, { count: logs.length, height });
  return {
    title: `Log${controls.filter === "" ? "" : `, ${logs.length} match`}`,
    isFocused,
    lines: logs.slice(top, top + height).map(({ level, timestampMs, ...log }, index): Line => {
      const isSelected = isFocused && top + index === selected;
      const line: Line = [
        span(`${isSelected ? GLYPHS[glyphs].pointer : " "} ${clock(timestampMs)} `, "dim"),
        span(
          level.padEnd(LEVEL_WIDTH),
          level === "ERROR" ? "bad" : level === "WARN" ? "warning" : "dim",
        ),
        span(textWithin(log, width - PREFIX_WIDTH)),
      ];
      return isSelected ? line.map(({ text }) => span(text, "selected")) : line;
    }),
  };
}

/** If not everything fits, shows the error, which differs most from line to line; otherwise all texts as they are. */
function textWithin(log: Omit<LogLine, "timestampMs" | "level">, width: number): string {
  const text = printable(logText(log));
  if (log.error === undefined || columnsOf(text) <= width) return text;
  return printable(`${log.error} - ${log.message}`);
}

function detail({ snapshot, key, width }: DetailSpec): Detail | undefined {
  const log = snapshot.recentLogs.find((each) => keyOf(each) === key);
  if (log === undefined) return undefined;
  return { title: `${log.level} at ${clock(log.timestampMs)}`, lines: inFull(log.line, width) };
}

/** Lines that look the same have the same key. */
function keyOf({ timestampMs, level, ...log }: LogLine): string {
  return `log ${timestampMs} ${level} ${logText(log)}`;
}

function inFull(line: Uint8Array, width: number): readonly Line[] {
  const text = new TextDecoder().decode(line);
  const value = parseJson(text);
  return value === undefined
    ? [[span("the line is too long to be shown whole; it begins:")], [span(printable(text))]]
    : jsonLines(value, { width });
}

/** Newest first. */
function filteredLogs({ recentLogs }: Snapshot, filter: string): readonly LogLine[] {
  return recentLogs.filter(({ level, ...log }) => contains(`${level} ${logText(log)}`, filter))
    .toReversed();
}
