/**
 * Prints a line at a time while a tracker is followed, for terminals and pipes alike.
 */

import { delay } from "../../async.ts";
import type { Follower } from "../follow.ts";
import { formatJson } from "./json_view.ts";
import { validForMs } from "../tail/status_reading.ts";
import type { Snapshot } from "../model/read_model.ts";
import { formatChanges, formatStatusLine, isChanged } from "./text_view.ts";

/** Prints a line after this time even if nothing changed, to show that the monitor is alive. */
const QUIET_MS = 30_000;

export interface LiveOptions {
  readonly follower: Pick<Follower, "snapshot">;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}

/** Prints one JSON object per line at each interval, until the signal is aborted. */
export async function showJsonLines(options: LiveOptions): Promise<void> {
  const { follower, intervalMs, signal, print } = options;
  while (await pause(intervalMs, signal)) print(formatJson(follower.snapshot()));
}

/** Prints a status line when something changed, and lines for events, until the signal is aborted. */
export async function showTextLines(options: LiveOptions): Promise<void> {
  const { follower, intervalMs, signal, print } = options;
  let before: Snapshot | undefined;
  let shown: Snapshot | undefined;
  let pauseMs = intervalMs;
  while (await pause(pauseMs, signal)) {
    const snapshot = follower.snapshot();
    // Print as soon as the last status is outdated, not at the following interval.
    pauseMs = Math.min(intervalMs, validForMs(snapshot.status, Date.now()));
    for (const line of formatChanges(before, snapshot)) print(line);
    before = snapshot;
    const isQuiet = shown !== undefined && !isChanged(shown, snapshot) &&
      snapshot.takenAtMs - shown.takenAtMs < QUIET_MS;
    if (isQuiet) continue;
    print(formatStatusLine(snapshot));
    shown = snapshot;
  }
}

/** Returns whether to continue: false once the signal is aborted. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  await delay(ms, signal);
  return !signal.aborted;
}
