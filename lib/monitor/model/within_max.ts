/**
 * Limits percentiles to the maximum. Pure.
 *
 * @module
 */

import type { LatencyStatus } from "../../tracker_status.ts";

/** Limits percentiles to the maximum: a histogram rounds percentiles up, but knows the largest value exactly. */
export function withinMax<T extends Partial<LatencyStatus>>(latencyMs: T): T {
  const { p50, p99, max = Infinity } = latencyMs;
  return {
    ...latencyMs,
    ...(p50 !== undefined && { p50: Math.min(p50, p99 ?? Infinity, max) }),
    ...(p99 !== undefined && { p99: Math.min(p99, max) }),
  };
}
