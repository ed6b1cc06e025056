/**
 * Exact 64-bit timestamps. Most fit a number; a bigint is added only if the number is rounded.
 */

export interface Timestamp {
  /** Milliseconds since the epoch; rounded beyond 2^53. */
  readonly timestampMs: number;
  /** The exact timestamp, present only if `timestampMs` is rounded. */
  readonly exactTimestampMs?: bigint | undefined;
}

/** Returns the timestamp of a 64-bit integer; values beyond 64 bits wrap around, as in Java. */
export function timestampOf(value: bigint): Timestamp {
  const exact = BigInt.asIntN(64, value);
  const number = Number(exact);
  return Number.isSafeInteger(number)
    ? { timestampMs: number }
    : { timestampMs: number, exactTimestampMs: exact };
}

/** Returns the exact value: a number if it fits, otherwise a bigint. */
export function exactOf({ timestampMs, exactTimestampMs }: Timestamp): number | bigint {
  return exactTimestampMs ?? timestampMs;
}

/** Formats a timestamp as JSON: a number, or a decimal string if common parsers would round the number. */
export function timestampJson(timestamp: Timestamp): string {
  const exact = exactOf(timestamp);
  return typeof exact === "bigint" ? `"${exact}"` : String(exact);
}

/**
 * Parses the output of {@link timestampJson}.
 *
 * @returns undefined if the value is not a 64-bit integer.
 */
export function timestampFromJson(value: unknown): Timestamp | undefined {
  // Earlier versions wrote rounded numbers beyond 2^53.
  if (typeof value === "number") {
    return Number.isInteger(value) ? { timestampMs: value } : undefined;
  }
  if (typeof value !== "string" || !/^-?(?:0|[1-9]\d{0,18})$/.test(value)) return undefined;
  const exact = BigInt(value);
  return exact === BigInt.asIntN(64, exact) ? timestampOf(exact) : undefined;
}
