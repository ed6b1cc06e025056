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
  /** Oldest first. */
  readonly values: readonly number[];
  /** What each value's bar says under the pointer. */
  readonly notes: readonly string[];
  readonly max: number;
  /** Told below its left and its right end. */
  readonly from: string;
  readonly to: string;
  readonly color: "accent" | "bad";
}

/** Bars with a scale, each with its value under the pointer. */
export function svgChart({ name, values, notes, max, from, to, color }: SvgChart): string {
  const { width, height, left, bottom, top } = SIZE;
  const plotHeight = height - bottom - top;
  const stepWidth = (width - left) / Math.max(1, values.length);
  const y = (value: number) => round1(top + plotHeight * (1 - value / max));
  const bars = values.map((value, index) => {
    const start = round1(left + index * stepWidth);
    const end = round1(left + (index + 1) * stepWidth);
    return `<g><title>${text(notes[index] ?? "")}</title>` +
      `<path class="hover" d="M${start} ${y(0)}V${top}H${end}V${y(0)}Z"/>` +
      `${value > 0 ? `<path d="M${start} ${y(0)}V${y(value)}H${end}V${y(0)}Z"/>` : ""}</g>`;
  }).join("");
  const grid = [0, max / 2, max].map((value) =>
    `<line x1="${left}" x2="${width}" y1="${y(value)}" y2="${y(value)}"` +
    ` stroke="currentColor" stroke-opacity="0.15"/>` +
    `<text x="${left - 6}" y="${y(value) + 4}" text-anchor="end">${labelOf(value)}</text>`
  ).join("");
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${text(name)}">${grid}` +
    `<g fill="var(--${color})">${bars}</g>` +
    `<text x="${left}" y="${height - 5}">${text(from)}</text>` +
    `<text x="${width}" y="${height - 5}" text-anchor="end">${text(to)}</text></svg>`;
}

function labelOf(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}
