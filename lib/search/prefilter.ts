/**
 * Rejects lines that cannot match from their raw bytes, without parsing. Never rejects a line that matches.
 *
 * A text that a record must contain appears in the line byte for byte, unless one of its characters is escaped. Only
 * `"`, `\`, `/`, and control characters have short escapes, so the filter searches for the longest part without them.
 * The writer of the value may have written any other character as `\u00e9`, and in a value within a line, the escape
 * itself can be escaped (`\\u00e9`, `\u005cu00e9`). So a line is also parsed if it has a `\u` escape of a character
 * of the text, or of a character that escapes consist of; and, if keys and headers are searched, wherever those are
 * base64.
 */

import { ByteSearch, PATTERN_BYTES_MAX } from "../byte_search.ts";
import type { Query } from "./query.ts";

/** A text that a matching record contains, and whether it may appear as base64. */
interface RequiredText {
  readonly text: string;
  readonly isInBase64?: boolean;
}

const ENCODER = new TextEncoder();
// deno-lint-ignore no-control-regex -- they have short escapes
const SHORT_ESCAPES = /["\\/\u0000-\u001f]/;
const ESCAPE_START = "\\u";
const ESCAPE_CHARACTERS = "\\u0123456789abcdefABCDEF";
const BASE64_FIELD = '_base64"';
/** Each has up to four bytes. */
const CHARACTERS_MAX = PATTERN_BYTES_MAX / 4;

export class Prefilter {
  readonly #search: ByteSearch;
  readonly #escapedUnits: ReadonlySet<number>;

  private constructor({ text, isInBase64 = false }: RequiredText) {
    const patterns = [text, ESCAPE_START, ...(isInBase64 ? [BASE64_FIELD] : [])];
    this.#search = new ByteSearch(patterns.map((pattern) => ENCODER.encode(pattern)));
    const units = `${text}${ESCAPE_CHARACTERS}`;
    this.#escapedUnits = new Set(Array.from(units.split(""), (unit) => unit.charCodeAt(0)));
  }

  /** Returns a filter for the longest text that the query requires; undefined if it requires none. */
  static of(query: Query): Prefilter | undefined {
    const longest = requiredTexts(query)
      .flatMap(({ text, ...rest }) =>
        text.split(SHORT_ESCAPES).map((part) => ({ text: part, ...rest }))
      )
      .map(({ text, ...rest }) => ({ text: [...text].slice(0, CHARACTERS_MAX).join(""), ...rest }))
      .reduce((a, b) => b.text.length > a.text.length ? b : a, { text: "" });
    return longest.text === "" ? undefined : new Prefilter(longest);
  }

  /** Visits the lines in `bytes` that may match, in order. `bytes` must be whole lines. */
  visit(bytes: Uint8Array, onLine: (line: Uint8Array) => boolean): void {
    this.#search.visit(bytes, (position) => {
      if (!this.#isCandidate(bytes, position)) return position + 1;
      const start = bytes.lastIndexOf(0x0a, position) + 1;
      const end = bytes.indexOf(0x0a, position);
      return onLine(bytes.subarray(start, end)) ? end : bytes.length;
    });
  }

  #isCandidate(bytes: Uint8Array, position: number): boolean {
    if (bytes[position] !== 0x5c) return true;
    const digits = String.fromCharCode(...bytes.subarray(position + 2, position + 6));
    return this.#escapedUnits.has(Number.parseInt(digits, 16));
  }
}

function requiredTexts(
  { text = "", orderId = "", customer = "", key = "", headers = [], failed, reasons, where }: Query,
): readonly RequiredText[] {
  return [
    { text, isInBase64: true },
    ...[orderId, customer, key].map((each) => ({ text: each })),
    ...headers.flatMap(({ name, value = "" }) => [{ text: name }, { text: value }]),
    // In the event's type, or in the name of the reason's field.
    { text: failed === true || reasons !== undefined ? "error" : "" },
    ...(where?.requiredTexts ?? []).map((each) => ({ text: each })),
  ];
}
