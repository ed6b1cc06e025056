// @ts-nocheck AssemblyScript
// Writes text and numbers as JSON.

import { DIGITS_END, SHUFFLED_LENGTHS, SHUFFLES } from "./memory.ts";

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const BLANK: u8 = 0x20;
const LINE_FEED: u8 = 0x0a;
const CARRIAGE_RETURN: u8 = 0x0d;

/** The contents of the text that was escaped last. */
export let hasLineBreak: bool = false;
export let isAscii: bool = true;

/**
 * For each subset of eight bytes that has to be escaped: the shuffle that inserts the backslashes (index 15), and the
 * number of bytes after it.
 */
export function fillShuffles(): void {
  for (let set: usize = 0; set < 256; set++) {
    const shuffle = SHUFFLES + (set << 4);
    let length: usize = 0;
    for (let index: usize = 0; index < 8; index++) {
      if ((set >> index) & 1) store<u8>(shuffle + length++, 15);
      store<u8>(shuffle + length++, <u8> index);
    }
    store<u8>(SHUFFLED_LENGTHS + set, <u8> length);
    while (length < 16) store<u8>(shuffle + length++, 14);
  }
}

export function put(to: usize, from: usize, length: usize): usize {
  memory.copy(to, from, length);
  return to + length;
}

export function putByte(to: usize, byte: u8): usize {
  store<u8>(to, byte);
  return to + 1;
}

export function putInteger(to: usize, value: i64): usize {
  let at = DIGITS_END;
  let rest = value < 0 ? -(<u64> value) : <u64> value;
  do {
    store<u8>(--at, <u8> (0x30 + (rest % 10)));
    rest /= 10;
  } while (rest != 0);
  if (value < 0) store<u8>(--at, 0x2d);
  return put(to, at, DIGITS_END - at);
}

function shortEscape(byte: u8): u8 {
  if (byte == QUOTE || byte == BACKSLASH) return byte;
  if (byte == 0x08) return 0x62;
  if (byte == 0x09) return 0x74;
  if (byte == LINE_FEED) return 0x6e;
  if (byte == 0x0c) return 0x66;
  if (byte == CARRIAGE_RETURN) return 0x72;
  return 0;
}

function putEscaped(to: usize, byte: u8): usize {
  if (byte == LINE_FEED || byte == CARRIAGE_RETURN) hasLineBreak = true;
  const letter = shortEscape(byte);
  if (letter == 0 && byte >= BLANK) return putByte(to, byte);
  store<u8>(to, BACKSLASH);
  if (letter != 0) return putByte(to + 1, letter);
  store<u32>(to + 1, 0x30303075); // u000
  const digit = byte & 15;
  store<u8>(to + 4, 0x30 + (byte >> 4));
  return putByte(to + 5, digit < 10 ? 0x30 + digit : 0x57 + digit);
}

/** Writes half a vector, with a backslash before each byte of a set; returns its end. */
function putHalf(to: usize, half: v128, set: usize): usize {
  const marked = i8x16.replace_lane(half, 15, BACKSLASH);
  v128.store(to, i8x16.swizzle(marked, v128.load(SHUFFLES + (set << 4))));
  return to + load<u8>(SHUFFLED_LENGTHS + set);
}

/** Writes bytes as the inside of a JSON string; returns its end. Overwrites up to 16 bytes beyond it. */
export function putText(to: usize, from: usize, length: usize): usize {
  const end = from + length;
  let seen = i8x16.splat(0);
  let seenLast: u8 = 0;
  hasLineBreak = false;
  for (; from + 16 <= end; from += 16) {
    const bytes = v128.load(from);
    seen = v128.or(seen, bytes);
    if (v128.any_true(i8x16.lt_u(bytes, i8x16.splat(BLANK)))) {
      for (let index: usize = 0; index < 16; index++) to = putEscaped(to, load<u8>(from + index));
      continue;
    }
    const set = <usize> i8x16.bitmask(
      v128.or(i8x16.eq(bytes, i8x16.splat(QUOTE)), i8x16.eq(bytes, i8x16.splat(BACKSLASH))),
    );
    if (set == 0) {
      v128.store(to, bytes);
      to += 16;
      continue;
    }
    to = putHalf(to, bytes, set & 0xff);
    to = putHalf(to, i64x2.shuffle(bytes, bytes, 1, 1), set >> 8);
  }
  for (; from < end; from++) {
    const byte = load<u8>(from);
    seenLast |= byte;
    to = putEscaped(to, byte);
  }
  isAscii = i8x16.bitmask(seen) == 0 && seenLast < 0x80;
  return to;
}

/** Writes JSON text on one line: in valid JSON, a line break can only be white space between tokens. */
export function putOnOneLine(to: usize, from: usize, length: usize): usize {
  const end = put(to, from, length);
  if (!hasLineBreak) return end;
  for (; to < end; to++) {
    const byte = load<u8>(to);
    if (byte == LINE_FEED || byte == CARRIAGE_RETURN) store<u8>(to, BLANK);
  }
  return end;
}

function isContinuation(byte: u32): bool {
  return (byte & 0xc0) == 0x80;
}

export function isUtf8(at: usize, length: usize): bool {
  const end = at + length;
  while (at < end) {
    if (at + 16 <= end) {
      const set = i8x16.bitmask(v128.load(at));
      if (set == 0) {
        at += 16;
        continue;
      }
      at += ctz(set);
    }
    const first = <u32> load<u8>(at);
    if (first < 0x80) {
      at++;
      continue;
    }
    if (first < 0xc2 || first > 0xf4) return false;
    const byteCount: usize = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (byteCount > end - at) return false;
    const second = <u32> load<u8>(at + 1);
    if (!isContinuation(second)) return false;
    if (byteCount > 2 && !isContinuation(load<u8>(at + 2))) return false;
    if (byteCount > 3 && !isContinuation(load<u8>(at + 3))) return false;
    // Overlong forms, surrogates, and what is beyond the last code point.
    if (first == 0xe0 && second < 0xa0 || first == 0xed && second > 0x9f) return false;
    if (first == 0xf0 && second < 0x90 || first == 0xf4 && second > 0x8f) return false;
    at += byteCount;
  }
  return true;
}
