/**
 * Formats the results of a soak as text and as table cells.
 */

import { styled } from "../../lib/terminal.ts";
import { withThousands } from "../../lib/text.ts";
import { COUNTS_HANDLES } from "./process_usage.ts";
import type { SoakFigure, SoakResult } from "./run.ts";

export const FIGURE_HEADER = ["", "", "start", "end", "max", "a minute", "grew by", "bound", ""];

/** Returns one figure in the columns of {@link FIGURE_HEADER}; growth is counted after the warm-up. */
export function figureCells({ program, what, flatness, isJudged }: SoakFigure): readonly string[] {
  const decimals = what === "open handles" ? 0 : 1;
  const { first, last, max, growth, growthMax, growthPerMinute, isFlat } = flatness;
  return [
    program,
    what,
    ...[first, last, max].map((value) => value.toFixed(decimals)),
    signed(growthPerMinute, 2),
    signed(growth, decimals),
    growthMax.toFixed(decimals),
    isJudged ? (isFlat ? "flat" : "NOT FLAT") : "run too short to judge",
  ];
}

/** Describes the measurements of the programs. The proof is described by the demo's own text. */
export function describeSoak(result: SoakResult): readonly string[] {
  const { figures, samples, seconds, monitored } = result;
  const rows = [FIGURE_HEADER, ...figures.map(figureCells)];
  const widths = FIGURE_HEADER.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0))
  );
  return [
    "",
    styled(`Program resources, ${samples} samples in ${Math.round(seconds)} s`, "bold"),
    ...(figures.length === 0
      ? ["  too few samples to judge by"]
      : rows.map((row) => `  ${aligned(row, widths)}`.trimEnd())),
    ...(COUNTS_HANDLES
      ? []
      : [`  open handles are not counted on ${Deno.build.os}: there is no /proc`]),
    `  the monitor counted ${withThousands(monitored)} records`,
  ];
}

function aligned(row: readonly string[], widths: readonly number[]): string {
  return row.map((cell, column) => {
    const width = widths[column] ?? 0;
    return column < 2 || column === row.length - 1 ? cell.padEnd(width) : cell.padStart(width);
  }).join("  ");
}

function signed(value: number, decimals: number): string {
  return `${value < 0 ? "" : "+"}${value.toFixed(decimals)}`;
}
