/**
 * Judges a journal line by itself, before it is compared with the topic.
 *
 *     line -> fields -> record, verdict, and context -> eventLine() -> the same line again?
 *
 * A line that has a topic id says all that the tracker knew of a record, and the tracker writes it in one way only. So
 * a line is right by itself where the writer makes the same line of the record that was read from it. One comparison
 * finds a field whose name was changed, a field that comes twice, a size that is not the value's, and an `order_full`
 * that is not the value. White space, escapes, and the notation of numbers may differ.
 *
 * Not judged, because only the tracker could know it: the time of receipt, the text of `error` and of `mark`, and whether
 * the rules for orders were applied rightly. Lines without a topic id (the Go tracker's, and of clusters that have no
 * topic ids) are only searched for unknown fields: other programs wrote them in other ways.
 */

import { Buffer, isUtf8 } from "node:buffer";
import { isJsonObject, type JsonObject, parseJson } from "../json.ts";
import { isInteroperable } from "../order/interoperable_json.ts";
import { isSurelyOrder } from "../order/scan.ts";
import {
  eventLine,
  type EventType,
  type JournaledRecord,
  parseEvent,
  recordOf,
  type Verdict,
} from "../journal/line.ts";

/**
 * - `whole`: has every field that the tracker writes
 * - `undetailed`: right as far as it can be judged; has no topic id, or an `order_full` on which JSON readers may differ,
 *   which earlier versions wrote
 * - `wrong`: no tracker writes such a line
 */
export type LineForm = "whole" | "undetailed" | "wrong";

export interface CheckedLine {
  readonly record: JournaledRecord;
  readonly form: LineForm;
  readonly mark?: string;
}

const FIELD_NAMES: ReadonlySet<string> = new Set([
  "timestamp",
  "event_type",
  "kafka_topic",
  "kafka_partition",
  "kafka_offset",
  "raw_message",
  "message_size",
  "deserialized",
  "error",
  "order_full",
  "raw_message_base64",
  "value_null",
  "value_omitted",
  "kafka_key",
  "kafka_key_base64",
  "kafka_key_omitted",
  "kafka_headers",
  "kafka_timestamp",
  "kafka_topic_id",
  "kafka_leader_epoch",
  "mark",
]);
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();
const VALUE_START = ',"raw_message":"';
const VALUE_END = '","message_size":';
const COPY_START = ',"order_full":';

export class LineChecker {
  /** Many lines share a moment of receipt. */
  #receivedAt = new Date(0);
  #receivedAtText = "";

  /**
   * Returns the record of a line, and what the line is worth.
   *
   * @param line without the newline.
   * @throws {SyntaxError | TypeError} where it is not a journal line.
   */
  check(line: Uint8Array): CheckedLine {
    const text = DECODER.decode(line);
    const order = this.#checkOrder(text);
    if (order !== undefined) return order;
    const parsed = parsedLine(text);
    const form = parsed.record.topicId === undefined
      ? hasUnknownField(parsed.fields) ? "wrong" : "undetailed"
      : this.#formOf(parsed, line);
    return checkedLine(parsed, form);
  }

