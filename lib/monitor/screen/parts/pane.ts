/**
 * A framed part of the screen. Pure.
 */

import type { Snapshot } from "../../model/read_model.ts";
import type { Controls } from "../controls.ts";
import type { GlyphName, Glyphs } from "./glyphs.ts";
import { columnsOf, fitted, type Line, type Span, span, type Tone } from "./line.ts";

export interface FrameSpec {
  /** The snapshot to show: that of the pause, or the latest. */
  readonly snapshot: Snapshot;
  readonly newCount: number;
  readonly controls: Controls;
  readonly columns: number;
  readonly rows: number;
  readonly glyphs: GlyphName;
  readonly folder: string;
  readonly intervalMs: number;
  readonly notice: string;
}

/** The inside of a frame, in columns and rows. */
export interface Extent {
  readonly width: number;
  readonly height: number;
}

export interface Pane {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly isFocused?: boolean;
  /** Texts in the frame's lower edge: left, middle, and right. */
  readonly edge?: readonly [left: string, middle: string, right: string];
  /** Highlighted parts of the lower edge, in columns of the inside, with a name if it fits. */
  readonly marks?: readonly EdgeMark[];
}

export interface EdgeMark {
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

export type DrawPane = (spec: FrameSpec, inside: Extent) => Pane;

const FRAME_COLUMNS = 4;
const FRAME_ROWS = 2;

export function insideOf({ width, height }: Extent): Extent {
  return { width: width - FRAME_COLUMNS, height: height - FRAME_ROWS };
}

/** Draws the pane in its frame: exactly `height` lines of exactly `width` columns. */
export function framed(
  { title, lines, edge, marks = [], isFocused = false }: Pane,
  { width, height }: Extent,
  { corners, horizontal, vertical, trouble }: Glyphs,
): readonly Line[] {
  const tone: Tone = isFocused ? "accent" : "dim";
  const [topLeft, topRight, bottomLeft, bottomRight] = corners;
  const name = ` ${title} `;
  const bar = horizontal.repeat(Math.max(0, width - 3 - columnsOf(name)));
  const inner = width - FRAME_COLUMNS;
  return [
    fitted([
      span(`${topLeft}${horizontal}`, tone),
      span(name, isFocused ? "accent" : "strong"),
      span(`${bar}${topRight}`, tone),
    ], width),
    ...Array.from({ length: height - FRAME_ROWS }, (_, index) => [
      span(`${vertical} `, tone),
      ...fitted(lines[index] ?? [], inner),
      span(` ${vertical}`, tone),
    ]),
    marked(
      `${bottomLeft}${lowerEdge(edge, width - 2, horizontal)}${bottomRight}`,
      { marks, tone, glyph: trouble },
    ),
  ];
}

/** Draws the marks over the edge, whose characters are one column each. */
function marked(
  edge: string,
  { marks, tone, glyph }: {
    readonly marks: readonly EdgeMark[];
    readonly tone: Tone;
    readonly glyph: string;
  },
): Line {
  const line: Span[] = [];
  let at = 0;
  for (const { start, end, name } of marks) {
    const from = Math.max(at, start + FRAME_COLUMNS / 2);
    const to = Math.min(edge.length - 1, end + FRAME_COLUMNS / 2);
    if (from >= to) continue;
    const text = to - from >= columnsOf(name) ? name : "";
    const rest = glyph.repeat(to - from - columnsOf(text));
    line.push(span(edge.slice(at, from), tone), span(`${text}${rest}`, "bad"));
    at = to;
  }
  return [...line, span(edge.slice(at), tone)];
}

function lowerEdge(edge: Pane["edge"], width: number, horizontal: string): string {
  const empty = horizontal.repeat(Math.max(0, width));
  if (edge === undefined) return empty;
  const [left, middle, right] = edge.map((text) => text === "" ? "" : ` ${text} `);
  const space = width - 2 - columnsOf(`${left}${middle}${right}`);
  if (space < 2) return empty;
  const before = Math.floor(space / 2);
  return `${horizontal}${left}${horizontal.repeat(before)}${middle}` +
    `${horizontal.repeat(space - before)}${right}${horizontal}`;
}
