/**
 * When orders are due: an open model, in which an order is due at its planned time whatever the broker
 * does, so that a slow broker shows in the latency and not in a lower rate that nobody notices.
 *
 * @module
 */

export interface Pacing {
  /** How many orders are due at a time since the start, from the first on; without end at the highest rate. */
  dueCount(elapsedMs: number): number;
  /** When the order with this number (from 0) is due since the start; `undefined` where it is due at once. */
  dueAtMs(index: number): number | undefined;
}

/** As `--rate` has it: orders a second, fractions allowed, or as fast as can be. */
export type Rate = number | "max";

/** Orders at a steady rate, the first one at once. */
export function steadyPacing(rate: Rate): Pacing {
  if (rate === "max") return { dueCount: () => Infinity, dueAtMs: () => undefined };
  if (!(rate > 0)) throw new RangeError(`expected a rate above 0, got ${rate}`);
  const intervalMs = 1_000 / rate;
  return {
    dueCount: (elapsedMs) => Math.floor(elapsedMs / intervalMs) + 1,
    dueAtMs: (index) => index * intervalMs,
  };
}
