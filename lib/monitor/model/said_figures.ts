/**
 * Takes the tracker's own figures from its status file while that is fresh, or from the log's latest metrics if the
 * tracker writes no status file (an earlier version, the founding project's). Once a status file is outdated, the
 * figures are unknown.
 *
 * Pure.
 */

import type { LatencyStatus, TrackerStatus } from "../../tracker_status.ts";
import type { SaidStatus } from "./health.ts";
import type { TrackerMetrics } from "./log_model.ts";
import type { StatusReading } from "../tail/status_reading.ts";

export interface SaidFigures {
  readonly status: SaidStatus | undefined;
  /** Age of the status of a tracker that should still be writing it. */
  readonly lostStatusAgeMs: number | undefined;
  readonly failure: string | undefined;
  /** Sum over partitions; undefined if one is unknown. */
  readonly lag: number | undefined;
  readonly latencyMs: Partial<LatencyStatus> | undefined;
  readonly saidAtMs: number | undefined;
  /** @param isOnlyTopic whether the journal has lines of only one topic: the log's lag does not name the topic. */
  lagOf(place: PartitionPlace, isOnlyTopic: boolean): number | undefined;
}

export interface PartitionPlace {
  readonly topic: string;
  readonly partition: number;
}

/** Metrics are logged every 30 s; once two are missing, the last ones are outdated. */
const METRICS_VALID_MS = 65_000;
/** If journal and log continue for longer than this, their tracker writes no status file. */
const OUTLIVED_AFTER_MS = 5_000;

export function saidBy(
  { status: reading, metrics, newestMs, nowMs }: {
    readonly status: StatusReading;
    readonly metrics: TrackerMetrics | undefined;
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
  const { state, ready: isReady, reason, partitions } = status;
  const figures = figuresIn(status);
  // Without partitions there is no lag, unless the partitions are not known yet.
  const isKnown = partitions.length > 0 || isReady;
  return {
    ...NOTHING,
    ...figures,
    status: { state, isReady, reason, ageMs: Math.max(0, nowMs - writtenAtMs) },
    lag: isKnown ? figures.lag : undefined,
    failure: state === "stopped" ? reason : undefined,
    saidAtMs: writtenAtMs,
  };
}

/** Returns the lag and latency of a status. */
export function figuresIn(
  { topic, partitions, latency_ms: latencyMs }: TrackerStatus,
): Pick<SaidFigures, "lag" | "latencyMs"> & {
  lagOf(place: PartitionPlace): number | undefined;
} {
  const lags = new Map(partitions.map(({ partition, lag }) => [partition, lag ?? undefined]));
  return {
    lag: sumOf(lags.values()),
    latencyMs: latencyMs === null ? undefined : withinMax(latencyMs),
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

/** Returns undefined if one of them is unknown. */
function sumOf(lags: Iterable<number | undefined>): number | undefined {
  let sum = 0;
  for (const lag of lags) {
    if (lag === undefined) return undefined;
    sum += lag;
  }
  return sum;
}

/** Limits percentiles to the maximum: a histogram rounds percentiles up, but knows the largest value exactly. */
export function withinMax<T extends Partial<LatencyStatus>>(latencyMs: T): T {
  const { p50, p99, max = Infinity } = latencyMs;
  return {
    ...latencyMs,
    ...(p50 !== undefined && { p50: Math.min(p50, p99 ?? Infinity, max) }),
    ...(p99 !== undefined && { p99: Math.min(p99, max) }),
  };
}
