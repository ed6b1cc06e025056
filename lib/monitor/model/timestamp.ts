/**
 * Parses RFC 3339 times from bytes. Pure.
 */

const ENCODER = new TextEncoder();
const ZERO = 0x30;
const NINE = 0x39;
const SPACE = 0x20;
const DOT = 0x2e;
const COLON = 0x3a;
const DASH = 0x2d;
const PLUS = 0x2b;
/** The calendar repeats after 400 years. Added, because `Date.UTC` takes the years 0 to 99 for those of 1900. */
const CYCLE_YEARS = 400;
const CYCLE_MS = 146_097 * 86_400_000;

/** Parses an RFC 3339 time. Returns milliseconds since the epoch, or NaN if it is invalid. */
export function parseTimestamp(text: string): number {
  const bytes = ENCODER.encode(text);
  return timestampOf(bytes, 0, bytes.length);
}

/**
 * Parses the time in `bytes[start]` to `bytes[end - 1]`, as written by ECMAScript or Go (nanoseconds, an offset),
 * without creating a string or a Date. Returns milliseconds since the epoch, or NaN if it is invalid.
 */
export function timestampOf(bytes: Uint8Array, start: number, end: number): number {
  // yyyy-mm-ddThh:mm:ss, then .fraction, then Z or an offset.
  if (end - start < 20) return NaN;
  const year = digits(bytes, start, 4);
  const month = digits(bytes, start + 5, 2);
  const day = digits(bytes, start + 8, 2);
  const hour = digits(bytes, start + 11, 2);
  const minute = digits(bytes, start + 14, 2);
  const second = digits(bytes, start + 17, 2);
  const separator = byteAt(bytes, start + 10);
  const shaped = bytes[start + 4] === DASH && bytes[start + 7] === DASH &&
    (separator === 0x54 || separator === 0x74 || separator === SPACE) &&
    bytes[start + 13] === COLON && bytes[start + 16] === COLON;
  const ranged = month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour <= 23 && minute <= 59 &&
    second <= 60;
  if (!shaped || !ranged) return NaN;

  let at = start + 19;
  let fractionMs = 0;
  if (bytes[at] === DOT) {
    let weightMs = 100;
    at++;
    const fractionStart = at;
    while (at < end && byteAt(bytes, at) >= ZERO && byteAt(bytes, at) <= NINE) {
      fractionMs += (byteAt(bytes, at) - ZERO) * weightMs;
      weightMs /= 10;
      at++;
    }
    if (at === fractionStart) return NaN;
  }
  const wholeMs = Math.floor(fractionMs + 1e-9);
  return Date.UTC(year + CYCLE_YEARS, month - 1, day, hour, minute, second, wholeMs) - CYCLE_MS -
    zoneOffsetMs(bytes, at, end);
}

function zoneOffsetMs(bytes: Uint8Array, at: number, end: number): number {
  const sign = byteAt(bytes, at);
  if (sign === 0x5a || sign === 0x7a) return at === end - 1 ? 0 : NaN;
  if ((sign !== PLUS && sign !== DASH) || end - at !== 6 || bytes[at + 3] !== COLON) return NaN;
  const minutes = digits(bytes, at + 1, 2) * 60 + digits(bytes, at + 4, 2);
  return (sign === PLUS ? minutes : -minutes) * 60_000;
}

/** Returns NaN if one of them is not a digit. */
function digits(bytes: Uint8Array, start: number, count: number): number {
  let value = 0;
  for (let at = start; at < start + count; at++) {
    const byte = byteAt(bytes, at);
    if (byte < ZERO || byte > NINE) return NaN;
    value = value * 10 + byte - ZERO;
  }
  return value;
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
