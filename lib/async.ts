/**
 * Waiting: for a time, or for something, but not for ever.
 *
 * @module
 */

/** Resolves after so many milliseconds, or as soon as the signal is aborted; it never rejects. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/** What the promise resolves with, or undefined where it takes longer; rejects as the promise does. */
export async function withinTime<Result>(
  promise: Promise<Result>,
  timeoutMs: number,
): Promise<Result | undefined> {
  const { promise: timedOut, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  try {
    return await Promise.race([promise, timedOut]);
  } finally {
    clearTimeout(timer);
  }
}

/** Work without a pause between two turns of other work. */
const WORK_MS_MAX = 8;

/** Lets timers, input, and heartbeats have their turn during long work. */
export class Turns {
  #lastAtMs = performance.now();

  /** Whether the work has gone on for long enough. */
  get isDue(): boolean {
    return performance.now() - this.#lastAtMs >= WORK_MS_MAX;
  }

  /** A turn costs a millisecond or more, even where nobody waits for it. */
  async next(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    this.#lastAtMs = performance.now();
  }
}
