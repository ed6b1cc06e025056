/**
 * What the screen shows: a snapshot and what a person has set, as lines that fill it exactly. Pure.
 *
 * @module
 */

import { toDecimal } from "../../money.ts";
import { printable, withThousands } from "../../text.ts";
import { REVENUE_MINUTES } from "../business.ts";
import { duration, type HealthStatus, percent } from "../health.ts";
import type { RecentEvent } from "../journal_model.ts";
import type { LogLine } from "../log_model.ts";
import type { Chart, Snapshot, WindowName } from "../read_model.ts";
import type { Counted } from "../tally.ts";
import { chartRows, niceMax } from "./chart.ts";
import type { Controls, Subjects } from "./controls.ts";
import { type GlyphName, GLYPHS, type Glyphs } from "./glyphs.ts";
import { column, columnsOf, fitted, type Line, type Span, span, type Tone } from "./line.ts";

export interface FrameSpec {
  /** What is shown: the moment of the pause, or now. */
  readonly snapshot: Snapshot;
  /** Messages counted since the pause. */
  readonly newCount: number;
  readonly controls: Controls;
  readonly columns: number;
  readonly rows: number;
  readonly glyphs: GlyphName;
  /** The tracker's folder. */
  readonly folder: string;
  readonly intervalMs: number;
  /** What the person is told beside the keys. */
  readonly notice: string;
}

const COLUMNS_MIN = 40;
const ROWS_MIN = 12;
/** From here on there is room for the business, the partitions and the log beside the orders. */
const COLUMNS_LARGE = 110;
const ROWS_LARGE = 32;
const AXIS_WIDTH = 7;
const WINDOW_TITLES: Readonly<Record<WindowName, string>> = {
  "1m": "1 min",
  "5m": "5 min",
  "15m": "15 min",
  "1h": "1 h",
  all: "all",
};

interface Pane {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly isFocused?: boolean;
}

/** The recent records and log lines that the filter leaves, newest first. */
export function subjectsOf(snapshot: Snapshot, { filter }: Controls): Subjects {
  return {
    records: filteredEvents(snapshot, filter).map(placeOf),
    failed: snapshot.recentFailedEvents.map(placeOf).toReversed(),
    logCount: filteredLogs(snapshot, filter).length,
  };
}

/** Exactly `rows` lines of exactly `columns` columns. */
export function frameLines(spec: FrameSpec): readonly Line[] {
  const { columns, rows } = spec;
  if (columns < COLUMNS_MIN || rows < ROWS_MIN) return tooSmall(spec);
  const body = bodyLines(spec, rows - 2);
  return [titleLine(spec), ...body, footerLine(spec)].map((line) => fitted(line, columns));
}

function tooSmall({ columns, rows, snapshot }: FrameSpec): readonly Line[] {
  const lines: Line[] = [
    [span(statusName(snapshot.health.status), toneOf(snapshot.health.status))],
    [span(`needs ${COLUMNS_MIN}x${ROWS_MIN}`)],
  ];
  return Array.from({ length: rows }, (_, index) => fitted(lines[index] ?? [], columns));
}

function bodyLines(spec: FrameSpec, height: number): readonly Line[] {
  const { columns, controls } = spec;
  const detail = detailOf(spec);
  if (controls.isHelpShown) return framed(helpPane(), columns, height, GLYPHS[spec.glyphs]);
  if (detail !== undefined) return framed(detail, columns, height, GLYPHS[spec.glyphs]);
  return columns >= COLUMNS_LARGE && height + 2 >= ROWS_LARGE
    ? largeBody(spec, height)
    : smallBody(spec, height);
}

function smallBody(spec: FrameSpec, height: number): readonly Line[] {
  const topHeight = 7;
  const chartHeight = height >= 20 ? 6 : 0;
  const listHeight = height - topHeight - chartHeight;
  const [left, right] = split(spec.columns, 2);
  return [
    ...beside(spec, topHeight, [[messagesPane(spec), left], [healthPane(spec), right]]),
    ...(chartHeight === 0 ? [] : chartsRow(spec, chartHeight)),
    ...beside(spec, listHeight, [[
      spec.controls.focus === "log" ? logPane(spec, listHeight) : ordersPane(spec, listHeight),
      spec.columns,
    ]]),
  ];
}

