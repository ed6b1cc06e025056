/**
 * The patterns of an order's texts, told by their bytes: each says yes only where the pattern in
 * `order.ts` matches too, and may say no to what is rare (a name of a single character beyond ASCII).
 *
 * @module
 */

import { isHexDigit } from "./json_scan.ts";

const UUID_LENGTH = 36;
const DASH = 0x2d;
const POINT = 0x2e;
const AT_SIGN = 0x40;
const DIGIT_0 = 0x30;
const DIGIT_1 = 0x31;
const DIGIT_9 = 0x39;

/** A character that is no white space: one of ASCII. */
export function isSurelyNotBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte > 0x20 && byte < 0x7f) return true;
  }
  return false;
}

/** Hexadecimal digits in groups of 8, 4, 4, 4 and 12. */
export function isSurelyUuid(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== UUID_LENGTH) return false;
  for (let index = 0; index < UUID_LENGTH; index++) {
    const byte = bytes[start + index] ?? 0;
    const isDash = index === 8 || index === 13 || index === 18 || index === 23;
    if (isDash ? byte !== DASH : !isHexDigit(byte)) return false;
  }
  return true;
}

/** `1`, or `1.` and digits. */
export function isSurelyVersion(bytes: Uint8Array, start: number, end: number): boolean {
  if (bytes[start] !== DIGIT_1 || end - start === 2) return false;
  if (end - start > 1 && bytes[start + 1] !== POINT) return false;
  for (let at = start + 2; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < DIGIT_0 || byte > DIGIT_9) return false;
  }
  return end > start;
}

/** Nothing, or letters, digits, `-`, `.`, `_` and `+` on both sides of one `@`, the host without empty labels. */
export function isSurelyEmail(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  let hostAt = 0;
  let labelAt = start;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === AT_SIGN) {
      if (hostAt !== 0 || at === start) return false;
      hostAt = at + 1;
      labelAt = hostAt;
    } else if (byte === POINT) {
      if (hostAt !== 0 && at === labelAt) return false;
      labelAt = at + 1;
    } else if (!isAddressByte(byte)) {
      return false;
    }
  }
  return hostAt !== 0 && labelAt < end;
}

function isAddressByte(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a || byte >= 0x41 && byte <= 0x5a ||
    byte >= DIGIT_0 && byte <= DIGIT_9 || byte === DASH || byte === 0x5f || byte === 0x2b;
}
