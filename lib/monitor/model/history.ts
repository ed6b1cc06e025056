/**
 * Counts events over the whole run by their own timestamps, in a bounded number of steps: when they run out, adjacent
 * steps are merged.
 */

import type { WindowCounts } from "./sliding_window.ts";

/** At least half are used once events span more than this many seconds. */
export const HISTORY_STEPS_MAX = 256;
const FIRST_STEP_MS = 1000;

export class History {
  #stepMs = FIRST_STEP_MS;
  /** Start of the first step: a multiple of the step. */
  #startMs = NaN;
  #received = new Float64Array(HISTORY_STEPS_MAX);
  #failed = new Float64Array(HISTORY_STEPS_MAX);
  #lastIndex = 0;

  copy(): History {
    const copy = new History();
    copy.#stepMs = this.#stepMs;
    copy.#startMs = this.#startMs;
    copy.#received = this.#received.slice();
    copy.#failed = this.#failed.slice();
    copy.#lastIndex = this.#lastIndex;
    return copy;
  }

  /** @param timestampMs must not be NaN. */
  add(timestampMs: number, failed: boolean): void {
    if (Number.isNaN(this.#startMs)) this.#startMs = this.#stepOf(timestampMs);
    while (timestampMs < this.#startMs || this.#indexOf(timestampMs) >= HISTORY_STEPS_MAX) {
      if (!this.#moveStartTo(this.#stepOf(timestampMs))) this.#doubleStep();
    }
    const index = this.#indexOf(timestampMs);
    this.#received[index] = (this.#received[index] ?? 0) + 1;
    if (failed) this.#failed[index] = (this.#failed[index] ?? 0) + 1;
    if (index > this.#lastIndex) this.#lastIndex = index;
  }

  /** Returns the steps from the first event to `nowMs`, or to the newest event if that is later. */
  series(
    nowMs: number,
  ): {
    readonly startMs: number;
    readonly stepMs: number;
    readonly steps: readonly WindowCounts[];
  } {
    if (Number.isNaN(this.#startMs)) return { startMs: nowMs, stepMs: this.#stepMs, steps: [] };
    const shown = this.copy();
    while (shown.#indexOf(nowMs) >= HISTORY_STEPS_MAX) shown.#doubleStep();
    const count = Math.max(shown.#indexOf(nowMs), shown.#lastIndex) + 1;
    const steps = Array.from({ length: count }, (_, index) => ({
      received: shown.#received[index] ?? 0,
      failed: shown.#failed[index] ?? 0,
    }));
    return { startMs: shown.#startMs, stepMs: shown.#stepMs, steps };
  }

  #stepOf(timestampMs: number): number {
    return Math.floor(timestampMs / this.#stepMs) * this.#stepMs;
  }

  #indexOf(timestampMs: number): number {
    return Math.floor((timestampMs - this.#startMs) / this.#stepMs);
  }

  /** Makes room before the first step; returns false if there is not enough. */
  #moveStartTo(startMs: number): boolean {
    const by = (this.#startMs - startMs) / this.#stepMs;
    if (by <= 0 || this.#lastIndex + by >= HISTORY_STEPS_MAX) return false;
    for (const counts of [this.#received, this.#failed]) {
      counts.copyWithin(by, 0, this.#lastIndex + 1);
      counts.fill(0, 0, by);
    }
    this.#lastIndex += by;
    this.#startMs = startMs;
    return true;
  }

  #doubleStep(): void {
    const startMs = Math.floor(this.#startMs / (2 * this.#stepMs)) * 2 * this.#stepMs;
    const shift = (this.#startMs - startMs) / this.#stepMs;
    this.#received = halved(this.#received, shift);
    this.#failed = halved(this.#failed, shift);
    this.#lastIndex = Math.floor((this.#lastIndex + shift) / 2);
    this.#startMs = startMs;
    this.#stepMs *= 2;
  }
}

function halved(counts: Float64Array, shift: number): Float64Array<ArrayBuffer> {
  const half = new Float64Array(counts.length);
  for (const [index, count] of counts.entries()) {
    const to = Math.floor((index + shift) / 2);
    half[to] = (half[to] ?? 0) + count;
  }
  return half;
}
