/**
 * The page of `--report`: a run with its charts, on which nothing else is needed to read it. Pure.
 */

import { htmlChart } from "../html/chart.ts";
import { lineChart } from "../html/line_chart.ts";
import { htmlPage } from "../html/page.ts";
import { section, table, text, tiles } from "../html/parts.ts";
import { niceMax } from "../html/scale.ts";
import type { LatencyRecorder, LatencySummary } from "../latency.ts";
import { withThousands } from "../text.ts";
import { VERSION } from "../version.ts";
import type { Conclusion, ProducerResult } from "./conclusion.ts";
import { describeAccounts } from "./display.ts";
import type { SecondRow } from "./series.ts";

export interface ReportContent {
  readonly conclusion: Conclusion;
  /** The run's seconds; each point of a long run covers several. */
  readonly points: readonly SecondRow[];
  readonly latencies: { readonly planned: LatencyRecorder; readonly fromSend: LatencyRecorder };
  /** Rows of the cluster's table. */
  readonly cluster: readonly (readonly [name: string, value: string])[];
  readonly commandLine: string;
  readonly startedAtMs: number;
}

/** Points of the percentile curve. */
const CURVE_POINTS = 120;
/** The curve ends at 99.999 %, or earlier where there are too few records for that. */
const NINES_MAX = 5;
const MB = 1e6;

/** Returns a whole HTML document. */
export function formatReport(content: ReportContent): string {
  const { conclusion, startedAtMs } = content;
  const { result, noun } = conclusion;
  const { name, level } = verdictOf(conclusion);
  const endedAtMs = startedAtMs + result.seconds * 1_000;
  return htmlPage(
    `orderflow load test: ${name}`,
    `<h1>orderflow load test <span class="${level}">${name}</span></h1>
<p class="lead">${
      text(describeAccounts(result, noun))
    }, in ${result.seconds} s (seed ${result.seed})</p>
<p>${time(startedAtMs)} to ${time(endedAtMs)} UTC</p>
${mainFigures(result, noun)}
<main>
${problems(conclusion)}
${throughput(content)}
${latencyOverTime(content)}
${percentiles(content)}
${accounts(result)}
${section("Command line and cluster", facts(content))}
</main>
<footer>orderflow ${text(VERSION)}</footer>`,
  );
}

function verdictOf({ exitCode }: Conclusion): { readonly name: string; readonly level: string } {
  if (exitCode === 0) return { name: "PASSED", level: "good" };
  return { name: exitCode === 1 ? "FAILED" : "THRESHOLD CROSSED", level: "bad" };
}

function mainFigures(result: ProducerResult, noun: string): string {
  const { latency_ms: latency, latency_from_send_ms: fromSend, planned, behind = 0 } = result;
  const behindMs = result.behind_ms_max ?? 0;
  return tiles([
    [`${noun}s a second`, withThousands(result.rate), "acknowledged"],
    ["MB a second", String(result.mb_per_second), "of values"],
    ["latency p50", milliseconds(latency?.p50), "from the planned time"],
    ["latency p99", milliseconds(latency?.p99), `from the send ${milliseconds(fromSend?.p99)}`],
    ["latency max", milliseconds(latency?.max), `from the send ${milliseconds(fromSend?.max)}`],
    planned === undefined ? ["plan", "none", "--rate max"] : [
      "left out",
      withThousands(behind),
      `of ${withThousands(planned)} planned; at most ${milliseconds(behindMs)} late`,
    ],
  ]);
}

function problems({ problems, warnings, thresholdLines, result }: Conclusion): string {
  const lines = [...problems, ...warnings].map((line) => `<li>${text(line)}</li>`).join("");
  const rows = (result.fail_if ?? []).map(({ condition, value, unit, verdict }) => [
    text(condition),
    value === null ? "no data" : text(`${withDigits(value)} ${unit}`),
    `<span class="${verdict === "ok" ? "good" : "bad"}">${text(verdict)}</span>`,
  ]);
  if (lines === "" && thresholdLines.length === 0) return "";
  return section(
    "Verdict",
    (lines === "" ? "" : `<ul>${lines}</ul>`) + table(["fail if", "#value", ""], rows),
    "wide",
  );
}

/** How long a point is, in seconds. */
function spanOf(points: readonly SecondRow[], index: number): number {
  return Math.max(0.001, (points[index]?.seconds ?? 0) - (points[index - 1]?.seconds ?? 0));
}

