/**
 * Waits with limits: for a time, or for an event.
 */

/** The longest delay of a timer, 24.8 days: it counts milliseconds in 31 bits, and a longer one fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Calls the action after this time, or after 24.8 days if that is sooner. */
export function startTimer(action: () => void, ms: number): ReturnType<typeof setTimeout> {
  return setTimeout(action, Math.min(ms, TIMER_MS_MAX));
}

/** Resolves after so many milliseconds, or as soon as the signal is aborted; it never rejects. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = startTimer(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/** Returns the promise's value, or undefined if it takes longer; rejects as the promise does. */
export async function withinTime<Result>(
  promise: Promise<Result>,
  timeoutMs: number,
): Promise<Result | undefined> {
  const { promise: timedOut, resolve } = Promise.withResolvers<undefined>();
  const timer = startTimer(() => resolve(undefined), timeoutMs);
  try {
    return await Promise.race([promise, timedOut]);
  } finally {
    clearTimeout(timer);
  }
}

/** Work without a pause between two turns of other work. */
const WORK_MS_MAX = 8;

/**
 * Lets timers, input, and heartbeats have their turn during long work. What works at the same time shares the time
 * between two turns.
 */
export class Turns implements Disposable {
  static #workers = 0;
  static #lastAtMs = 0;

  constructor() {
    if (Turns.#workers++ === 0) Turns.#lastAtMs = performance.now();
  }

  /** Waits for a turn if one is due: it costs a millisecond or more, even where nobody waits for it. */
  async next(): Promise<void> {
    if (performance.now() - Turns.#lastAtMs < WORK_MS_MAX) return;
    await new Promise((resolve) => setTimeout(resolve));
    Turns.#lastAtMs = performance.now();
  }

  [Symbol.dispose](): void {
    Turns.#workers--;
  }
}

/**
 * Returns a function that runs `work`, one run at a time. Calls during a run share the next one: the run under way may
 * already have asked what they want to know, and its answer be older than the call.
 */
export function coalesced<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let running: Promise<Result> | undefined;
  let following: Promise<Result> | undefined;
  const start = (): Promise<Result> => {
    following = undefined;
    return running = work().finally(() => {
      if (following === undefined) running = undefined;
    });
  };
  return () => running === undefined ? start() : following ??= running.then(start, start);
}
