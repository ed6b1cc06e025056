/**
 * What sells at which hour: every product has an hour of the day at which it is asked for most.
 *
 * @module
 */

import { popularityWeight, WeightedIndex } from "./random.ts";

const HOURS = 24;
const HOUR_MS = 3_600_000;
/** At its best hour a product sells 1.75 times as often as over the day, twelve hours later a quarter. */
const FACTOR_AT_PEAK = 1.75;
const FACTOR_FALL_AN_HOUR = 1.5 / (HOURS / 2);
/** Coprime with 24: neighbours in popularity have their hours far apart, and every hour has its products. */
const PEAK_STEP = 7;

/** An index of `count` products by popularity, another one for each hour of the day (UTC). */
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
