/**
 * Keeps each partition's lag over the last minute.
 *
 * Pure: lags and the time are passed in.
 */

/** One value per second. */
export const LAG_HISTORY_SECONDS = 60;
/** A longer time without an update is a gap with unknown lag. */
const GAP_SECONDS_MAX = 15;

/** Oldest first; undefined while the lag was unknown. */
export type LagSeries = readonly (number | undefined)[];

export class LagHistory {
  #series = new Map<string, LagSeries>();
  #second = NaN;

  /** @param lags by partition; undefined if unknown. */
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

  /** Returns {@link LAG_HISTORY_SECONDS} values, or none if the lag was never known. */
  of(name: string): LagSeries {
    const series = this.#series.get(name) ?? [];
    if (series.length === 0) return series;
    return [...Array<undefined>(LAG_HISTORY_SECONDS - series.length).fill(undefined), ...series];
  }
}
