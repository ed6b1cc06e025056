// @ts-nocheck AssemblyScript
// Writes journal lines. lib/journal/line.ts defines a line, and provides all text around its values.

import {
  INPUT,
  OUTPUT,
  OUTPUT_BYTES,
  OUTPUT_BYTES_A_CALL,
  ROW_BYTES,
  ROWS,
  ROWS_MAX,
  TEXTS,
} from "./memory.ts";
import {
  fieldAt,
  headerBytes,
  headerCount,
  headerField,
  keyAt,
  keyLength,
  offsetDelta,
  readRecord,
  rewindHeaders,
  timestampDelta,
  valueAt,
  valueLength,
} from "./records.ts";
import { followsPlan } from "./scan.ts";
import { isAscii, isUtf8, put, putByte, putInteger, putOnOneLine, putText } from "./text.ts";

const QUOTE: u8 = 0x22;

/** The indexes of the texts, in the order of lib/journal/line.ts. */
const HEAD: usize = 0;
const RAW_MESSAGE: usize = 1;
const MESSAGE_SIZE: usize = 2;
const DESERIALIZED: usize = 3;
const VALUE_NULL: usize = 4;
const KEY: usize = 5;
const HEADERS: usize = 6;
const NEXT_HEADER: usize = 7;
const HEADER_VALUE: usize = 8;
const HEADER_NULL: usize = 9;
const HEADER_END: usize = 10;
const HEADERS_END: usize = 11;
const TIMESTAMP: usize = 12;
const TAIL: usize = 13;
const TEXT_COUNT: usize = 14;

const HEADERS_MAX: i32 = 256;
const BYTES_ESCAPED_MAX: usize = 6;
/** Room for numbers, quotes, and the overrun of a SIMD store. */
const BYTES_BESIDE: usize = 256;
/** Common JSON readers round larger numbers. */
const EXACT_MAX: i64 = (1 << 53) - 1;

const DONE: i32 = 0;
/** The host has to validate and write the record at `position`. */
const STOPPED: i32 = 1;
/** The call has written as many lines as one call writes. */
const FULL: i32 = 2;
const BROKEN: i32 = 3;

/** The position of the next record, in bytes from the input's start, and the number of records left. */
export let position: usize = 0;
export let recordsLeft: i32 = 0;
/** The position of the record after the one at `position`, if the host has to write that one. */
export let resumeAt: usize = 0;
/** The lines and rows that the last call wrote. */
export let outputLength: usize = 0;
export let rowCount: i32 = 0;

function textLength(index: usize): usize {
  return load<u32>(TEXTS + (index << 3), 4);
}

function putPart(to: usize, index: usize): usize {
  return put(to, TEXTS + load<u32>(TEXTS + (index << 3)), textLength(index));
}

/** Writes text and returns its end; 0 if it is not UTF-8. */
function putUtf8(to: usize, from: usize, length: usize): usize {
  const end = putText(to, from, length);
  return isAscii || isUtf8(from, length) ? end : 0;
}

/** Writes the record's headers and returns their end; 0 if the host has to write them. */
function putHeaders(to: usize): usize {
  rewindHeaders();
  for (let index = 0; index < headerCount; index++) {
    to = putPart(to, index == 0 ? HEADERS : NEXT_HEADER);
    const nameLength = headerField();
    to = putUtf8(to, fieldAt, nameLength);
    if (to == 0) return 0;
    const length = headerField();
    if (length < 0) {
      to = putPart(to, HEADER_NULL);
      continue;
    }
    to = putUtf8(putPart(to, HEADER_VALUE), fieldAt, length);
    if (to == 0) return 0;
    to = putPart(to, HEADER_END);
  }
  return putPart(to, HEADERS_END);
}

function totalTextLength(): usize {
  let length: usize = 0;
  for (let index: usize = 0; index < TEXT_COUNT; index++) length += textLength(index);
  return length;
}

