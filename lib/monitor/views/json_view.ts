/**
 * Formats the monitor's figures as one JSON object on one line, with the contract's field names.
 */

import { RECENT_COUNT } from "../model/journal_model.ts";
import { toDecimal } from "../../order/money.ts";
import { printable } from "../../text.ts";
import type { Snapshot } from "../model/read_model.ts";
import type { TailStatus } from "../tail/tail.ts";

/** Formats a snapshot as JSON. Control characters are written as escapes; the values stay the same. */
export function formatJson(snapshot: Snapshot): string {
  const { totals, health, quality, window, lastError } = snapshot;
  const chart = snapshot.charts["5m"];
  return safeJson({
    received: totals.received,
    processed: totals.processed,
    failed: totals.failed,
    superseded: snapshot.supersededCount,
    success_rate_percent: rounded(totals.successRatePercent),
    messages_per_second: snapshot.messagesPerSecond,
    quality_score: quality.score,
    health: health.status,
    state: health.state,
    trouble: health.trouble?.name ?? null,
    reasons: health.reasons,
    reason: snapshot.status.kind === "fresh" ? snapshot.status.status.reason ?? null : null,
    taken_at: isoTime(snapshot.takenAtMs),
    first_event_at: isoTime(snapshot.firstEventMs),
    newest_event_at: isoTime(snapshot.newestEventMs),
    newest_log_at: isoTime(snapshot.newestLogMs),
    messages_per_second_overall: snapshot.messagesPerSecondOverall,
    window: {
      seconds: window.windowMs / 1000,
      received: window.received,
      failed: window.failed,
      success_rate_percent: rounded(window.successRatePercent),
    },
    quality_parts: quality.parts.map(({ name, points, pointsMax, reason }) => ({
      name,
      points,
      points_max: pointsMax,
      reason,
    })),
    checks: health.checks,
    partitions: snapshot.partitions.map((partition) => ({
      topic: partition.topic,
      partition: partition.partition,
      received: partition.received,
      failed: partition.failed,
      last_offset: partition.lastOffset,
      messages_per_second: partition.messagesPerSecond,
      lag: partition.lag ?? null,
    })),
    lag: snapshot.lag ?? null,
    end_to_end_latency_ms: snapshot.latencyMs ?? null,
    orders_by_status: Object.fromEntries(snapshot.business.ordersByStatus),
    revenue: snapshot.business.revenue.map(({ currency, totalCents, perMinuteCents }) => ({
      currency,
      total: toDecimal(totalCents),
      per_minute: toDecimal(perMinuteCents),
    })),
    top_products: snapshot.business.topProducts.map(({ label, count }) => ({
      name: label,
      units: count,
    })),
    top_customers: snapshot.business.topCustomers.map(({ label, count }) => ({
      name: label,
      orders: count,
    })),
    traffic: trafficOf(snapshot),
    errors_by_kind: Object.fromEntries(snapshot.errorKinds),
    dead_letters_by_reason: Object.fromEntries(snapshot.deadLetters),
    last_error: lastError === undefined ? null : {
      at: isoTime(lastError.timestampMs),
      of: lastError.of,
      text: lastError.text,
    },
    tracker: trackerOf(snapshot),
    tracker_status: statusOf(snapshot),
    recent_events: snapshot.recentEvents.slice(-RECENT_COUNT).map((event) => ({
      at: isoTime(event.timestampMs),
      topic: event.topic,
      partition: event.partition,
      offset: event.offset,
      kind: event.kind,
      error: event.error,
      order: event.order && {
        order_id: event.order.orderId,
        status: event.order.status,
        total: event.order.total,
        currency: event.order.currency,
        customer_id: event.order.customerId,
        item_count: event.order.itemCount,
      },
      key: event.content?.key,
      value_bytes: event.content?.valueBytes,
    })),
    recent_logs: snapshot.recentLogs.map(({ timestampMs, level, message, error, details }) => ({
      at: isoTime(timestampMs),
      level,
      message,
      error,
      details,
    })),
    chart: {
      step_seconds: chart.stepMs / 1000,
      messages_per_second: chart.messagesPerSecond,
      success_rate_percent: chart.successRatePercent.map(rounded),
    },
    unreadable_lines: {
      journal: snapshot.unreadable.journalLines,
      log: snapshot.unreadable.logLines,
      sample: snapshot.unreadable.sample,
    },
    ahead_of_clock: snapshot.aheadOfClockCount,
    files: {
      journal: fileOf(snapshot.files.journal),
      log: fileOf(snapshot.files.log),
    },
  });
}

/** Keys cover only records without an order. */
function trafficOf({ traffic, totals }: Snapshot) {
  return {
    value_bytes: traffic.valueBytes,
    value_bytes_per_second: traffic.valueBytesPerSecond,
    value_bytes_mean: totals.received === 0
      ? null
      : Math.round(traffic.valueBytes / totals.received),
    value_bytes_max: traffic.valueBytesMax,
    records_without_order: traffic.plainCount,
    records_without_key: traffic.keylessCount,
    distinct_keys: traffic.keyCount,
    distinct_keys_capped: traffic.areKeysCapped,
    top_keys: traffic.topKeys.map(({ label, count }) => ({ key: label, records: count })),
  };
}

/** Returns the latest metrics in the tracker's log; they count from its start, not over the whole journal. */
function trackerOf({ metrics }: Snapshot) {
  if (metrics === undefined) return null;
  return {
    at: isoTime(metrics.timestampMs),
    messages_received: metrics.received,
    messages_processed: metrics.processed,
    messages_failed: metrics.failed,
    messages_per_second: metrics.messagesPerSecond,
    success_rate_percent: metrics.successRatePercent,
    uptime_seconds: metrics.uptimeSeconds,
  };
}

/** Returns the tracker's status file, and whether it is fresh; null if there is none. */
function statusOf({ status: reading, takenAtMs }: Snapshot) {
  if (reading.kind === "absent") return null;
  if (reading.kind === "unreadable") return { fresh: false, error: reading.reason };
  const ageSeconds = Math.round((takenAtMs - reading.writtenAtMs) / 100) / 10;
  return { fresh: reading.kind === "fresh", age_seconds: ageSeconds, ...reading.status };
}

function fileOf(status: TailStatus | undefined) {
  if (status === undefined) return null;
  return {
    open: status.file !== undefined,
    read_bytes: status.readBytes,
    behind_bytes: status.behindBytes,
    held_bytes: status.heldBytes,
    rotations: status.rotationCount,
    truncations: status.truncationCount,
    cuts: status.cutCount,
  };
}

/** Returns JSON text with every character that is not safe to print escaped. */
function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/gu,
    (character) => printable(character) === character ? character : escaped(character),
  );
}

function escaped(character: string): string {
  let text = "";
  for (let index = 0; index < character.length; index++) {
    text += `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`;
  }
  return text;
}

function isoTime(timeMs: number | undefined): string | null {
  const time = new Date(timeMs ?? NaN);
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}

/** Rounds down to two digits, so that 99.999 % is not shown as 100 %. */
function rounded(percent: number | undefined): number | null {
  return percent === undefined ? null : Math.floor(percent * 100) / 100;
}
