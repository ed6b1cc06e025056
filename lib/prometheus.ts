/**
 * Metrics in the text exposition format of Prometheus, version 0.0.4:
 *
 *     # HELP orderflow_tracker_lag_records Records that are not safe yet.
 *     # TYPE orderflow_tracker_lag_records gauge
 *     orderflow_tracker_lag_records{topic="orders",partition="0"} 12
 *
 * A figure that is not known has no sample, and a metric without samples is left out: 0 would be a claim.
 */

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export type Labels = Readonly<Record<string, string | number>>;

export interface Sample {
  readonly labels?: Labels;
  /** Undefined where it is not known. */
  readonly value: number | undefined;
  /** Appended to the metric's name, as a histogram's `_bucket`. */
  readonly suffix?: string;
}

export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly Sample[];
}

/** Returns a metric with one sample and no labels. */
export function single(
  type: "counter" | "gauge",
  name: string,
  { help, value }: { readonly help: string; readonly value: number | undefined },
): MetricFamily {
  return { type, name, help, samples: [{ value }] };
}

/** Returns the text that a scrape receives. */
export function formatMetrics(families: readonly MetricFamily[]): string {
  return families.map(formatFamily).join("");
}

function formatFamily({ name, help, type, samples }: MetricFamily): string {
  const lines = samples.flatMap(({ labels = {}, value, suffix = "" }) =>
    value === undefined ? [] : [`${name}${suffix}${formatLabels(labels)} ${formatValue(value)}\n`]
  );
  if (lines.length === 0) return "";
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeLabel(value: string | number): string {
  return escapeHelp(String(value).toWellFormed()).replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function formatValue(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

/** Upper bounds of durations in seconds; the same as of the OpenTelemetry histograms. */
export const DURATION_BOUNDARIES = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  60,
] as const;

/** Counts durations in buckets that only grow, as rates and quantiles over any window need them. */
export class DurationHistogram {
  /** By boundary, and one more for what is longer than all of them. */
  readonly #counts: number[] = [...DURATION_BOUNDARIES, Infinity].map(() => 0);
  #sumSeconds = 0;

  /** A duration below 0, as clocks that disagree give it, counts as 0. */
  record(durationMs: number): void {
    const seconds = Math.max(0, durationMs) / 1_000;
    let index = 0;
    while (seconds > (DURATION_BOUNDARIES[index] ?? Infinity)) index++;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sumSeconds += seconds;
  }

  family(name: string, help: string): MetricFamily {
    let count = 0;
    const buckets = this.#counts.map((each, index) => ({
      suffix: "_bucket",
      labels: { le: formatValue(DURATION_BOUNDARIES[index] ?? Infinity) },
      value: count += each,
    }));
    return {
      name,
      help,
      type: "histogram",
      samples: [
        ...buckets,
        { suffix: "_sum", value: this.#sumSeconds },
        { suffix: "_count", value: count },
      ],
    };
  }
}
