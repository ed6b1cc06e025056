/**
 * A pane that a person can move through: what it must offer, and what such panes share. Pure.
 *
 * @module
 */

import type { Snapshot } from "../../model/read_model.ts";
import type { Controls } from "../controls.ts";
import type { Line } from "./line.ts";
import type { DrawPane } from "./pane.ts";

export interface ListPane {
  /** In the help, and for {@link Controls.focus}. */
  readonly name: string;
  /** How many lines can be moved through. */
  count(snapshot: Snapshot, filter: string): number;
  readonly draw: DrawPane;
  /** Names what Enter opens, a key a line; undefined where nothing opens. */
  keys?(snapshot: Snapshot, filter: string): readonly string[];
  /** What a key stands for, in full; undefined if it is not one of this pane's, or gone. */
  detail?(spec: DetailSpec): Detail | undefined;
}

export interface DetailSpec {
  readonly snapshot: Snapshot;
  readonly key: string;
  /** Of what is drawn, in columns. */
  readonly width: number;
}

export interface Detail {
  /** Not safe to show as it is. */
  readonly title: string;
  /** Which of how many it is. */
  readonly rank?: string;
  /** Safe to show, of any width. */
  readonly lines: readonly Line[];
}

/** Returns which lines of a list are shown, so that the selected one is among them. */
export function viewOf(
  pane: string,
  { focus, selected }: Controls,
  { count, height }: { readonly count: number; readonly height: number },
): { readonly top: number; readonly selected: number; readonly isFocused: boolean } {
  const index = Math.min(selected[pane] ?? 0, Math.max(0, count - 1));
  return { top: Math.max(0, index - height + 1), selected: index, isFocused: focus === pane };
}

/** Returns the journal's topic where it has one only: then no line needs to name it. */
export function onlyTopic({ partitions }: Snapshot): string | undefined {
  const [first, ...others] = partitions;
  return others.every(({ topic }) => topic === first?.topic) ? first?.topic : undefined;
}

/** Ignores case. */
export function contains(text: string, filter: string): boolean {
  return filter === "" || text.toLowerCase().includes(filter.toLowerCase());
}

/** The time of day in UTC. */
export function clock(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? "--:--:--" : time.toISOString().slice(11, 19);
}
