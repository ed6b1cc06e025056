/**
 * When orders are due: an open model, in which an order is due at its planned time whatever the broker
 * does, so that a slow broker shows in the latency and not in a lower rate that nobody notices.
 */

export interface Pacing {
  /** How many orders the plan has; Infinity where it has no end. */
  readonly count: number;
  /** How many orders are due at a time since the start, from the first on; without end at the highest rate. */
  dueCount(elapsedMs: number): number;
  /** When the order with this number (from 0) is due since the start; `undefined` where it is due at once. */
  dueAtMs(index: number): number | undefined;
}

/** As `--rate` has it: orders a second, fractions allowed, or as fast as can be. */
export type Rate = number | "max";

/** A stage of `--ramp`: the rate moves in a straight line from the last stage's target to this one's. */
export interface Stage {
  /** Orders a second at the stage's end; 0 or more, fractions allowed. */
  readonly target: number;
  /** 0 for a jump. */
  readonly durationMs: number;
}

/** Orders at a steady rate, the first one at once. */
export function steadyPacing(rate: Rate): Pacing {
  if (rate === "max") {
    return { count: Infinity, dueCount: () => Infinity, dueAtMs: () => undefined };
  }
  if (!(rate > 0)) throw new RangeError(`expected a rate above 0, got ${rate}`);
  const intervalMs = 1_000 / rate;
  return {
    count: Infinity,
    dueCount: (elapsedMs) => Math.floor(elapsedMs / intervalMs) + 1,
    dueAtMs: (index) => index * intervalMs,
  };
}

/**
 * Orders by stages, as k6's `ramping-arrival-rate` has them: from 0 orders a second in a straight line to
 * the first stage's target, from there to the second's, and so on; the plan ends with the last stage.
 * `100:10s` alone makes 500 orders.
 */
export function rampPacing(stages: readonly Stage[]): Pacing {
  const slopes = slopesOf(stages);
  const last = slopes.at(-1);
  const count = last === undefined ? 0 : countBy(last, Infinity);
  if (count === 0) throw new RangeError("expected stages in which at least one order is due");
  return {
    count,
    dueCount(elapsedMs) {
      const slope = slopes.findLast(({ startMs }) => startMs <= elapsedMs);
      return slope === undefined ? 0 : countBy(slope, elapsedMs);
    },
    dueAtMs(index) {
      const slope = slopes.findLast(({ countBefore }) => countBefore <= index) ?? slopes[0];
      return slope === undefined ? undefined : slope.startMs + timeOf(slope, index);
    },
  };
}

/** A stage with what came before it. Rates are orders a millisecond. */
interface Slope {
  readonly startMs: number;
  readonly durationMs: number;
  readonly countBefore: number;
  readonly startRate: number;
  /** By how much the rate rises each millisecond; below 0 where it falls. */
  readonly rise: number;
}

/** A jump has no slope of its own, nor has a stage in which nothing is due. */
function slopesOf(stages: readonly Stage[]): readonly Slope[] {
  const slopes: Slope[] = [];
  let startMs = 0;
  let startRate = 0;
  let countBefore = 0;
  for (const { target, durationMs } of stages) {
    const endRate = target / 1_000;
    if (durationMs > 0 && startRate + endRate > 0) {
      const rise = (endRate - startRate) / durationMs;
      slopes.push({ startMs, durationMs, countBefore, startRate, rise });
      countBefore += (startRate + endRate) / 2 * durationMs;
    }
    startMs += durationMs;
    startRate = endRate;
  }
  return slopes;
}

/** Maximum floating-point error of a sum of stages; no order is due for it. */
const COUNT_SLACK = 1e-6;

/** How many orders are due by a time, of this stage and all before it. */
function countBy(
  { startMs, durationMs, countBefore, startRate, rise }: Slope,
  elapsedMs: number,
): number {
  const withinMs = Math.min(elapsedMs - startMs, durationMs);
  const area = countBefore + (startRate + rise * withinMs / 2) * withinMs;
  // An order is due when the area reaches its number; at the stage's end that is the next stage's first.
  return withinMs === durationMs ? Math.ceil(area - COUNT_SLACK) : Math.floor(area) + 1;
}

/** The time at which the area below the line reaches the index, in the form that does not cancel. */
function timeOf({ countBefore, startRate, rise, durationMs }: Slope, index: number): number {
  const within = index - countBefore;
  if (within <= 0) return 0;
  const rate = Math.sqrt(Math.max(0, startRate * startRate + 2 * rise * within));
  return Math.min(2 * within / (startRate + rate), durationMs);
}
