/**
 * Throughput and success over the chosen window. Pure.
 */

import { duration, percent } from "../../model/health.ts";
import type { Chart } from "../../model/chart.ts";
import type { WindowName } from "../../model/read_model.ts";
import { niceMax } from "../../../html/scale.ts";
import { chartRows } from "../parts/chart.ts";
import { GLYPHS } from "../parts/glyphs.ts";
import { column, type Line, span, type Tone } from "../parts/line.ts";
import type { EdgeMark, Extent, FrameSpec, Pane } from "../parts/pane.ts";
import { isCounting } from "./summary.ts";

const AXIS_WIDTH = 6;
const WINDOW_TITLES: Readonly<Record<WindowName, string>> = {
  "1m": "1 min",
  "5m": "5 min",
  "15m": "15 min",
  "1h": "1 h",
  all: "all",
};
/** Where the axis of a percentage may start. */
const PERCENT_FLOORS = [90, 80, 50, 0];
/** Drawn for a step in which all failed, to distinguish it from one without messages. */
const LEAST_PERCENT_SHOWN = 0.001;

export function throughputPane(spec: FrameSpec, inside: Extent): Pane {
  const values = chartOf(spec).messagesPerSecond;
  return chartPane(spec, inside, {
    title: `Throughput, ${WINDOW_TITLES[spec.controls.window]}`,
    unit: "msg/s",
    values,
    min: 0,
    max: niceMax(Math.max(...values)),
    tone: "accent",
  });
}

export function successPane(spec: FrameSpec, inside: Extent): Pane {
  const { totalSuccessRatePercent: rate, successRatePercent } = chartOf(spec);
  const values = successRatePercent.map((value) =>
    value === undefined ? undefined : Math.max(value, LEAST_PERCENT_SHOWN)
  );
  const none = isCounting(spec.snapshot) ? "counting" : "no messages";
  const name = rate === undefined ? none : percent(rate);
  return chartPane(spec, inside, {
    title: `Success, ${WINDOW_TITLES[spec.controls.window]}, ${name}`,
    unit: "percent",
    values,
    min: percentFloor(values),
    max: 100,
    tone: rate === undefined || rate >= 95 ? "good" : rate >= 80 ? "warning" : "bad",
  });
}

/** Returns the highest of {@link PERCENT_FLOORS} below every value. */
function percentFloor(values: readonly (number | undefined)[]): number {
  const least = Math.min(100, ...values.filter((value) => value !== undefined));
  return PERCENT_FLOORS.find((floor) => floor < least) ?? 0;
}

function chartOf({ snapshot, controls }: FrameSpec): Chart {
  return snapshot.charts[controls.window];
}

function chartPane(
  spec: FrameSpec,
  { width, height }: Extent,
  { title, unit, tone, ...chart }: {
    readonly title: string;
    readonly unit: string;
    readonly values: readonly (number | undefined)[];
    readonly min: number;
    readonly max: number;
    readonly tone: Tone;
  },
): Pane {
  const { axis, vertical } = GLYPHS[spec.glyphs];
  const rows = chartRows({
    ...chart,
    glyphs: spec.glyphs,
    width: Math.max(0, width - AXIS_WIDTH),
    height,
  });
  const labels = axisLabels(chart, height);
  const { startMs, stepMs } = chartOf(spec);
  const spanMs = stepMs * chart.values.length;
  return {
    title,
    edge: [`${duration(spanMs)} ago`, unit, "now"],
    marks: troubleMarks(spec, { startMs, spanMs, width: width - AXIS_WIDTH }),
    lines: rows.map((row, index): Line => {
      const label = labels.get(index);
      return [
        span(column(label ?? "", AXIS_WIDTH - 1, "right"), "dim"),
        span(label === undefined ? vertical : axis, "dim"),
        span(row, tone),
      ];
    }),
  };
}

/** Returns the parts of the time axis during which there was a trouble. */
function troubleMarks(
  { snapshot: { troubles, takenAtMs } }: FrameSpec,
  { startMs, spanMs, width }: {
    readonly startMs: number;
    readonly spanMs: number;
    readonly width: number;
  },
): readonly EdgeMark[] {
  const columnOf = (ms: number) => (ms - startMs) / spanMs * width;
  return troubles.filter(({ toMs = takenAtMs }) => toMs >= startMs)
    .map(({ name, fromMs, toMs = takenAtMs }) => {
      const start = Math.max(0, Math.min(width - 1, Math.floor(columnOf(fromMs))));
      const end = Math.max(start + 1, Math.min(width, Math.ceil(columnOf(toMs))));
      return { name, start: AXIS_WIDTH + start, end: AXIS_WIDTH + end };
    });
}

/** Labels at the top and the bottom, and in the middle if there is a row. */
function axisLabels(
  { min, max }: { readonly min: number; readonly max: number },
  height: number,
): ReadonlyMap<number, string> {
  const labels = new Map([[0, compact(max)], [height - 1, compact(min)]]);
  if (height >= 5 && height % 2 === 1) labels.set((height - 1) / 2, compact((min + max) / 2));
  return labels;
}

function compact(value: number): string {
  return value >= 1_000_000
    ? `${value / 1_000_000}M`
    : value >= 1000
    ? `${value / 1000}k`
    : String(Math.round(value * 100) / 100);
}
