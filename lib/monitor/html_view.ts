/**
 * The monitor's figures as one page that needs nothing beside itself: for a run's report.
 *
 * @module
 */

import { toDecimal } from "../money.ts";
import { counted, printable, withThousands } from "../text.ts";
import { REVENUE_MINUTES } from "./business.ts";
import { percent, statusName } from "./health.ts";
import { RECENT_COUNT, type RecentEvent } from "./journal_model.ts";
import { logText } from "./log_model.ts";
import type { Snapshot } from "./read_model.ts";

const CHART = { width: 1280, height: 200, left: 60, bottom: 22, top: 8 } as const;

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --dim: #777; --good: #2a7d3f; --bad: #c0322f;
  --warning: #8a6100; --accent: #2866b8; }
@media (prefers-color-scheme: dark) { :root { --good: #6cc283; --bad: #ff7b72; --warning: #e3b341;
  --accent: #79b0ff; --dim: #999; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1340px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
main { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(25rem, 1fr)); }
section { border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; overflow-x: auto; }
section.wide { grid-column: 1 / -1; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: normal; color: var(--dim); }
th, td { padding: .15rem .8rem .15rem 0; vertical-align: top; }
td.number, th.number { white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums; }
td.text { overflow-wrap: break-word; }
.healthy, .good { color: var(--good); } .unhealthy, .bad { color: var(--bad); }
.stale, .counting, .no_data, .warning { color: var(--warning); }
svg { width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 12px; }
footer { color: var(--dim); margin: 1rem 0; }
`;

/** A whole HTML document. It has no script, and its policy lets it load nothing. */
export function formatHtml(snapshot: Snapshot, { folder }: { readonly folder: string }): string {
  const { health } = snapshot;
  const title = `orderflow: ${statusName(health.status)}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>orderflow <span class="${health.status}">${text(statusName(health.status))}</span></h1>
<p>${text(folder)} at ${text(isoTime(snapshot.takenAtMs))}, tracker ${text(health.state)}</p>
<main>
${messages(snapshot)}
${healthSection(snapshot)}
${quality(snapshot)}
${business(snapshot)}
${charts(snapshot)}
${partitions(snapshot)}
${failures(snapshot)}
${recentEvents(snapshot)}
${recentLogs(snapshot)}
</main>
<footer>${text(footer(snapshot))}</footer>
</body>
</html>`;
}

function messages(snapshot: Snapshot): string {
  const { totals, metrics, lag } = snapshot;
  const rate = totals.successRatePercent;
  const latency = metrics?.latencyMs;
  return section(
    "Messages",
    facts([
      ["received", withThousands(totals.received)],
      ["processed", withThousands(totals.processed)],
      ["failed", withThousands(totals.failed)],
      ["success", rate === undefined ? "no message yet" : percent(rate)],
      [
        "throughput",
        `${snapshot.messagesPerSecond} msg/s now, ` +
        `${snapshot.messagesPerSecondOverall} msg/s overall`,
      ],
      ["lag", lag === undefined ? "unknown" : `${withThousands(lag)}, as the tracker last said`],
      [
        "end-to-end latency",
        latency?.p50 === undefined
          ? "unknown"
          : `p50 ${latency.p50} ms` + (latency.p99 === undefined ? "" : `, p99 ${latency.p99} ms`),
      ],
      ["first message", isoTime(snapshot.firstEventMs)],
      ["newest message", isoTime(snapshot.newestEventMs)],
    ]),
  );
}

function healthSection({ health }: Snapshot): string {
  const reasons = health.reasons.map((reason) => `<li>${text(reason)}</li>`).join("");
  const checks = health.checks.map(({ name, level, reason }) => [
    text(name),
    `<span class="${level}">${text(level)}</span>`,
    text(reason),
  ]);
  return section("Health", `<ul>${reasons}</ul>${table(["check", "level", "why"], checks)}`);
}

function quality({ quality: { score, parts } }: Snapshot): string {
  return section(
    `Quality ${score}/100`,
    table(
      ["part", "#points", "why"],
      parts.map(({ name, points, pointsMax, reason }) => [
        text(name),
        `${points} of ${pointsMax}`,
        text(reason),
      ]),
    ),
  );
}

function business({ business: { revenue, ordersByStatus, topProducts, topCustomers } }: Snapshot) {
  const amount = (cents: number) => toDecimal(cents).toFixed(2);
  return section(
    "Business",
    table(
      ["currency", "#revenue", `#a minute over ${REVENUE_MINUTES}`],
      revenue.map(({ currency, totalCents, perMinuteCents }) => [
        text(currency),
        amount(totalCents),
        amount(perMinuteCents),
      ]),
    ) +
      table(["orders", "#"], ordersByStatus.entries().map(countRow).toArray()) +
      table(
        ["top products", "#units"],
        topProducts.map(({ label, count }) => countRow([label, count])),
      ) +
      table(
        ["top customers", "#orders"],
        topCustomers.map(({ label, count }) => countRow([label, count])),
      ),
  );
}

function countRow([name, count]: readonly [string, number]): readonly string[] {
  return [text(name), withThousands(count)];
}

function charts(snapshot: Snapshot): string {
  const { all } = snapshot.charts;
  const rate = all.totalSuccessRatePercent;
  return section(
    "Throughput, msg/s, from the first message on",
    svgChart(snapshot, all.messagesPerSecond, Math.max(1, ...all.messagesPerSecond)),
    "wide",
  ) +
    section(
      `Success in percent, ${rate === undefined ? "no message" : percent(rate)}`,
      svgChart(snapshot, all.successRatePercent, 100),
      "wide",
    );
}

