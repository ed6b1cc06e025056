/** Journal and log lines for tests, in our tracker's format. */

import type { KafkaRecord } from "../../lib/record.ts";
import { EventWriter, type Verdict } from "../../lib/journal/line.ts";
import type { LineSink } from "../../lib/monitor/tail/line_sink.ts";

const ENCODER = new TextEncoder();

const GOOD: Verdict = { eventType: "message.received", isText: true, deserialized: true };

export interface LineOptions {
  readonly receivedAtMs: number;
  readonly partition?: number;
  readonly offset?: number;
  readonly topic?: string;
  /** The record's value; a valid order by default. */
  readonly value?: string;
  readonly verdict?: Verdict;
}

/** Returns a journal line with its newline; by default, of a valid order. */
export function journalLine(options: LineOptions): string {
  const { receivedAtMs, partition = 0, offset = 0, topic = "orders" } = options;
  const value = ENCODER.encode(options.value ?? orderJson(offset));
  const record: KafkaRecord = {
    topic,
    partition,
    offset,
    key: ENCODER.encode("CUST-1"),
    value,
    headers: [],
    timestampMs: receivedAtMs - 5,
  };
  const writer = new EventWriter();
  writer.write(record, options.verdict ?? GOOD, { receivedAt: new Date(receivedAtMs) });
  return new TextDecoder().decode(writer.lines);
}

export function orderJson(sequence: number): string {
  return JSON.stringify({
    order_id: `00000000-0000-4000-8000-${String(sequence).padStart(12, "0")}`,
    sequence: sequence + 1,
    status: "pending",
    items: [{
      item_id: "A",
      item_name: 'A "quoted" \\ {name}',
      quantity: 1,
      unit_price: 10,
      total_price: 10,
    }],
    sub_total: 10,
    tax: 2,
    shipping_fee: 2.5,
    total: 14.5,
    currency: "EUR",
    metadata: { timestamp: "2026-01-01T00:00:00.000Z", event_type: "order.created" },
    customer_info: { customer_id: "CUST-1", name: "Zoë" },
  });
}

/** The verdict for a value that is not valid JSON. */
export const NOT_JSON: Verdict = {
  eventType: "message.received.deserialization_error",
  isText: true,
  deserialized: false,
  error: "the value is not valid JSON",
};

export const VALIDATION_FAILURE: Verdict = {
  eventType: "message.received.validation_error",
  isText: true,
  deserialized: true,
  error: "total: expected 14.50, actual 1.00",
};

/** Returns a log line with its newline. */
export function logLine(
  { atMs, level = "INFO", message, error, metadata }: {
    readonly atMs: number;
    readonly level?: string;
    readonly message: string;
    readonly error?: string;
    readonly metadata?: Readonly<Record<string, unknown>>;
  },
): string {
  const timestamp = new Date(atMs).toISOString();
  const service = "order-tracker";
  return JSON.stringify({ timestamp, level, message, service, error, metadata }) + "\n";
}

/** Passes each line of a text to a model; an unterminated last line is passed as partial. */
export function feed(sink: LineSink, text: string): void {
  for (const line of text.split(/(?<=\n)/)) {
    const bytes = ENCODER.encode(line);
    const whole = line.endsWith("\n");
    sink.line(bytes, 0, bytes.length - (whole ? 1 : 0), whole);
    sink.settle();
  }
}
