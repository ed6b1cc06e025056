/**
 * Conditions of `--fail-if` under which a run ends with exit code 3, such as `p99>200ms`.
 *
 *     p50 p95 p99 p999 max   latency from the planned time, the warm-up left out: us, ms, or s
 *     behind                 the most that a record was generated after it was due: us, ms, or s
 *     rate                   acknowledged records a second: /s
 *     failed unknown         records of that account: a count, or % of those generated
 *
 * A condition without data, as a latency of a run in which nothing was acknowledged, counts as crossed.
 */

import { InvalidArgumentError } from "../cli/cli.ts";
import type { ProducerSummary } from "./accounts.ts";

const LATENCIES = ["p50", "p95", "p99", "p999", "max"] as const;
const TIME_UNITS_MS = { us: 0.001, ms: 1, s: 1_000 } as const;
const UNITS_OF_TIME = ["us", "ms", "s"] as const;
const UNITS_OF_COUNT = ["", "%"] as const;

const UNITS_OF = {
  p50: UNITS_OF_TIME,
  p95: UNITS_OF_TIME,
  p99: UNITS_OF_TIME,
  p999: UNITS_OF_TIME,
  max: UNITS_OF_TIME,
  behind: UNITS_OF_TIME,
  rate: ["/s"],
  failed: UNITS_OF_COUNT,
  unknown: UNITS_OF_COUNT,
} as const;

type Metric = keyof typeof UNITS_OF;
type Unit = typeof UNITS_OF[Metric][number];

const COMPARISONS = {
  ">": (value: number, limit: number) => value > limit,
  ">=": (value: number, limit: number) => value >= limit,
  "<": (value: number, limit: number) => value < limit,
  "<=": (value: number, limit: number) => value <= limit,
} as const;

type Operator = keyof typeof COMPARISONS;

export interface Threshold {
  readonly metric: Metric;
  readonly operator: Operator;
  readonly limit: number;
  readonly unit: Unit;
}

/** A threshold in the `fail_if` of `--json`. */
export interface JudgedThreshold {
  /** As `p99>200ms`, without spaces. */
  readonly condition: string;
  readonly metric: string;
  readonly operator: string;
  readonly limit: number;
  /** Unit of `limit` and `value`; empty for a count. */
  readonly unit: string;
  /** Null without data. */
  readonly value: number | null;
  /** `no data` makes the run fail as `crossed` does. */
  readonly verdict: "ok" | "crossed" | "no data";
}

const FORM = /^\s*([a-z]\w*)\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?)\s*(\S*)\s*$/;
const EXAMPLES =
  "p50, p95, p99, p999, max, and behind with us, ms, or s (p99>200ms); rate with /s " +
  "(rate<900/s); failed and unknown as a count or with % (failed>0, unknown>=0.1%)";

/** @throws {InvalidArgumentError} with all that there is to choose from. */
export function parseThreshold(text: string): Threshold {
  const [, metric = "", operator = "", limit = "", unit = ""] = FORM.exec(text) ?? [];
  if (metric === "") {
    throw new InvalidArgumentError(
      `expected METRIC, one of > >= < <=, and a number with its unit; the metrics: ${EXAMPLES}`,
    );
  }
  if (!isMetric(metric) || !isOperator(operator)) {
    throw new InvalidArgumentError(`there is no metric "${metric}"; use ${EXAMPLES}`);
  }
  const known = UNITS_OF[metric].find((each) => each === unit);
  if (known === undefined) {
    const units = UNITS_OF[metric].map((each) => each === "" ? "no unit" : each).join(", ");
    throw new InvalidArgumentError(
      `${metric} ${
        unit === "" ? "needs a unit" : `has no unit "${unit}"`
      } (${units}); use ${EXAMPLES}`,
    );
  }
  return { metric, operator, limit: Number(limit), unit: known };
}

function isMetric(text: string): text is Metric {
  return Object.hasOwn(UNITS_OF, text);
}

function isOperator(text: string): text is Operator {
  return Object.hasOwn(COMPARISONS, text);
}

/** Compares a run's figures with its thresholds. */
export function judgeThresholds(
  thresholds: readonly Threshold[],
  summary: ProducerSummary,
): readonly JudgedThreshold[] {
  return thresholds.map((threshold) => {
    const { metric, operator, limit, unit } = threshold;
    const value = valueOf(threshold, summary);
    const verdict = value === undefined
      ? "no data"
      : COMPARISONS[operator](value, limit)
      ? "crossed"
      : "ok";
    const condition = `${metric}${operator}${limit}${unit}`;
    return { condition, metric, operator, limit, unit, value: value ?? null, verdict };
  });
}

/** In the threshold's unit; undefined without data. */
function valueOf({ metric, unit }: Threshold, summary: ProducerSummary): number | undefined {
  const { generated, latency_ms: latency, planned = 0, behind_ms_max: behindMs } = summary;
  const latencyName = LATENCIES.find((name) => name === metric);
  if (latencyName !== undefined) return inUnit(latency?.[latencyName], unit);
  if (metric === "behind") return planned === 0 ? undefined : inUnit(behindMs, unit);
  if (generated === 0) return undefined;
  if (metric === "rate") return summary.rate;
  const count = metric === "failed" ? summary.failed : summary.unknown;
  return unit === "%" ? 100 * count / generated : count;
}

function inUnit(ms: number | undefined, unit: Unit): number | undefined {
  if (ms === undefined || (unit !== "us" && unit !== "ms" && unit !== "s")) return ms;
  return Math.round(ms / TIME_UNITS_MS[unit] * 1e6) / 1e6;
}

/** Both sides of a threshold in a line. */
export function describeThreshold(
  { condition, metric, unit, value, verdict }: JudgedThreshold,
): string {
  if (value === null) {
    return `fail if ${condition}: ${metric} has NO DATA: ${whyNoData(metric)}`;
  }
  const space = unit === "" || unit === "/s" ? "" : " ";
  const shown = `${roughly(value)}${space}${unit}`;
  return `fail if ${condition}: ${metric} was ${shown}: ${verdict === "ok" ? "ok" : "CROSSED"}`;
}

function whyNoData(metric: string): string {
  if (metric === "behind") return "nothing was planned (--rate max has no plan)";
  return LATENCIES.some((name) => name === metric)
    ? "nothing was acknowledged after the warm-up"
    : "nothing was generated";
}

/** Enough digits to tell the two sides apart. */
function roughly(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 3 });
}
