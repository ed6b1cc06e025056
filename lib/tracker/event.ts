/**
 * A line of the audit journal (`logs/tracker.events`): one record of the topic, as it was received.
 *
 * The line is JSON and ends with a newline; the fields and their order are the contract's:
 *
 *     timestamp  event_type  kafka_topic  kafka_partition  kafka_offset  raw_message  message_size
 *     deserialized  error?  order_full?  raw_message_base64?  value_null?  kafka_key | kafka_key_base64?
 *     kafka_headers?  kafka_timestamp  kafka_topic_id?  mark?
 *
 * `kafka_headers` is a list of `{key, value | value_base64}`, in the record's order; a null value is null.
 * `kafka_timestamp` is in milliseconds since the epoch.
 *
 * @module
 */

import type { KafkaRecord, RecordHeader } from "../kafka/record.ts";

export type EventType =
  | "message.received"
  | "message.received.deserialization_error"
  | "message.received.validation_error";

/** What the tracker found when it looked at a record's value. */
export interface Verdict {
  readonly eventType: EventType;
  /** Why the record is bad; absent for a good one. */
  readonly error?: string;
  /** The value as one line of JSON text, where it deserialized. */
  readonly orderJson?: string;
}

export interface EventContext {
  readonly receivedAt: Date;
  /** The topic's id, which changes when a topic is deleted and created again. */
  readonly topicId?: string;
  /** Something noticed just before this record: a topic created again, a group reset, a gap. */
  readonly mark?: string;
}

/** A value as text, and whether the text is the value byte for byte. */
export interface DecodedText {
  readonly text: string;
  readonly exact: boolean;
}

// ignoreBOM keeps a byte order mark in the text; without it the text would not be the value.
const STRICT_DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LENIENT_DECODER = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
const ENCODER = new TextEncoder();

/** Decodes UTF-8, with replacement characters where the bytes are not UTF-8. */
export function decodeText(bytes: Uint8Array): DecodedText {
  try {
    return { text: STRICT_DECODER.decode(bytes), exact: true };
  } catch {
    return { text: LENIENT_DECODER.decode(bytes), exact: false };
  }
}

/** The journal's line for a record, newline included. `value` is the record's value, decoded once by the caller. */
export function encodeEvent(
  record: KafkaRecord,
  value: DecodedText,
  verdict: Verdict,
  context: EventContext,
): string {
  let line = `{"timestamp":"${context.receivedAt.toISOString()}"` +
    `,"event_type":"${verdict.eventType}"` +
    `,"kafka_topic":${JSON.stringify(record.topic)}` +
    `,"kafka_partition":${record.partition},"kafka_offset":${record.offset}` +
    `,"raw_message":${JSON.stringify(value.text)}` +
    `,"message_size":${record.value?.byteLength ?? 0}` +
    `,"deserialized":${verdict.orderJson !== undefined}`;
  if (verdict.error !== undefined) line += `,"error":${JSON.stringify(verdict.error)}`;
  if (verdict.orderJson !== undefined) line += `,"order_full":${verdict.orderJson}`;
  if (record.value === null) line += `,"value_null":true`;
  else if (!value.exact) line += `,"raw_message_base64":"${record.value.toBase64()}"`;
  if (record.key !== null) line += `,${encodeText("kafka_key", record.key)}`;
  if (record.headers.length > 0) {
    line += `,"kafka_headers":[${record.headers.map(encodeHeader).join(",")}]`;
  }
  line += `,"kafka_timestamp":${record.timestampMs}`;
  if (context.topicId !== undefined) line += `,"kafka_topic_id":${JSON.stringify(context.topicId)}`;
  if (context.mark !== undefined) line += `,"mark":${JSON.stringify(context.mark)}`;
  return line + "}\n";
}

function encodeHeader({ key, value }: RecordHeader): string {
  const name = `"key":${JSON.stringify(key)}`;
  return value === null ? `{${name},"value":null}` : `{${name},${encodeText("value", value)}}`;
}

function encodeText(field: string, bytes: Uint8Array): string {
  const { text, exact } = decodeText(bytes);
  return exact ? `"${field}":${JSON.stringify(text)}` : `"${field}_base64":"${bytes.toBase64()}"`;
}

/** What a line of a journal says of a record; a journal of the founding project's Go tracker has only the first fields. */
export interface JournaledRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly value: Uint8Array | null;
  /** Absent where the line was written by a tracker that does not keep them. */
  readonly details?: {
    readonly key: Uint8Array | null;
    readonly headers: readonly RecordHeader[];
    readonly timestampMs: number;
  };
  readonly topicId?: string;
}

/**
 * Reads back the record that a line holds, byte for byte.
 *
 * @throws {SyntaxError} where the line is not a journal line; the message says why.
 */
export function decodeEvent(line: string): JournaledRecord {
  const fields: unknown = JSON.parse(line);
  if (!isFields(fields)) throw new SyntaxError("expected a JSON object");
  const topic = stringOf(fields, "kafka_topic");
  const partition = integerOf(fields, "kafka_partition");
  const offset = integerOf(fields, "kafka_offset");
  const topicId = fields["kafka_topic_id"];
  return {
    topic,
    partition,
    offset,
    value: valueOf(fields),
    ...(typeof fields["kafka_timestamp"] === "number" && {
      details: {
        key: bytesOf(fields, "kafka_key") ?? null,
        headers: headersOf(fields["kafka_headers"]),
        timestampMs: fields["kafka_timestamp"],
      },
    }),
    ...(typeof topicId === "string" && { topicId }),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function stringOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new SyntaxError(`expected ${name} to be a string`);
  return value;
}

function integerOf(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new SyntaxError(`expected ${name} to be a whole number, not below 0`);
  }
  return value;
}

function valueOf(fields: Fields): Uint8Array | null {
  if (fields["value_null"] === true) return null;
  const raw = stringOf(fields, "raw_message");
  const base64 = fields["raw_message_base64"];
  return typeof base64 === "string" ? Uint8Array.fromBase64(base64) : ENCODER.encode(raw);
}

function bytesOf(fields: Fields, name: string): Uint8Array | undefined {
  const base64 = fields[`${name}_base64`];
  if (typeof base64 === "string") return Uint8Array.fromBase64(base64);
  const text = fields[name];
  return typeof text === "string" ? ENCODER.encode(text) : undefined;
}

function headersOf(headers: unknown): readonly RecordHeader[] {
  if (headers === undefined) return [];
  if (!Array.isArray(headers)) throw new SyntaxError("expected kafka_headers to be a list");
  return headers.map((header: unknown) => {
    if (!isFields(header)) throw new SyntaxError("expected a header to be a JSON object");
    return { key: stringOf(header, "key"), value: bytesOf(header, "value") ?? null };
  });
}