/** Bars from the first message to the newest; a gap where there was none. */
function svgChart(
  { firstEventMs, newestEventMs }: Snapshot,
  valuesUntilNow: readonly (number | undefined)[],
  max: number,
): string {
  const isMessage = (value: number | undefined) => value !== undefined && value > 0;
  const values = valuesUntilNow.slice(0, valuesUntilNow.findLastIndex(isMessage) + 1);
  const { width, height, left, bottom, top } = CHART;
  const plotHeight = height - bottom - top;
  const stepWidth = (width - left) / Math.max(1, values.length);
  const y = (value: number) => round1(top + plotHeight * (1 - value / max));
  const bars = values.map((value, index) => {
    if (value === undefined || value <= 0) return "";
    const from = round1(left + index * stepWidth);
    const to = round1(left + (index + 1) * stepWidth);
    return `M${from} ${y(0)}V${y(value)}H${to}V${y(0)}Z`;
  }).join("");
  const grid = [0, 0.5, 1].map((part) =>
    `<line x1="${left}" x2="${width}" y1="${y(part * max)}" y2="${y(part * max)}"` +
    ` stroke="currentColor" stroke-opacity="0.15"/>` +
    `<text x="${left - 6}" y="${y(part * max) + 4}" text-anchor="end">${
      withThousands(Math.round(part * max * 10) / 10)
    }</text>`
  ).join("");
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="chart">${grid}` +
    `<path d="${bars}" fill="var(--accent)" fill-opacity="0.75"/>` +
    `<text x="${left}" y="${height - 5}">${text(isoTime(firstEventMs))}</text>` +
    `<text x="${width}" y="${height - 5}" text-anchor="end">${
      text(isoTime(newestEventMs))
    }</text></svg>`;
}

function partitions({ partitions }: Snapshot): string {
  return section(
    "Partitions",
    table(
      ["partition", "#received", "#failed", "#last offset", "#msg/s", "#lag"],
      partitions.map((each) => [
        text(`${each.topic}/${each.partition}`),
        withThousands(each.received),
        withThousands(each.failed),
        String(each.lastOffset),
        String(each.messagesPerSecond),
        each.lag === undefined ? "?" : withThousands(each.lag),
      ]),
    ),
  );
}

function failures({ errorKinds, deadLetters }: Snapshot): string {
  return section(
    "Failures",
    table(["kind", "#records"], errorKinds.entries().map(countRow).toArray()) +
      table(["dead letters", "#records"], deadLetters.entries().map(countRow).toArray()),
  );
}

function recentEvents({ recentEvents }: Snapshot): string {
  const rows = recentEvents.slice(-RECENT_COUNT).toReversed().map((event) => [
    text(isoTime(event.timestampMs)),
    `<span class="${event.failed ? "bad" : "good"}">${event.failed ? "FAILED" : "ok"}</span>`,
    text(`${event.topic}/${event.partition}@${event.offset}`),
    text(eventText(event)),
  ]);
  return section("Recent records", table(["at", "", "record", "what"], rows), "wide");
}

function eventText({ failed, kind, error, order }: RecentEvent): string {
  if (failed) return `${kind}: ${error ?? ""}`;
  const total = order?.total === undefined
    ? ""
    : `${order.total.toFixed(2)} ${order.currency ?? ""}`;
  return [total, order?.status, order?.customerName, order?.orderId]
    .filter((part) => part !== undefined && part !== "").join(", ");
}

function recentLogs({ recentLogs }: Snapshot): string {
  const rows = recentLogs.toReversed().map(({ timestampMs, level, ...log }) => [
    text(isoTime(timestampMs)),
    text(level),
    text(logText(log)),
  ]);
  return section("Log", table(["at", "level", "message"], rows), "wide");
}

function footer({ unreadable, aheadOfClockCount, files }: Snapshot): string {
  return [
    `${counted(files.journal?.readBytes ?? 0, "byte")} of journal read`,
    `${counted(unreadable.journalLines + unreadable.logLines, "line")} could not be read`,
    ...(aheadOfClockCount === 0
      ? []
      : [`${counted(aheadOfClockCount, "message")} stamped ahead of this clock`]),
  ].join("; ");
}

function section(title: string, body: string, className = ""): string {
  return `<section class="${className}"><h2>${text(title)}</h2>${body}</section>`;
}

function facts(rows: readonly (readonly [string, string])[]): string {
  return table(
    [],
    rows.map(([name, value]) => [
      `<span style="color:var(--dim)">${text(name)}</span>`,
      text(value),
    ]),
  );
}

/** Cells are HTML already. A heading that begins with `#` is of a column of numbers; nothing without rows. */
function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const isNumber = headings.map((heading) => heading.startsWith("#"));
  const className = (index: number) => isNumber[index] ? "number" : "text";
  const head = headings.map((heading, index) =>
    `<th class="${className(index)}">${text(heading.replace("#", ""))}</th>`
  ).join("");
  const body = rows.map((cells) =>
    `<tr>${
      cells.map((cell, index) => `<td class="${className(index)}">${cell}</td>`).join("")
    }</tr>`
  ).join("");
  return `<table>${head === "" ? "" : `<tr>${head}</tr>`}${body}</table>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text for a page: control and bidirectional characters made visible, markup disarmed. */
function text(value: string): string {
  return printable(value).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}

function isoTime(timeMs: number | undefined): string {
  const time = new Date(timeMs ?? NaN);
  return Number.isNaN(time.getTime()) ? "unknown" : time.toISOString();
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}
