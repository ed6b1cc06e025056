/**
 * Sends heartbeats during long handlers: kafkajs sends none while a handler runs, and a member that is silent for its
 * session timeout loses its partitions.
 */

import { withinTime } from "../../async.ts";

const CHECK_INTERVAL_MS = 250;

/**
 * Yields what `parts` yields, and sends heartbeats while it waits for the next part: a batch of a few kilobytes may
 * take longer than the session timeout to decompress.
 *
 * @param heartbeat sends a heartbeat if one is due. If it rejects, because the member must rejoin, the generator throws
 * without waiting for the part.
 */
export async function* withHeartbeats<Part>(
  parts: AsyncGenerator<Part, void, void>,
  heartbeat: () => Promise<void>,
): AsyncGenerator<Part, void, void> {
  try {
    for (;;) {
      const next = parts.next();
      next.catch(() => {}); // not awaited after a rejected heartbeat
      let result = await withinTime(next, CHECK_INTERVAL_MS);
      while (result === undefined) {
        await heartbeat();
        result = await withinTime(next, CHECK_INTERVAL_MS);
      }
      if (result.done) return;
      yield result.value;
    }
  } finally {
    // Not awaited: the part in progress may still take long.
    parts.return().catch(() => {});
  }
}
