/**
 * Charts made of characters. Pure.
 */

import type { GlyphName } from "./glyphs.ts";

export interface ChartSpec {
  /** Oldest first; undefined leaves a gap. */
  readonly values: readonly (number | undefined)[];
  /** In columns. */
  readonly width: number;
  /** In rows. */
  readonly height: number;
  readonly min: number;
  readonly max: number;
  readonly glyphs: GlyphName;
}

const BLOCKS = " ▁▂▃▄▅▆▇█";
const ASCII = " .:#";
/** Bits of a braille cell, from its lowest row to its highest, for its left and right dots. */
const BRAILLE_DOTS = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]] as const;

/** Returns the rows of a filled chart, highest first. Values above the minimum show at least one dot. */
export function chartRows(spec: ChartSpec): readonly string[] {
  return spec.glyphs === "braille" ? brailleRows(spec) : barRows(spec);
}

/** Resamples the values to `count` values, each the mean of those it replaces. */
export function resampled(
  values: readonly (number | undefined)[],
  count: number,
): readonly (number | undefined)[] {
  return Array.from({ length: count }, (_, index) => {
    const start = Math.floor(index * values.length / count);
    const end = Math.max(start + 1, Math.floor((index + 1) * values.length / count));
    const known = values.slice(start, end).filter((value) => value !== undefined);
    if (known.length === 0) return undefined;
    return known.reduce((sum, value) => sum + value, 0) / known.length;
  });
}

function barRows(spec: ChartSpec): readonly string[] {
  const { width, height } = spec;
  const levels = spec.glyphs === "block" ? BLOCKS : ASCII;
  const steps = levels.length - 1;
  const heights = heightsOf(spec, width, height * steps);
  return Array.from({ length: height }, (_, row) => {
    const base = (height - 1 - row) * steps;
    return heights.map((level) => levels[clamp(level - base, 0, steps)]).join("");
  });
}

function brailleRows(spec: ChartSpec): readonly string[] {
  const { width, height } = spec;
  const heights = heightsOf(spec, 2 * width, 4 * height);
  return Array.from({ length: height }, (_, row) => {
    const base = (height - 1 - row) * 4;
    return Array.from({ length: width }, (_, cell) => {
      let bits = 0;
      for (const side of [0, 1] as const) {
        const level = clamp((heights[2 * cell + side] ?? 0) - base, 0, 4);
        for (const dot of BRAILLE_DOTS[side].slice(0, level)) bits |= dot;
      }
      return String.fromCharCode(0x2800 + bits);
    }).join("");
  });
}

function heightsOf({ values, min, max }: ChartSpec, count: number, levels: number): number[] {
  return resampled(values, count).map((value) => {
    if (value === undefined) return 0;
    const share = (value - min) / (max - min);
    const level = Math.round(share * levels);
    return clamp(value > min ? Math.max(1, level) : level, 0, levels);
  });
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}
