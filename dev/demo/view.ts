/**
 * The view of a running demo: the monitor's dashboard on a terminal, otherwise lines.
 */

import { Follower } from "../../lib/monitor/follow.ts";
import { openDashboard } from "../../lib/monitor/screen/dashboard.ts";
import {
  hasPersonAtTerminal,
  isTerminal,
  printLine,
  showStatus,
  styled,
} from "../../lib/terminal.ts";
import type { ChaosNews } from "./chaos.ts";
import { elapsed } from "./elapsed.ts";
import type { DemoSite } from "./site.ts";

export interface DemoView {
  /** True if the screen shows the records anyway. */
  readonly showsRecords: boolean;
  line(text: string): void;
  /** Shows a line that the next one replaces. */
  progress(text: string): void;
  /** Shows what is being done to the run, and when it is over. */
  readonly chaos: (news: ChaosNews) => void;
  /** Called when everything is journaled; resolves after people had time to look at it. */
  lookedAt(): Promise<void>;
  /** Restores the terminal and prints what was held back. */
  close(): Promise<void>;
}

export interface DemoViewOptions {
  readonly site: DemoSite;
  /** Closes the dashboard at once when the demo is stopped. */
  readonly stop: AbortSignal;
  /** Called when the user presses `q`. */
  readonly onQuit: () => void;
}

const STATUS_INTERVAL_MS = 2_000;
const REDRAW_INTERVAL_MS = 250;
/** How long the finished dashboard stays if nobody presses a key. */
const LOOK_SECONDS = 10;

export function openView(options: DemoViewOptions): DemoView {
  return hasPersonAtTerminal() ? dashboardView(options) : lineView();
}

function lineView(): DemoView {
  let lastShownMs = performance.now();
  return {
    showsRecords: false,
    line: (text) => printLine(text),
    progress(text) {
      const line = `progress  ${text}`;
      if (isTerminal()) return showStatus(line);
      if (performance.now() - lastShownMs < STATUS_INTERVAL_MS) return;
      lastShownMs = performance.now();
      printLine(styled(line, "dim"));
    },
    chaos: ({ text, isBroken }) =>
      void printLine(styled(`chaos     ${text}`, isBroken ? "yellow" : "green")),
    lookedAt: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

function dashboardView({ site, stop, onQuit }: DemoViewOptions): DemoView {
  const lines = lineView();
  const closing = new AbortController();
  const signal = AbortSignal.any([stop, closing.signal]);
  const held: string[] = [];
  let notice = "tracker and producer are starting: the first orders come in a few seconds";
  let chaos = "";

  const follower = new Follower(site.logs);
  const shown = openDashboard({
    follower,
    folder: site.logs,
    intervalMs: REDRAW_INTERVAL_MS,
    notice: () => chaos === "" ? notice : chaos,
    signal,
    onQuit,
  }).catch((error) => {
    held.push(`dashboard ${error instanceof Error ? error.message : error}`);
    closing.abort();
  }).finally(() => {
    follower[Symbol.dispose]();
    for (const line of held.splice(0)) printLine(line);
  });

  return {
    showsRecords: true,
    line: (text) => signal.aborted ? lines.line(text) : void held.push(text),
    progress(text) {
      notice = text;
      if (signal.aborted) lines.progress(text);
    },
    chaos(news) {
      chaos = `${news.isBroken ? "CHAOS" : "CALM"} ${news.text}`;
      if (signal.aborted) lines.chaos(news);
      else held.push(`chaos     ${new Date().toISOString().slice(11, 19)} ${news.text}`);
    },
    async lookedAt() {
      chaos = "";
      for (let left = LOOK_SECONDS; left > 0 && !signal.aborted; left--) {
        notice = `every order is journaled: press q for the proof (automatic in ${left} s)`;
        await elapsed(1000, signal);
      }
    },
    async close() {
      closing.abort();
      await shown;
    },
  };
}
