/**
 * A line of the audit journal (`logs/tracker.events`): one record of the topic, as it was received.
 *
 * The line is JSON and ends with a newline; the fields and their order are the contract's:
 *
 *     timestamp  event_type  kafka_topic  kafka_partition  kafka_offset  raw_message  message_size
 *     deserialized  error?  order_full?  raw_message_base64?  value_null?  kafka_key | kafka_key_base64?
 *     value_omitted?  kafka_key_omitted?  kafka_headers?  kafka_timestamp  kafka_topic_id?  kafka_leader_epoch?  mark?
 *
 * `kafka_headers` is a list of `{key, value | value_base64 | value_omitted}`, in the record's order; a null value is
 * null. What was too large to be kept is `{size, sha256}`.
 * `kafka_timestamp` is in milliseconds since the epoch; a decimal string beyond 2^53, where readers of JSON round
 * numbers.
 */

import { isUtf8 } from "node:buffer";
import { isJsonObject, type JsonObject } from "../json.ts";
import { timestampFromJson, timestampJson } from "../int64.ts";
import type { KafkaRecord, OmittedBytes, RecordHeader } from "../record.ts";

export type EventType =
  | "message.received"
  | "message.received.deserialization_error"
  | "message.received.validation_error";

/** The tracker's verdict on a record's value. */
export interface Verdict {
  readonly eventType: EventType;
  /** True if the value is valid UTF-8, or null. */
  readonly isText: boolean;
  /** True if the value is a JSON object. */
  readonly deserialized: boolean;
  /**
   * Leaves `order_full` out though the value deserialized: common JSON readers do not agree on it, and one such value
   * must not make the line unreadable.
   */
  readonly leavesOrderOut?: boolean;
  /** Why the record is bad; absent for a good one. */
  readonly error?: string;
}

export interface EventContext {
  readonly receivedAt: Date;
  /** 32 hexadecimal digits: tells a topic from a later one of its name. */
  readonly topicId?: string;
  /** Something noticed just before this record: a topic created again, a group reset, a gap. */
  readonly mark?: string;
}

// ignoreBOM keeps a byte order mark in the text; without it the text would not be the value.
const LENIENT_DECODER = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
const ENCODER = new TextEncoder();
const NO_BYTES = new Uint8Array();

/** A line's text between the values that differ from record to record. */
const FIELDS = {
  rawMessage: ',"raw_message":"',
  messageSize: '","message_size":',
  orderFull: ',"order_full":',
  valueNull: ',"value_null":true',
  key: ',"kafka_key":"',
  headers: ',"kafka_headers":[{"key":"',
  nextHeader: ',{"key":"',
  headerValue: '","value":"',
  headerNull: '","value":null}',
  headerEnd: '"}',
  headersEnd: "]",
  timestamp: ',"kafka_timestamp":',
} as const;

/** The fields that all lines of a batch share. */
type LinePlace = Pick<KafkaRecord, "topic" | "partition" | "leaderEpoch">;

/**
 * Returns the texts of good records' lines between their values, in the order in which the kernel knows them.
 *
 * @param hasOrders whether each value is an order, which stands in the line a second time.
 */
export function lineTexts(
  place: LinePlace,
  context: EventContext,
  { hasOrders }: { readonly hasOrders: boolean },
): readonly Uint8Array[] {
  return [
    headOf(place, "message.received", context),
    FIELDS.rawMessage,
    FIELDS.messageSize,
    `,"deserialized":${hasOrders}${hasOrders ? FIELDS.orderFull : ""}`,
    FIELDS.valueNull,
    FIELDS.key,
    FIELDS.headers,
    FIELDS.nextHeader,
    FIELDS.headerValue,
    FIELDS.headerNull,
    FIELDS.headerEnd,
    FIELDS.headersEnd,
    FIELDS.timestamp,
    tailOf(place, context),
  ].map((text) => ENCODER.encode(text));
}

function headOf(
  { topic, partition }: LinePlace,
  eventType: EventType,
  { receivedAt }: EventContext,
): string {
  return `{"timestamp":"${receivedAt.toISOString()}","event_type":"${eventType}"` +
    `,"kafka_topic":${JSON.stringify(topic)},"kafka_partition":${partition},"kafka_offset":`;
}

