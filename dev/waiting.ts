/**
 * Shows the wait for a broker that starts.
 */

import { showStatus } from "../lib/terminal.ts";

const INTERVAL_MS = 1_000;

/** Counts the seconds on a terminal, until disposed. */
export function showWaiting(prefix = ""): Disposable {
  const startedAtMs = performance.now();
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAtMs) / 1_000);
    showStatus(`${prefix}waiting until the broker answers, usually about 10 s: ${seconds} s`);
  }, INTERVAL_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