function throughput({ points, conclusion: { noun } }: ReportContent): string {
  const rates = points.map(({ acknowledged }, index) => acknowledged / spanOf(points, index));
  const notes = points.map((point, index) => {
    const span = spanOf(points, index);
    const rate = (count: number) => withThousands(count / span);
    return `${point.seconds.toFixed(1)} s: ${rate(point.acknowledged)} ${noun}s/s acknowledged, ` +
      `${(point.acknowledgedBytes / MB / span).toFixed(2)} MB/s, ` +
      (point.planned === undefined ? "" : `${rate(point.planned)} planned, `) +
      `${rate(point.generated)} generated, ${withThousands(point.inFlight)} in flight` +
      (point.notAcknowledged > 0
        ? `, ${withThousands(point.notAcknowledged)} not acknowledged`
        : "");
  });
  return section(
    `Throughput, ${noun}s/s`,
    htmlChart({
      name: `acknowledged ${noun}s a second`,
      values: rates,
      notes,
      max: niceMax(Math.max(0, ...rates)),
      from: "0 s",
      to: `${points.at(-1)?.seconds.toFixed(1) ?? 0} s`,
      color: "accent",
    }),
    "wide",
  );
}

function latencyOverTime({ points }: ReportContent): string {
  const valuesOf = (name: keyof LatencySummary) => points.map(({ latency }) => latency?.[name]);
  const notes = points.map(({ seconds, latency }) =>
    `${seconds.toFixed(1)} s: ` +
    (latency === null ? "nothing was acknowledged" : describe(latency))
  );
  const isMerged = spanOf(points, 0) > 1.5;
  return section(
    "Latency over time, from the planned time",
    lineChart({
      name: "latency p50, p99, and maximum over time",
      lines: [
        { name: "max", values: valuesOf("max"), color: "bad" },
        { name: "p99", values: valuesOf("p99"), color: "accent" },
        { name: "p50", values: valuesOf("p50"), color: "good" },
      ],
      notes,
      labels: ["0 s", `${points.at(-1)?.seconds.toFixed(1) ?? 0} s`],
      unit: "ms",
    }) + (isMerged
      ? `<p>Each point covers several seconds; p50 and p99 are those of its worst second.</p>`
      : ""),
    "wide",
  );
}

function describe({ p50, p99, max }: LatencySummary): string {
  return `p50 ${milliseconds(p50)}, p99 ${milliseconds(p99)}, max ${milliseconds(max)}`;
}

function percentiles({ latencies: { planned, fromSend }, conclusion }: ReportContent): string {
  const { latency_ms: latency, latency_from_send_ms: sent } = conclusion.result;
  if (latency === null || sent === null) {
    return section("Percentiles of the latency", "<p>No latency was measured.</p>", "wide");
  }
  const nines = Math.min(NINES_MAX, Math.max(2, Math.ceil(Math.log10(planned.count))));
  const at = Array.from(
    { length: CURVE_POINTS },
    (_, index) => 100 * (1 - 10 ** (-nines * index / (CURVE_POINTS - 1))),
  );
  const rows = (["p50", "p95", "p99", "p999", "max"] as const).map((name) => [
    name,
    milliseconds(latency[name]),
    milliseconds(sent[name]),
  ]);
  return section(
    "Percentiles of the latency",
    lineChart({
      name: "latency by percentile",
      lines: [
        {
          name: "from the planned time",
          values: at.map((each) => planned.atPercentile(each)),
          color: "accent",
        },
        {
          name: "from the send",
          values: at.map((each) => fromSend.atPercentile(each)),
          color: "good",
        },
      ],
      notes: at.map((each) =>
        `${each.toFixed(3)} %: ${
          milliseconds(planned.atPercentile(each))
        } from the planned time, ` +
        `${milliseconds(fromSend.atPercentile(each))} from the send`
      ),
      labels: Array.from({ length: nines + 1 }, (_, index) => percentLabel(index)),
      unit: "ms",
    }) + table(["", "#from the planned time", "#from the send"], rows),
    "wide",
  );
}

/** 0 %, 90 %, 99 %, 99.9 %, and so on. */
function percentLabel(nines: number): string {
  return `${Number((100 * (1 - 10 ** -nines)).toFixed(Math.max(0, nines - 2)))} %`;
}

function accounts(result: ProducerResult): string {
  const rows = Object.entries(result)
    .filter(([, value]) => typeof value === "number")
    .map((
      [name, value],
    ) => [text(name), name === "seed" ? String(value) : withDigits(Number(value))]);
  return section("Accounts", table(["", "#"], rows));
}

function facts({ commandLine, cluster }: ReportContent): string {
  const rows = [["command line", commandLine], ...cluster].map((row) => row.map(text));
  return table(["", "+"], rows);
}

function withDigits(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 3 });
}

function milliseconds(value: number | undefined): string {
  return value === undefined
    ? "none"
    : `${value.toLocaleString("en-US", { maximumSignificantDigits: 4 })} ms`;
}

/** In UTC, to the second. */
function time(timeMs: number): string {
  return new Date(timeMs).toISOString().replace("T", " ").slice(0, 19);
}
