/**
 * Estimates the size of a record in a batch, as counted against `max.message.bytes`.
 */

import type { OutgoingRecord } from "../../record.ts";

/** Length, attributes, both deltas, lengths of key and value, and header count. */
const RECORD_OVERHEAD_BYTES = 32;
/** Lengths of key and value. */
const HEADER_OVERHEAD_BYTES = 8;
const UTF8_BYTES_PER_CHAR_MAX = 3;

/**
 * Returns an upper bound for the size of a record in an uncompressed batch. It exceeds the size by at most 32 bytes,
 * plus 8 for each header. Valid for records below 128 MiB.
 */
export function recordBytesMax(
  { key, value, headers }: Pick<OutgoingRecord, "key" | "value" | "headers">,
): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += headerBytesMax(header);
  return bytes;
}

/** Returns an upper bound for the size of a header in a record; a non-ASCII key counts three bytes per character. */
export function headerBytesMax(
  { key, value }: { readonly key: string; readonly value: Uint8Array | null },
): number {
  return HEADER_OVERHEAD_BYTES + keyBytesMax(key) + (value?.length ?? 0);
}

function keyBytesMax(key: string): number {
  return isAscii(key) ? key.length : UTF8_BYTES_PER_CHAR_MAX * key.length;
}

function isAscii(text: string): boolean {
  // deno-lint-ignore no-control-regex -- every code point below 128 is one byte
  return /^[\x00-\x7f]*$/.test(text);
}
