// @ts-nocheck AssemblyScript
// Checks whether JSON text certainly follows a schema, by the plan that ../plan.ts compiles from it.
//
// All numbers of a plan are u32 unless stated otherwise. Addresses are relative to the plan's start.
//
//     object   0 · count · required (a bit a property) · slots · bytes of slots · program · its length
//              · per property: name · its length · node · slot
//     array    1 · item's node · least length · whether null may take its place
//     text     2 · form
//     number   3 · whether integer · least f64 · exclusive least f64 · greatest f64
//     boolean  4
//     program  operation · operand, each; on a stack of numbers
//
// A slot stores a property's number, or a sum. It is zero at the object's beginning; the program runs at its end.

import { PLAN, STACK } from "./memory.ts";

const OBJECT: u32 = 0;
const ARRAY: u32 = 1;
const TEXT: u32 = 2;
const NUMBER: u32 = 3;

const PUSH: u32 = 0;
const ADD: u32 = 1;
const MULTIPLY: u32 = 2;
/** Fails if two numbers differ by more than the operand. */
const COMPARE: u32 = 3;

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;

/** An integer of this many digits is exact; divided by a power of ten, it gives the double nearest to the decimal. */
const DIGITS_MAX: usize = 15;
const POWERS = memory.data<f64>([
  1,
  1e1,
  1e2,
  1e3,
  1e4,
  1e5,
  1e6,
  1e7,
  1e8,
  1e9,
  1e10,
  1e11,
  1e12,
  1e13,
  1e14,
  1e15,
]);
/** `true`, `fals`, `null` */
const TRUE: u32 = 0x65757274;
const FALS: u32 = 0x736c6166;
const NULL: u32 = 0x6c6c756e;

let at: usize = 0;
let end: usize = 0;
let number: f64 = 0;

/** @param from the address of UTF-8; reads beyond its end, and ignores what it finds there. */
export function followsPlan(from: usize, length: usize): bool {
  at = from;
  end = from + length;
  if (!isValue(PLAN + load<u32>(PLAN))) return false;
  skipBlanks();
  return at == end;
}

function skipBlanks(): void {
  while (at < end) {
    const byte = load<u8>(at);
    if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) return;
    at++;
  }
}

function isByte(expected: u8): bool {
  if (at < end && load<u8>(at) == expected) {
    at++;
    return true;
  }
  skipBlanks();
  if (at >= end || load<u8>(at) != expected) return false;
  at++;
  return true;
}

function isWord(word: u32): bool {
  if (end - at < 4 || load<u32>(at) != word) return false;
  at += 4;
  return true;
}

function isBoolean(): bool {
  skipBlanks();
  if (isWord(TRUE)) return true;
  if (!isWord(FALS) || at == end || load<u8>(at) != 0x65) return false;
  at++;
  return true;
}

function isValue(node: usize): bool {
  const kind = load<u32>(node);
  if (kind == TEXT) return isText(load<u32>(node, 4));
  if (kind == NUMBER) return isNumber(node);
  if (kind == OBJECT) return isObject(node);
  if (kind == ARRAY) return isArray(node);
  return isBoolean();
}

/** Returns whether a name and its closing quote come next; 8 bytes behind a plan's names can be read. */
function isName(property: usize): bool {
  const name = PLAN + load<u32>(property);
  const length = <usize> load<u32>(property, 4);
  if (<usize> length > end - at) return false;
  let index: usize = 0;
  for (; index + 8 <= length; index += 8) {
    if (load<u64>(at + index) != load<u64>(name + index)) return false;
  }
  const bitsLeft = <u64> (length - index) << 3;
  if (bitsLeft != 0 && (load<u64>(at + index) ^ load<u64>(name + index)) << (64 - bitsLeft)) {
    return false;
  }
  at += length;
  return true;
}

