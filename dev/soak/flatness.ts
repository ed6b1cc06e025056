/**
 * Judges whether a sampled figure stays level. Pure.
 *
 *     |-- warm-up --|-- first third --|-- second --|-- last third --|
 *
 * Growth is the median of the last third minus that of the first. Medians, because the memory of a garbage-collected
 * program fluctuates; thirds, because a step counts as well as a slope.
 */

/** Share of the run left out at the beginning: caches fill, code is compiled. */
export const WARM_UP_SHARE = 1 / 3;

/** Fewer samples after the warm-up than this prove nothing. */
const SAMPLES_MIN = 9;

export interface Sample {
  readonly elapsedMs: number;
  readonly value: number;
}

/** How much a figure may grow: the larger of the two bounds applies. */
export interface GrowthBound {
  readonly absolute: number;
  /** Share of the median of the first third. */
  readonly share: number;
}

export interface Flatness {
  readonly first: number;
  readonly last: number;
  readonly max: number;
  /** From the first third after the warm-up to the last. */
  readonly growth: number;
  readonly growthMax: number;
  readonly growthPerMinute: number;
  readonly isFlat: boolean;
}

/** Reports whether there are enough samples for {@link judgeFlatness}. */
export function isJudgeable(samples: readonly Sample[]): boolean {
  return afterWarmUp(samples).length >= SAMPLES_MIN;
}

/** @throws {RangeError} if there are too few samples. */
export function judgeFlatness(samples: readonly Sample[], bound: GrowthBound): Flatness {
  const judged = afterWarmUp(samples);
  if (judged.length < SAMPLES_MIN) {
    throw new RangeError(
      `cannot judge ${judged.length} samples; expected at least ${SAMPLES_MIN} after the warm-up`,
    );
  }
  const third = Math.floor(judged.length / 3);
  const firstThird = middleOf(judged.slice(0, third));
  const lastThird = middleOf(judged.slice(-third));
  const growth = lastThird.value - firstThird.value;
  const growthMax = Math.max(bound.absolute, bound.share * firstThird.value);
  const values = samples.map(({ value }) => value);
  return {
    first: values[0] ?? NaN,
    last: values.at(-1) ?? NaN,
    max: Math.max(...values),
    growth,
    growthMax,
    growthPerMinute: growth / ((lastThird.elapsedMs - firstThird.elapsedMs) / 60_000),
    isFlat: growth <= growthMax,
  };
}

function afterWarmUp(samples: readonly Sample[]): readonly Sample[] {
  const end = samples.at(-1)?.elapsedMs ?? 0;
  return samples.filter(({ elapsedMs }) => elapsedMs >= end * WARM_UP_SHARE);
}

function middleOf(samples: readonly Sample[]): Sample {
  return {
    elapsedMs: median(samples.map(({ elapsedMs }) => elapsedMs)),
    value: median(samples.map(({ value }) => value)),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
