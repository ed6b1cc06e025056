/**
 * Records latencies in an HdrHistogram (Gil Tene, http://hdrhistogram.org).
 */

import { build, type Histogram } from "hdr-histogram-js";

/** Percentiles, in milliseconds. */
export interface LatencySummary {
  /** The median. */
  readonly p50: number;
  /** 95 % of the latencies are at most this. */
  readonly p95: number;
  /** 99 % of the latencies are at most this. */
  readonly p99: number;
  /** 99.9 % of the latencies are at most this. */
  readonly p999: number;
  /** The highest latency. */
  readonly max: number;
}

/** Rows per half of the remaining distance to 100 %; five is the default of HdrHistogram's own tools. */
const PERCENTILE_TICKS = 5;
const MICROSECONDS_A_MILLISECOND = 1_000;
const MICROSECONDS_MAX = 3_600_000_000;

/** Records latencies up to an hour, to three significant digits. */
export class LatencyRecorder {
  readonly #histogram: Histogram = build({
    bitBucketSize: 64,
    lowestDiscernibleValue: 1,
    highestTrackableValue: MICROSECONDS_MAX,
    numberOfSignificantValueDigits: 3,
  });

  /** Records a latency. A negative one, caused by clocks that differ, counts as 0. */
  record(latencyMs: number): void {
    const microseconds = Math.max(0, Math.round(latencyMs * 1_000));
    this.#histogram.recordValue(Math.min(microseconds, MICROSECONDS_MAX));
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  /** Adds the latencies of another recorder. */
  add(other: LatencyRecorder): void {
    this.#histogram.add(other.#histogram);
  }

  reset(): void {
    this.#histogram.reset();
  }

  /** Returns the percentile distribution in milliseconds, in the format of HdrHistogram's plotter (`.hgrm`). */
  hgrm(): string {
    return this.#histogram.outputPercentileDistribution(
      PERCENTILE_TICKS,
      MICROSECONDS_A_MILLISECOND,
    );
  }

  /** Returns the latency below which so many percent lie, none above the maximum; 0 if nothing was recorded. */
  atPercentile(percentile: number): number {
    // A percentile is the upper bound of its bucket, which can exceed the largest value.
    const { maxValue } = this.#histogram;
    return Math.min(this.#histogram.getValueAtPercentile(percentile), maxValue) / 1_000;
  }

  /** Returns the percentiles; null if nothing was recorded. */
  summary(): LatencySummary | null {
    if (this.#histogram.totalCount === 0) return null;
    return {
      p50: this.atPercentile(50),
      p95: this.atPercentile(95),
      p99: this.atPercentile(99),
      p999: this.atPercentile(99.9),
      max: this.#histogram.maxValue / 1_000,
    };
  }
}
