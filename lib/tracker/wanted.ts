/**
 * Turns a question that can be asked at any time into a promise to wait for.
 *
 * @module
 */

export interface WantedWatch extends Disposable {
  /** Resolves soon after the work is not wanted any more; never, once it is disposed of. */
  readonly ended: Promise<void>;
}

const POLL_MS = 200;

/** Watches whether work is still wanted, so that nobody waits on for an answer that does not count. */
export function watchWanted(isWanted: () => boolean): WantedWatch {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const timer = setInterval(() => {
    if (!isWanted()) resolve();
  }, POLL_MS);
  return { ended, [Symbol.dispose]: () => clearInterval(timer) };
}
