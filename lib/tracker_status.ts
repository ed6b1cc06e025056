/**
 * The format of `tracker.status`: the tracker's current state as one JSON object. Written by the tracker
 * (`tracker/status_file.ts`) and read by the monitor, so it does not depend on Kafka.
 */

import { isJsonObject, type JsonObject, parseJson } from "./json.ts";

export const STATUS_NAME = "tracker.status";

/** Age after which a status is stale: a running tracker writes one per second. */
export const STATUS_VALID_MS = 5_000;

/** Larger files are not read: 10,000 partitions take about 2 MB. */
export const STATUS_BYTES_MAX = 8_000_000;

export const TRACKER_STATES = [
  "starting",
  "consuming",
  "waiting",
  "blocked",
  "stopping",
  "stopped",
] as const;

/** The tracker's state, described in `tracker/standing.ts`. */
export type TrackerState = typeof TRACKER_STATES[number];

/** The status of a partition assigned to the tracker. */
export interface PartitionStatus {
  readonly partition: number;
  /** One past the last offset that is journaled, handled, and dead-lettered; null until known. */
  readonly position: number | null;
  /** The committed offset; null before the first commit. */
  readonly committed: number | null;
  /** High watermark minus committed offset; null if not known. */
  readonly lag: number | null;
  /** Why it does not advance. */
  readonly reason?: string;
}

/** An open transaction, and the records that wait behind it. */
export interface OpenTransactionStatus {
  /** The partition's number, from 0. */
  readonly partition: number;
  /** The transaction's first offset. */
  readonly first_offset: number;
  /** Offsets from there to the high watermark. */
  readonly records: number;
  /** Time for which the tracker has seen it open. */
  readonly seconds: number;
}

export interface LatencyStatus {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Counts since the tracker started. */
export interface StatusCounters {
  readonly received: number;
  readonly processed: number;
  readonly failed: number;
  readonly dead_lettered: number;
  readonly already_journaled: number;
}

/** The tracker's current state. */
export interface TrackerReport {
  readonly state: TrackerState;
  /** True if records are being journaled, or there are none; as in `GET /ready`. */
  readonly ready: boolean;
  /** Why it is not ready, or is slow. */
  readonly reason?: string;
  readonly partitions: readonly PartitionStatus[];
  /** Partitions of the topic that no group member holds; null if not known. */
  readonly unassigned: readonly number[] | null;
  readonly open_transactions: readonly OpenTransactionStatus[];
  /** Partitions that do not move until someone removes the cause; absent where there are none. */
  readonly blocked_partitions?: readonly number[];
  /** From the record's timestamp to the flushed journal, over the last minute; null without records. */
  readonly latency_ms: LatencyStatus | null;
  readonly counters: StatusCounters;
}

/** The content of the status file. */
export interface TrackerStatus extends TrackerReport {
  /** Time of writing, RFC 3339. */
  readonly timestamp: string;
  readonly pid: number;
  readonly version: string;
  readonly topic: string;
  readonly group: string;
}

const PARTITION_COUNT_MAX = 10_000;
const TEXT_LENGTH_MAX = 1_000;

/** Parses a status; invalid fields get defaults. Returns undefined if it is not a status. Does not escape texts. */
export function parseStatus(json: string): TrackerStatus | undefined {
  const fields = fieldsOf(parseJson(json));
  const state = TRACKER_STATES.find((each) => each === fields?.["state"]);
  const timestamp = fields?.["timestamp"];
  if (fields === undefined || state === undefined || typeof timestamp !== "string") {
    return undefined;
  }
  const latency = fieldsOf(fields["latency_ms"]);
  const counters = fieldsOf(fields["counters"]);
  return {
    timestamp,
    pid: countOf(fields["pid"]) ?? 0,
    version: textOf(fields["version"]) ?? "",
    state,
    ready: fields["ready"] === true,
    ...optionalReason(fields),
    topic: textOf(fields["topic"]) ?? "",
    group: textOf(fields["group"]) ?? "",
    partitions: listOf(fields["partitions"]).flatMap(partitionOf),
    unassigned: Array.isArray(fields["unassigned"])
      ? listOf(fields["unassigned"]).flatMap((each) => countOf(each) ?? [])
      : null,
    open_transactions: listOf(fields["open_transactions"]).flatMap(openTransactionOf),
    latency_ms: latency === undefined ? null : {
      p50: amountOf(latency["p50"]) ?? 0,
      p99: amountOf(latency["p99"]) ?? 0,
      max: amountOf(latency["max"]) ?? 0,
    },
    counters: {
      received: countOf(counters?.["received"]) ?? 0,
      processed: countOf(counters?.["processed"]) ?? 0,
      failed: countOf(counters?.["failed"]) ?? 0,
      dead_lettered: countOf(counters?.["dead_lettered"]) ?? 0,
      already_journaled: countOf(counters?.["already_journaled"]) ?? 0,
    },
  };
}

function partitionOf(value: unknown): readonly PartitionStatus[] {
  const fields = fieldsOf(value);
  const partition = countOf(fields?.["partition"]);
  if (fields === undefined || partition === undefined) return [];
  return [{
    partition,
    position: countOf(fields["position"]) ?? null,
    committed: countOf(fields["committed"]) ?? null,
    lag: countOf(fields["lag"]) ?? null,
    ...optionalReason(fields),
  }];
}

function openTransactionOf(value: unknown): readonly OpenTransactionStatus[] {
  const fields = fieldsOf(value);
  const partition = countOf(fields?.["partition"]);
  if (fields === undefined || partition === undefined) return [];
  return [{
    partition,
    first_offset: countOf(fields["first_offset"]) ?? 0,
    records: countOf(fields["records"]) ?? 0,
    seconds: amountOf(fields["seconds"]) ?? 0,
  }];
}

function optionalReason(fields: JsonObject): { readonly reason?: string } {
  const reason = textOf(fields["reason"]);
  return reason === undefined ? {} : { reason };
}

function fieldsOf(value: unknown): JsonObject | undefined {
  return isJsonObject(value) ? value : undefined;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, PARTITION_COUNT_MAX) : [];
}

function countOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : undefined;
}

function amountOf(value: unknown): number | undefined {
  return Number.isFinite(value) && Number(value) >= 0 ? Number(value) : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value.slice(0, TEXT_LENGTH_MAX) : undefined;
}
