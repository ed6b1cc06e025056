/**
 * Waits for a cluster that is slow to answer, and says so: the client waits without a word.
 */

import type { Logger } from "../log.ts";

const SLOW_AFTER_MS = 5_000;

/**
 * Logs that the cluster is slow, and ends work for a topic that is gone.
 *
 * @param options.what is being done: `redrive`.
 * @param options.confirmTopic rejects if the topic is gone.
 */
export async function warnWhenSlow<Result>(
  work: () => Promise<Result>,
  { log, what, confirmTopic }: {
    readonly log: Logger;
    readonly what: string;
    readonly confirmTopic: () => Promise<void>;
  },
): Promise<Result> {
  const { promise: gone, reject } = Promise.withResolvers<never>();
  let isSlow = false;
  const timer = setInterval(() => {
    if (!isSlow) log.warn(`The cluster is slow to answer; the ${what} waits for it`);
    isSlow = true;
    confirmTopic().catch(reject);
  }, SLOW_AFTER_MS);
  try {
    return await Promise.race([work(), gone]);
  } finally {
    clearInterval(timer);
  }
}
