/**
 * The registry of list panes. Pure.
 */

import { printable } from "../../text.ts";
import type { Snapshot } from "../model/read_model.ts";
import type { Controls, Subjects } from "./controls.ts";
import { chunked } from "./parts/line.ts";
import type { ListPane } from "./parts/list_pane.ts";
import type { Extent, FrameSpec, Pane } from "./parts/pane.ts";
import { BUSINESS_PANE } from "./panes/business.ts";
import { LOG_PANE } from "./panes/log.ts";
import { PARTITIONS_PANE } from "./panes/partitions.ts";
import { failedEvents, placeOf, RECORDS_PANE } from "./panes/records.ts";

/** In the order of the Tab key. */
export const LIST_PANES: readonly [ListPane, ...ListPane[]] = [
  RECORDS_PANE,
  LOG_PANE,
  PARTITIONS_PANE,
  BUSINESS_PANE,
];

/** Returns the items that keys act on, after filtering. */
export function subjectsOf(snapshot: Snapshot, { filter }: Controls): Subjects {
  return {
    panes: LIST_PANES.map((pane) => ({
      name: pane.name,
      count: pane.count(snapshot, filter),
      keys: pane.keys?.(snapshot, filter) ?? [],
    })),
    failed: failedEvents(snapshot).map(placeOf),
  };
}

export function focusedPane(spec: FrameSpec, inside: Extent): Pane {
  const pane = LIST_PANES.find(({ name }) => name === spec.controls.focus) ?? LIST_PANES[0];
  return pane.draw(spec, inside);
}

/** Draws the item shown in full; undefined if there is none. */
export function detailPane(
  { snapshot, controls: { detail: key, detailTop } }: FrameSpec,
  { width }: Extent,
): Pane | undefined {
  if (key === undefined) return undefined;
  const detail = LIST_PANES.values().map((pane) => pane.detail?.({ snapshot, key, width }))
    .find((found) => found !== undefined);
  if (detail === undefined) return undefined;
  const lines = detail.lines.flatMap((line) => chunked(line, width));
  const top = Math.min(detailTop, Math.max(0, lines.length - 1));
  return {
    title: [printable(detail.title), "Esc closes", detail.rank ?? ""]
      .filter((part) => part !== "").join(", "),
    isFocused: true,
    lines: lines.slice(top),
  };
}
