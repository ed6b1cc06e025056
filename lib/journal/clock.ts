/**
 * The time as the journal sees it, so that a test can decide how it passes.
 *
 * @module
 */

export interface Clock {
  /** Milliseconds from any beginning, never going back. */
  now(): number;
  /** Returns the date and time: closed segments are dated with it, and removed by their age. */
  date(): Date;
  /** Returns after `delayMs`, or as soon as the signal is aborted. */
  sleep(delayMs: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  sleep: (delayMs, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const finish = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", finish);
        resolve();
      };
      const timer = setTimeout(finish, delayMs);
      signal.addEventListener("abort", finish);
    }),
};
