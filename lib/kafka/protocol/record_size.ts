/**
 * How many bytes a record takes in a batch, with everything that is counted against `max.message.bytes`.
 *
 * @module
 */

import type { OutgoingRecord } from "../../record.ts";

/** A record's length, attributes, both deltas, lengths of key and value, count of headers. */
const RECORD_OVERHEAD_BYTES = 32;
/** Lengths of a header's key and value. */
const HEADER_OVERHEAD_BYTES = 8;
const UTF8_BYTES_PER_CHAR_MAX = 3;

/**
 * Returns the size of a record in a batch that is not compressed, at most: at most 32 bytes more, and 8 for
 * each header, than it takes. Valid for records below 128 MiB.
 */
export function recordBytesMax(
  { key, value, headers }: Pick<OutgoingRecord, "key" | "value" | "headers">,
): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += headerBytesMax(header);
  return bytes;
}

/** Returns the size of a header in a record, at most; a key with non-ASCII text counts up to three times. */
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
