/**
 * Java's .properties files, in which every Kafka tool takes its settings.
 *
 * Format: https://docs.oracle.com/javase/8/docs/api/java/util/Properties.html#load-java.io.Reader-
 *
 * @module
 */

const ESCAPES: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", f: "\f" };

/** The settings of a file's text; a key that comes twice has its last value. Never throws. */
export function parseProperties(text: string): ReadonlyMap<string, string> {
  const properties = new Map<string, string>();
  for (const line of logicalLines(text)) {
    const [, key = "", value = ""] =
      /^((?:\\.|[^\\=:\s])*)(?:[ \t\f]*[=:][ \t\f]*|[ \t\f]+|$)(.*)$/s.exec(line) ?? [];
    properties.set(unescaped(key), unescaped(value));
  }
  return properties;
}

/** Lines without comments and blank ones; a line that ends in an odd number of backslashes goes on in the next. */
function* logicalLines(text: string): Generator<string> {
  let begun: string | undefined;
  for (const natural of text.split(/\r\n|\n|\r/)) {
    const line = natural.replace(/^[ \t\f]+/, "");
    if (begun === undefined && (line === "" || /^[#!]/.test(line))) continue;
    const joined = (begun ?? "") + line;
    const goesOn = /(?:^|[^\\])(?:\\\\)*\\$/.test(line);
    begun = goesOn ? joined.slice(0, -1) : undefined;
    if (!goesOn) yield joined;
  }
  if (begun !== undefined) yield begun;
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
