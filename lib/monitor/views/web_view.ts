/**
 * The live page's data as JSON: the figures of `monitor --json`, and further details. Pure.
 */

import { levelOf, statusName } from "../model/health.ts";
import type { Found } from "../model/found_records.ts";
import { outcomeOf } from "../model/outcome.ts";
import type { RecentEvent } from "../model/recent_event.ts";
import type { PartitionView, Snapshot } from "../model/read_model.ts";
import { VERSION } from "../../version.ts";
import { formatJson } from "./json_view.ts";

/** Maximum matches of a search on the page, the newest first. */
export const LISTED_COUNT_MAX = 200;

export function formatWebFigures(snapshot: Snapshot, { folder }: { folder: string }): string {
  const chart = snapshot.charts["5m"];
  const page = {
    status: statusName(snapshot.health),
    level: levelOf(snapshot.health),
    sentence: outcomeOf(snapshot).sentence,
    folder,
    version: VERSION,
    failures: snapshot.recentFailedEvents.toReversed().map(rowOf),
    charts: {
      start: new Date(chart.startMs).toISOString(),
      step_seconds: chart.stepMs / 1_000,
      messages_per_second: chart.messagesPerSecond,
      failed: chart.failedCounts,
      lag: totalLag(snapshot.partitions),
    },
  };
  return `{"figures":${formatJson(snapshot)},"page":${JSON.stringify(page)}}`;
}

export function formatWebSearch({ progress, readBytes, totalBytes, events }: Found): string {
  return JSON.stringify({
    progress,
    read_bytes: Math.round(readBytes),
    total_bytes: totalBytes,
    match_count: events.length,
    records: events.slice(0, LISTED_COUNT_MAX).map(rowOf),
  });
}

function rowOf(
  { timestampMs, topic, partition, offset, kind, error, order, content }: RecentEvent,
) {
  const at = new Date(timestampMs);
  return {
    at: Number.isNaN(at.getTime()) ? null : at.toISOString(),
    topic,
    partition,
    offset,
    kind,
    error,
    order_id: order?.orderId,
    key: content?.key,
  };
}

/** A value a second, oldest first; null where a partition's lag was not known. */
function totalLag(partitions: readonly PartitionView[]): readonly (number | null)[] {
  const series = partitions.map(({ lagSeries }) => lagSeries).filter(({ length }) => length > 0);
  return (series[0] ?? []).map((_, index) =>
    series.reduce<number | null>((sum, lags) => {
      const lag = lags[index];
      return sum === null || lag === undefined ? null : sum + lag;
    }, 0)
  );
}
