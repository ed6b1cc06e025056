/**
 * Collects metrics, dead letters, and errors from the tracker's log, and whether it stopped. Totals come from the
 * journal only.
 *
 * Pure: lines and the time are passed in.
 */

import { isJsonObject, type JsonObject } from "../../json.ts";
import { Recent } from "./recent.ts";
import { withinMax } from "./said_figures.ts";
import { parseLine } from "./scan.ts";
import { parseTimestamp } from "./timestamp.ts";
import { CLOCK_SKEW_MS, SlidingWindow } from "./sliding_window.ts";
import type { LineSink } from "../tail/line_sink.ts";
import { RECENT_COUNT } from "./journal_model.ts";

const ERROR_WINDOW_SECONDS = 300;
/** The contract has five reasons; a hostile log may have more. */
const REASON_COUNT_MAX = 20;
const OTHER_REASON = "OTHER";
const TEXT_LENGTH_MAX = 1000;
const LAG_PARTITION_COUNT_MAX = 10_000;
const DETAIL_COUNT_MAX = 12;
const DETAILS_LENGTH_MAX = 300;

export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";

/** A line of the log. Its texts are not safe to print. */
export interface LogLine {
  readonly timestampMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly error?: string;
  /** Fields of its metadata that are text, numbers, or lists: `orders/1@14, reason TIMEOUT`. */
  readonly details?: string;
  /** The line itself, or its beginning. */
  readonly line: Uint8Array;
}

/** Longer lines are cut. */
const LINE_BYTES_KEPT_MAX = 16 * 1024;

/** Returns a log line's message, error, and details as one text; not safe to print. */
export function logText(
  { message, error, details }: Pick<LogLine, "message" | "error" | "details">,
): string {
  return [error === undefined ? message : `${message}: ${error}`, details]
    .filter((part) => part !== undefined).join(" - ");
}

/** The tracker's own figures since its start. */
export interface TrackerMetrics {
  readonly timestampMs: number;
  readonly received: number;
  readonly processed?: number;
  readonly failed?: number;
  readonly messagesPerSecond?: number;
  readonly successRatePercent?: number;
  readonly uptimeSeconds?: number;
  /** Unread records by partition; undefined if the tracker did not know. */
  readonly lag?: ReadonlyMap<string, number | undefined>;
  readonly latencyMs?: { readonly p50?: number; readonly p99?: number };
}

/** The totals of the log's lines; copied when a file begins, so that its lines can be taken back. */
class LogCounts {
  unreadable = 0;
  newestLineMs: number | undefined = undefined;
  metrics: TrackerMetrics | undefined = undefined;
  /** When the tracker logged its totals and stopped; undefined if it logged something later. */
  stoppedAtMs: number | undefined = undefined;
  /** True if a tracker ended, or another one started, after the metrics were logged. */
  isOfEarlierTracker = false;
  /** The latest error of the tracker itself, not of a record. */
  lastError: LogLine | undefined = undefined;
  /** The last error unless a later line says that it is over. */
  lastingError: LogLine | undefined = undefined;
  /** Errors of the tracker itself. */
  errors = new SlidingWindow(ERROR_WINDOW_SECONDS);
  /** By reason, as far back as the log files reach. */
  deadLetters = new Map<string, number>();
  recent = new Recent<LogLine>(RECENT_COUNT);

  copy(): LogCounts {
    const copy = Object.assign(new LogCounts(), this);
    copy.errors = this.errors.copy();
    copy.deadLetters = new Map(this.deadLetters);
    copy.recent = this.recent.copy();
    return copy;
  }
}

export class LogModel implements LineSink {
  #counts = new LogCounts();
  #mark = new LogCounts();
  #nowMs = Infinity;

