/**
 * The help texts for keys. Pure.
 */

import type { Controls } from "./controls.ts";
import { column, span } from "./parts/line.ts";
import type { Pane } from "./parts/pane.ts";
import { LIST_PANES } from "./panes.ts";

/** A key and its meaning in a word. */
export type Hint = readonly [key: string, meaning: string];

const HINTS: readonly Hint[] = [
  ["q", "quit"],
  ["?", "help"],
  ["Tab", "pane"],
  ["/", "search"],
  ["Space", "pause"],
  ["e", "errors"],
  ["Enter", "open"],
  ["1-5", "time"],
  ["t", "theme"],
];
const DETAIL_HINTS: readonly Hint[] = [
  ["Esc", "back"],
  ["arrows", "scroll"],
  ["e", "older error"],
  ["E", "newer error"],
  ["q", "quit"],
];
const HELP_HINTS: readonly Hint[] = [["any key", "back"], ["q", "quit"]];

const HELP: readonly Hint[] = [
  ["q, Ctrl+C", "leave"],
  ["Ctrl+Z", "suspend, fg continues; under deno task: hide, Enter continues"],
  ["Tab, Shift+Tab", `next, previous pane: ${LIST_PANES.map(({ name }) => name).join(", ")}`],
  ["arrows, PgUp, PgDn", "move in the pane"],
  ["Enter", "the selected line in full; a record with key and headers"],
  ["e, E", "next older, next newer record that failed, of the whole journal"],
  ["/", "search the whole journal, and the latest log lines, for a text"],
  ["Space", "hold the screen; counting goes on"],
  ["1 2 3 4 5", "charts of 1 min, 5 min, 15 min, 1 h, all"],
  ["t", "theme: dark, light, without colours"],
  ["Esc", "back"],
];
const WORDS: readonly Hint[] = [
  ["HEALTHY, UNHEALTHY", "what came in the last minutes was good, or was not"],
  ["STALE", "journal and log have been silent for a minute"],
  ["COUNTING, NO DATA", "what was there before is still being read; nothing was ever journaled"],
  ["NO TRACKER, FAILED", "it was killed or hangs; it ended with an error"],
  ["BROKER AWAY, HELD UP", "the tracker waits, and goes on by itself"],
  ["DISK FULL, BLOCKED", "someone must remove the cause that the health pane names"],
  ["lag, latency", "as the tracker says every second; unknown where it does not"],
  ["quality", "success 50 + throughput 30 + errors 20; losses are named"],
  ["times", "in UTC"],
];
const KEY_WIDTH = 22;

/** Returns the hints for the last line, the most important first. */
export function hintsFor({ isHelpShown, detail }: Controls): readonly Hint[] {
  return isHelpShown ? HELP_HINTS : detail === undefined ? HINTS : DETAIL_HINTS;
}

export function helpPane(): Pane {
  const lines = (hints: readonly Hint[]) =>
    hints.map(([key, meaning]) => [span(column(key, KEY_WIDTH), "strong"), span(meaning)]);
  return { title: "Keys", isFocused: true, lines: [...lines(HELP), [], ...lines(WORDS)] };
}
