/**
 * The criteria of a search, and matching them against records.
 */

import { isUtf8 } from "node:buffer";
import { isJsonObject, type JsonObject, parseJson } from "../json.ts";
import type { RecordRange } from "../journal/foreknowledge.ts";
import { type JournaledRecord, parseEvent, recordOf } from "../journal/line.ts";
import type { Condition } from "./where.ts";

/** A record must match every criterion; undefined matches any. Texts are compared exactly, including case. */
export interface Query extends RecordRange {
  /** Text in the value, the key, the headers, or the reason of a failure. */
  readonly text?: string | undefined;
  readonly orderId?: string | undefined;
  readonly customer?: string | undefined;
  /** The whole key as text; if the key is not UTF-8, its base64 matches too. */
  readonly key?: string | undefined;
  /** The record has all of these headers; values are compared like keys. */
  readonly headers?: readonly HeaderCriterion[] | undefined;
  readonly failed?: boolean | undefined;
  readonly reasons?: readonly JournaledReason[] | undefined;
  readonly where?: Condition | undefined;
}

export interface HeaderCriterion {
  readonly name: string;
  /** Undefined matches any value, including null. */
  readonly value?: string | undefined;
}

/** Failures recorded in journal lines. Handlers fail later; dead letters name the other reasons. */
export const JOURNALED_REASONS = ["DESERIALIZATION", "VALIDATION"] as const;
export type JournaledReason = (typeof JOURNALED_REASONS)[number];

export interface Hit {
  /** Without the newline; valid until the search continues. */
  readonly line: Uint8Array;
  readonly fields: JsonObject;
  readonly record: JournaledRecord;
  /** Timestamp of the record, or the time of receipt if the line has none, in milliseconds since the epoch. */
  readonly timestampMs: number;
}

const STRICT_DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LENIENT_DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

/** @throws {SyntaxError|TypeError} if the line is not a record; the message says why. */
export function parseLine(line: Uint8Array): Hit {
  const fields = parseEvent(STRICT_DECODER.decode(line));
  const record = recordOf(fields);
  const timestampMs = record.details?.timestampMs ?? Date.parse(String(fields["timestamp"]));
  return { line, fields, record, timestampMs };
}

export function matches(query: Query, hit: Hit): boolean {
  return isInRange(query, { ...hit.record, timestampMs: hit.timestampMs }) &&
    isFailure(query, hit.fields) && hasKeyAndHeaders(query, hit.record) && hasValue(query, hit);
}

/** Compares the criteria found at a line's two ends; an undefined timestamp matches any. */
export function isInRange(
  { topic, partition, offsets, times }: RecordRange,
  record: {
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
    readonly timestampMs: number | undefined;
  },
): boolean {
  const { offset, timestampMs } = record;
  return (topic === undefined || record.topic === topic) &&
    (partition === undefined || record.partition === partition) &&
    (offsets === undefined || (offset >= offsets.from && offset <= offsets.to)) &&
    (times === undefined || timestampMs === undefined ||
      (timestampMs >= times.min && timestampMs <= times.max));
}

/** Returns why the record failed; undefined if it did not. */
export function failureOf(
  { event_type: type, error }: JsonObject,
): { readonly reason: string; readonly message: string } | undefined {
  const [, kind] = /^message\.received\.(\w+)_error$/.exec(String(type)) ?? [];
  if (kind === undefined && typeof error !== "string") return undefined;
  return { reason: (kind ?? "unknown").toUpperCase(), message: String(error ?? "") };
}

function isFailure({ failed, reasons }: Query, fields: JsonObject): boolean {
  if (failed !== true && reasons === undefined) return true;
  const failure = failureOf(fields);
  return failure !== undefined &&
    (reasons === undefined || reasons.some((reason) => reason === failure.reason));
}

function hasKeyAndHeaders({ key, headers = [] }: Query, { details }: JournaledRecord): boolean {
  return (key === undefined || isText(details?.key, key)) &&
    headers.every(({ name, value }) =>
      details?.headers.some((header) =>
        header.key === name && (value === undefined || isText(header.value, value))
      ) === true
    );
}

function isText(bytes: Uint8Array | null | undefined, text: string): boolean {
  if (bytes === null || bytes === undefined) return false;
  return isUtf8(bytes) ? LENIENT_DECODER.decode(bytes) === text : bytes.toBase64() === text;
}

function hasValue({ text, orderId, customer, where }: Query, hit: Hit): boolean {
  if (text !== undefined && !hasText(text, hit)) return false;
  if (orderId === undefined && customer === undefined && where === undefined) return true;
  const value = valueOf(hit.fields);
  const order: JsonObject = isJsonObject(value) ? value : {};
  const { customer_info: info } = order;
  return (orderId === undefined || order["order_id"] === orderId) &&
    (customer === undefined || (isJsonObject(info) && info["customer_id"] === customer)) &&
    (where === undefined || (value !== undefined && where.holds(value)));
}

/** Returns the record's value as JSON; undefined if it is not JSON. */
function valueOf({ order_full: order, raw_message: raw }: JsonObject): unknown {
  return order === undefined ? parseJson(String(raw)) : order;
}

/**
 * Returns whether the text is in the value as written, in one of its strings after unescaping, or in the key,
 * headers, mark, or reason.
 */
function hasText(text: string, { fields, record: { details } }: Hit): boolean {
  const raw = String(fields["raw_message"]);
  const has = (found: unknown) => typeof found === "string" && found.includes(text);
  const hasBytes = (bytes: Uint8Array | null | undefined) =>
    bytes !== null && bytes !== undefined && has(LENIENT_DECODER.decode(bytes));
  return has(raw) || (raw.includes("\\") && someString(valueOf(fields), has)) ||
    hasBytes(details?.key) || has(fields["error"]) || has(fields["mark"]) ||
    details?.headers.some(({ key, value }) => has(key) || hasBytes(value)) === true;
}

function someString(value: unknown, has: (text: string) => boolean): boolean {
  if (typeof value === "string") return has(value);
  if (Array.isArray(value)) return value.some((each) => someString(each, has));
  return isJsonObject(value) &&
    Object.entries(value).some(([name, each]) => has(name) || someString(each, has));
}