function tailOf({ leaderEpoch }: LinePlace, { topicId, mark }: EventContext): string {
  const idText = topicId === undefined ? "" : `,"kafka_topic_id":"${topicId}"`;
  const epochText = leaderEpoch === undefined ? "" : `,"kafka_leader_epoch":${leaderEpoch}`;
  const markText = mark === undefined ? "" : `,"mark":${JSON.stringify(mark)}`;
  return `${idText}${epochText}${markText}}\n`;
}

/**
 * Returns the line of a record, newline included. For a good record, it is the line that the kernel writes; the lines
 * that the kernel leaves to its caller are written here.
 */
export function eventLine(record: KafkaRecord, verdict: Verdict, context: EventContext): string {
  const { value, omittedValue } = record;
  const bytes = value ?? NO_BYTES;
  const text = LENIENT_DECODER.decode(bytes);
  const hasOrder = verdict.deserialized && verdict.leavesOrderOut !== true;
  return [
    headOf(record, verdict.eventType, context),
    record.offset,
    FIELDS.rawMessage,
    escaped(text),
    FIELDS.messageSize,
    omittedValue?.size ?? bytes.byteLength,
    `,"deserialized":${verdict.deserialized}`,
    verdict.error === undefined ? "" : `,"error":${JSON.stringify(verdict.error.toWellFormed())}`,
    // Between tokens a line break is white space, and within a string it cannot stand: so a blank may take its place.
    hasOrder ? FIELDS.orderFull + text.replace(/[\r\n]/g, " ") : "",
    omittedValue ? `,"value_omitted":${JSON.stringify(omittedValue)}` : "",
    value === null && !omittedValue ? FIELDS.valueNull : "",
    verdict.isText ? "" : `,"raw_message_base64":"${bytes.toBase64()}"`,
    keyField(record),
    headersField(record.headers),
    FIELDS.timestamp,
    timestampJson(record),
    tailOf(record, context),
  ].join("");
}

/** Returns text as the inside of a JSON string. */
function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function keyField({ key, omittedKey }: KafkaRecord): string {
  if (omittedKey) return `,"kafka_key_omitted":${JSON.stringify(omittedKey)}`;
  if (key === null) return "";
  return isUtf8(key)
    ? `${FIELDS.key}${escaped(LENIENT_DECODER.decode(key))}"`
    : `,"kafka_key_base64":"${key.toBase64()}"`;
}

function headersField(headers: readonly RecordHeader[]): string {
  if (headers.length === 0) return "";
  const texts = headers.map(({ key, value, omitted }, index) => {
    const start = (index === 0 ? FIELDS.headers : FIELDS.nextHeader) + escaped(key);
    if (omitted) return `${start}","value_omitted":${JSON.stringify(omitted)}}`;
    if (value === null) return start + FIELDS.headerNull;
    if (!isUtf8(value)) return `${start}","value_base64":"${value.toBase64()}"}`;
    return start + FIELDS.headerValue + escaped(LENIENT_DECODER.decode(value)) + FIELDS.headerEnd;
  });
  return texts.join("") + FIELDS.headersEnd;
}

/** Writes journal lines one after another. */
export class EventWriter {
  #text = "";