function largeBody(spec: FrameSpec, height: number): readonly Line[] {
  const topHeight = 8;
  const chartHeight = Math.min(14, Math.max(8, Math.floor(height / 4)));
  const listHeight = height - topHeight - chartHeight;
  const thirds = split(spec.columns, 3);
  const sideWidth = Math.floor(spec.columns * 0.42);
  const partitionsHeight = Math.min(
    spec.snapshot.partitions.length + 3,
    Math.floor(listHeight / 2),
  );
  const side = [
    ...framed(partitionsPane(spec), sideWidth, partitionsHeight, GLYPHS[spec.glyphs]),
    ...framed(
      logPane(spec, listHeight - partitionsHeight),
      sideWidth,
      listHeight - partitionsHeight,
      GLYPHS[spec.glyphs],
    ),
  ];
  const orders = framed(
    ordersPane(spec, listHeight),
    spec.columns - sideWidth,
    listHeight,
    GLYPHS[spec.glyphs],
  );
  return [
    ...beside(spec, topHeight, [
      [messagesPane(spec), thirds[0] ?? 0],
      [healthPane(spec), thirds[1] ?? 0],
      [businessPane(spec), thirds[2] ?? 0],
    ]),
    ...chartsRow(spec, chartHeight),
    ...orders.map((line, index) => [...line, ...(side[index] ?? [])]),
  ];
}

function chartsRow(spec: FrameSpec, height: number): readonly Line[] {
  const [left, right] = split(spec.columns, 2);
  return beside(spec, height, [
    [throughputPane(spec, left, height), left],
    [successPane(spec, right, height), right],
  ]);
}

function split(columns: number, count: 2): [number, number];
function split(columns: number, count: number): readonly number[];
function split(columns: number, count: number): readonly number[] {
  return Array.from(
    { length: count },
    (_, index) => Math.floor((index + 1) * columns / count) - Math.floor(index * columns / count),
  );
}

function beside(
  { glyphs }: FrameSpec,
  height: number,
  panes: readonly (readonly [Pane, number])[],
): readonly Line[] {
  const drawn = panes.map(([pane, width]) => framed(pane, width, height, GLYPHS[glyphs]));
  return Array.from({ length: height }, (_, row) => drawn.flatMap((lines) => lines[row] ?? []));
}

function framed(
  { title, lines, isFocused = false }: Pane,
  width: number,
  height: number,
  { corners, horizontal, vertical }: Glyphs,
): readonly Line[] {
  const tone: Tone = isFocused ? "accent" : "dim";
  const [topLeft, topRight, bottomLeft, bottomRight] = corners;
  const name = ` ${title} `;
  const bar = horizontal.repeat(Math.max(0, width - 3 - columnsOf(name)));
  const inner = width - 4;
  return [
    fitted([
      span(`${topLeft}${horizontal}`, tone),
      span(name, isFocused ? "accent" : "strong"),
      span(`${bar}${topRight}`, tone),
    ], width),
    ...Array.from({ length: height - 2 }, (_, index) => [
      span(`${vertical} `, tone),
      ...fitted(lines[index] ?? [], inner),
      span(` ${vertical}`, tone),
    ]),
    [span(`${bottomLeft}${horizontal.repeat(Math.max(0, width - 2))}${bottomRight}`, tone)],
  ];
}

function titleLine({ snapshot, controls, newCount, folder, intervalMs, glyphs }: FrameSpec): Line {
  const { health, newestEventMs, takenAtMs, files } = snapshot;
  const age = newestEventMs === undefined
    ? "no message yet"
    : `newest message ${duration(takenAtMs - newestEventMs)} old`;
  const behind = files.journal?.behindBytes ?? 0;
  return [
    span(" orderflow ", "strong"),
    span(
      `${GLYPHS[glyphs].mark} ${statusName(health.status)}`,
      toneOf(health.status),
    ),
    span(`  tracker ${health.state}  `),
    ...(controls.isPaused
      ? [span(` PAUSED, +${withThousands(newCount)} new `, "selected"), span("  ")]
      : []),
    ...(behind > 1_000_000
      ? [span(`behind by ${withThousands(behind / 1_000_000)} MB  `, "warning")]
      : []),
    span(`${age}  every ${intervalMs} ms  ${printable(folder)}`, "dim"),
  ];
}

