/**
 * A chart of lines for a page, on a logarithmic scale: latencies differ by orders of magnitude. Pure.
 */

import { text } from "./parts.ts";

/** Size of the drawing; the page stretches it. */
const HEIGHT = 100;

export interface ChartLine {
  readonly name: string;
  /** Undefined where there is no value: the line has a gap. Values below the scale lie on its lower end. */
  readonly values: readonly (number | undefined)[];
  readonly color: "accent" | "bad" | "good";
}

export interface LineChart {
  /** Description for screen readers. */
  readonly name: string;
  /** At least one, all with as many values. */
  readonly lines: readonly ChartLine[];
  /** Text that each point shows under the pointer. */
  readonly notes: readonly string[];
  /** Below the chart, from its left to its right end, at equal distances. */
  readonly labels: readonly string[];
  readonly unit: string;
}

/** Returns lines with a scale and a legend, all values of a point under the pointer. */
export function lineChart({ name, lines, notes, labels, unit }: LineChart): string {
  const values = lines.flatMap((line) => line.values.filter((value) => value !== undefined));
  const scale = decadesOf(values.filter((value) => value > 0));
  const grid = scale.map((_, index) => {
    const at = HEIGHT * index / (scale.length - 1);
    return `<line x1="0" x2="${notes.length}" y1="${round(at)}" y2="${round(at)}"/>`;
  }).join("");
  const columns = notes.map((note, index) =>
    `<g><title>${text(note)}</title>` +
    `<path class="hover" d="M${index} ${HEIGHT}V0H${index + 1}V${HEIGHT}Z"/></g>`
  ).join("");
  const drawn = lines.map((line) =>
    `<path class="line ${line.color}" d="${pathOf(line.values, scale)}"/>`
  ).join("");
  const legend = lines.map((line) => `<span class="${line.color}">${text(line.name)}</span>`).join(
    " ",
  );
  return `<p class="legend">${legend}</p><div class="chart"><div class="scale">${
    scale.toReversed().map((at) => `<span>${labelOf(at)} ${text(unit)}</span>`).join("")
  }</div><svg viewBox="0 0 ${Math.max(1, notes.length)} ${HEIGHT}" preserveAspectRatio="none"` +
    ` role="img" aria-label="${
      text(name)
    }">${grid}${drawn}<g fill="currentColor">${columns}</g></svg>` +
    `<div class="ends">${
      labels.map((label) => `<span>${text(label)}</span>`).join("")
    }</div></div>`;
}

function labelOf(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 1 });
}

/** Returns the powers of ten around the values, the smallest first; at least two. */
function decadesOf(values: readonly number[]): readonly number[] {
  const exponents = values.map(Math.log10);
  const low = Math.floor(exponents.reduce((least, each) => Math.min(least, each), Infinity));
  const high = Math.ceil(exponents.reduce((most, each) => Math.max(most, each), -Infinity));
  if (!Number.isFinite(low)) return [1, 10];
  return Array.from(
    { length: Math.max(1, high - low) + 1 },
    (_, index) => Number(`1e${low + index}`),
  );
}

/** A point alone is drawn as a short line: it has a column of its own. */
function pathOf(values: readonly (number | undefined)[], scale: readonly number[]): string {
  const low = Math.log10(scale[0] ?? 1);
  const decades = scale.length - 1;
  let path = "";
  let isDown = false;
  for (const [index, value] of values.entries()) {
    if (value === undefined) {
      isDown = false;
      continue;
    }
    const share = value > 0 ? (Math.log10(value) - low) / decades : 0;
    const y = round(HEIGHT * (1 - Math.min(1, Math.max(0, share))));
    path += isDown ? `L${index + 0.5} ${y}` : `M${index} ${y}L${index + 0.5} ${y}`;
    if (values[index + 1] === undefined) path += `H${index + 1}`;
    isDown = true;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
