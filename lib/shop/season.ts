/**
 * Varies demand over the day: every product has an hour at which it sells best.
 */

import { popularityWeight, WeightedIndex } from "./random.ts";

const HOURS = 24;
const HOUR_MS = 3_600_000;
/** At its best hour a product sells 1.75 times as often as on average, and 12 hours later a quarter as often. */
const FACTOR_AT_PEAK = 1.75;
const FACTOR_FALL_AN_HOUR = 1.5 / (HOURS / 2);
/** Coprime with 24, so that products of similar popularity peak at different hours, and every hour has some. */
const PEAK_STEP = 7;

/** Product indexes weighted by popularity and by the hour of the day (UTC). */
export class SeasonalIndex {
  readonly #count: number;
  readonly #byHour: WeightedIndex[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  /** @param atMs milliseconds since the epoch. */
  at(atMs: number): WeightedIndex {
    const hour = ((Math.floor(atMs / HOUR_MS) % HOURS) + HOURS) % HOURS;
    return this.#byHour[hour] ??= new WeightedIndex(Float64Array.from(
      { length: this.#count },
      (_, rank) => popularityWeight(rank) * seasonFactor(rank, hour),
    ));
  }
}

function seasonFactor(rank: number, hour: number): number {
  const apart = Math.abs(hour - rank * PEAK_STEP % HOURS);
  return FACTOR_AT_PEAK - FACTOR_FALL_AN_HOUR * Math.min(apart, HOURS - apart);
}
