/**
 * Lines of the screen: texts with a tone each, their widths, and the colors of tones.
 *
 * Pure. Widths are terminal columns. Texts from messages must have passed `printable`.
 */

import stringWidth from "string-width";

export type Tone =
  | "plain"
  | "dim"
  | "strong"
  | "accent"
  | "good"
  | "warning"
  | "bad"
  | "selected";

export interface Span {
  readonly text: string;
  readonly tone: Tone;
}

export type Line = readonly Span[];

export type ThemeName = "dark" | "light" | "mono";
export const THEMES: readonly ThemeName[] = ["dark", "light", "mono"];

type Codes = Readonly<Record<Exclude<Tone, "plain">, string>>;

/** Select Graphic Rendition codes. Color is never the only way in which something is shown. */
const CODES: Readonly<Record<ThemeName, Codes>> = {
  dark: {
    dim: "90",
    strong: "1",
    accent: "96",
    good: "92",
    warning: "93",
    bad: "1;91",
    selected: "7",
  },
  light: {
    dim: "90",
    strong: "1",
    accent: "34",
    good: "38;5;22",
    warning: "38;5;94",
    bad: "1;31",
    selected: "7",
  },
  mono: {
    dim: "2",
    strong: "1",
    accent: "1",
    good: "0",
    warning: "1",
    bad: "1;4",
    selected: "7",
  },
};

export function span(text: string, tone: Tone = "plain"): Span {
  return { text, tone };
}

/** Cuts or pads the line to exactly `width` columns; an ellipsis marks a cut. */
export function fitted(line: Line, width: number): Line {
  const isCut = widthOf(line) > width;
  const result: Span[] = [];
  let left = isCut ? width - 1 : width;
  for (const { text, tone } of line) {
    const shown = columnsOf(text) <= left ? text : prefix(text, left);
    left -= columnsOf(shown);
    if (shown !== text) {
      result.push({ text: `${shown}…`, tone });
      break;
    }
    result.push({ text, tone });
  }
  return [...result, span(" ".repeat(Math.max(0, left)))];
}

export function widthOf(line: Line): number {
  return line.reduce((width, { text }) => width + columnsOf(text), 0);
}

/** Pads or cuts the text to `width` columns. */
export function column(text: string, width: number, align: "left" | "right" = "left"): string {
  const columns = columnsOf(text);
  if (columns > width) return `${prefix(text, width - 1)}…`;
  const space = " ".repeat(width - columns);
  return align === "left" ? text + space : space + text;
}

/** Breaks the text at spaces into lines of at most `width` columns; longer words are not broken. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && columnsOf(`${line} ${word}`) > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Breaks the line anywhere into pieces of at most `width` columns. */
export function chunked(line: Line, width: number): readonly Line[] {
  const pieces: Span[][] = [[]];
  let left = width;
  for (const { text, tone } of line) {
    for (let rest = text; rest !== "";) {
      const part = columnsOf(rest) <= left ? rest : prefix(rest, left);
      // A character wider than the width would never fit.
      if (part === "" && left === width) return [...pieces, [span("…", tone)]];
      if (part !== "") pieces.at(-1)?.push({ text: part, tone });
      rest = rest.slice(part.length);
      left -= columnsOf(part);
      if (rest === "") break;
      pieces.push([]);
      left = width;
    }
  }
  return pieces;
}

/**
 * Characters of frames and charts: Latin letters, lines, blocks, braille. This test is 100 times as fast as
 * measuring.
 */
const ONE_COLUMN_EACH =
  /^[\x20-\x7e\u00a1-\u00ac\u00ae-\u02af\u2026\u203a\u2500-\u259f\u25cf\u2800-\u28ff]*$/;

export function columnsOf(text: string): number {
  return ONE_COLUMN_EACH.test(text) ? text.length : stringWidth(text);
}

/** Returns the line with control sequences for its tones. */
export function toAnsi(line: Line, theme: ThemeName): string {
  return line.map(({ text, tone }) =>
    tone === "plain" || text === "" ? text : `\x1b[${CODES[theme][tone]}m${text}\x1b[0m`
  ).join("");
}

export function toText(line: Line): string {
  return line.map(({ text }) => text).join("");
}

/** Replaces non-ASCII characters; keeps the width. */
export function inAscii(line: Line): Line {
  return line.map(({ text, tone }) => ({ text: asciiOf(text), tone }));
}

function asciiOf(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  return Array.from(
    SEGMENTER.segment(text),
    ({ segment }) =>
      /^[\x20-\x7e]*$/.test(segment)
        ? segment
        : segment === "…"
        ? "~"
        : "?".repeat(columnsOf(segment)),
  ).join("");
}

const SEGMENTER = new Intl.Segmenter("en", { granularity: "grapheme" });

function prefix(text: string, width: number): string {
  let columns = 0;
  let end = 0;
  for (const { segment, index } of SEGMENTER.segment(text)) {
    columns += columnsOf(segment);
    if (columns > width) break;
    end = index + segment.length;
  }
  return text.slice(0, end);
}