function isObject(node: usize): bool {
  if (!isByte(0x7b)) return false;
  const count = load<u32>(node, 4);
  const required = load<u32>(node, 8);
  const properties = node + 28;
  memory.fill(PLAN + load<u32>(node, 12), 0, load<u32>(node, 16));
  let seen: u32 = 0;
  let expected: u32 = 0;
  do {
    if (!isByte(QUOTE)) return false;
    // Properties mostly come in the schema's order, so the one after the last is compared first.
    let index = expected;
    if (index >= count || !isName(properties + (index << 4))) {
      for (index = 0; index < count; index++) if (isName(properties + (index << 4))) break;
      if (index == count) return false;
    }
    if ((seen >> index) & 1) return false;
    seen |= 1 << index;
    expected = index + 1;
    const property = properties + (index << 4);
    if (!isByte(0x3a) || !isValue(PLAN + load<u32>(property, 8))) return false;
    const slot = load<u32>(property, 12);
    if (slot != 0) store<f64>(PLAN + slot, number);
  } while (isByte(0x2c));
  if ((seen & required) != required || !isByte(0x7d)) return false;
  return holds(PLAN + load<u32>(node, 20), load<u32>(node, 24));
}

/** Runs the rules that bind several properties of an object. */
function holds(program: usize, length: usize): bool {
  let top = STACK;
  for (const programEnd = program + length; program < programEnd; program += 8) {
    const operation = load<u32>(program);
    const operand = PLAN + load<u32>(program, 4);
    if (operation == PUSH) {
      top += 8;
      store<f64>(top, load<f64>(operand));
    } else if (operation == ADD || operation == MULTIPLY) {
      top -= 8;
      const left = load<f64>(top);
      const right = load<f64>(top, 8);
      store<f64>(top, operation == ADD ? left + right : left * right);
    } else if (operation == COMPARE) {
      top -= 16;
      const difference = abs<f64>(load<f64>(top, 8) - load<f64>(top, 16));
      if (!(difference <= load<f64>(operand))) return false;
    } else { // adds to a sum
      store<f64>(operand, load<f64>(operand) + load<f64>(top));
      top -= 8;
    }
  }
  return true;
}

function isArray(node: usize): bool {
  const item = PLAN + load<u32>(node, 4);
  const lengthMin = load<u32>(node, 8);
  if (!isByte(0x5b)) return load<u32>(node, 12) != 0 && isWord(NULL);
  if (isByte(0x5d)) return lengthMin == 0;
  let length: u32 = 0;
  do {
    if (!isValue(item)) return false;
    length++;
  } while (isByte(0x2c));
  return length >= lengthMin && isByte(0x5d);
}

function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39;
}

function isHexDigit(byte: u8): bool {
  const lower = byte | 0x20;
  return isDigit(byte) || lower >= 0x61 && lower <= 0x66;
}

/** Returns the end of the text that begins here, its closing quote excluded; 0 if it may not be valid. */
function endOfText(takesEscapes: bool): usize {
  let to = at;
  while (to < end) {
    const bytes = v128.load(to);
    const set = i8x16.bitmask(
      v128.or(
        v128.or(i8x16.eq(bytes, i8x16.splat(QUOTE)), i8x16.eq(bytes, i8x16.splat(BACKSLASH))),
        i8x16.lt_u(bytes, i8x16.splat(0x20)),
      ),
    );
    if (set == 0) {
      to += 16;
      continue;
    }
    to += ctz(set);
    if (to >= end) return 0;
    const byte = load<u8>(to);
    if (byte == QUOTE) return to;
    if (byte != BACKSLASH || !takesEscapes) return 0;
    to = endOfEscape(to);
    if (to == 0) return 0;
  }
  return 0;
}

