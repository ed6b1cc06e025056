/**
 * The journal's clock, which tests replace.
 */

export interface Clock {
  /** Returns milliseconds of a monotonic clock. */
  now(): number;
  /** Returns the date and time, which date closed segments and decide when they are old enough to be removed. */
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
