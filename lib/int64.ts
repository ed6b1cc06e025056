/**
 * 64-bit integers, exact. Most fit a number; a bigint stands beside the number only where the number is rounded.
 *
 * @module
 */

/** A timestamp as records carry it. */
export interface Timestamp {
  /** Milliseconds since the epoch; the nearest number where the timestamp is beyond 2^53. */
  readonly timestampMs: number;
  /** The timestamp itself, present only where `timestampMs` is rounded. */
  readonly exactTimestampMs?: bigint | undefined;
}

/** Returns the timestamp of a 64-bit integer; a sum beyond 64 bits wraps around, as Java's does. */
export function timestampOf(value: bigint): Timestamp {
  const exact = BigInt.asIntN(64, value);
  const number = Number(exact);
  return Number.isSafeInteger(number)
    ? { timestampMs: number }
    : { timestampMs: number, exactTimestampMs: exact };
}

/** Returns the exact value: a number where one can hold it, else a bigint. */
export function exactOf({ timestampMs, exactTimestampMs }: Timestamp): number | bigint {
  return exactTimestampMs ?? timestampMs;
}

/** Writes a timestamp as JSON: a number, or a decimal string where common readers would round the number. */
export function timestampJson(timestamp: Timestamp): string {
  const exact = exactOf(timestamp);
  return typeof exact === "bigint" ? `"${exact}"` : String(exact);
}

/**
 * Reads what {@link timestampJson} wrote.
 *
 * @returns undefined where the value is no 64-bit integer.
 */
export function timestampFromJson(value: unknown): Timestamp | undefined {
  // Lines of earlier versions have rounded numbers beyond 2^53.
  if (typeof value === "number") {
    return Number.isInteger(value) ? { timestampMs: value } : undefined;
  }
  if (typeof value !== "string" || !/^-?(?:0|[1-9]\d{0,18})$/.test(value)) return undefined;
  const exact = BigInt(value);
  return exact === BigInt.asIntN(64, exact) ? timestampOf(exact) : undefined;
}
