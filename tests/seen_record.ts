/**
 * A record as a test sees it in a topic or a journal, in a form that can be compared as a whole: key, value, headers
 * in order, and timestamp. It uses none of the product's code.
 */

import { createHash } from "node:crypto";

export interface SeenRecord {
  readonly partition: number;
  readonly offset: number;
  /** SHA-256 of the value's bytes, or `null` for a tombstone. */
  readonly valueHash: string | null;
  /** In base64; `null` if there is no key. */
  readonly key: string | null;
  /**
   * JSON of a list of `[key, value]` with values in base64 or null; a string, so that comparing thousands is cheap.
   */
  readonly headers: string;
  /** In milliseconds, as a string: a number would be rounded beyond 2^53. */
  readonly timestampMs: string;
}

export type JournalLine = Readonly<Record<string, unknown>> & {
  readonly kafka_partition: number;
  readonly kafka_offset: number;
};

export interface RecordContents {
  readonly partition: number;
  readonly offset: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly (readonly [key: string, value: Uint8Array | null])[];
  readonly timestampMs: string;
}

/** Returns the record in the form in which records are compared. */
export function seenRecord(
  { partition, offset, key, value, headers, timestampMs }: RecordContents,
): SeenRecord {
  return {
    partition,
    offset,
    valueHash: value && createHash("sha256").update(value).digest("hex"),
    key: base64(key),
    headers: JSON.stringify(headers.map(([name, bytes]) => [name, base64(bytes)])),
    timestampMs,
  };
}

export function journaledRecord(line: JournalLine): SeenRecord {
  return seenRecord({
    partition: line.kafka_partition,
    offset: line.kafka_offset,
    key: bytesIn(line, "kafka_key"),
    value: line["value_null"] === true ? null : bytesIn(line, "raw_message"),
    headers: headersIn(line),
    timestampMs: String(line["kafka_timestamp"]),
  });
}

export function differingFields(a: SeenRecord, b: SeenRecord): readonly (keyof SeenRecord)[] {
  const fields = ["valueHash", "key", "headers", "timestampMs"] as const;
  return fields.filter((field) => a[field] !== b[field]);
}

function headersIn(
  line: JournalLine,
): readonly (readonly [key: string, value: Uint8Array | null])[] {
  const headers = line["kafka_headers"] ?? [];
  if (!Array.isArray(headers)) throw new TypeError("expected kafka_headers to be a list");
  return headers.map((header: Readonly<Record<string, unknown>>) => [
    String(header["key"]),
    bytesIn(header, "value"),
  ]);
}

/** Returns the bytes of a field, which are in a separate base64 field if they are not valid text. */
function bytesIn(fields: Readonly<Record<string, unknown>>, name: string): Uint8Array | null {
  const encoded = fields[`${name}_base64`];
  if (typeof encoded === "string") return Uint8Array.fromBase64(encoded);
  const text = fields[name];
  return typeof text === "string" ? new TextEncoder().encode(text) : null;
}

function base64(bytes: Uint8Array | null): string | null {
  return bytes && bytes.toBase64();
}
