/**
 * What a person has set on the screen, and what a key makes of it. Pure.
 *
 * @module
 */

import { WINDOW_NAMES, type WindowName } from "../model/read_model.ts";
import { type ThemeName, THEMES } from "./line.ts";

export type PaneName = "records" | "log" | "partitions" | "business";
const PANES: readonly PaneName[] = ["records", "log", "partitions", "business"];

/** A key as it was pressed: a name for those that have one, else its character. */
export type Key =
  | {
    readonly name:
      | "up"
      | "down"
      | "pageup"
      | "pagedown"
      | "tab"
      | "backtab"
      | "enter"
      | "escape"
      | "backspace"
      | "interrupt";
  }
  | { readonly name: "character"; readonly text: string }
  | { readonly name: "paste"; readonly text: string };

export interface Controls {
  readonly focus: PaneName;
  /** From the top: of records and log lines, 0 is the newest. */
  readonly selected: Readonly<Record<PaneName, number>>;
  readonly filter: string;
  readonly isTyping: boolean;
  readonly isPaused: boolean;
  readonly isHelpShown: boolean;
  /** The record shown in full, by its place. */
  readonly detail: string | undefined;
  readonly detailTop: number;
  /** Of the charts. */
  readonly window: WindowName;
  readonly theme: ThemeName;
  readonly quit: boolean;
}

export const INITIAL_CONTROLS: Controls = {
  focus: "records",
  selected: { records: 0, log: 0, partitions: 0, business: 0 },
  filter: "",
  isTyping: false,
  isPaused: false,
  isHelpShown: false,
  detail: undefined,
  detailTop: 0,
  window: "1m",
  theme: "dark",
  quit: false,
};

/** What the keys act on: places of records, newest first. */
export interface Subjects {
  /** As the filter leaves them. */
  readonly records: readonly string[];
  /** Further back than {@link records}, whatever the filter. */
  readonly failed: readonly string[];
  /** What can be moved through, by pane. */
  readonly counts: Readonly<Record<PaneName, number>>;
}

const PAGE = 10;
const FILTER_LENGTH_MAX = 80;

export function pressed(controls: Controls, key: Key, subjects: Subjects): Controls {
  if (key.name === "interrupt") return { ...controls, quit: true };
  if (controls.isTyping) return typed(controls, key);
  // Text that was meant for something else is no command.
  if (key.name === "paste") return controls;
  if (controls.isHelpShown) {
    return isQuit(key) ? { ...controls, quit: true } : { ...controls, isHelpShown: false };
  }
  switch (key.name) {
    case "tab":
      return { ...controls, focus: next(PANES, controls.focus) };
    case "backtab":
      return { ...controls, focus: next(PANES.toReversed(), controls.focus) };
    case "escape":
    case "backspace":
      return controls.detail === undefined
        ? { ...controls, filter: "" }
        : { ...controls, detail: undefined };
    case "enter":
      return controls.focus === "records" ? opened(controls, subjects) : controls;
    case "up":
      return moved(controls, subjects, -1);
    case "down":
      return moved(controls, subjects, 1);
    case "pageup":
      return moved(controls, subjects, -PAGE);
    case "pagedown":
      return moved(controls, subjects, PAGE);
    case "character":
      return commanded(controls, key.text, subjects);
  }
}

function isQuit(key: Key): boolean {
  return key.name === "character" && key.text === "q";
}

function commanded(controls: Controls, character: string, subjects: Subjects): Controls {
  switch (character) {
    case "q":
      return { ...controls, quit: true };
    case "?":
      return { ...controls, isHelpShown: true };
    case "/":
      return { ...controls, isTyping: true, filter: "", detail: undefined };
    case " ":
      return { ...controls, isPaused: !controls.isPaused };
    case "t":
      return { ...controls, theme: next(THEMES, controls.theme) };
    case "e":
      return toError(controls, subjects, 1);
    case "E":
      return toError(controls, subjects, -1);
    default:
      return { ...controls, window: WINDOW_NAMES[Number(character) - 1] ?? controls.window };
  }
}

function typed(controls: Controls, key: Key): Controls {
  switch (key.name) {
    case "enter":
      return { ...controls, isTyping: false, selected: INITIAL_CONTROLS.selected };
    case "escape":
      return { ...controls, isTyping: false, filter: "" };
    case "backspace":
      return { ...controls, filter: controls.filter.slice(0, -1) };
    case "character":
      return extended(controls, key.text);
    case "paste":
      return extended(controls, key.text.trim().split(/[\r\n]/, 1)[0] ?? "");
    default:
      return controls;
  }
}

function extended(controls: Controls, text: string): Controls {
  return { ...controls, filter: (controls.filter + text).slice(0, FILTER_LENGTH_MAX) };
}

function moved(controls: Controls, { counts }: Subjects, by: number): Controls {
  if (controls.detail !== undefined) {
    return { ...controls, detailTop: Math.max(0, controls.detailTop + by) };
  }
  const { focus } = controls;
  const last = Math.max(0, counts[focus] - 1);
  const index = Math.min(last, Math.max(0, controls.selected[focus] + by));
  return { ...controls, selected: { ...controls.selected, [focus]: index } };
}

function opened(controls: Controls, { records }: Subjects): Controls {
  const place = records[controls.selected.records];
  return place === undefined ? controls : { ...controls, detail: place, detailTop: 0 };
}

/** Towards older ones with 1, towards newer ones with -1; from the newest where none is shown. */
function toError(controls: Controls, { failed }: Subjects, direction: 1 | -1): Controls {
  const at = controls.detail === undefined ? -1 : failed.indexOf(controls.detail);
  const place = failed[at === -1 ? 0 : at + direction];
  return place === undefined ? controls : { ...controls, detail: place, detailTop: 0 };
}

function next<T>(values: readonly T[], value: T): T {
  return values[(values.indexOf(value) + 1) % values.length] ?? value;
}
