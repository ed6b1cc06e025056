/**
 * Reads the fields that the monitor needs from a journal line's bytes.
 *
 * A JSON.parse of a 3 kB line takes 10 µs and creates a lot of garbage, so the scanner walks the line in the
 * contract's field order, and parses only the order:
 *
 *     {"timestamp":"…","event_type":"message.received…","kafka_topic":"…","kafka_partition":0,"kafka_offset":1,
 *      "raw_message":"…","message_size":2,"deserialized":true,"error":"…","order_full":{…},…}
 *
 * `order_full` holds the order as received, so it can contain the same keys as the line, and a line torn by a crash
 * can have the next one appended to it. So the scanner never searches for keys: it expects each field at its
 * position, and walks the rest up to the last brace. Lines that differ from this are parsed completely, and the
 * parser decides.
 */

import { isJsonObject, parseJson } from "../../json.ts";
import { NO_ORDER, type OrderFacts, orderFacts } from "./order_facts.ts";
import { parseTimestamp, timestampOf } from "./timestamp.ts";

/** A record as described by its journal line. Overwritten by the next scan: copy what you keep. */
export interface EventFacts {
  /** When the tracker received it, in milliseconds since the epoch; NaN if the line's text is not a valid time. */
  readonly timestampMs: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** `processed`, or the kind of failure: `deserialization`, `validation`, or a type unknown to this monitor. */
  readonly kind: string;
  readonly failed: boolean;
  /** The tracker's reason for a failure: not safe to print. */
  readonly error: string | undefined;
  readonly order: OrderFacts;
  /** True if the line has an order, valid or not. */
  readonly hasOrder: boolean;
  readonly valueBytes: number;
  /** The beginning of the key of a record without an order, as text or base64; undefined if it has none. */
  readonly key: string | undefined;
}

const TEXT = {
  timestamp: ascii(`{"timestamp":"`),
  eventType: ascii(`","event_type":"message.received`),
  topic: ascii(`,"kafka_topic":"`),
  partition: ascii(`","kafka_partition":`),
  offset: ascii(`,"kafka_offset":`),
  rawMessage: ascii(`,"raw_message":"`),
  messageSize: ascii(`","message_size":`),
  deserialized: ascii(`,"deserialized":`),
  true: ascii("true"),
  false: ascii("false"),
  error: ascii(`,"error":"`),
  order: ascii(`,"order_full":`),
  base64: ascii(`,"raw_message_base64":"`),
  null: ascii(`,"value_null":true`),
  valueOmitted: ascii(`,"value_omitted":`),
  key: ascii(`,"kafka_key":"`),
  base64Key: ascii(`,"kafka_key_base64":"`),
  deserializationError: ascii(`.deserialization_error"`),
  validationError: ascii(`.validation_error"`),
};

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const ZERO = 0x30;
const NINE = 0x39;
const SPACE = 0x20;

