/**
 * The interface of panes with a selectable list, and helpers for them. Pure.
 */

import type { Snapshot } from "../../model/read_model.ts";
import type { Controls } from "../controls.ts";
import type { Line } from "./line.ts";
import type { DrawPane } from "./pane.ts";

export interface ListPane {
  /** Shown in the help, and used as {@link Controls.focus}. */
  readonly name: string;
  count(snapshot: Snapshot, filter: string): number;
  readonly draw: DrawPane;
  /** Returns a key per line for what Enter opens; undefined if nothing opens. */
  keys?(snapshot: Snapshot, filter: string): readonly string[];
  /** Returns the item of a key in full; undefined if it belongs to another pane, or is gone. */
  detail?(spec: DetailSpec): Detail | undefined;
}

export interface DetailSpec {
  readonly snapshot: Snapshot;
  readonly key: string;
  /** Width of the drawing in columns. */
  readonly width: number;
}

export interface Detail {
  /** Not safe to print. */
  readonly title: string;
  /** Its position, such as "2 of 10". */
  readonly rank?: string;
  /** Safe to print, of any width. */
  readonly lines: readonly Line[];
}

/** Returns the visible range of a list, which includes the selected line. */
export function viewOf(
  pane: string,
  { focus, selected }: Controls,
  { count, height }: { readonly count: number; readonly height: number },
): { readonly top: number; readonly selected: number; readonly isFocused: boolean } {
  const index = Math.min(selected[pane] ?? 0, Math.max(0, count - 1));
  return { top: Math.max(0, index - height + 1), selected: index, isFocused: focus === pane };
}

/** Returns the journal's topic if there is only one; lines then need not name it. */
export function onlyTopic({ partitions }: Snapshot): string | undefined {
  const [first, ...others] = partitions;
  return others.every(({ topic }) => topic === first?.topic) ? first?.topic : undefined;
}

export function contains(text: string, filter: string): boolean {
  return filter === "" || text.toLowerCase().includes(filter.toLowerCase());
}

/** Returns the time of day in UTC. */
export function clock(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? "--:--:--" : time.toISOString().slice(11, 19);
}
