/**
 * A chart for a page: SVG bars, and texts that keep their size at any width. Pure.
 */

import { text } from "./parts.ts";

/** Height of the drawing; the page stretches it. */
const HEIGHT = 100;

export interface HtmlChart {
  /** Description for screen readers. */
  readonly name: string;
  /** Oldest first. */
  readonly values: readonly number[];
  /** The tooltip of each value's bar. */
  readonly notes: readonly string[];
  readonly max: number;
  /** Labels below its left and its right end. */
  readonly from: string;
  readonly to: string;
  readonly color: "accent" | "bad";
}

export const CHART_STYLE = `
.chart { display: grid; grid-template-columns: auto 1fr; column-gap: .5rem; color: var(--dim);
  font-size: .8rem; font-variant-numeric: tabular-nums; }
.chart svg { width: 100%; height: 11rem; display: block; color: CanvasText; }
.chart .scale { display: flex; flex-direction: column; justify-content: space-between;
  text-align: right; margin: -.6rem 0; min-width: 3rem; }
.chart .ends { grid-column: 2; display: flex; justify-content: space-between; gap: 1rem; }
.chart .ends span + span { text-align: right; }
svg .hover { fill-opacity: 0; } svg g:hover > .hover { fill: currentColor; fill-opacity: .12; }
svg .line { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke; stroke: currentColor; }
.chart .line.accent { color: var(--accent); } .legend { margin: 0 0 1rem; display: flex; gap: 1.2rem; }
.legend span::before { content: ""; display: inline-block; width: 1.2rem; margin-right: .4rem;
  border-top: 3px solid; vertical-align: middle; } .legend .accent { color: var(--accent); }
svg line { stroke: currentColor; stroke-opacity: .15; vector-effect: non-scaling-stroke; }
`;

/** Returns bars with a scale, each with its value as a tooltip. */
export function htmlChart({ name, values, notes, max, from, to, color }: HtmlChart): string {
  const y = (value: number) => Math.round(HEIGHT * 100 * (1 - value / max)) / 100;
  const bars = values.map((value, index) =>
    `<g><title>${text(notes[index] ?? "")}</title>` +
    `<path class="hover" d="M${index} ${HEIGHT}V0H${index + 1}V${HEIGHT}Z"/>` +
    `${value > 0 ? `<path d="M${index} ${HEIGHT}V${y(value)}H${index + 1}V${HEIGHT}Z"/>` : ""}</g>`
  ).join("");
  const width = Math.max(1, values.length);
  const grid = [0, HEIGHT / 2, HEIGHT].map((at) =>
    `<line x1="0" x2="${width}" y1="${at}" y2="${at}"/>`
  ).join("");
  const scale = [max, max / 2, 0].map((value) => `<span>${labelOf(value)}</span>`).join("");
  return `<div class="chart"><div class="scale">${scale}</div>` +
    `<svg viewBox="0 0 ${width} ${HEIGHT}" preserveAspectRatio="none" role="img"` +
    ` aria-label="${text(name)}">${grid}<g fill="var(--${color})">${bars}</g></svg>` +
    `<div class="ends"><span>${text(from)}</span><span>${text(to)}</span></div></div>`;
}

function labelOf(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}