  /** The lines. */
  get lines(): Uint8Array<ArrayBuffer> {
    return ENCODER.encode(this.#text);
  }

  /** Starts again with no lines. */
  clear(): void {
    this.#text = "";
  }

  /** Adds the line of a record, newline included. */
  write(record: KafkaRecord, verdict: Verdict, context: EventContext): void {
    this.#text += eventLine(record, verdict, context);
  }
}

/** A record as its journal line has it; journals of the founding project's Go tracker have only the first fields. */
export interface JournaledRecord {
  /** The topic's name. */
  readonly topic: string;
  /** From 0 on. */
  readonly partition: number;
  /** Within the partition. */
  readonly offset: number;
  /** As it came, byte for byte; null is a tombstone, unless `omittedValue` is there. */
  readonly value: Uint8Array | null;
  /** Replacement for a value that was too large to keep. */
  readonly omittedValue?: OmittedBytes;
  /** Absent where the line was written by a tracker that does not keep them. */
  readonly details?: {
    readonly key: Uint8Array | null;
    /** Replacement for a key that was too large to keep. */
    readonly omittedKey?: OmittedBytes;
    readonly headers: readonly RecordHeader[];
    readonly timestampMs: number;
    /** The timestamp itself, present only where a number would round it. */
    readonly exactTimestampMs?: bigint | undefined;
  };
  /** 32 hexadecimal digits: tells a topic from a later one of its name. */
  readonly topicId?: string;
  /** Leader epoch of the record's batch; absent in lines of Go trackers and of versions before 0.2.0. */
  readonly leaderEpoch?: number;
}

/**
 * Reads back the record that a line holds, byte for byte.
 *
 * @throws {SyntaxError} where the line is not a journal line; the message says why.
 */
export function decodeEvent(line: string): JournaledRecord {
  return recordOf(parseEvent(line));
}

/** @throws {SyntaxError} where the line is not a JSON object. */
export function parseEvent(line: string): JsonObject {
  const fields: unknown = JSON.parse(line);
  if (!isJsonObject(fields)) throw new SyntaxError("expected a JSON object");
  return fields;
}

/**
 * Returns the record that the fields of a line hold.
 *
 * @throws {SyntaxError} where a field is missing or of another type; the message says which.
 */
export function recordOf(fields: JsonObject): JournaledRecord {
  const topic = stringOf(fields, "kafka_topic");
  const partition = integerOf(fields, "kafka_partition");
  const offset = integerOf(fields, "kafka_offset");
  const topicId = fields["kafka_topic_id"];
  const timestamp = timestampFromJson(fields["kafka_timestamp"]);
  const hasEpoch = fields["kafka_leader_epoch"] !== undefined;
  const omittedValue = omittedIn(fields, "value_omitted");
  const omittedKey = omittedIn(fields, "kafka_key_omitted");
  return {
    topic,
    partition,
    offset,
    value: omittedValue === undefined ? valueOf(fields) : null,
    ...(omittedValue !== undefined && { omittedValue }),
    ...(timestamp !== undefined && {
      details: {
        key: bytesOf(fields, "kafka_key") ?? null,
        ...(omittedKey !== undefined && { omittedKey }),
        headers: headersOf(fields["kafka_headers"]),
        ...timestamp,
      },
    }),
    ...(typeof topicId === "string" && { topicId }),
    ...(hasEpoch && { leaderEpoch: integerOf(fields, "kafka_leader_epoch") }),
  };
}

function stringOf(fields: JsonObject, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new SyntaxError(`expected ${name} to be a string`);
  return value;
}

function integerOf(fields: JsonObject, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new SyntaxError(`expected ${name} to be a whole number, not below 0`);
  }
  return value;
}

function valueOf(fields: JsonObject): Uint8Array | null {
  if (fields["value_null"] === true) return null;
  const raw = stringOf(fields, "raw_message");
  const base64 = fields["raw_message_base64"];
  return typeof base64 === "string" ? Uint8Array.fromBase64(base64) : ENCODER.encode(raw);
}

function bytesOf(fields: JsonObject, name: string): Uint8Array | undefined {
  const base64 = fields[`${name}_base64`];
  if (typeof base64 === "string") return Uint8Array.fromBase64(base64);
  const text = fields[name];
  return typeof text === "string" ? ENCODER.encode(text) : undefined;
}

function omittedIn(fields: JsonObject, name: string): OmittedBytes | undefined {
  const omitted = fields[name];
  if (omitted === undefined) return undefined;
  if (!isJsonObject(omitted)) throw new SyntaxError(`expected ${name} to be a JSON object`);
  return { size: integerOf(omitted, "size"), sha256: stringOf(omitted, "sha256") };
}

function headersOf(headers: unknown): readonly RecordHeader[] {
  if (headers === undefined) return [];
  if (!Array.isArray(headers)) throw new SyntaxError("expected kafka_headers to be a list");
  return headers.map((header: unknown) => {
    if (!isJsonObject(header)) throw new SyntaxError("expected a header to be a JSON object");
    const omitted = omittedIn(header, "value_omitted");
    return {
      key: stringOf(header, "key"),
      value: bytesOf(header, "value") ?? null,
      ...(omitted !== undefined && { omitted }),
    };
  });
}
