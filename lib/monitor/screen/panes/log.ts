/**
 * The latest lines of the tracker's log, and one of them in full. Pure.
 *
 * @module
 */

import { printable } from "../../../text.ts";
import { type LogLine, logText } from "../../model/log_model.ts";
import type { Snapshot } from "../../model/read_model.ts";
import { GLYPHS } from "../glyphs.ts";
import { type Line, span } from "../line.ts";
import { clock, contains, type ListPane, viewOf } from "../list_pane.ts";
import type { Extent, FrameSpec, Pane } from "../pane.ts";

const LEVEL_WIDTH = 6;

export const LOG_PANE: ListPane = {
  name: "log",
  count: (snapshot, filter) => filteredLogs(snapshot, filter).length,
  draw,
};

function draw({ snapshot, controls, glyphs }: FrameSpec, { height }: Extent): Pane {
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

/** Newest first. */
function filteredLogs({ recentLogs }: Snapshot, filter: string): readonly LogLine[] {
  return recentLogs.filter(({ level, ...log }) => contains(`${level} ${logText(log)}`, filter))
    .toReversed();
}
