/**
 * The tracker's metrics as Prometheus scrapes them from `GET /metrics`. Labels are names, numbers, and reasons of
 * the contract; nothing of a record is in them.
 */

import { formatMetrics, type MetricFamily, type Sample, single } from "../prometheus.ts";
import { type PartitionStatus, TRACKER_STATES, type TrackerReport } from "../tracker_status.ts";
import { BUILD_LABELS } from "../version.ts";
import { FAILURE_REASONS } from "./failures.ts";
import type { Metrics } from "./metrics.ts";

export interface TrackerFigures {
  readonly topic: string;
  readonly groupId: string;
  readonly report: TrackerReport;
  readonly metrics: Pick<Metrics, "failures" | "endToEndLatency" | "flushDuration">;
  /** Undefined where the folder cannot be read. */
  readonly journalBytes: number | undefined;
}

const PREFIX = "orderflow_tracker";

/** Returns the metrics of a tracker that is open. */
export function trackerMetrics(figures: TrackerFigures): string {
  const { topic, groupId, report, metrics, journalBytes } = figures;
  const { partitions, counters, unassigned } = report;
  const blocked = new Set(report.blocked_partitions);
  const eachPartition = (valueOf: (partition: PartitionStatus) => number | null) =>
    partitions.map((each): Sample => ({
      labels: { topic, partition: each.partition },
      value: valueOf(each) ?? undefined,
    }));
  return formatMetrics([
    ...standingMetrics(report),
    {
      name: `${PREFIX}_info`,
      type: "gauge",
      help: "The topic that is journaled and the consumer group; always 1.",
      samples: [{ labels: { topic, group: groupId }, value: 1 }],
    },
    single("counter", `${PREFIX}_records_total`, {
      help: "Records written to the journal since the tracker started.",
      value: counters.received,
    }),
    {
      name: `${PREFIX}_failures_total`,
      type: "counter",
      help: "Records that could not be processed, by reason.",
      samples: FAILURE_REASONS.map((reason) => ({
        labels: { reason },
        value: metrics.failures.get(reason) ?? 0,
      })),
    },
    single("counter", `${PREFIX}_dead_letters_total`, {
      help: "Records that were sent to the dead-letter topic.",
      value: counters.dead_lettered,
    }),
    single("counter", `${PREFIX}_already_journaled_total`, {
      help: "Records read again that the journal held already.",
      value: counters.already_journaled,
    }),
    {
      name: `${PREFIX}_lag_records`,
      type: "gauge",
      help: "High watermark minus committed offset, by partition.",
      samples: eachPartition(({ lag }) => lag),
    },
    {
      name: `${PREFIX}_position_offset`,
      type: "gauge",
      help: "One past the last offset that is journaled, handled, and dead-lettered, by partition.",
      samples: eachPartition(({ position }) => position),
    },
    {
      name: `${PREFIX}_committed_offset`,
      type: "gauge",
      help: "One past the last committed offset, by partition.",
      samples: eachPartition(({ committed }) => committed),
    },
    {
      name: `${PREFIX}_partition_blocked`,
      type: "gauge",
      help: "1 while the partition is blocked until someone removes the cause, otherwise 0.",
      samples: eachPartition(({ partition }) => Number(blocked.has(partition))),
    },
    single("gauge", `${PREFIX}_blocked_partitions`, {
      help: "Partitions that are blocked until someone removes the cause.",
      value: blocked.size,
    }),
    single("gauge", `${PREFIX}_unassigned_partitions`, {
      help: "Partitions of the topic that no member of the group has.",
      value: unassigned?.length,
    }),
    single("gauge", `${PREFIX}_journal_bytes`, {
      help: "Disk space that the journal's segments and archives take.",
      value: journalBytes,
    }),
    metrics.flushDuration.family(
      `${PREFIX}_journal_flush_duration_seconds`,
      "From a batch's append to its being flushed to disk.",
    ),
    metrics.endToEndLatency.family(
      `${PREFIX}_end_to_end_latency_seconds`,
      "From a record's timestamp to its being flushed to disk.",
    ),
  ]);
}

/** Returns the metrics of a tracker that is still starting: its counters are not known yet. */
export function startingMetrics(): string {
  return formatMetrics(standingMetrics({ state: "starting", ready: false }));
}

function standingMetrics(
  { state, ready }: Pick<TrackerReport, "state" | "ready">,
): readonly MetricFamily[] {
  return [
    {
      name: `${PREFIX}_build_info`,
      type: "gauge",
      help: "The version that is running; always 1.",
      samples: [{ labels: BUILD_LABELS, value: 1 }],
    },
    single("gauge", `${PREFIX}_ready`, {
      help: "1 while records are journaled, or none are waiting, as GET /ready says; otherwise 0.",
      value: Number(ready),
    }),
    {
      name: `${PREFIX}_state`,
      type: "gauge",
      help: "1 for the state that the tracker is in, 0 for the others.",
      samples: TRACKER_STATES.map((each) => ({
        labels: { state: each },
        value: Number(each === state),
      })),
    },
  ];
}
