/**
 * The latest lines of the journal as records for a list. Pure.
 *
 * @module
 */

import type { RecentLines } from "./recent.ts";
import { EventScanner, parseLine } from "./scan.ts";
import { parseTimestamp } from "./timestamp.ts";

/** Longer error texts are cut. */
export const ERROR_LENGTH_MAX = 1000;
/** Enough for the fields before a record's message. */
const BEGINNING_BYTES = 600;
/** Kept of a value without an order: as much as a wide screen shows. */
const TEXT_LENGTH_MAX = 300;
const DECODER = new TextDecoder();
const ENCODER = new TextEncoder();

/** A line of the journal, for a list of recent ones. Texts are as they came: not safe to show as they are. */
export interface RecentEvent {
  readonly timestampMs: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly kind: string;
  readonly failed: boolean;
  readonly error?: string;
  readonly order?: RecentOrder;
  /** Of a record without an order. */
  readonly content?: RecentContent;
  /** The journal's line, or its beginning where it is too long to be kept. */
  readonly line: Uint8Array;
}

export interface RecentContent {
  readonly key?: string;
  readonly valueBytes: number;
  /** The value's beginning. */
  readonly text: string;
}

export interface RecentOrder {
  readonly orderId?: string;
  readonly status?: string;
  readonly total?: number;
  readonly currency?: string;
  readonly customerId?: string;
  readonly customerName?: string;
  readonly itemCount?: number;
}

/** Lines are not changed once they are kept, and are asked for at each redraw. */
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

/** A line as a record; undefined where it is none. The scanner is any: it is overwritten. */
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

/** What can be said of a line too long to be kept. Its first fields are simple, and were found good when it was read. */
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
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const order: Readonly<Record<string, unknown>> = { ...value };
  const customer: Readonly<Record<string, unknown>> = typeof order["customer_info"] === "object"
    ? { ...order["customer_info"] }
    : {};
  const items = order["items"];
  return {
    ...texts({
      orderId: order["order_id"],
      status: order["status"],
      currency: order["currency"],
      customerId: customer["customer_id"],
      customerName: customer["name"],
    }),
    ...(typeof order["total"] === "number" && { total: order["total"] }),
    ...(Array.isArray(items) && { itemCount: items.length }),
  };
}

/** Those of the values that are text. */
function texts<K extends string>(
  values: Readonly<Record<K, unknown>>,
): { readonly [P in K]?: string } {
  const found: { [P in K]?: string } = {};
  for (const key in values) {
    const value = values[key];
    if (typeof value === "string") found[key] = value;
  }
  return found;
}
