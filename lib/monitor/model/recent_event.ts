/**
 * Parses the latest lines of the journal for lists of records. Pure.
 */

import { isJsonObject, type JsonObject } from "../../json.ts";
import type { RecentLines } from "./recent.ts";
import { EventScanner, parseLine } from "./scan.ts";
import { parseTimestamp } from "./timestamp.ts";

/** Longer error texts are cut. */
export const ERROR_LENGTH_MAX = 1000;
/** Enough for the fields before a record's message. */
const BEGINNING_BYTES = 600;
/** Characters kept of a value without an order: as much as a wide screen shows. */
const TEXT_LENGTH_MAX = 300;
const DECODER = new TextDecoder();
const ENCODER = new TextEncoder();

/** A journal line for a list of recent ones. Its texts are not safe to print. */
export interface RecentEvent {
  readonly timestampMs: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly kind: string;
  readonly failed: boolean;
  readonly error?: string;
  readonly order?: RecentOrder;
  /** Set only for a record without an order. */
  readonly content?: RecentContent;
  /** The journal line, or its beginning if it is too long to keep. */
  readonly line: Uint8Array;
}

export interface RecentContent {
  readonly key?: string;
  readonly valueBytes: number;
  readonly text: string;
}

export interface RecentOrder {
  readonly orderId: string | undefined;
  readonly status: string | undefined;
  readonly total: number | undefined;
  readonly currency: string | undefined;
  readonly customerId: string | undefined;
  readonly customerName: string | undefined;
  readonly itemCount: number | undefined;
}

/** Caches parsed lines: kept lines never change, and every redraw needs them. */
const PARSED = new WeakMap<Uint8Array, RecentEvent>();

/** Parses the kept lines that are journal lines, oldest first. */
export function eventsOf(lines: RecentLines): readonly RecentEvent[] {
  const scanner = new EventScanner();
  const events: RecentEvent[] = [];
  for (const line of lines.lines()) {
    const event = PARSED.get(line) ?? recentEvent(scanner, line);
    if (event === undefined) continue;
    PARSED.set(line, event);
    events.push(event);
  }
  return events;
}

/** Parses a line as a record; undefined if it is not one. Overwrites the scanner's state. */
export function recentEvent(
  scanner: EventScanner,
  line: Uint8Array,
): RecentEvent | undefined {
  const fields = parseLine(line, 0, line.length);
  if (fields === undefined) return beginningOf(line);
  if (!scanner.scan(line, 0, line.length, false)) return undefined;
  const { timestampMs, topic, partition, offset, kind, failed, error, key, valueBytes } = scanner;
  const order = orderOf(fields["order_full"]);
  const content = {
    ...(key !== undefined && { key }),
    valueBytes,
    text: String(fields["raw_message"] ?? "").slice(0, TEXT_LENGTH_MAX),
  };
  return {
    timestampMs,
    topic,
    partition,
    offset,
    kind,
    failed,
    ...(error !== undefined && { error: error.slice(0, ERROR_LENGTH_MAX) }),
    ...(order === undefined ? { content } : { order }),
    line,
  };
}

/**
 * Reads what is possible from a line too long to keep. Its first fields are simple, and were validated when it was
 * read.
 */
function beginningOf(line: Uint8Array): RecentEvent | undefined {
  const text = DECODER.decode(line.subarray(0, BEGINNING_BYTES));
  const rawMessage = text.indexOf(`,"raw_message"`);
  const fields = parseLine(ENCODER.encode(`${text.slice(0, rawMessage)}}`), 0, Infinity);
  if (rawMessage === -1 || fields === undefined) return undefined;
  const { timestamp, event_type, kafka_topic, kafka_partition, kafka_offset } = fields;
  const failed = event_type !== "message.received";
  return {
    timestampMs: parseTimestamp(String(timestamp)),
    topic: String(kafka_topic),
    partition: Number(kafka_partition),
    offset: Number(kafka_offset),
    kind: failed ? String(event_type).replace(/^message\.received\.|_error$/g, "") : "processed",
    failed,
    line,
  };
}

function orderOf(value: unknown): RecentOrder | undefined {
  if (!isJsonObject(value)) return undefined;
  const { order_id, status, total, currency, items, customer_info: info } = value;
  const { customer_id, name } = isJsonObject(info) ? info : NO_FIELDS;
  return {
    orderId: textOf(order_id),
    status: textOf(status),
    total: typeof total === "number" ? total : undefined,
    currency: textOf(currency),
    customerId: textOf(customer_id),
    customerName: textOf(name),
    itemCount: Array.isArray(items) ? items.length : undefined,
  };
}

const NO_FIELDS: JsonObject = {};

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
