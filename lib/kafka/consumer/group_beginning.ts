/**
 * Who decides where a new group begins that is to begin at its topic's end: one member, for all partitions at once.
 * If each member decided for its own, at a moment of its own, records that come between the first moment and the last
 * would be read from some partitions and not from others.
 *
 * @module
 */

/** The holder of partition 0 may be another program, which commits no beginning: the others wait no longer. */
const WAIT_MS = 10_000;
/** The others do not all decide at the same moment. */
const WAIT_MS_PER_PARTITION = 250;
const WAITS_MAX = 40;

/**
 * Returns how long a member waits, from its join on, for another one to decide before it decides itself.
 *
 * @param held the topic's partitions that it holds: whoever holds partition 0 decides at once.
 */
export function beginningWaitMs(held: readonly number[]): number {
  const first = Math.min(...held);
  return first === 0 ? 0 : WAIT_MS + WAIT_MS_PER_PARTITION * Math.min(first, WAITS_MAX);
}
