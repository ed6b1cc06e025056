/**
 * The partitions with their counts and lag. Pure.
 *
 * @module
 */

import { printable, withThousands } from "../../../text.ts";
import { column, columnsOf, span } from "../parts/line.ts";
import type { ListPane } from "../parts/list_pane.ts";
import type { Extent, FrameSpec, Pane } from "../parts/pane.ts";

const PLACE_WIDTH_MAX = 24;
const PARTITION_COLUMNS = ["partition", "received", "failed", "offset", "msg/s", "lag"] as const;

export const PARTITIONS_PANE: ListPane = {
  name: "partitions",
  count: ({ partitions }) => partitions.length,
  draw,
};

function draw({ snapshot, controls }: FrameSpec, { height }: Extent): Pane {
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