  get counts(): Readonly<LogCounts> {
    return this.#counts;
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  begin(): void {
    this.#mark = this.#counts.copy();
  }

  rewind(): void {
    this.#counts = this.#mark.copy();
  }

  line(bytes: Uint8Array, start: number, end: number, _whole: boolean): void {
    const counts = this.#counts;
    const fields = parseLine(bytes, start, end);
    const level = fields === undefined ? undefined : levelOf(fields["level"]);
    if (fields === undefined || level === undefined) {
      counts.unreadable++;
      return;
    }
    const metadata = isJsonObject(fields["metadata"]) ? fields["metadata"] : {};
    const line = {
      ...logLineOf(fields, { level, metadata }),
      line: bytes.slice(start, Math.min(end, start + LINE_BYTES_KEPT_MAX)),
    };
    const isOfNow = line.timestampMs <= this.#nowMs + CLOCK_SKEW_MS;
    if (isOfNow) {
      counts.newestLineMs = Math.max(line.timestampMs, counts.newestLineMs ?? -Infinity);
    }
    counts.recent.add(line);

    const metrics = metricsOf(metadata, line.timestampMs);
    if (metrics !== undefined) counts.metrics = metrics;
    counts.stoppedAtMs = metrics !== undefined && saysStopped(line, metadata)
      ? line.timestampMs
      : undefined;
    if (metrics !== undefined) counts.isOfEarlierTracker = counts.stoppedAtMs !== undefined;
    else if (STARTED.test(line.message)) counts.isOfEarlierTracker = true;
    if (endsStall(line.message) && STALLED.test(counts.lastingError?.message ?? "")) {
      counts.lastingError = undefined;
    }
    if (isDeadLetter(level, metadata)) noteDeadLetter(counts, String(metadata["reason"]));
    // An error about one record is in the journal, and is counted there.
    if (level === "ERROR" && !isAboutRecord(metadata)) {
      counts.lastError = line;
      counts.lastingError = line;
      if (isOfNow) counts.errors.add(line.timestampMs, true);
    }
  }

  settle(): void {}
}

function levelOf(level: unknown): LogLevel | undefined {
  return level === "DEBUG" || level === "INFO" || level === "WARN" || level === "ERROR"
    ? level
    : undefined;
}

function logLineOf(
  fields: JsonObject,
  { level, metadata }: { readonly level: LogLevel; readonly metadata: JsonObject },
): Omit<LogLine, "line"> {
  const { timestamp, message, error } = fields;
  const details = detailsOf(metadata);
  return {
    timestampMs: typeof timestamp === "string" ? parseTimestamp(timestamp) : NaN,
    level,
    message: typeof message === "string" ? message.slice(0, TEXT_LENGTH_MAX) : "",
    ...(typeof error === "string" && { error: error.slice(0, TEXT_LENGTH_MAX) }),
    ...(details !== "" && { details }),
  };
}

/** Returns the record's place, if any, then the other fields in order. */
function detailsOf(metadata: JsonObject): string {
  const { topic, partition, offset, ...others } = metadata;
  const isOfRecord = typeof topic === "string" && numberOf(partition) !== undefined &&
    numberOf(offset) !== undefined;
  const named = Object.entries(isOfRecord ? others : metadata).slice(0, DETAIL_COUNT_MAX)
    .filter(([, value]) =>
      typeof value === "string" || typeof value === "number" || Array.isArray(value)
    )
    .map(([name, value]) => `${name} ${value}`);
  return [...(isOfRecord ? [`${topic}/${partition}@${offset}`] : []), ...named]
    .join(", ").slice(0, DETAILS_LENGTH_MAX);
}

function metricsOf(metadata: JsonObject, timestampMs: number): TrackerMetrics | undefined {
  const received = numberOf(metadata["messages_received"]);
  if (received === undefined) return undefined;
  const latency = metadata["end_to_end_latency_ms"];
  const lag = metadata["lag"];
  return {
    timestampMs,
    received,
    ...numbers({
      processed: metadata["messages_processed"],
      failed: metadata["messages_failed"],
      messagesPerSecond: metadata["messages_per_second"],
      successRatePercent: metadata["success_rate_percent"],
      uptimeSeconds: metadata["uptime_seconds"],
    }),
    ...(isJsonObject(lag) && { lag: lagOf(lag) }),
    ...(isJsonObject(latency) &&
      { latencyMs: latencyOf(latency) }),
  };
}

function latencyOf(
  { p50, p99, max }: JsonObject,
): { readonly p50?: number; readonly p99?: number } {
  const { max: _, ...percentiles } = withinMax(numbers({ p50, p99, max }));
  return percentiles;
}

function lagOf(lag: JsonObject): ReadonlyMap<string, number | undefined> {
  const byPartition = new Map<string, number | undefined>();
  for (const [partition, count] of Object.entries(lag).slice(0, LAG_PARTITION_COUNT_MAX)) {
    byPartition.set(partition, numberOf(count));
  }
  return byPartition;
}

/** Matches the first line of a tracker, in the wording of every version so far. */
const STARTED = /\btracker\b.*\bstart(?:ed|ing)\b|\bstart(?:ed|ing)\b.*\btracker\b/i;

/** In the words of `lib/tracker/journal_notices.ts`. */
const STALLED = /^The journal cannot be written/;
const RECOVERED = /^The journal can be written again/;

/** A tracker that could not write its journal would not have started. */
function endsStall(message: string): boolean {
  return RECOVERED.test(message) || STARTED.test(message);
}

/**
 * Metrics are logged every 30 s and once more at the end. The last time is marked by `stopped` in the metadata, or by
 * the wording alone, as in a Go tracker.
 */
function saysStopped({ message }: LogLine, metadata: JsonObject): boolean {
  return typeof metadata["stopped"] === "boolean"
    ? metadata["stopped"]
    : /\b(stopped|totals?|shut ?down|final|arr[êe]t)/i.test(message);
}

function isDeadLetter(level: LogLevel, metadata: JsonObject): boolean {
  return level === "WARN" && typeof metadata["reason"] === "string" && isAboutRecord(metadata);
}

function isAboutRecord(metadata: JsonObject): boolean {
  return numberOf(metadata["offset"] ?? metadata["kafka_offset"]) !== undefined;
}

function noteDeadLetter(counts: LogCounts, reason: string): void {
  const known = counts.deadLetters.has(reason) || counts.deadLetters.size < REASON_COUNT_MAX;
  const key = known ? reason.slice(0, TEXT_LENGTH_MAX) : OTHER_REASON;
  counts.deadLetters.set(key, (counts.deadLetters.get(key) ?? 0) + 1);
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function numbers<K extends string>(
  values: Readonly<Record<K, unknown>>,
): { readonly [P in K]?: number } {
  const found: { [P in K]?: number } = {};
  for (const key in values) {
    const value = numberOf(values[key]);
    if (value !== undefined) found[key] = value;
  }
  return found;
}