function footerLine({ controls, notice }: FrameSpec): Line {
  if (controls.isTyping) {
    return [
      span(" filter: ", "accent"),
      span(`${printable(controls.filter)}_`, "strong"),
      span("  Enter keeps it, Esc drops it", "dim"),
    ];
  }
  const filter: Line = controls.filter === ""
    ? []
    : [span(` filter "${printable(controls.filter)}" `, "selected")];
  return [
    ...filter,
    ...(notice === "" ? [] : [span(` ${printable(notice)} `, "accent"), span(" ")]),
    span(
      " q quit  ? help  Tab pane  / filter  Space pause  e error  Enter order  1-5 window",
      "dim",
    ),
  ];
}

function messagesPane({ snapshot }: FrameSpec): Pane {
  const { totals, messagesPerSecond, quality, lag, metrics } = snapshot;
  const success = totals.successRatePercent;
  const latency = metrics?.latencyMs;
  return {
    title: "Messages",
    lines: [
      fact("received", withThousands(totals.received), `${messagesPerSecond} msg/s`),
      fact(
        "processed",
        withThousands(totals.processed),
        success === undefined ? "" : percent(success),
      ),
      fact(
        "failed",
        withThousands(totals.failed),
        countsText(snapshot.errorKinds),
        totals.failed > 0 ? "bad" : "plain",
      ),
      fact("lag", lag === undefined ? "unknown" : withThousands(lag), "as the tracker last said"),
      fact(
        "latency",
        latency?.p50 === undefined ? "unknown" : `${latency.p50} ms`,
        latency?.p99 === undefined ? "" : `p99 ${latency.p99} ms`,
      ),
      fact(
        "quality",
        `${quality.score}/100`,
        quality.parts.map(({ name, points }) => `${name} ${points}`).join(", "),
      ),
    ],
  };
}

function fact(name: string, value: string, note: string, tone: Tone = "strong"): Line {
  return [
    span(column(name, 10), "dim"),
    span(column(value, 11, "right"), tone),
    span(`  ${note}`, "dim"),
  ];
}

function healthPane({ snapshot }: FrameSpec): Pane {
  const { health } = snapshot;
  return {
    title: "Health",
    lines: [
      [span(statusName(health.status), toneOf(health.status)), span(`, tracker ${health.state}`)],
      ...health.reasons.map((reason): Line => [span(`- ${printable(reason)}`)]),
      ...health.checks.map(({ name, level, reason }): Line => [
        span(`${name}: `, "dim"),
        span(level, level),
        span(` ${printable(reason)}`, "dim"),
      ]),
    ],
  };
}

function businessPane({ snapshot: { business, deadLetters } }: FrameSpec): Pane {
  const amount = (cents: number) => toDecimal(cents).toFixed(2);
  return {
    title: "Business",
    lines: [
      ...business.revenue.map(({ currency, totalCents, perMinuteCents }): Line => [
        span(`${amount(totalCents)} ${printable(currency)}`, "strong"),
        span(`  ${amount(perMinuteCents)} a minute over ${REVENUE_MINUTES}`, "dim"),
      ]),
      ...(business.ordersByStatus.size === 0
        ? []
        : [[span("orders  ", "dim"), span(countsText(business.ordersByStatus))]]),
      ...(deadLetters.size === 0
        ? []
        : [[span("dead letters  ", "dim"), span(countsText(deadLetters), "bad")]]),
      ...topLine("products", business.topProducts),
      ...topLine("customers", business.topCustomers),
    ],
  };
}

function topLine(name: string, counted: readonly Counted[]): readonly Line[] {
  const text = counted.map(({ label, count }) => `${printable(label)} ${withThousands(count)}`);
  return text.length === 0 ? [] : [[span(`${name}  `, "dim"), span(text.join(", "))]];
}

function throughputPane(spec: FrameSpec, width: number, height: number): Pane {
  const values = chartOf(spec).messagesPerSecond;
  return {
    title: `Throughput, ${windowTitle(spec)}`,
    lines: chartLines(spec, {
      values,
      min: 0,
      max: niceMax(Math.max(...values)),
      width,
      height,
      tone: "accent",
    }),
  };
}

