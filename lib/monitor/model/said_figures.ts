/**
 * Takes the tracker's own figures from its status file while that is fresh. A tracker without a status file (an earlier
 * version, the founding project's) is read by its log's latest metrics. Once a status file is too old, the figures are
 * unknown, not what they were.
 *
 * Pure.
 *
 * @module
 */

import type { LatencyStatus, TrackerStatus } from "../../tracker_status.ts";
import type { SaidStatus } from "./health.ts";
import type { TrackerMetrics } from "./log_model.ts";
import { withinMax } from "./within_max.ts";
import type { StatusReading } from "../tail/status_reading.ts";

export interface SaidFigures {
  readonly status: SaidStatus | undefined;
  /** How old the status is of a tracker that should still be writing it. */
  readonly lostStatusAgeMs: number | undefined;
  /** The error that ended the tracker. */
  readonly failure: string | undefined;
  /** Sum over partitions; undefined where one is not known. */
  readonly lag: number | undefined;
  readonly latencyMs: Partial<LatencyStatus> | undefined;
  readonly saidAtMs: number | undefined;
  /** @param isOnlyTopic whether the journal has lines of one topic only: the log's lag names none. */
  lagOf(
    place: { readonly topic: string; readonly partition: number },
    isOnlyTopic: boolean,
  ): number | undefined;
}

/** Metrics are logged every 30 s; once two are missing, the last ones are outdated. */
const METRICS_VALID_MS = 65_000;
/** If journal and log continue for longer than this, their tracker writes no status file. */
const OUTLIVED_AFTER_MS = 5_000;

export function saidBy(
  { status: reading, metrics, newestMs, nowMs }: {
    readonly status: StatusReading;
    readonly metrics: TrackerMetrics | undefined;
    /** The newest line of journal and log. */
    readonly newestMs: number;
    readonly nowMs: number;
  },
): SaidFigures {
  if (reading.kind === "fresh") return ofStatus(reading, nowMs);
  const isOutlived = reading.kind === "old" && newestMs > reading.writtenAtMs + OUTLIVED_AFTER_MS;
  if (reading.kind === "absent" || isOutlived) return ofLog(metrics, nowMs);
  if (reading.kind !== "old") return NOTHING;
  return reading.status.state === "stopped"
    ? { ...NOTHING, failure: reading.status.reason }
    : { ...NOTHING, lostStatusAgeMs: nowMs - reading.writtenAtMs };
}

const NOTHING: SaidFigures = {
  status: undefined,
  lostStatusAgeMs: undefined,
  failure: undefined,
  lag: undefined,
  latencyMs: undefined,
  saidAtMs: undefined,
  lagOf: () => undefined,
};

function ofStatus(
  { status, writtenAtMs }: { readonly status: TrackerStatus; readonly writtenAtMs: number },
  nowMs: number,
): SaidFigures {
  const { state, ready: isReady, reason, topic, partitions, latency_ms: latencyMs } = status;
  const lags = new Map(partitions.map(({ partition, lag }) => [partition, lag ?? undefined]));
  // Without partitions there is nothing to lag behind, unless it is not known yet which there are.
  const isKnown = partitions.length > 0 || isReady;
  return {
    ...NOTHING,
    status: { state, isReady, reason, ageMs: Math.max(0, nowMs - writtenAtMs) },
    lag: isKnown ? sumOf(lags.values()) : undefined,
    failure: state === "stopped" ? reason : undefined,
    latencyMs: latencyMs === null ? undefined : withinMax(latencyMs),
    saidAtMs: writtenAtMs,
    lagOf: (place) => place.topic === topic ? lags.get(place.partition) : undefined,
  };
}

function ofLog(metrics: TrackerMetrics | undefined, nowMs: number): SaidFigures {
  if (metrics === undefined || !(nowMs - metrics.timestampMs <= METRICS_VALID_MS)) return NOTHING;
  const { lag, latencyMs, timestampMs } = metrics;
  return {
    ...NOTHING,
    lag: lag === undefined ? undefined : sumOf(lag.values()),
    latencyMs,
    saidAtMs: timestampMs,
    lagOf: ({ partition }, isOnlyTopic) => isOnlyTopic ? lag?.get(String(partition)) : undefined,
  };
}

/** Returns undefined if one of them is not known. */
export function sumOf(lags: Iterable<number | undefined>): number | undefined {
  let sum = 0;
  for (const lag of lags) {
    if (lag === undefined) return undefined;
    sum += lag;
  }
  return sum;
}