/** Returns the end of an escape sequence; 0 if it is invalid, or of a surrogate, which may be unpaired. */
function endOfEscape(from: usize): usize {
  if (end - from < 6) return 0;
  const letter = load<u8>(from, 1);
  if (
    letter == QUOTE || letter == BACKSLASH || letter == 0x2f || letter == 0x62 || letter == 0x66 ||
    letter == 0x6e || letter == 0x72 || letter == 0x74
  ) return from + 2;
  if (letter != 0x75) return 0;
  for (let index: usize = 2; index < 6; index++) if (!isHexDigit(load<u8>(from + index))) return 0;
  return (load<u8>(from, 2) | 0x20) == 0x64 && load<u8>(from, 3) >= 0x38 ? 0 : from + 6;
}

function isText(form: u32): bool {
  if (!isByte(QUOTE)) return false;
  const start = at;
  const to = endOfText(form == 0);
  if (to == 0) return false;
  at = to + 1;
  if (form == 0) return true;
  if (form == 1) return isNotBlank(start, to);
  if (form == 2) return isUuid(start, to);
  if (form == 3) return isVersion(start, to);
  return isEmail(start, to);
}

/** Requires a character of ASCII that is not white space. */
function isNotBlank(from: usize, to: usize): bool {
  for (; from < to; from++) {
    const byte = load<u8>(from);
    if (byte > 0x20 && byte < 0x7f) return true;
  }
  return false;
}

/** Hexadecimal digits in groups of 8, 4, 4, 4, and 12. */
function isUuid(from: usize, to: usize): bool {
  if (to - from != 36) return false;
  for (let index: usize = 0; index < 36; index++) {
    const byte = load<u8>(from + index);
    const isDash = index == 8 || index == 13 || index == 18 || index == 23;
    if (isDash ? byte != 0x2d : !isHexDigit(byte)) return false;
  }
  return true;
}

/** `1`, or `1.` and digits. */
function isVersion(from: usize, to: usize): bool {
  const length = to - from;
  if (length == 0 || length == 2 || load<u8>(from) != 0x31) return false;
  if (length > 1 && load<u8>(from, 1) != 0x2e) return false;
  for (from += 2; from < to; from++) if (!isDigit(load<u8>(from))) return false;
  return true;
}

/** Nothing, or letters, digits, `-`, `.`, `_`, and `+` on both sides of one `@`, the host without empty labels. */
function isEmail(from: usize, to: usize): bool {
  if (from == to) return true;
  let host: usize = 0;
  let label = from;
  for (let index = from; index < to; index++) {
    const byte = load<u8>(index);
    const lower = byte | 0x20;
    if (byte == 0x40) {
      if (host != 0 || index == from) return false;
      host = index + 1;
      label = host;
    } else if (byte == 0x2e) {
      if (host != 0 && index == label) return false;
      label = index + 1;
    } else if (
      !(lower >= 0x61 && lower <= 0x7a || isDigit(byte) || byte == 0x2d || byte == 0x5f ||
        byte == 0x2b)
    ) return false;
  }
  return host != 0 && label < to;
}

/** Refuses no exponent itself: the caller does, because an exponent may not follow a value. */
function isNumber(node: usize): bool {
  const isNegative = isByte(0x2d);
  const start = at;
  const limit = min(end, at + DIGITS_MAX + 2);
  let point: usize = 0;
  let digits: u64 = 0;
  for (; at < limit; at++) {
    const byte = load<u8>(at);
    if (isDigit(byte)) digits = digits * 10 + (byte - 0x30);
    else if (byte == 0x2e && point == 0 && at > start) point = at;
    else break;
  }
  const whole = (point == 0 ? at : point) - start;
  const fraction: usize = point == 0 ? 0 : at - point - 1;
  if (whole == 0 || whole > 1 && load<u8>(start) == 0x30) return false;
  if (point != 0 && fraction == 0 || whole + fraction > DIGITS_MAX) return false;
  number = <f64> digits / load<f64>(POWERS + (fraction << 3));
  if (isNegative) number = -number;
  if (!(number >= load<f64>(node, 8) && number > load<f64>(node, 16))) return false;
  return number <= load<f64>(node, 24) && (load<u32>(node, 4) == 0 || floor<f64>(number) == number);
}