const EVENT_TYPE_PREFIX = "message.received";
const TIMESTAMP_LENGTH_MAX = 40;
const TOPIC_LENGTH_MAX = 249;
/** Digits that fit a safe integer. */
const DIGITS_MAX = 15;
const KEY_LENGTH_MAX = 256;

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const STRICT_DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class EventScanner implements EventFacts {
  /** Valid only for a processed record, not if {@link failed}. */
  order = NO_ORDER;
  timestampMs = NaN;
  topic = "";
  partition = 0;
  offset = 0;
  kind = "processed";
  failed = false;
  error: string | undefined = undefined;
  hasOrder = false;
  valueBytes = 0;
  key: string | undefined = undefined;

  /** Current position, and the end of the line. */
  #at = 0;
  #topicBytes: Uint8Array = new Uint8Array(0);

  /**
   * Reads the line in `bytes[start]` to `bytes[end - 1]`. Returns whether it is a journal line; if not, the facts are
   * invalid.
   *
   * @param whole false for text without a newline. It is parsed completely, since a torn line can end in a brace.
   */
  scan(bytes: Uint8Array, start: number, end: number, whole: boolean): boolean {
    return (whole && this.#walk(bytes, start, end)) || this.#parse(bytes, start, end);
  }

  /** Walks a line in the contract's format; returns false if anything differs. */
  #walk(bytes: Uint8Array, start: number, end: number): boolean {
    this.#at = start;
    this.error = undefined;
    this.hasOrder = false;
    this.key = undefined;
    return this.#expect(bytes, end, TEXT.timestamp) &&
      this.#timestamp(bytes, end) &&
      this.#expect(bytes, end, TEXT.eventType) &&
      this.#eventType(bytes, end) &&
      this.#expect(bytes, end, TEXT.topic) &&
      this.#topic(bytes, end) &&
      this.#expect(bytes, end, TEXT.partition) &&
      (this.partition = this.#integer(bytes, end)) >= 0 &&
      this.#expect(bytes, end, TEXT.offset) &&
      (this.offset = this.#integer(bytes, end)) >= 0 &&
      this.#expect(bytes, end, TEXT.rawMessage) &&
      this.#skipString(bytes, end) &&
      this.#expect(bytes, end, TEXT.messageSize) &&
      (this.valueBytes = this.#integer(bytes, end)) >= 0 &&
      this.#rest(bytes, end);
  }

  #rest(bytes: Uint8Array, end: number): boolean {
    if (!this.#expect(bytes, end, TEXT.deserialized)) return false;
    const deserialized = this.#expect(bytes, end, TEXT.true);
    if (!deserialized && !this.#expect(bytes, end, TEXT.false)) return false;
    if (this.#expect(bytes, end, TEXT.error)) {
      // Type and error disagree: rare enough for a full parse.
      if (!this.failed) return false;
      const errorStart = this.#at;
      if (!this.#skipString(bytes, end)) return false;
      const text = parseJson(DECODER.decode(bytes.subarray(errorStart - 1, this.#at + 1)));
      if (typeof text !== "string") return false;
      this.error = text;
      this.#at++;
    }
    if (this.#expect(bytes, end, TEXT.order)) {
      // The order is usually the message itself. If a brace ends it exactly where the message would end, and a field
      // or the end of the line follows, it need not be walked.
      const next = this.#at + this.valueBytes;
      const isMessage = next < end && bytes[this.#at] === OPEN_BRACE &&
        bytes[next - 1] === CLOSE_BRACE &&
        (bytes[next] === COMMA && bytes[next + 1] === QUOTE || next === end - 1);
      if (isMessage && endsObject(bytes, next, end)) {
        if (!this.failed) {
          this.order = orderFacts(parseJson(DECODER.decode(bytes.subarray(this.#at, next))));
        }
        this.hasOrder = true;
        return true;
      }
      // The order is not the message itself: rare enough for a full parse.
      return false;
    }
    if (!this.failed && deserialized) return false;
    // A tracker without a schema deserializes nothing, which is not a failure.
    if (!this.failed) this.order = NO_ORDER;
    return this.#keyOf(bytes, end) && endsObject(bytes, this.#at, end);
  }

  /** Reads the key, if the line has one at its position. */
  #keyOf(bytes: Uint8Array, end: number): boolean {
    if (this.#expect(bytes, end, TEXT.base64)) {
      if (!this.#skipString(bytes, end)) return false;
      this.#at++;
    } else this.#expect(bytes, end, TEXT.null);
    if (!this.#expect(bytes, end, TEXT.key) && !this.#expect(bytes, end, TEXT.base64Key)) {
      // Rare enough for a full parse.
      return !this.#expect(bytes, end, TEXT.valueOmitted);
    }
    const start = this.#at - 1;
    if (!this.#skipString(bytes, end)) return false;
    this.#at++;
    const key = parseJson(DECODER.decode(bytes.subarray(start, this.#at)));
    if (typeof key !== "string") return false;
    this.key = key.slice(0, KEY_LENGTH_MAX);
    return true;
  }

  #expect(bytes: Uint8Array, end: number, text: Uint8Array): boolean {
    const at = this.#at;
    if (at + text.length > end) return false;
    for (let index = 0; index < text.length; index++) {
      if (bytes[at + index] !== text[index]) return false;
    }
    this.#at = at + text.length;
    return true;
  }

  #timestamp(bytes: Uint8Array, end: number): boolean {
    const start = this.#at;
    const last = Math.min(end, start + TIMESTAMP_LENGTH_MAX);
    let at = start;
    while (at < last && bytes[at] !== QUOTE) at++;
    this.#at = at;
    this.timestampMs = timestampOf(bytes, start, at);
    return !Number.isNaN(this.timestampMs);
  }

  #eventType(bytes: Uint8Array, end: number): boolean {
    if (bytes[this.#at] === QUOTE) {
      this.#at++;
      this.kind = "processed";
      this.failed = false;
      return true;
    }
    this.failed = true;
    if (this.#expect(bytes, end, TEXT.deserializationError)) this.kind = "deserialization";
    else if (this.#expect(bytes, end, TEXT.validationError)) this.kind = "validation";
    else return false;
    return true;
  }

  /** Reads the topic, which is almost always that of the previous line. */
  #topic(bytes: Uint8Array, end: number): boolean {
    const known = this.#topicBytes;
    const knownEnd = this.#at + known.length;
    if (known.length > 0 && bytes[knownEnd] === QUOTE && this.#expect(bytes, end, known)) {
      this.topic = this.#topicName;
      return true;
    }
    const start = this.#at;
    const last = Math.min(end, start + TOPIC_LENGTH_MAX + 1);
    let at = start;
    while (at < last && bytes[at] !== QUOTE && bytes[at] !== BACKSLASH) at++;
    if (bytes[at] !== QUOTE) return false;
    this.#at = at;
    this.#topicBytes = bytes.slice(start, at);
    this.#topicName = DECODER.decode(this.#topicBytes);
    this.topic = this.#topicName;
    return true;
  }
  #topicName = "";

  /** Reads a non-negative integer; returns -1 if there is none. */
  #integer(bytes: Uint8Array, end: number): number {
    const start = this.#at;
    let at = start;
    let value = 0;
    while (at < end) {
      const digit = byteAt(bytes, at);
      if (digit < ZERO || digit > NINE) break;
      value = value * 10 + digit - ZERO;
      at++;
    }
    this.#at = at;
    return at === start || at - start > DIGITS_MAX ? -1 : value;
  }

  /** Moves from after a string's opening quote to its closing one; returns false if the string does not end. */
  #skipString(bytes: Uint8Array, end: number): boolean {
    let at = this.#at;
    while (at < end) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.#at = at;
        return true;
      }
      at += byte === BACKSLASH ? 2 : 1;
    }
    return false;
  }

  /** Parses any JSON with the required fields, whatever its field order, spaces, and Unicode escapes. */
  #parse(bytes: Uint8Array, start: number, end: number): boolean {
    const fields = parseLine(bytes, start, end);
    if (fields === undefined) return false;
    const {
      timestamp,
      event_type: eventType,
      kafka_topic: topic,
      kafka_partition: partition,
      kafka_offset: offset,
      message_size: valueBytes,
      error,
    } = fields;
    if (typeof eventType !== "string" || typeof topic !== "string") return false;
    if (!isCount(partition) || !isCount(offset)) return false;
    if (eventType !== EVENT_TYPE_PREFIX && !eventType.startsWith(`${EVENT_TYPE_PREFIX}.`)) {
      return false;
    }
    this.timestampMs = typeof timestamp === "string" ? parseTimestamp(timestamp) : NaN;
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
    this.failed = eventType !== EVENT_TYPE_PREFIX || typeof error === "string";
    this.kind = this.failed ? kindOf(eventType) : "processed";
    this.error = typeof error === "string" ? error : undefined;
    this.order = orderFacts(fields["order_full"]);
    this.hasOrder = isJsonObject(fields["order_full"]);
    this.valueBytes = isCount(valueBytes) ? valueBytes : 0;
    const key = this.hasOrder ? undefined : fields["kafka_key"] ?? fields["kafka_key_base64"];
    this.key = typeof key === "string" ? key.slice(0, KEY_LENGTH_MAX) : undefined;
    return true;
  }
}

/** Parses a line as a JSON object; undefined if it is not one, or not UTF-8. */
export function parseLine(
  bytes: Uint8Array,
  start: number,
  end: number,
): Readonly<Record<string, unknown>> | undefined {
  // Exceptions for millions of lines would take minutes, so a line without a brace is not parsed.
  let first = start;
  while (first < end && isBlank(byteAt(bytes, first))) first++;
  if (first === end || bytes[first] !== OPEN_BRACE) return undefined;
  let text: string;
  try {
    text = STRICT_DECODER.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
  const value = parseJson(text);
  return isJsonObject(value) ? value : undefined;
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}

/** Returns whether JSON allows the byte between tokens. */
function isBlank(byte: number): boolean {
  return byte === SPACE || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Returns `deserialization` for `message.received.deserialization_error`. */
function kindOf(eventType: string): string {
  const suffix = eventType.slice(EVENT_TYPE_PREFIX.length + 1).replace(/_error$/, "");
  return suffix === "" ? "deserialization" : suffix;
}

/** Returns whether the enclosing object ends with the line and not earlier. Ignores braces in strings. */
function endsObject(bytes: Uint8Array, start: number, end: number): boolean {
  let depth = 1;
  let at = start;
  while (at < end) {
    const byte = byteAt(bytes, at);
    if (byte === QUOTE) {
      at++;
      while (at < end && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
      if (at >= end) return false;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
      if (depth === 0) return at === end - 1;
    } else if (byte < SPACE) {
      return false;
    }
    at++;
  }
  return false;
}
