/**
 * Computes a tracker's quality score from its named parts. Pure.
 */

import { counted } from "../../text.ts";
import { successPercent } from "./chart.ts";
import { duration, type Evidence, JUDGED_WINDOW_MS, percent, round1 } from "./health.ts";

const SUCCESS_POINTS_MAX = 50;
const ERROR_POINTS_MAX = 20;
const POINTS_PER_ERROR = 2;
const RATE_POINTS = [
  { atLeast: 0.5, points: 30 },
  { atLeast: 0.3, points: 25 },
  { atLeast: 0.1, points: 15 },
] as const;
const RATE_POINTS_MAX = 30;
const RATE_POINTS_ABOVE_ZERO = 10;

export interface QualityPart {
  readonly name: "success" | "throughput" | "errors";
  readonly points: number;
  readonly pointsMax: number;
  readonly reason: string;
}

export interface Quality {
  /** 0 to 100: the sum of the parts, rounded. */
  readonly score: number;
  readonly parts: readonly QualityPart[];
}

export function judgeQuality(evidence: Evidence): Quality {
  const parts = [successPart(evidence), throughputPart(evidence), errorsPart(evidence)];
  return { score: Math.round(parts.reduce((sum, { points }) => sum + points, 0)), parts };
}

function successPart({ window, successPercent: overall }: Evidence): QualityPart {
  const inWindow = window.received > 0;
  const rate = successPercent(window) ?? overall;
  return {
    name: "success",
    points: rate === undefined ? 0 : round1(rate / 100 * SUCCESS_POINTS_MAX),
    pointsMax: SUCCESS_POINTS_MAX,
    reason: rate === undefined
      ? "no message yet"
      : `${percent(rate)} ${inWindow ? `in ${duration(JUDGED_WINDOW_MS)}` : "of all"}`,
  };
}

function throughputPart({ messagesPerSecond: rate }: Evidence): QualityPart {
  const step = RATE_POINTS.find(({ atLeast }) => rate >= atLeast);
  return {
    name: "throughput",
    points: step?.points ?? (rate > 0 ? RATE_POINTS_ABOVE_ZERO : 0),
    pointsMax: RATE_POINTS_MAX,
    reason: `${rate} msg/s`,
  };
}

function errorsPart({ window, trackerErrorsInWindow }: Evidence): QualityPart {
  const errors = window.failed + trackerErrorsInWindow;
  return {
    name: "errors",
    points: Math.max(0, ERROR_POINTS_MAX - POINTS_PER_ERROR * errors),
    pointsMax: ERROR_POINTS_MAX,
    reason: `${errors === 0 ? "no errors" : counted(errors, "error")} in ${
      duration(JUDGED_WINDOW_MS)
    }`,
  };
}
