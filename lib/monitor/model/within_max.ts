/**
 * Percentiles that are no higher than the maximum. Pure.
 *
 * @module
 */

import type { LatencyStatus } from "../../tracker_status.ts";

/** A histogram rounds percentiles up, past the largest value, which it knows exactly. */
export function withinMax<T extends Partial<LatencyStatus>>(latencyMs: T): T {
  const { p50, p99, max = Infinity } = latencyMs;
  return {
    ...latencyMs,
    ...(p50 !== undefined && { p50: Math.min(p50, p99 ?? Infinity, max) }),
    ...(p99 !== undefined && { p99: Math.min(p99, max) }),
  };
}
