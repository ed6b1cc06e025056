/**
 * Whether common JSON readers agree on a text: I-JSON (RFC 7493), as far as readers differ, and bounded nesting.
 */

/** Objects and arrays inside one another, the outermost included. Python's reader fails at about 1,000, jq at 10,000. */
const DEPTH_MAX = 64;
/** A number of fewer characters without an exponent is finite. */
const FINITE_LENGTH_MAX = 300;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const STRING_END = /["\\]/g;
const BLANKS = /[ \t\n\r]*/y;
const NUMBER = /[-+.\deE]+/y;

/**
 * Returns whether all of this holds: every number is finite, names are unique within their object, text is valid Unicode
 * (no lone surrogate), and nothing is nested more than 64 levels deep. Takes time in proportion to the text.
 *
 * @param json valid JSON text: what `JSON.parse` accepts.
 */
export function isInteroperable(json: string): boolean {
  /** The names of each open object so far; undefined for an open array. */
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < json.length;) {
    const character = json[at];
    if (character === '"') {
      const end = endOfString(json, at);
      const quoted = json.slice(at, end);
      const text = quoted.includes("\\") ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
      if (!text.isWellFormed()) return false;
      at = endOf(BLANKS, json, end);
      if (json.charCodeAt(at) !== COLON) continue;
      const names = open.at(-1);
      if (names?.has(text)) return false;
      names?.add(text);
    } else if (character === "{" || character === "[") {
      if (open.length === DEPTH_MAX) return false;
      open.push(character === "{" ? new Set() : undefined);
    } else if (character === "}" || character === "]") {
      open.pop();
    } else if (
      character === "-" || (character !== undefined && character >= "0" && character <= "9")
    ) {
      const end = endOf(NUMBER, json, at);
      const number = json.slice(at, end);
      const mayOverflow = number.length > FINITE_LENGTH_MAX || /e/i.test(number);
      if (mayOverflow && !Number.isFinite(Number(number))) return false;
      at = end;
      continue;
    }
    at++;
  }
  return true;
}

/** Returns where the string that begins at `start` ends, past its closing quote. */
function endOfString(json: string, start: number): number {
  STRING_END.lastIndex = start + 1;
  while (STRING_END.test(json)) {
    const at = STRING_END.lastIndex;
    if (json.charCodeAt(at - 1) === QUOTE) return at;
    if (json.charCodeAt(at - 1) === BACKSLASH) STRING_END.lastIndex = at + 1;
  }
  return json.length;
}

function endOf(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start;
  pattern.test(text);
  return pattern.lastIndex;
}
