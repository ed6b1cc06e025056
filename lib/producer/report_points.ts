/**
 * The seconds of a run in bounded memory, for the charts of its report.
 */

import type { LatencySummary } from "../latency.ts";
import type { SecondRow } from "./series.ts";

/** An even number; a larger one would only make the page larger. */
const POINTS_MAX = 600;

export class ReportPoints {
  #points: SecondRow[] = [];
  /** The seconds of the last point, and how many make a point. */
  #openCount = 0;
  #rowsPerPoint = 1;

  /** The run so far; each point covers as many seconds as the others, but for the last. */
  get points(): readonly SecondRow[] {
    return this.#points;
  }

  add(row: SecondRow): void {
    const last = this.#points.at(-1);
    if (last === undefined || this.#openCount === this.#rowsPerPoint) {
      this.#points.push(row);
      this.#openCount = 1;
    } else {
      this.#points[this.#points.length - 1] = merged(last, row);
      this.#openCount++;
    }
    if (this.#points.length > POINTS_MAX) this.#halve();
  }

  /** Joins the points by pairs; the last one, which was just begun, has none. */
  #halve(): void {
    const points = this.#points;
    this.#points = [];
    for (let index = 0; index < points.length; index += 2) {
      const [first, second] = points.slice(index, index + 2);
      if (first !== undefined) {
        this.#points.push(second === undefined ? first : merged(first, second));
      }
    }
    this.#rowsPerPoint *= 2;
  }
}

function merged(first: SecondRow, second: SecondRow): SecondRow {
  return {
    ...second,
    ...(first.planned !== undefined && { planned: first.planned + (second.planned ?? 0) }),
    generated: first.generated + second.generated,
    acknowledged: first.acknowledged + second.acknowledged,
    notAcknowledged: first.notAcknowledged + second.notAcknowledged,
    acknowledgedBytes: first.acknowledgedBytes + second.acknowledgedBytes,
    latency: worse(first.latency, second.latency),
  };
}

/** Percentiles of two seconds cannot be joined: the higher one is kept. */
function worse(first: LatencySummary | null, second: LatencySummary | null): LatencySummary | null {
  if (first === null || second === null) return first ?? second;
  return {
    p50: Math.max(first.p50, second.p50),
    p95: Math.max(first.p95, second.p95),
    p99: Math.max(first.p99, second.p99),
    p999: Math.max(first.p999, second.p999),
    max: Math.max(first.max, second.max),
  };
}
