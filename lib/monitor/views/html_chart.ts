/**
 * A chart as SVG, for the page. Pure.
 *
 * @module
 */

import { text } from "./html_parts.ts";

const SIZE = { width: 1280, height: 200, left: 60, bottom: 22, top: 8 } as const;

export interface SvgChart {
  /** What is shown, for those who do not see it. */
  readonly name: string;
  /** Oldest first; undefined where nothing is known. What comes after the last value above 0 is left out. */
  readonly values: readonly (number | undefined)[];
  readonly min: number;
  readonly max: number;
  /** Told below its left and its right end. */
  readonly from: string;
  readonly to: string;
}

/** Bars with a scale; a gap where there is no value. */
export function svgChart({ name, values, min, max, from, to }: SvgChart): string {
  const { width, height, left, bottom, top } = SIZE;
  const known = values.slice(0, values.findLastIndex((value) => (value ?? 0) > 0) + 1);
  const plotHeight = height - bottom - top;
  const stepWidth = (width - left) / Math.max(1, known.length);
  const y = (value: number) => round1(top + plotHeight * (1 - (value - min) / (max - min)));
  const bars = known.map((value, index) => {
    if (value === undefined || value <= min) return "";
    const start = round1(left + index * stepWidth);
    const end = round1(left + (index + 1) * stepWidth);
    return `M${start} ${y(min)}V${y(value)}H${end}V${y(min)}Z`;
  }).join("");
  const grid = [min, (min + max) / 2, max].map((value) =>
    `<line x1="${left}" x2="${width}" y1="${y(value)}" y2="${y(value)}"` +
    ` stroke="currentColor" stroke-opacity="0.15"/>` +
    `<text x="${left - 6}" y="${y(value) + 4}" text-anchor="end">${labelOf(value)}</text>`
  ).join("");
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${text(name)}">${grid}` +
    `<path d="${bars}" fill="var(--accent)" fill-opacity="0.75"/>` +
    `<text x="${left}" y="${height - 5}">${text(from)}</text>` +
    `<text x="${width}" y="${height - 5}" text-anchor="end">${text(to)}</text></svg>`;
}

function labelOf(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}