  /**
   * Judges the line of a good order, in a third of the time: the value and its copy, which are nearly all of the line, are
   * cut out, so that the rest is the line of an empty value. Undefined where the line may be another one, or wrong.
   *
   *     {"timestamp":..,"raw_message":"{\"order_id\":..}","message_size":1327,..,"order_full":{"order_id":..},..}
   *     {"timestamp":..,"raw_message":"","message_size":0,..}
   */
  #checkOrder(text: string): CheckedLine | undefined {
    // Within a string a quote has a backslash before it, so these are fields of the line itself.
    const start = text.indexOf(VALUE_START) + VALUE_START.length;
    const end = text.indexOf(VALUE_END, start);
    const copyField = text.indexOf(COPY_START, end);
    if (start < VALUE_START.length || end === -1 || copyField === -1) return undefined;
    const copyStart = copyField + COPY_START.length;
    try {
      const value = String(JSON.parse(text.slice(start - 1, end + 1)));
      const bytes = ENCODER.encode(value);
      // Slices are compared in a fraction of the time that startsWith() takes.
      const isCopy = text.slice(copyStart, copyStart + value.length) === value;
      if (!isCopy || !isSurelyOrder(bytes)) return undefined;
      const size = `${VALUE_END}${bytes.length},`;
      if (!text.startsWith(size, end)) return undefined;
      const rest = text.slice(0, start) + `${VALUE_END}0,` +
        text.slice(end + size.length, copyField) + text.slice(copyStart + value.length);
      const parsed = parsedLine(rest);
      const { record } = parsed;
      const isOrder = record.value?.length === 0 &&
        this.#asWritten(parsed, ENCODER.encode(rest))?.deserialized === true;
      if (!isOrder) return undefined;
      return checkedLine({ ...parsed, record: { ...record, value: bytes } }, "whole");
    } catch {
      return undefined;
    }
  }

  #formOf(parsed: ParsedLine, line: Uint8Array): LineForm {
    const verdict = this.#asWritten(parsed, line);
    if (verdict === undefined) return "wrong";
    if (!verdict.deserialized) return "whole";
    const isReadable = isReadableOrder(parsed.record.value);
    if (isReadable === undefined) return "wrong";
    if (verdict.leavesOrderOut === true) return isReadable ? "wrong" : "whole";
    return isReadable ? "whole" : "undetailed";
  }

  /** Returns the tracker's verdict in a line that it writes of such a record; undefined where it writes another one. */
  #asWritten({ text, fields, record }: ParsedLine, line: Uint8Array): Verdict | undefined {
    const verdict = verdictOf(fields, record);
    const rewritten = verdict && this.#rewritten(record, { verdict, fields });
    if (rewritten === undefined) return undefined;
    const isSame = Buffer.compare(line, rewritten) === 0 ||
      normalForm(text) === normalForm(DECODER.decode(rewritten));
    return isSame ? verdict : undefined;
  }

  /** The line that the tracker writes of such a record, without the newline; undefined where it writes none. */
  #rewritten(
    { details, topicId, ...record }: JournaledRecord,
    { verdict, fields }: {
      readonly verdict: Verdict;
      readonly fields: JsonObject;
    },
  ): Uint8Array | undefined {
    const { timestamp, mark } = fields;
    const isWritten = details !== undefined && topicId !== undefined &&
      typeof timestamp === "string" && (mark === undefined || typeof mark === "string");
    if (!isWritten) return undefined;
    if (timestamp !== this.#receivedAtText) {
      this.#receivedAt = new Date(timestamp);
      this.#receivedAtText = timestamp;
    }
    const receivedAt = this.#receivedAt;
    if (Number.isNaN(receivedAt.getTime())) return undefined;
    const line = eventLine({ ...record, ...details }, verdict, {
      receivedAt,
      topicId,
      ...(mark !== undefined && { mark }),
    });
    return ENCODER.encode(line.slice(0, -1));
  }
}

interface ParsedLine {
  readonly text: string;
  readonly fields: JsonObject;
  readonly record: JournaledRecord;
}

function parsedLine(text: string): ParsedLine {
  const fields = parseEvent(text);
  return { text, fields, record: recordOf(fields) };
}

function checkedLine({ record, fields: { mark } }: ParsedLine, form: LineForm): CheckedLine {
  return { record, form, ...(typeof mark === "string" && { mark }) };
}

function hasUnknownField(fields: JsonObject): boolean {
  return Object.keys(fields).some((name) => !FIELD_NAMES.has(name));
}

const DESERIALIZED: Readonly<Record<EventType, readonly boolean[]>> = {
  "message.received": [true, false], // not deserialized where the topic is read without a schema
  "message.received.validation_error": [true],
  "message.received.deserialization_error": [false],
};

/** Undefined where the fields contradict one another. */
function verdictOf(fields: JsonObject, { value }: JournaledRecord): Verdict | undefined {
  const { event_type: eventType, deserialized, error } = fields;
  if (typeof eventType !== "string" || !isEventType(eventType)) return undefined;
  if (typeof deserialized !== "boolean") return undefined;
  if (!DESERIALIZED[eventType].includes(deserialized)) return undefined;
  if (eventType === "message.received" ? error !== undefined : typeof error !== "string") {
    return undefined;
  }
  return {
    eventType,
    deserialized,
    isText: value === null || isUtf8(value),
    leavesOrderOut: fields["order_full"] === undefined,
    ...(typeof error === "string" && { error }),
  };
}

function isEventType(text: string): text is EventType {
  return Object.hasOwn(DESERIALIZED, text);
}

/** Returns whether the tracker copies a value into `order_full`; undefined where the value is no JSON object. */
function isReadableOrder(value: Uint8Array | null): boolean | undefined {
  if (value === null || !isUtf8(value)) return undefined;
  if (isSurelyOrder(value)) return true;
  const text = DECODER.decode(value);
  return isJsonObject(parseJson(text)) ? isInteroperable(text) : undefined;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[ \t\r\n]+|-?\d[\d.eE+-]*/g;

/** JSON text without white space, in which equal strings and equal numbers are written alike. */
function normalForm(json: string): string {
  return json.replace(TOKEN, (token) => {
    if (token.startsWith('"')) return JSON.stringify(String(JSON.parse(token)).toWellFormed());
    return token.trim() === "" ? "" : normalNumber(token);
  });
}

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** A number as its significant digits and a power of ten: exact, whatever its size. */
function normalNumber(text: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = NUMBER.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  if (significant === "") return "0";
  const power = BigInt(exponent) - BigInt(fraction.length) +
    BigInt(digits.length - significant.length);
  return `${sign}${significant}e${power}`;
}
