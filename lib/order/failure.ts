/**
 * The rules that an order can break, and how a broken one is described.
 */

import { isJsonObject } from "../json.ts";

/** Maximum number of failures in {@link describeFailures}. */
const DESCRIBED_FAILURES_MAX = 10;
/** Maximum length of its line in characters. */
const DESCRIPTION_LENGTH_MAX = 1_000;
/** Maximum length of a quoted value in characters. */
const QUOTED_LENGTH_MAX = 40;

/** The names of the rules; a dead letter's reason and a test say which one failed. */
export type OrderRule =
  /** The value has another JSON type, or is a number too large to be one (1e999). */
  | "type"
  /** A field that a rule speaks of is absent. */
  | "required"
  | "not-blank"
  | "uuid"
  | "email"
  /** Another major version of the contract than 1. */
  | "version"
  | "positive-sequence"
  | "positive-quantity"
  | "not-negative"
  /** Past 2^53 - 1, where a JSON number is no longer read exactly. */
  | "safe-integer"
  | "at-least-one-item"
  | "item-total"
  | "sub-total"
  | "total"
  /** The schema refuses the order for a reason without a name of its own. */
  | "schema";

/** One rule that an order breaks. */
export interface OrderFailure {
  /** Where, as jq writes it without the leading dot: `items[0].quantity`; empty for the order itself. */
  readonly path: string;
  /** Which one. */
  readonly rule: OrderRule;
  /** The expectation in words. */
  readonly expected: string;
  /** The value seen, cut to a sane length; text is quoted but not yet safe for a terminal. */
  readonly actual: string;
}

/**
 * The failures on one line for a log or a dead letter: at most 10 of them and 1,000 characters, and how
 * many more there are. It quotes the message; a terminal needs it made printable first. Without values it names
 * each field and rule only, and nothing of the message.
 */
export function describeFailures(
  failures: readonly OrderFailure[],
  { withValues = true }: { readonly withValues?: boolean } = {},
): string {
  const describe = withValues ? describeFailure : describePlace;
  const lengthMax = DESCRIPTION_LENGTH_MAX - `; and ${failures.length} more`.length;
  let line = "";
  let described = 0;
  for (const failure of failures.slice(0, DESCRIBED_FAILURES_MAX)) {
    const part = (described === 0 ? "" : "; ") + describe(failure);
    if (line.length + part.length > lengthMax) break;
    line += part;
    described++;
  }
  const left = failures.length - described;
  return left === 0 ? line : `${line}; and ${left} more`;
}

function describeFailure(failure: OrderFailure): string {
  return `${describePlace(failure)}: expected ${failure.expected}, got ${failure.actual}`;
}

function describePlace({ path, rule }: OrderFailure): string {
  return `${path === "" ? "order" : path} (${rule})`;
}

/** Describes a value that breaks a rule. */
export function failure(
  path: string,
  rule: OrderRule,
  expected: string,
  value: unknown,
): OrderFailure {
  return { path, rule, expected, actual: describeValue(value) };
}

/** Returns what a value is, in a few words; text is quoted, up to a length. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") {
    const text = JSON.stringify(value.slice(0, QUOTED_LENGTH_MAX));
    return value.length > QUOTED_LENGTH_MAX ? `${text}…` : text;
  }
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return isJsonObject(value) ? "an object" : String(value);
}

/** Reports whether a value is a finite number. */
export function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
