/**
 * The dashboard on a terminal: Ink has the keys, the screen and the way out, a painter draws.
 *
 * @module
 */

import { render, useInput, useStdout, useWindowSize } from "ink";
import process from "node:process";
import { createElement, useEffect, useLayoutEffect, useRef, useState } from "react";
import { STOP_SIGNALS } from "../../shutdown.ts";
import type { Follower } from "../follow.ts";
import type { Snapshot } from "../read_model.ts";
import { type Controls, INITIAL_CONTROLS, type Key, pressed } from "./controls.ts";
import { frameLines } from "./frame.ts";
import { glyphsOf } from "./glyphs.ts";
import { toAnsi } from "./line.ts";
import { subjectsOf } from "./list_panes.ts";
import { Painter } from "./painter.ts";

const GLYPHS_HERE = glyphsOf({
  TERM: Deno.env.get("TERM"),
  LC_ALL: Deno.env.get("LC_ALL"),
  LC_CTYPE: Deno.env.get("LC_CTYPE"),
  LANG: Deno.env.get("LANG"),
});

export interface DashboardOptions {
  readonly follower: Pick<Follower, "snapshot">;
  readonly folder: string;
  readonly intervalMs: number;
  /** What the person is told beside the keys. */
  readonly notice?: () => string;
  readonly signal: AbortSignal;
  /** Told when a person leaves. */
  readonly onQuit: () => void;
}

/** Shows the dashboard until the signal is aborted, and leaves the terminal as it was. */
export async function showDashboard(options: DashboardOptions): Promise<void> {
  const { signal } = options;
  if (signal.aborted) return;
  const failed = Promise.withResolvers<never>();
  const screen = render(createElement(Dashboard, { ...options, onFailure: failed.reject }), {
    interactive: true,
    alternateScreen: true,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  const leave = () => screen.unmount();
  // A closed terminal fails reads and writes, some of them after the end. Without a listener each would be uncaught.
  for (const stream of [process.stdin, process.stdout]) stream.on("error", options.onQuit);
  // Ink raises a signal again after it has left, unless node's process has another listener for it. It does not see
  // those of `lib/shutdown.ts`, and the signal would come twice.
  const answeredElsewhere = () => {};
  for (const each of STOP_SIGNALS) process.on(each, answeredElsewhere);
  signal.addEventListener("abort", leave);
  // Whatever ends the program: its last words belong on the person's own screen.
  globalThis.addEventListener("unload", leave);
  try {
    await Promise.race([screen.waitUntilExit(), failed.promise]);
  } finally {
    leave();
    signal.removeEventListener("abort", leave);
    globalThis.removeEventListener("unload", leave);
    for (const each of STOP_SIGNALS) process.off(each, answeredElsewhere);
  }
}

interface DashboardProps extends DashboardOptions {
  /** Told of an error between two redraws, where nothing awaits it. */
  readonly onFailure: (error: unknown) => void;
}

function Dashboard(options: DashboardProps) {
  const { follower, intervalMs, folder, notice, onQuit, onFailure } = options;
  const { columns, rows } = useWindowSize();
  const [live, setLive] = useState(() => follower.snapshot());
  const [held, setHeld] = useState<Snapshot>();
  const [controls, setControls] = useState<Controls>({
    ...INITIAL_CONTROLS,
    theme: Deno.noColor ? "mono" : INITIAL_CONTROLS.theme,
  });
  const { stdout } = useStdout();
  // Through Ink's stream: what goes there keeps its order with the change to the alternate screen.
  const [painter] = useState(() => new Painter((text) => void stdout.write(text)));
  useLayoutEffect(() => () => painter.stop(), [painter]);
  // What the keys have made of them: several may come before React draws again.
  const latestControls = useRef(controls);
  const shown = held ?? live;

  useEffect(() => {
    const timer = setInterval(() => {
      try {
        setLive(follower.snapshot());
      } catch (error) {
        onFailure(error);
      }
    }, intervalMs);
    return () => clearInterval(timer);
  }, [follower, intervalMs, onFailure]);

  useInput((input, key) => {
    if (key.ctrl && input === "c") return onQuit();
    const before = latestControls.current;
    let next = before;
    for (const each of keysOf(input, key)) next = pressed(next, each, subjectsOf(shown, next));
    if (next.quit) return onQuit();
    if (next.isPaused !== before.isPaused) setHeld(next.isPaused ? live : undefined);
    latestControls.current = next;
    setControls(next);
  });

  const lines = frameLines({
    snapshot: shown,
    newCount: Math.max(0, live.totals.received - shown.totals.received),
    controls,
    columns,
    rows,
    glyphs: GLYPHS_HERE,
    folder,
    intervalMs,
    notice: notice?.() ?? "",
  });
  useLayoutEffect(() => painter.resized(), [painter, columns, rows]);
  useLayoutEffect(() => painter.paint(lines.map((line) => toAnsi(line, controls.theme))));
  return null;
}

type InkKey = Parameters<Parameters<typeof useInput>[0]>[1];

/** What was typed fast, or pasted, comes as one text. */
function keysOf(input: string, key: InkKey): readonly Key[] {
  const named = namedKey(key);
  if (named !== undefined) return [named];
  if (key.ctrl || key.meta) return [];
  return Array.from(
    input,
    (text) =>
      text === "\r" || text === "\n"
        ? { name: "enter" }
        : text === "\t"
        ? { name: "tab" }
        : { name: "character", text },
  );
}

function namedKey(key: InkKey): Key | undefined {
  if (key.upArrow) return { name: "up" };
  if (key.downArrow) return { name: "down" };
  if (key.pageUp) return { name: "pageup" };
  if (key.pageDown) return { name: "pagedown" };
  if (key.tab) return { name: "tab" };
  if (key.return) return { name: "enter" };
  if (key.escape) return { name: "escape" };
  if (key.backspace || key.delete) return { name: "backspace" };
  return undefined;
}