/** Returns the largest possible size of the record's line; more than the output has if the host has to write it. */
function roomFor(textBytes: usize): usize {
  if (headerCount > HEADERS_MAX) return OUTPUT_BYTES + 1;
  const value = <usize> max(valueLength, 0);
  const escaped = value + <usize> max(keyLength, 0) + headerBytes;
  return escaped * BYTES_ESCAPED_MAX + value + textBytes * (<usize> headerCount + 1) + BYTES_BESIDE;
}

/** Writes the line of the record that was read last and returns its end; 0 if the host has to write it. */
function putLine(to: usize, offset: f64, timestamp: i64, isOrder: bool): usize {
  if (isOrder && (valueLength < 0 || !followsPlan(valueAt, valueLength))) return 0;
  to = putPart(to, HEAD);
  to = putInteger(to, <i64> offset);
  to = putPart(to, RAW_MESSAGE);
  to = putUtf8(to, valueAt, max(valueLength, 0));
  if (to == 0) return 0;
  to = putPart(to, MESSAGE_SIZE);
  to = putInteger(to, max(valueLength, 0));
  to = putPart(to, DESERIALIZED);
  if (isOrder) to = putOnOneLine(to, valueAt, valueLength);
  if (valueLength < 0) to = putPart(to, VALUE_NULL);
  if (keyLength >= 0) {
    to = putUtf8(putPart(to, KEY), keyAt, keyLength);
    if (to == 0) return 0;
    to = putByte(to, QUOTE);
  }
  if (headerCount > 0) {
    to = putHeaders(to);
    if (to == 0) return 0;
  }
  to = putPart(to, TIMESTAMP);
  const isExact = timestamp <= EXACT_MAX && timestamp >= -EXACT_MAX;
  if (!isExact) to = putByte(to, QUOTE);
  to = putInteger(to, timestamp);
  if (!isExact) to = putByte(to, QUOTE);
  return putPart(to, TAIL);
}

/**
 * Writes the lines of the records from a position on, as many as one call writes. Skips offsets before `start`.
 *
 * @param timestamp the batch's; each record's is relative to it, unless the broker's own replaces them.
 * @param isOrder true if values must follow the plan, and appear in the line a second time.
 */
export function writeLines(
  length: usize,
  from: usize,
  left: i32,
  baseOffset: f64,
  timestamp: i64,
  isAppendTime: bool,
  start: f64,
  isOrder: bool,
): i32 {
  let at = INPUT + from;
  let to = OUTPUT;
  let row = ROWS;
  const textBytes = totalTextLength();
  let outcome = DONE;
  position = from;
  rowCount = 0;
  for (; left > 0; left--) {
    if (to > OUTPUT + OUTPUT_BYTES_A_CALL || rowCount == ROWS_MAX) {
      outcome = FULL;
      break;
    }
    const next = readRecord(at, INPUT + length);
    if (next == 0) {
      outcome = BROKEN;
      break;
    }
    const offset = baseOffset + <f64> offsetDelta;
    if (offset >= start) {
      const time = isAppendTime ? timestamp : timestamp + timestampDelta;
      const room = roomFor(textBytes);
      const isTooLarge = room > OUTPUT_BYTES;
      if (!isTooLarge && room > OUTPUT + OUTPUT_BYTES - to) {
        outcome = FULL;
        break;
      }
      const lineEnd: usize = isTooLarge ? 0 : putLine(to, offset, time, isOrder);
      if (lineEnd == 0) {
        resumeAt = next - INPUT;
        outcome = STOPPED;
        break;
      }
      to = lineEnd;
      store<f64>(row, <f64> time);
      store<u32>(row, <u32> (to - OUTPUT), 8);
      row += ROW_BYTES;
      rowCount++;
    }
    at = next;
  }
  position = at - INPUT;
  recordsLeft = left;
  outputLength = to - OUTPUT;
  return outcome;
}