function successPane(spec: FrameSpec, width: number, height: number): Pane {
  const chart = chartOf(spec);
  const rate = chart.totalSuccessRatePercent;
  const tone: Tone = rate === undefined || rate >= 95 ? "good" : rate >= 80 ? "warning" : "bad";
  return {
    title: `Success, ${windowTitle(spec)}, ${rate === undefined ? "no messages" : percent(rate)}`,
    lines: chartLines(spec, {
      values: chart.successRatePercent,
      min: 0,
      max: 100,
      width,
      height,
      tone,
    }),
  };
}

function chartOf({ snapshot, controls }: FrameSpec): Chart {
  return snapshot.charts[controls.window];
}

function windowTitle({ controls }: FrameSpec): string {
  return WINDOW_TITLES[controls.window];
}

function chartLines(
  spec: FrameSpec,
  { values, min, max, width, height, tone }: {
    readonly values: readonly (number | undefined)[];
    readonly min: number;
    readonly max: number;
    readonly width: number;
    readonly height: number;
    readonly tone: Tone;
  },
): readonly Line[] {
  const chartWidth = width - 4 - AXIS_WIDTH;
  const chartHeight = height - 3;
  const rows = chartRows({
    values,
    width: chartWidth,
    height: chartHeight,
    min,
    max,
    glyphs: spec.glyphs,
  });
  const spanText = duration(chartOf(spec).stepMs * values.length);
  const label = (row: number) =>
    row === 0 ? compact(max) : row === chartHeight - 1 ? compact(min) : "";
  return [
    ...rows.map((row, index): Line => [
      span(`${column(label(index), AXIS_WIDTH - 1, "right")}${GLYPHS[spec.glyphs].axis}`, "dim"),
      span(row, tone),
    ]),
    [span(
      `${" ".repeat(AXIS_WIDTH)}${column(`${spanText} ago`, Math.max(0, chartWidth - 3))}now`,
      "dim",
    )],
  ];
}

function compact(value: number): string {
  return value >= 1_000_000
    ? `${value / 1_000_000}M`
    : value >= 1000
    ? `${value / 1000}k`
    : String(Math.round(value * 100) / 100);
}

function partitionsPane({ snapshot: { partitions } }: FrameSpec): Pane {
  const head = ["partition", "received", "offset", "msg/s", "lag"];
  const row = (cells: readonly string[]) =>
    cells.map((cell, index) => column(cell, index === 0 ? 12 : 8, index === 0 ? "left" : "right"))
      .join("");
  return {
    title: "Partitions",
    lines: [
      [span(row(head), "dim")],
      ...partitions.map((each): Line => [span(row([
        printable(`${each.topic}/${each.partition}`),
        withThousands(each.received),
        String(each.lastOffset),
        String(each.messagesPerSecond),
        each.lag === undefined ? "?" : withThousands(each.lag),
      ]))]),
    ],
  };
}

function ordersPane({ snapshot, controls, glyphs }: FrameSpec, height: number): Pane {
  const events = filteredEvents(snapshot, controls.filter);
  const selected = Math.min(controls.selected.orders, Math.max(0, events.length - 1));
  const isFocused = controls.focus === "orders";
  const top = topOf(selected, height - 2);
  return {
    title: `Recent records${controls.filter === "" ? "" : `, ${events.length} match`}`,
    isFocused,
    lines: events.slice(top, top + height - 2).map((event, index) => {
      const isSelected = isFocused && top + index === selected;
      const line = eventLine(event, GLYPHS[glyphs], isSelected);
      return isSelected ? line.map(({ text }): Span => span(text, "selected")) : line;
    }),
  };
}

function eventLine(event: RecentEvent, { pointer }: Glyphs, isSelected: boolean): Line {
  const { order } = event;
  const what = event.failed ? `${event.kind}: ${event.error ?? ""}` : [
    order?.total === undefined
      ? undefined
      : `${order.total.toFixed(2)} ${order.currency ?? ""}`.padEnd(12),
    order?.status,
    order?.customerName,
    order?.orderId,
  ].filter((text) => text !== undefined).join("  ");
  return [
    span(`${isSelected ? pointer : " "} ${clock(event.timestampMs)} `, "dim"),
    span(event.failed ? "FAILED " : "ok     ", event.failed ? "bad" : "good"),
    span(column(printable(placeOf(event)), 18)),
    span(`  ${printable(what)}`),
  ];
}

