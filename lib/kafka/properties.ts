/**
 * Parses Java's .properties files, the configuration format of Kafka's tools.
 *
 * Parses like `java.util.Properties`, with three differences: byte order marks are skipped, UTF-8 and UTF-16 are read
 * as well as Latin-1, and lines that Java refuses or misreads are returned with their numbers for error messages.
 *
 * Format: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)
 */

export interface Property {
  /** The number of its first line in the file, from 1. */
  readonly line: number;
  readonly key: string;
  readonly value: string;
  /** Continuation lines: those after a line that ends with a backslash. */
  readonly continuations: readonly NaturalLine[];
  /** True if a `\u` is not followed by four hexadecimal digits. Java refuses the whole file then. */
  readonly hasMalformedEscape: boolean;
}

/** A line of the file without leading whitespace. */
export interface NaturalLine {
  readonly line: number;
  readonly text: string;
}

const ESCAPES: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", f: "\f" };
const BYTE_ORDER_MARK = "\u{feff}";
const KEY = /^(?:\\.|[^\\=: \t\f])*/s;
const WELL_ESCAPED = /^(?:[^\\]|\\[^u]|\\u[0-9a-fA-F]{4}|\\$)*$/s;
const SEPARATOR = /^[ \t\f]*(?:[=:][ \t\f]*)?/;

/** Returns all settings of a file's text, in the file's order. Never throws. */
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
 * Decodes a file: as UTF-16 if it has that byte order mark, else as UTF-8 if it is valid, else as Latin-1, as Java
 * does with every file.
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
 * Yields logical lines, skipping comments and blank lines. A line that ends with an odd number of backslashes continues
 * on the next one, unless there is nothing before the backslash: then the next line is a new one, which can be a
 * comment or blank.
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

/** Also removes a byte order mark, which can be inside a file that `cat` concatenated. */
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
