/**
 * The dashboard on a terminal: follows a tracker's files, draws the current state, and handles keys.
 */

import type { Follower } from "../follow.ts";
import type { JournalSearch } from "../search.ts";
import type { Snapshot } from "../model/read_model.ts";
import { validForMs } from "../tail/status_reading.ts";
import { type Controls, INITIAL_CONTROLS, type Key, pressed } from "./controls.ts";
import { frameLines } from "./frame.ts";
import { type GlyphName, glyphsOf } from "./parts/glyphs.ts";
import { toAnsi } from "./parts/line.ts";
import { subjectsOf } from "./panes.ts";
import { Painter } from "./painter.ts";
import { TerminalSession } from "./terminal_session.ts";

/** Used if the terminal does not report its size. */
const DEFAULT_SIZE = { columns: 80, rows: 24 };

export interface DashboardOptions {
  readonly follower: Pick<Follower, "follow" | "snapshot" | "search" | "endSearch">;
  readonly folder: string;
  readonly intervalMs: number;
  readonly notice?: () => string;
  readonly signal: AbortSignal;
  /** Called when the user quits, or the terminal was closed. The caller then aborts the signal. */
  readonly onQuit: () => void;
}

/** Follows a tracker's files and shows them until the signal is aborted. Then restores the terminal. */
export async function openDashboard(options: DashboardOptions): Promise<void> {
  if (options.signal.aborted) return;
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const dashboard = new Dashboard(options);
  // At once, because the caller may write to the terminal next.
  signal.addEventListener("abort", () => dashboard[Symbol.dispose]());
  try {
    await Promise.race([options.follower.follow(signal), dashboard.failed]);
  } finally {
    ended.abort();
    dashboard[Symbol.dispose]();
  }
}

class Dashboard implements Disposable {
  readonly #options: DashboardOptions;
  readonly #glyphs: GlyphName;
  readonly #session: TerminalSession;
  readonly #painter = new Painter((text) => this.#session.write(text));
  readonly #failure = Promise.withResolvers<never>();
  readonly #timer: ReturnType<typeof setInterval>;
  #expiry: ReturnType<typeof setTimeout> | undefined;
  #size = DEFAULT_SIZE;
  #live: Snapshot;
  /** The snapshot shown while the screen is paused. */
  #held: Snapshot | undefined;
  #textSearch: JournalSearch | undefined;
  #failedSearch: JournalSearch | undefined;
  #controls: Controls = {
    ...INITIAL_CONTROLS,
    theme: Deno.noColor ? "mono" : INITIAL_CONTROLS.theme,
  };

  constructor(options: DashboardOptions) {
    this.#options = options;
    this.#glyphs = glyphsOf({
      TERM: Deno.env.get("TERM"),
      LC_ALL: Deno.env.get("LC_ALL"),
      LC_CTYPE: Deno.env.get("LC_CTYPE"),
      LANG: Deno.env.get("LANG"),
    });
    this.#live = options.follower.snapshot();
    this.#session = new TerminalSession({
      onKeys: (keys) => this.#guard(() => this.#press(keys)),
      onRedraw: () => this.#guard(() => this.#redraw()),
      onGone: options.onQuit,
    });
    this.#timer = setInterval(() => this.#guard(() => this.#refresh()), options.intervalMs);
    this.#session.start();
  }

  /** Rejects with the error of a redraw, which nothing awaits. */
  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    clearTimeout(this.#expiry);
    this.#painter.stop();
    this.#session[Symbol.dispose]();
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#failure.reject(error);
    }
  }

  #refresh(): void {
    this.#live = this.#options.follower.snapshot();
    this.#draw();
    // Redraw as soon as the last status is outdated, not at the following interval.
    clearTimeout(this.#expiry);
    const expiresInMs = validForMs(this.#live.status, Date.now());
    if (expiresInMs < this.#options.intervalMs) {
      this.#expiry = setTimeout(() => this.#guard(() => this.#refresh()), expiresInMs);
    }
  }

  #press(keys: readonly Key[]): void {
    const shown = this.#shown;
    let controls = this.#controls;
    for (const key of keys) controls = pressed(controls, key, subjectsOf(shown, controls));
    this.#search(controls, subjectsOf(shown, controls).failed);
    if (controls.quit) return this.#options.onQuit();
    if (controls.isPaused !== this.#controls.isPaused) {
      this.#held = controls.isPaused ? this.#live : undefined;
    }
    this.#controls = controls;
    this.#draw();
  }

  /** The snapshot on the screen, current or paused, with the search results. */
  get #shown(): Snapshot {
    return {
      ...this.#held ?? this.#live,
      found: this.#textSearch?.found,
      foundFailed: this.#failedSearch?.found,
    };
  }

  /** Searches the whole journal for the filter's text once it is typed, and for failed records once one is shown. */
  #search({ filter, isTyping, detail }: Controls, failed: readonly string[]): void {
    const { follower } = this.#options;
    const current = this.#textSearch;
    if (current !== undefined && current.query.text !== filter) {
      follower.endSearch(current);
      this.#textSearch = undefined;
    }
    if (filter !== "" && !isTyping) this.#textSearch ??= follower.search({ text: filter });
    if (detail !== undefined && failed.includes(detail)) {
      this.#failedSearch ??= follower.search({ text: undefined });
    }
  }

  #redraw(): void {
    this.#painter.resized();
    this.#draw();
  }

  #draw(): void {
    const size = terminalSize();
    if (size.columns !== this.#size.columns || size.rows !== this.#size.rows) {
      this.#size = size;
      this.#painter.resized();
    }
    const { folder, intervalMs, notice } = this.#options;
    const snapshot = this.#shown;
    const lines = frameLines({
      ...size,
      snapshot,
      newCount: Math.max(0, this.#live.totals.received - snapshot.totals.received),
      controls: this.#controls,
      glyphs: this.#glyphs,
      folder,
      intervalMs,
      notice: notice?.() ?? "",
    });
    this.#painter.paint(lines.map((line) => toAnsi(line, this.#controls.theme)));
  }
}

function terminalSize(): { readonly columns: number; readonly rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    return columns > 0 && rows > 0 ? { columns, rows } : DEFAULT_SIZE;
  } catch {
    return DEFAULT_SIZE;
  }
}
