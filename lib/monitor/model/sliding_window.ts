/**
 * Counts events over the last minutes by their own timestamps, in a ring of one bucket per second.
 */

/** Counts of a window, or of one step of a series. */
export interface WindowCounts {
  readonly received: number;
  readonly failed: number;
}

/** The window of `windowMs` milliseconds that ends at `nowMs`. */
export interface WindowSpan {
  readonly nowMs: number;
  readonly windowMs: number;
}

/** Clocks differ: an event stamped up to this much ahead of the monitor's clock still counts as current. */
export const CLOCK_SKEW_MS = 60_000;

/** Seconds of the ring that lie in the future. */
const AHEAD_SECONDS = CLOCK_SKEW_MS / 1000 + 1;
const NEVER = -1;

export class SlidingWindow {
  readonly #bucketCount: number;
  readonly #seconds: Float64Array;
  readonly #received: Uint32Array;
  readonly #failed: Uint32Array;
  readonly #firstMs: Float64Array;

  /** @param seconds length of the longest window. */
  constructor(seconds: number) {
    this.#bucketCount = seconds + AHEAD_SECONDS;
    this.#seconds = new Float64Array(this.#bucketCount).fill(NEVER);
    this.#received = new Uint32Array(this.#bucketCount);
    this.#failed = new Uint32Array(this.#bucketCount);
    this.#firstMs = new Float64Array(this.#bucketCount);
  }

  copy(): SlidingWindow {
    const copy = new SlidingWindow(this.#bucketCount - AHEAD_SECONDS);
    copy.#seconds.set(this.#seconds);
    copy.#received.set(this.#received);
    copy.#failed.set(this.#failed);
    copy.#firstMs.set(this.#firstMs);
    return copy;
  }

  /** Counts an event, unless it is older than the ring. */
  add(timestampMs: number, failed: boolean): void {
    const second = Math.floor(timestampMs / 1000);
    if (!(second >= 0)) return;
    const index = second % this.#bucketCount;
    const current = this.#seconds[index] ?? NEVER;
    if (second < current) return;
    if (second > current) {
      this.#seconds[index] = second;
      this.#received[index] = 0;
      this.#failed[index] = 0;
      this.#firstMs[index] = timestampMs;
    }
    this.#received[index] = (this.#received[index] ?? 0) + 1;
    if (failed) this.#failed[index] = (this.#failed[index] ?? 0) + 1;
    if (timestampMs < (this.#firstMs[index] ?? 0)) this.#firstMs[index] = timestampMs;
  }

  counts(span: WindowSpan): WindowCounts {
    let received = 0;
    let failed = 0;
    for (const bucket of this.#buckets(span)) {
      received += bucket.received;
      failed += bucket.failed;
    }
    return { received, failed };
  }

  /**
   * Returns events per second. While events keep arriving, it is measured between the first and the latest of the
   * window, so that one event every 2 s gives 0.5, and not alternately 29 or 31 per minute. After a longer pause than
   * usual, the silence counts.
   */
  rate(span: WindowSpan): number {
    let received = 0;
    let latestCount = 0;
    let firstMs = 0;
    let latestMs = 0;
    for (const bucket of this.#buckets(span)) {
      if (received === 0) firstMs = bucket.firstMs;
      received += bucket.received;
      latestCount = bucket.received;
      latestMs = bucket.firstMs;
    }
    if (received === 0) return 0;

    const betweenMs = latestMs - firstMs;
    const betweenCount = received - latestCount;
    const usualGapMs = betweenCount === 0 ? 0 : betweenMs / betweenCount;
    const silenceMs = span.nowMs - latestMs;
    if (betweenMs >= 1000 && silenceMs <= Math.max(1000, 1.5 * usualGapMs)) {
      return betweenCount / (betweenMs / 1000);
    }
    return received / (Math.max(1000, span.nowMs - firstMs) / 1000);
  }

  /**
   * Returns the window in `stepCount` steps, oldest first. It ends with the last full second, because a partial one
   * would look like a drop in the rate.
   */
  series({ nowMs, windowMs }: WindowSpan, stepCount: number): readonly WindowCounts[] {
    const steps = Array.from({ length: stepCount }, () => ({ received: 0, failed: 0 }));
    const stepSeconds = windowMs / 1000 / stepCount;
    const endSecond = Math.floor(nowMs / 1000) - 1;
    for (const bucket of this.#buckets({ nowMs: nowMs - 1000, windowMs })) {
      if (bucket.second > endSecond) break;
      const fromEnd = Math.floor((endSecond - bucket.second) / stepSeconds);
      const step = steps[stepCount - 1 - fromEnd];
      if (step === undefined) continue;
      step.received += bucket.received;
      step.failed += bucket.failed;
    }
    return steps;
  }

  *#buckets({ nowMs, windowMs }: WindowSpan) {
    const end = Math.floor((nowMs + CLOCK_SKEW_MS) / 1000);
    const start = Math.floor(nowMs / 1000) - Math.floor(windowMs / 1000) + 1;
    for (let second = Math.max(0, start); second <= end; second++) {
      const index = second % this.#bucketCount;
      if (this.#seconds[index] !== second) continue;
      yield {
        second,
        received: this.#received[index] ?? 0,
        failed: this.#failed[index] ?? 0,
        firstMs: this.#firstMs[index] ?? 0,
      };
    }
  }
}
