/**
 * Heartbeats for a handler that waits long: kafkajs sends none while one runs, and a member that is silent for its
 * session timeout loses its partitions.
 *
 * @module
 */

import { withinTime } from "../../async.ts";

const CHECK_INTERVAL_MS = 250;

/**
 * Yields what `parts` yields, and sends heartbeats while the next part takes long: a batch of some kilobytes may
 * decompress to more than is done within a session.
 *
 * @param heartbeat sends a heartbeat if one is due. Rejects if the member has to join again: no further part is waited
 * for then.
 */
export async function* withHeartbeats<Part>(
  parts: AsyncGenerator<Part, void, void>,
  heartbeat: () => Promise<void>,
): AsyncGenerator<Part, void, void> {
  try {
    for (;;) {
      const next = parts.next();
      next.catch(() => {}); // nobody waits for it after a heartbeat was rejected
      let result = await withinTime(next, CHECK_INTERVAL_MS);
      while (result === undefined) {
        await heartbeat();
        result = await withinTime(next, CHECK_INTERVAL_MS);
      }
      if (result.done) return;
      yield result.value;
    }
  } finally {
    // Not awaited: the part that is being made may still take long.
    parts.return().catch(() => {});
  }
}
