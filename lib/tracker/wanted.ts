/**
 * Turns a polled condition into a promise.
 */

export interface WantedWatch extends Disposable {
  /** Resolves soon after the work is no longer wanted; never after disposal. */
  readonly ended: Promise<void>;
}

const POLL_MS = 200;

/** Polls whether work is still wanted, so that a caller can stop waiting for its result. */
export function watchWanted(isWanted: () => boolean): WantedWatch {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const timer = setInterval(() => {
    if (!isWanted()) resolve();
  }, POLL_MS);
  return { ended, [Symbol.dispose]: () => clearInterval(timer) };
}
