/**
 * The partitions with their counts and a chart of their lag. Pure.
 */

import { printable, withThousands } from "../../../text.ts";
import type { PartitionView } from "../../model/read_model.ts";
import { chartRows } from "../parts/chart.ts";
import type { GlyphName } from "../parts/glyphs.ts";
import { column, columnsOf, span } from "../parts/line.ts";
import { type ListPane, onlyTopic } from "../parts/list_pane.ts";
import type { Extent, FrameSpec, Pane } from "../parts/pane.ts";

const PLACE_WIDTH_MAX = 24;
const COLUMN_GAP = 2;
/** Width of the lag chart; it is omitted if there is less room. */
const SPARKLINE_WIDTH = { min: 6, max: 30 } as const;

const COLUMN_NAMES = ["received", "failed", "offset", "msg/s", "lag"] as const;

export const PARTITIONS_PANE: ListPane = {
  name: "partitions",
  count: ({ partitions }) => partitions.length,
  draw,
};

function draw({ snapshot, controls, glyphs }: FrameSpec, { width, height }: Extent): Pane {
  const { partitions } = snapshot;
  const rowCount = height - 1;
  const top = Math.min(
    controls.focus === "partitions" ? controls.selected["partitions"] ?? 0 : 0,
    Math.max(0, partitions.length - rowCount),
  );
  const shown = partitions.slice(top, top + rowCount);
  const range = shown.length === partitions.length
    ? ""
    : `, ${top + 1} to ${top + shown.length} of ${partitions.length}`;
  const topic = onlyTopic(snapshot);
  const rows = shown.map((each) => [
    topic === undefined
      ? column(`${printable(each.topic)}/${each.partition}`, PLACE_WIDTH_MAX).trimEnd()
      : String(each.partition),
    withThousands(each.received),
    withThousands(each.failed),
    String(each.lastOffset),
    String(each.messagesPerSecond),
    each.lag === undefined ? "?" : withThousands(each.lag),
  ]);
  const names = [topic === undefined ? "partition" : "part", ...COLUMN_NAMES];
  const [head = "", ...lines] = aligned([names, ...rows]);
  const courses = lagCourses(shown, { width: width - columnsOf(head) - COLUMN_GAP, glyphs });
  return {
    title: `Partitions${range}`,
    isFocused: controls.focus === "partitions",
    lines: [
      [span(courses === undefined ? head : `${head}  1 min`, "dim")],
      ...lines.map((line, index) => [
        span(line),
        span(courses === undefined ? "" : `  ${courses[index] ?? ""}`, "accent"),
      ]),
    ],
  };
}

/** Charts each partition's lag over the last minute on one scale; undefined if there is no room or no lag. */
function lagCourses(
  partitions: readonly PartitionView[],
  { width, glyphs }: { readonly width: number; readonly glyphs: GlyphName },
): readonly string[] | undefined {
  if (width < SPARKLINE_WIDTH.min) return undefined;
  const lags = partitions.flatMap(({ lagSeries }) => lagSeries)
    .filter((lag) => lag !== undefined);
  if (lags.length === 0) return undefined;
  const max = Math.max(1, lags.reduce((most, lag) => Math.max(most, lag), 0));
  return partitions.map(({ lagSeries }) =>
    chartRows({
      values: lagSeries,
      width: Math.min(SPARKLINE_WIDTH.max, width),
      height: 1,
      // Below 0, so that a lag of 0 is drawn as a line, and an unknown one not at all.
      min: -max / 8,
      max,
      glyphs,
    })[0] ?? ""
  );
}

/** Aligns cells to the widest of their column: the first column left, numbers right. */
function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, index) =>
    Math.max(...rows.map((cells) => columnsOf(cells[index] ?? "")))
  );
  return rows.map((cells) =>
    cells.map((cell, index) => column(cell, widths[index] ?? 0, index === 0 ? "left" : "right"))
      .join(" ".repeat(COLUMN_GAP))
  );
}
