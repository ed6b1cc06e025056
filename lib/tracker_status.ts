/**
 * The content of `tracker.status`: what a tracker is doing at this moment, as one JSON object. Written by
 * the tracker (`tracker/status_file.ts`) and read by the monitor, so it knows nothing of Kafka.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "./json.ts";

/** The file's name in the tracker's folder. */
export const STATUS_NAME = "tracker.status";

/** A tracker that runs writes its status once a second: an older one says nothing of now. */
export const STATUS_VALID_MS = 5_000;

/** Longer files are not read: 10,000 partitions take some 2 MB. */
export const STATUS_BYTES_MAX = 8_000_000;

export const TRACKER_STATES = [
  "starting",
  "consuming",
  "waiting",
  "blocked",
  "stopping",
  "stopped",
] as const;

/** `tracker/standing.ts` says what each means. */
export type TrackerState = typeof TRACKER_STATES[number];

/** A partition that the tracker has. */
export interface PartitionStatus {
  readonly partition: number;
  /** One past the last offset that is journaled, handled, and dead-lettered; null until that is known. */
  readonly position: number | null;
  /** One past the last offset that is committed; null until anything is. */
  readonly committed: number | null;
  /** Records between what is committed and the high watermark; null where it is not known. */
  readonly lag: number | null;
  /** Why it does not move. */
  readonly reason?: string;
}

/** Records that wait behind a transaction that is neither committed nor aborted. */
export interface OpenTransactionStatus {
  /** From 0 on. */
  readonly partition: number;
  /** The offset at which it begins. */
  readonly first_offset: number;
  /** Offsets from there to the high watermark. */
  readonly records: number;
  /** How long the tracker has seen it open. */
  readonly seconds: number;
}

export interface LatencyStatus {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Since the tracker started. */
export interface StatusCounters {
  readonly received: number;
  readonly processed: number;
  readonly failed: number;
  readonly dead_lettered: number;
  readonly already_journaled: number;
}

/** What a tracker says of itself. */
export interface TrackerReport {
  readonly state: TrackerState;
  /** Whether records are journaled, or none are there to be: what `GET /ready` answers. */
  readonly ready: boolean;
  /** Why it is not ready, or is slow. */
  readonly reason?: string;
  readonly partitions: readonly PartitionStatus[];
  /** Partitions of the topic that no member of the group has; null where that is not known. */
  readonly unassigned: readonly number[] | null;
  readonly open_transactions: readonly OpenTransactionStatus[];
  /** Partitions that do not move until someone removes the cause; absent where there are none. */
  readonly blocked_partitions?: readonly number[];
  /** From a record's timestamp to the disk, over the last minute; null where no record came. */
  readonly latency_ms: LatencyStatus | null;
  readonly counters: StatusCounters;
}

/** The whole object. */
export interface TrackerStatus extends TrackerReport {
  /** When it was written, RFC 3339. */
  readonly timestamp: string;
  readonly pid: number;
  readonly version: string;
  readonly topic: string;
  readonly group: string;
}

const PARTITION_COUNT_MAX = 10_000;
const TEXT_LENGTH_MAX = 1_000;

/** Reads a status as far as it makes sense; undefined where it is none. Texts are not safe to show as they are. */
export function parseStatus(json: string): TrackerStatus | undefined {
  const fields = parseFields(json);
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

function parseFields(json: string): JsonObject | undefined {
  try {
    return fieldsOf(JSON.parse(json));
  } catch {
    return undefined;
  }
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