function logPane({ snapshot, controls, glyphs }: FrameSpec, height: number): Pane {
  const logs = filteredLogs(snapshot, controls.filter);
  const selected = Math.min(controls.selected.log, Math.max(0, logs.length - 1));
  const isFocused = controls.focus === "log";
  const top = topOf(selected, height - 2);
  return {
    title: "Log",
    isFocused,
    lines: logs.slice(top, top + height - 2).map((log, index): Line => {
      const { level, message, error, timestampMs } = log;
      const mark = isFocused && top + index === selected ? GLYPHS[glyphs].pointer : " ";
      return [
        span(`${mark} ${clock(timestampMs)} `, "dim"),
        span(level.padEnd(6), level === "ERROR" ? "bad" : level === "WARN" ? "warning" : "dim"),
        span(printable(error === undefined ? message : `${message}: ${error}`)),
      ];
    }),
  };
}

function topOf(selected: number, height: number): number {
  return Math.max(0, selected - height + 1);
}

function detailOf({ snapshot, controls }: FrameSpec): Pane | undefined {
  const event = [...snapshot.recentFailedEvents, ...snapshot.recentEvents]
    .find((each) => placeOf(each) === controls.detail);
  if (event === undefined) return undefined;
  const lines = [
    ...(event.failed
      ? [[span(`FAILED, ${printable(event.kind)}: ${printable(event.error ?? "")}`, "bad")]]
      : []),
    ...wholeText(event).map((text): Line => [span(printable(text))]),
  ];
  const top = Math.min(controls.detailTop, Math.max(0, lines.length - 1));
  return {
    title: `${printable(placeOf(event))}, Esc closes`,
    isFocused: true,
    lines: lines.slice(top),
  };
}

/** The order in full, else the message as it came. */
function wholeText({ line }: RecentEvent): readonly string[] {
  const text = new TextDecoder().decode(line);
  try {
    const { order_full, ...rest } = JSON.parse(text);
    return JSON.stringify(order_full ?? rest, undefined, 2).split("\n");
  } catch {
    return ["the line is too long to be shown whole; it begins:", text.slice(0, 4000)];
  }
}

function helpPane(): Pane {
  const keys: readonly (readonly [string, string])[] = [
    ["q, Ctrl+C", "leave"],
    ["Tab", "next pane: records, log"],
    ["arrows, PgUp, PgDn", "move in the pane"],
    ["Enter", "the order of the record in full"],
    ["e, E", "next older, next newer record that failed"],
    ["/", "show only what contains a text"],
    ["Space", "hold the screen; counting goes on"],
    ["1 2 3 4 5", "charts of 1 min, 5 min, 15 min, 1 h, all"],
    ["t", "theme: dark, light, without colours"],
    ["Esc", "back"],
  ];
  return {
    title: "Keys",
    isFocused: true,
    lines: keys.map(([key, meaning]) => [span(column(key, 22), "strong"), span(meaning)]),
  };
}

function filteredEvents({ recentEvents }: Snapshot, filter: string): readonly RecentEvent[] {
  const decoder = new TextDecoder();
  return recentEvents.filter(({ line }) => contains(decoder.decode(line), filter)).toReversed();
}

function filteredLogs({ recentLogs }: Snapshot, filter: string): readonly LogLine[] {
  return recentLogs.filter(({ level, message, error = "" }) =>
    contains(`${level} ${message} ${error}`, filter)
  ).toReversed();
}

function contains(text: string, filter: string): boolean {
  return filter === "" || text.toLowerCase().includes(filter.toLowerCase());
}

function placeOf({ topic, partition, offset }: RecentEvent): string {
  return `${topic}/${partition}@${offset}`;
}

function countsText(counts: ReadonlyMap<string, number>): string {
  return counts.entries().map(([name, count]) => `${printable(name)} ${withThousands(count)}`)
    .toArray().join(", ");
}

function clock(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? "--:--:--" : time.toISOString().slice(11, 19);
}

function statusName(status: HealthStatus): string {
  return status === "no_data" ? "NO DATA" : status.toUpperCase();
}

function toneOf(status: HealthStatus): Tone {
  return status === "healthy" ? "good" : status === "unhealthy" ? "bad" : "warning";
}
