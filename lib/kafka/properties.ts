/**
 * Java's .properties files, in which every Kafka tool takes its settings.
 *
 * Reads them as `java.util.Properties` does, with three differences: a byte order mark is left out, UTF-8 and UTF-16
 * are understood as well as Latin-1, and what Java refuses or misreads keeps its line number, so that it can be named.
 *
 * Format: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)
 *
 * @module
 */

/** A setting, its escapes replaced. */
export interface Property {
  /** Of the first of its lines in the file, from 1 on. */
  readonly line: number;
  readonly key: string;
  readonly value: string;
  /** The lines that a backslash at the end of the line before has joined to it. */
  readonly continuations: readonly NaturalLine[];
  /** Whether a `\u` is not followed by four hexadecimal digits. Java refuses the whole file then. */
  readonly hasMalformedEscape: boolean;
}

/** A line of the file, without the blanks before it. */
export interface NaturalLine {
  readonly line: number;
  readonly text: string;
}

const ESCAPES: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", f: "\f" };
const BYTE_ORDER_MARK = "\u{feff}";
const KEY = /^(?:\\.|[^\\=: \t\f])*/s;
const WELL_ESCAPED = /^(?:[^\\]|\\[^u]|\\u[0-9a-fA-F]{4}|\\$)*$/s;
const SEPARATOR = /^[ \t\f]*(?:[=:][ \t\f]*)?/;

/** The settings of a file's text; a key that comes twice has its last value. Never throws. */
export function parseProperties(text: string): ReadonlyMap<string, string> {
  return new Map(readProperties(text).map(({ key, value }) => [key, value]));
}

/** Every setting of a file's text, in the file's order. Never throws. */
export function readProperties(text: string): readonly Property[] {
  return [...logicalLines(text)].map(({ line, text, continuations }) => {
    const key = KEY.exec(text)?.[0] ?? "";
    const value = text.slice(key.length).replace(SEPARATOR, "");
    return {
      line,
      key: unescaped(key),
      value: unescaped(value),
      continuations,
      hasMalformedEscape: !WELL_ESCAPED.test(text),
    };
  });
}

/**
 * The text of a file: UTF-16 where a byte order mark says so, else UTF-8 where it is valid, else Latin-1, which is
 * what Java takes every file for.
 */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const isMarked = first === 0xef && second === 0xbb && bytes[2] === 0xbf;
    return Array.from(bytes.subarray(isMarked ? 3 : 0), (byte) => String.fromCharCode(byte))
      .join("");
  }
}

interface LogicalLine extends NaturalLine {
  readonly continuations: readonly NaturalLine[];
}

/**
 * Yields lines without comments and blank ones. A line that ends in an odd number of backslashes continues in the next
 * one, unless there is nothing before the backslash: the next line is then a new one, which can be a comment or blank.
 */
function* logicalLines(text: string): Generator<LogicalLine> {
  let begun: { line: number; text: string; continuations: NaturalLine[] } | undefined;
  for (const [index, natural] of text.split(/\r\n|\n|\r/).entries()) {
    const line = index + 1;
    const own = withoutLeadingBlanks(natural);
    if (begun === undefined && (own === "" || /^[#!]/.test(own))) continue;
    const continues = /(?:^|[^\\])(?:\\\\)*\\$/.test(own);
    if (begun === undefined) begun = { line, text: "", continuations: [] };
    else begun.continuations.push({ line, text: own });
    begun.text += continues ? own.slice(0, -1) : own;
    if (!continues) yield begun;
    if (!continues || begun.text === "") begun = undefined;
  }
  if (begun !== undefined) yield begun;
}

/** A mark stands before a line where files were joined, as `cat` does it. */
function withoutLeadingBlanks(line: string): string {
  return line.replace(new RegExp(`^[ \\t\\f${BYTE_ORDER_MARK}]+`), "");
}

function unescaped(text: string): string {
  return text.replace(
    /\\(?:u([0-9a-fA-F]{4})|(.))/gs,
    (_, code: string | undefined, character: string) =>
      code === undefined
        ? ESCAPES[character] ?? character
        : String.fromCharCode(Number.parseInt(code, 16)),
  );
}
