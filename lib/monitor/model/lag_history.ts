/**
 * Keeps each partition's lag over the last minute, as the monitor saw it.
 *
 * Pure: lags and the time are handed in.
 *
 * @module
 */

/** One value a second. */
export const LAG_HISTORY_SECONDS = 60;
/** A longer time without a look is a gap: nothing is known of it. */
const GAP_SECONDS_MAX = 15;

/** Oldest first; undefined where the lag was not known. */
export type LagSeries = readonly (number | undefined)[];

export class LagHistory {
  #series = new Map<string, LagSeries>();
  #second = NaN;

  /** @param lags by partition; undefined where it is not known. */
  note(nowMs: number, lags: ReadonlyMap<string, number | undefined>): void {
    const second = Math.floor(nowMs / 1000);
    const passed = Number.isNaN(this.#second) ? 1 : second - this.#second;
    if (passed <= 0) return;
    this.#second = second;
    const newCount = Math.min(passed, LAG_HISTORY_SECONDS);
    const isGap = passed > GAP_SECONDS_MAX;
    const series = new Map<string, LagSeries>();
    for (const [name, lag] of lags) {
      const past = this.#series.get(name) ?? [];
      if (lag === undefined && past.every((each) => each === undefined)) continue;
      const added = Array.from(
        { length: newCount },
        (_, index) => isGap && index < newCount - 1 ? undefined : lag,
      );
      series.set(name, [...past, ...added].slice(-LAG_HISTORY_SECONDS));
    }
    this.#series = series;
  }

  /** {@link LAG_HISTORY_SECONDS} values; empty where the lag was never known. */
  of(name: string): LagSeries {
    const series = this.#series.get(name) ?? [];
    if (series.length === 0) return series;
    return [...Array<undefined>(LAG_HISTORY_SECONDS - series.length).fill(undefined), ...series];
  }
}
