/**
 * The user's settings on the screen, and how keys change them. Pure.
 */

import { WINDOW_NAMES, type WindowName } from "../model/read_model.ts";
import { type ThemeName, THEMES } from "./parts/line.ts";

/** A pressed key: a name for special keys, otherwise its character. */
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
  readonly focus: string;
  /** By pane, counted from the top, 0 if missing; in lists of records and log lines, 0 is the newest. */
  readonly selected: Readonly<Record<string, number>>;
  readonly filter: string;
  readonly isTyping: boolean;
  readonly isPaused: boolean;
  readonly isHelpShown: boolean;
  /** The key of the item shown in full. */
  readonly detail: string | undefined;
  readonly detailTop: number;
  readonly window: WindowName;
  readonly theme: ThemeName;
  readonly quit: boolean;
}

export const INITIAL_CONTROLS: Controls = {
  focus: "records",
  selected: {},
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

/** The items that keys act on. */
export interface Subjects {
  /** In the order of the Tab key. */
  readonly panes: readonly {
    readonly name: string;
    readonly count: number;
    /** Keys of the items that Enter opens, by line; empty if nothing opens. */
    readonly keys: readonly string[];
  }[];
  /** Keys of failed records, newest first, whatever the filter. Covers the whole journal once it is searched. */
  readonly failed: readonly string[];
}

const PAGE = 10;
const FILTER_LENGTH_MAX = 80;

export function pressed(controls: Controls, key: Key, subjects: Subjects): Controls {
  if (key.name === "interrupt") return { ...controls, quit: true };
  if (controls.isTyping) return typed(controls, key);
  // Pasted text was not meant as a command.
  if (key.name === "paste") return controls;
  if (controls.isHelpShown) {
    return isQuit(key) ? { ...controls, quit: true } : { ...controls, isHelpShown: false };
  }
  switch (key.name) {
    case "tab":
      return { ...controls, focus: next(namesOf(subjects), controls.focus) };
    case "backtab":
      return { ...controls, focus: next(namesOf(subjects).toReversed(), controls.focus) };
    case "escape":
    case "backspace":
      return controls.detail === undefined
        ? { ...controls, filter: "" }
        : { ...controls, detail: undefined };
    case "enter":
      return opened(controls, subjects);
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

function moved(controls: Controls, { panes }: Subjects, by: number): Controls {
  if (controls.detail !== undefined) {
    return { ...controls, detailTop: Math.max(0, controls.detailTop + by) };
  }
  const { focus } = controls;
  const { count = 0 } = panes.find(({ name }) => name === focus) ?? {};
  const index = Math.min(Math.max(0, count - 1), Math.max(0, selectedIn(controls) + by));
  return { ...controls, selected: { ...controls.selected, [focus]: index } };
}

function opened(controls: Controls, { panes }: Subjects): Controls {
  const key = panes.find(({ name }) => name === controls.focus)?.keys[selectedIn(controls)];
  return key === undefined ? controls : { ...controls, detail: key, detailTop: 0 };
}

/** Selects the next failed record: an older one with 1, a newer one with -1, or the newest if none is shown. */
function toError(controls: Controls, { failed }: Subjects, direction: 1 | -1): Controls {
  const at = controls.detail === undefined ? -1 : failed.indexOf(controls.detail);
  const place = failed[at === -1 ? 0 : at + direction];
  return place === undefined ? controls : { ...controls, detail: place, detailTop: 0 };
}

function namesOf({ panes }: Subjects): readonly string[] {
  return panes.map(({ name }) => name);
}

function selectedIn({ focus, selected }: Controls): number {
  return selected[focus] ?? 0;
}

function next<T>(values: readonly T[], value: T): T {
  return values[(values.indexOf(value) + 1) % values.length] ?? value;
}
