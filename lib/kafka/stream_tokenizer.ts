/**
 * Tokenizes like Java's `StreamTokenizer` with the settings that Kafka uses for `sasl.jaas.config`.
 *
 * Rules: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/io/StreamTokenizer.html, with `-`, `_`, and
 * `$` as word characters, and the comments `//`, `/* *\/`, and, by Java's default, `/` up to the end of the line.
 */

/** A token. Numbers have no value, because Kafka accepts none. */
export type Token =
  | { readonly kind: "word" | "quoted"; readonly text: string }
  | { readonly kind: "number" }
  /** Any other character, such as `=` and `;`. */
  | { readonly kind: "character"; readonly text: string };

const BLANK = /[\0- ]/;
/** Java treats every character from U+00A0 on as a letter. */
const WORD_START = /[A-Za-z_$\u00a0-\uffff]/;
const WORD_PART = /[A-Za-z_$\u00a0-\uffff0-9.-]/;
const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
/** Java reads a backslash at the very end as this character. */
const END_OF_TEXT = "\uffff";

/** Yields the tokens of a text. Never throws: an unterminated quote ends at the end of its line, as in Java. */
export function* tokenize(text: string): Generator<Token> {
  let at = 0;
  while (at < text.length) {
    const first = text.charAt(at);
    if (BLANK.test(first)) {
      at++;
    } else if (first === "/") {
      at = endOfComment(text, at);
    } else if (WORD_START.test(first)) {
      const end = endOfRun(text, at, WORD_PART);
      yield { kind: "word", text: text.slice(at, end) };
      at = end;
    } else if (first === '"' || first === "'") {
      const quoted = readQuoted(text, at);
      yield { kind: "quoted", text: quoted.value };
      at = quoted.end;
    } else {
      const end = endOfNumber(text, at);
      yield end === at ? { kind: "character", text: first } : { kind: "number" };
      at = end === at ? at + 1 : end;
    }
  }
}

function endOfRun(text: string, start: number, characters: RegExp): number {
  let at = start;
  while (at < text.length && characters.test(text.charAt(at))) at++;
  return at;
}

/** Returns `start` if no number begins there. */
function endOfNumber(text: string, start: number): number {
  const [number = ""] = /^-?(?:\d*\.\d*|\d+)/.exec(text.slice(start, start + 2)) ?? [];
  if (number === "") return start;
  const [whole = ""] = /^-?\d*\.?\d*/.exec(text.slice(start)) ?? [];
  return start + whole.length;
}

function endOfComment(text: string, start: number): number {
  if (text.charAt(start + 1) === "*") {
    const end = text.indexOf("*/", start + 2);
    return end === -1 ? text.length : end + 2;
  }
  return endOfRun(text, start, /[^\r\n]/);
}

/** Reads a quoted token up to its closing quote or the end of the line. */
function readQuoted(text: string, start: number): { readonly value: string; readonly end: number } {
  const quote = text.charAt(start);
  let value = "";
  let at = start + 1;
  while (at < text.length && !/[\r\n]/.test(text.charAt(at))) {
    const character = text.charAt(at);
    if (character === quote) return { value, end: at + 1 };
    if (character !== "\\") {
      value += character;
      at++;
      continue;
    }
    const [octal] = /^(?:[0-3][0-7]{0,2}|[4-7][0-7]?)/.exec(text.slice(at + 1, at + 4)) ?? [];
    if (octal !== undefined) {
      value += String.fromCharCode(Number.parseInt(octal, 8));
      at += 1 + octal.length;
    } else {
      const escaped = text.charAt(at + 1) || END_OF_TEXT;
      value += ESCAPES[escaped] ?? escaped;
      at += 2;
    }
  }
  return { value, end: at };
}
