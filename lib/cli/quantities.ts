/**
 * Parses times and sizes on the command line. Error messages include the valid range.
 */

import { InvalidArgumentError } from "commander";

/** An inclusive range, with bounds written as on the command line. */
export interface QuantityRange {
  readonly min: string;
  readonly max: string;
}

const TIME_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const MINUTES_MAX = 24 * 24 * 60;

/**
 * Returns a parser of `250ms`, `30s`, `2m`, `1h`, and `2d` into milliseconds. The maximum is 24 days: timers count
 * milliseconds in 31 bits, and a longer one would fire at once.
 */
export function durationParser(
  { min = "1ms", max = "24d" }: Partial<QuantityRange> = {},
): (text: string) => number {
  return rangeParser({ min, max }, {
    parse: (text) => timeOf(text, /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/),
    describe: () => `a time such as 250ms, 30s, 2m or 1h, from ${min} to ${max}`,
  });
}

/** Parses `250ms`, `30s`, `2m`, `1h`, or `2d` into milliseconds, up to what a timer can wait. */
export const parseDuration = durationParser();

/** Parses an age such as `12h`, `30d`, or `52w` (also `s` and `m`) into milliseconds. */
export const parseAge = rangeParser({ min: "1s", max: "5200w" }, {
  parse: (text) => timeOf(text, /^(\d+(?:\.\d+)?)(s|m|h|d|w)$/),
  describe: ({ min, max }) => `a time such as 12h, 30d or 52w, from ${min} to ${max}`,
});

/** Parses `64kB`, `256MB`, `1GB` (powers of 1,000), or `256MiB` (of 1,024) into bytes. */
export const parseSize = rangeParser({ min: "1kB", max: "1000TB" }, {
  parse: bytesOf,
  describe: ({ min, max }) =>
    `a size from ${min} on and up to ${max}, such as 256MB, 1GB or 512MiB`,
});

/** Parses the size of a record: as {@link parseSize}, or a number of bytes (`100`, `100B`). */
export const parseRecordSize = rangeParser({ min: "1B", max: "64MiB" }, {
  parse: (text) => /^\d+B?$/.test(text) ? Number(text.replace("B", "")) : bytesOf(text),
  describe: ({ min, max }) => `a size from ${min} to ${max}, such as 100, 1kB or 64KiB`,
});

/** Parses a number of minutes, fractions allowed. */
export function parseMinutes(text: string): number {
  const minutes = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (minutes > 0 && minutes <= MINUTES_MAX) return minutes;
  throw new InvalidArgumentError(
    `expected a number of minutes above 0 and up to ${MINUTES_MAX} (24 days)`,
  );
}

function rangeParser(
  range: QuantityRange,
  { parse, describe }: {
    readonly parse: (text: string) => number;
    readonly describe: (range: QuantityRange) => string;
  },
): (text: string) => number {
  return (text) => {
    const value = parse(text);
    if (value >= parse(range.min) && value <= parse(range.max)) return value;
    throw new InvalidArgumentError(`expected ${describe(range)}`);
  };
}

function timeOf(text: string, form: RegExp): number {
  const [, amount, unit = ""] = form.exec(text) ?? [];
  return Number(amount) * (TIME_UNITS_MS[unit] ?? NaN);
}

function bytesOf(text: string): number {
  const [, amount, unit = "", binary] = /^(\d+(?:\.\d+)?)([kMGT])(i?)B$/i.exec(text) ?? [];
  return Math.round(
    Number(amount) * (binary ? 1024 : 1000) ** ("kmgt".indexOf(unit.toLowerCase()) + 1),
  );
}
