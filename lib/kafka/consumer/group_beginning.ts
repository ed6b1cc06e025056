/**
 * Elects the member that decides where a new group begins if it is to begin at its topic's end. One member decides for
 * all partitions. If each member decided for its own partitions at another time, records that arrive in between would
 * be read from some partitions and skipped in others.
 */

/** Limit of the wait: the holder of partition 0 may be another program, which commits no start. */
const WAIT_MS = 10_000;
/** Staggers the other members, so that they do not all decide at once. */
const WAIT_MS_PER_PARTITION = 250;
const WAITS_MAX = 40;

/**
 * Returns how long a member waits after its join for another one to decide, before it decides itself.
 *
 * @param held the topic's partitions that it holds; the holder of partition 0 decides at once.
 */
export function beginningWaitMs(held: readonly number[]): number {
  const first = Math.min(...held);
  return first === 0 ? 0 : WAIT_MS + WAIT_MS_PER_PARTITION * Math.min(first, WAITS_MAX);
}
