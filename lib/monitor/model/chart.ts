/**
 * Turns counts over time into the points of a chart. Pure.
 */

import type { WindowCounts } from "./sliding_window.ts";

const FULL_SECOND_MS = 1000;

/** Points over a window, oldest first. The last one covers the last full second, or the elapsed part of its step. */
export interface Chart {
  readonly failed: number;
  readonly totalSuccessRatePercent: number | undefined;
  readonly startMs: number;
  readonly stepMs: number;
  readonly messagesPerSecond: readonly number[];
  readonly failedCounts: readonly number[];
  /** Undefined for a step without messages. */
  readonly successRatePercent: readonly (number | undefined)[];
}

/** Builds a chart from the first event to the end. */
export function chartOf(
  steps: readonly WindowCounts[],
  { startMs, stepMs, firstEventMs = startMs, endMs }: {
    readonly startMs: number;
    readonly stepMs: number;
    readonly firstEventMs: number | undefined;
    readonly endMs: number;
  },
): Chart {
  const secondsOf = (index: number) => {
    const stepStartMs = startMs + index * stepMs;
    const fromMs = Math.max(stepStartMs, firstEventMs);
    const toMs = Math.min(stepStartMs + stepMs, endMs);
    return Math.min(stepMs, Math.max(FULL_SECOND_MS, toMs - fromMs)) / 1000;
  };
  const received = steps.reduce((sum, step) => sum + step.received, 0);
  const failed = steps.reduce((sum, step) => sum + step.failed, 0);
  return {
    failed,
    totalSuccessRatePercent: successPercent({ received, failed }),
    startMs,
    stepMs,
    failedCounts: steps.map(({ failed }) => failed),
    messagesPerSecond: steps.map(({ received }, index) => round2(received / secondsOf(index))),
    successRatePercent: steps.map(successPercent),
  };
}

/** Returns undefined if nothing was received. */
export function successPercent(
  { received, failed }: { readonly received: number; readonly failed: number },
): number | undefined {
  return received === 0 ? undefined : 100 * (received - failed) / received;
}

export function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
