/**
 * Formats text for output. Text from records must be escaped here before it reaches a terminal.
 */

// C0 and C1 controls, DEL, line and paragraph separators, zero-width and bidirectional characters, the byte order mark,
// tags, and lone surrogates: everything that can move the cursor, hide text, or reverse it.
const UNSAFE =
  // deno-lint-ignore no-control-regex -- control characters are what this pattern is for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/**
 * Escapes control, bidirectional, and invisible characters (`\n`, `\u001b`), so that a terminal shows them instead of
 * interpreting them.
 */
export function printable(text: string): string {
  return text.replace(UNSAFE, escapeCharacter);
}

/** Like {@link printable}, but truncates to `lengthMax` UTF-16 units, with an ellipsis. */
export function printableShort(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return printable(text);
  return `${printable(text.slice(0, Math.max(0, lengthMax - 1)))}…`;
}

function escapeCharacter(character: string): string {
  switch (character) {
    case "\n":
      return "\\n";
    case "\r":
      return "\\r";
    case "\t":
      return "\\t";
  }
  const codePoint = character.codePointAt(0) ?? 0;
  return codePoint > 0xffff
    ? `\\u{${codePoint.toString(16)}}`
    : `\\u${codePoint.toString(16).padStart(4, "0")}`;
}

/** Formats `1284` as `1,284`, in every locale, so that output can be compared. */
export function withThousands(count: number): string {
  return count.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/** Formats a count with its noun: `1 order`, `2 orders`. */
export function counted(count: number, noun: string): string {
  return `${withThousands(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Formats a size in decimal units: `12.3 MB`. */
export function inBytes(count: number): string {
  if (count < 1000) return counted(count, "byte");
  if (count < 1_000_000) return `${(count / 1000).toFixed(1)} kB`;
  if (count < 1_000_000_000) return `${(count / 1_000_000).toFixed(1)} MB`;
  return `${(count / 1_000_000_000).toFixed(2)} GB`;
}
