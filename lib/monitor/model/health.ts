/**
 * Judges the figures: a verdict with its reasons. Pure.
 */

import type { TrackerState as OwnState } from "../../tracker_status.ts";
import { counted, inBytes } from "../../text.ts";
import { successPercent } from "./chart.ts";
import type { Trouble } from "./trouble.ts";

/**
 * Without a line of journal or log for this long, the current state is unknown: two of the tracker's 30 s metrics are
 * missing.
 */
export const STALE_AFTER_MS = 60_000;
/** Success and errors are judged over this window, so that a bad hour does not count forever. */
export const JUDGED_WINDOW_MS = 300_000;
/** Throughput is measured over this window. */
export const RATE_WINDOW_MS = 60_000;

const SUCCESS_GOOD_PERCENT = 95;
const SUCCESS_WARNING_PERCENT = 80;
const RATE_NORMAL = 0.3;
const RATE_LOW = 0.1;
/** How long an error of the tracker itself counts as current. */
export const LAST_ERROR_RED_MS = 60_000;
const LAST_ERROR_YELLOW_MS = 300_000;

/** `counting`: the journal is not read to its end, so the current state is unknown. */
export type HealthStatus = "healthy" | "unhealthy" | "stale" | "counting" | "no_data";

/** With fewer unread bytes than this, the journal counts as read: that much arrives between two polls. */
export const BEHIND_BYTES_MIN = 1_000_000;

/**
 * The tracker's state. While its status file is fresh, this is the tracker's own state: `starting`, `waiting`,
 * `blocked`, and `stopping` are its own words (`lib/tracker/standing.ts`). Otherwise it is inferred: `running` if
 * messages arrive, `idle` if only its log continues, `stopped` after it logged its totals, `silent` if neither
 * journal nor log continue, and `absent` if there never was anything.
 */
export type TrackerState =
  | "running"
  | "idle"
  | "starting"
  | "waiting"
  | "blocked"
  | "stopping"
  | "stopped"
  | "silent"
  | "absent";

export interface SaidStatus {
  readonly state: OwnState;
  readonly isReady: boolean;
  readonly reason: string | undefined;
  readonly ageMs: number;
}

/** Longer latencies are shown in seconds, minutes, or hours. */
const LONG_MS = 10_000;

export type Level = "good" | "warning" | "bad";

export interface Check {
  readonly name: "success rate" | "throughput" | "last error";
  readonly level: Level;
  /** The judged value: `97.9 %`, `0.2 msg/s`, `12 s ago`. */
  readonly value: string;
  readonly reason: string;
}

export interface Health {
  readonly status: HealthStatus;
  readonly state: TrackerState;
  /** The problem that currently keeps records from being journaled. */
  readonly trouble: Trouble | undefined;
  /** Sentences, the most important first; never empty. */
  readonly reasons: readonly string[];
  readonly checks: readonly Check[];
}

/** The input of the verdict. Ages are in milliseconds, and undefined if it never happened. */
export interface Evidence {
  readonly received: number;
  /** Percentage of all messages; undefined if there were none. */
  readonly successPercent: number | undefined;
  readonly window: { readonly received: number; readonly failed: number };
  /** Rate over the last minute, to two digits, as shown. */
  readonly messagesPerSecond: number;
  readonly newestEventAgeMs: number | undefined;
  readonly newestLogAgeMs: number | undefined;
  readonly stoppedAgeMs: number | undefined;
  readonly lastErrorAgeMs: number | undefined;
  /** An error of the tracker itself, which needs attention. */
  readonly trackerError: { readonly ageMs: number; readonly message: string } | undefined;
  readonly trackerErrorsInWindow: number;
  /** Records that the tracker knows of and has not read; undefined if it does not report them. */
  readonly lag: number | undefined;
  /** The tracker's own status; undefined if there is none, or it is not fresh. */
  readonly status: SaidStatus | undefined;
  /** Age of its last status if it should still be writing one: its last state was not `stopped`. */
  readonly lostStatusAgeMs: number | undefined;
  readonly trouble: Trouble | undefined;
  readonly unreadableLines: number;
  /** Why the log, or the status file, cannot be read. */
  readonly fileProblems: readonly string[];
  readonly behindBytes: number;
  /** True until everything that existed at the start is counted. */
  readonly isFirstCount: boolean;
}

export function judgeHealth(evidence: Evidence): Health {
  return { ...judgement(evidence), trouble: evidence.trouble };
}

function judgement(evidence: Evidence): Omit<Health, "trouble"> {
  const state = trackerState(evidence);
  const checks = [successCheck(evidence), throughputCheck(evidence), lastErrorCheck(evidence)];
  const { newestEventAgeMs, newestLogAgeMs, status, lostStatusAgeMs } = evidence;
  const newestAgeMs = Math.min(
    newestEventAgeMs ?? Infinity,
    newestLogAgeMs ?? Infinity,
    status?.ageMs ?? Infinity,
  );

  const isBehind = evidence.behindBytes >= BEHIND_BYTES_MIN;
  if (isBehind && (evidence.isFirstCount || newestAgeMs > STALE_AFTER_MS)) {
    const left = inBytes(evidence.behindBytes);
    const reason = `the journal is being counted, ${left} to go: nothing is judged before`;
    return { status: "counting", state, reasons: [reason], checks };
  }
  if (evidence.received === 0) {
    const reasons = [noDataReason(evidence, state), ...saidReasons(evidence)];
    return { status: "no_data", state, reasons: [...reasons, ...fileReasons(evidence)], checks };
  }
  if (lostStatusAgeMs !== undefined) {
    const lost = `the tracker has not said anything for ${duration(lostStatusAgeMs)}: ` +
      "it was killed, or hangs, or cannot write";
    return { status: "stale", state, reasons: [lost, ...stateReasons(evidence, state)], checks };
  }
  if (newestAgeMs > STALE_AFTER_MS) {
    const stale = `no data for ${duration(newestAgeMs)} (stale after ${duration(STALE_AFTER_MS)})`;
    const reasons = [stale, ...stateReasons(evidence, state), ...fileReasons(evidence)];
    return { status: "stale", state, reasons, checks };
  }
  const troubles = troublesOf(evidence, state);
  return {
    status: troubles.length > 0 ? "unhealthy" : "healthy",
    state,
    reasons: [
      ...troubles,
      ...checks.slice(0, 1).map(({ reason }) => reason).filter((reason) =>
        !troubles.includes(reason)
      ),
      ...saidReasons(evidence).filter((reason) => !troubles.includes(reason)),
      ...stateReasons(evidence, state),
      ...checks.slice(1).filter(({ level, name }) =>
        level !== "good" && (name !== "throughput" || state === "running")
      ).map(({ reason }) => reason),
      ...fileReasons(evidence),
    ],
    checks,
  };
}

/** Formats a time in a suitable unit: `12 s`, `3 min`, `5 h`, `2 days`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** Formats a latency with few digits: `0.4 ms`, `12 ms`, `23 min`. */
export function milliseconds(ms: number): string {
  if (ms >= LONG_MS) return duration(ms);
  return `${ms < 10 ? round1(ms) : Math.round(ms)} ms`;
}

/** Returns the verdict for display, such as `NO DATA`, or the name of a trouble, such as `BROKER AWAY`. */
export function statusName(
  { status, trouble }: Pick<Health, "status" | "trouble">,
): string {
  return trouble?.name ?? status.replace("_", " ").toUpperCase();
}

export function levelOf({ status, trouble }: Pick<Health, "status" | "trouble">): Level {
  if (trouble !== undefined || status === "unhealthy") return "bad";
  return status === "healthy" ? "good" : "warning";
}

/** Formats a percentage: `100 %`, `99.8 %`; never rounds up to 100. */
export function percent(value: number): string {
  return `${Math.floor(value * 10) / 10} %`;
}

function trackerState(evidence: Evidence): TrackerState {
  const { newestEventAgeMs, newestLogAgeMs, stoppedAgeMs, status, lostStatusAgeMs } = evidence;
  if (status !== undefined) {
    if (status.state !== "consuming") return status.state;
    return (newestEventAgeMs ?? Infinity) <= STALE_AFTER_MS ? "running" : "idle";
  }
  if (lostStatusAgeMs !== undefined) return "silent";
  if (newestEventAgeMs === undefined && newestLogAgeMs === undefined && evidence.received === 0) {
    return "absent";
  }
  // A message received after the totals were logged comes from a restarted tracker.
  if (stoppedAgeMs !== undefined && (newestEventAgeMs ?? Infinity) >= stoppedAgeMs) {
    return "stopped";
  }
  if ((newestEventAgeMs ?? Infinity) <= STALE_AFTER_MS) return "running";
  return (newestLogAgeMs ?? Infinity) <= STALE_AFTER_MS ? "idle" : "silent";
}

function noDataReason({ newestLogAgeMs }: Evidence, state: TrackerState): string {
  if (state === "absent") return "there is no journal and no log yet";
  if (state === "stopped") return "the tracker stopped in order, and journaled no message";
  return newestLogAgeMs === undefined
    ? "no message was journaled yet"
    : `no message was journaled yet; the log's last line is ${duration(newestLogAgeMs)} old`;
}

function stateReasons(evidence: Evidence, state: TrackerState): readonly string[] {
  const { newestEventAgeMs, newestLogAgeMs, stoppedAgeMs, status } = evidence;
  if (state === "stopped" && status?.reason !== undefined) return [];
  if (state === "stopped") {
    return [`the tracker stopped in order ${duration(stoppedAgeMs ?? 0)} ago`];
  }
  if (state === "idle" && status !== undefined) {
    return [`no message for ${duration(newestEventAgeMs ?? 0)}, but the tracker is alive`];
  }
  if (state === "idle") {
    return [
      `no message for ${duration(newestEventAgeMs ?? 0)}, but the tracker is alive: ` +
      `its log's last line is ${duration(newestLogAgeMs ?? 0)} old`,
    ];
  }
  if (state === "silent") return ["the tracker did not say that it stopped"];
  return [];
}

function fileReasons({ unreadableLines, fileProblems }: Evidence): readonly string[] {
  return [
    ...(unreadableLines > 0 ? [`${counted(unreadableLines, "line")} could not be read`] : []),
    ...fileProblems,
  ];
}

function saidReasons({ status }: Evidence): readonly string[] {
  return status?.reason === undefined ? [] : [`the tracker is ${status.state}: ${status.reason}`];
}

function troublesOf(evidence: Evidence, state: TrackerState): readonly string[] {
  const troubles: string[] = [];
  const { status } = evidence;
  const isHeldUp = status?.state === "waiting" || status?.state === "blocked";
  if (isHeldUp && !status.isReady) troubles.push(...saidReasons(evidence));
  const success = successCheck(evidence);
  if (success.level === "bad") troubles.push(success.reason);
  const { trackerError, lag } = evidence;
  if (trackerError !== undefined && trackerError.ageMs <= LAST_ERROR_RED_MS) {
    troubles.push(
      `the tracker had an error ${duration(trackerError.ageMs)} ago: ${trackerError.message}`,
    );
  }
  if (state === "idle" && status === undefined && lag !== undefined && lag > 0) {
    troubles.push(
      `nothing is journaled although ${counted(lag, "record")} ${
        lag === 1 ? "waits" : "wait"
      } in the topic`,
    );
  }
  return troubles;
}

function successCheck({ window, successPercent: overall }: Evidence): Check {
  const name = "success rate";
  const minutes = duration(JUDGED_WINDOW_MS);
  const rate = successPercent(window);
  if (rate === undefined) {
    const level = overall === undefined ? "good" : successLevel(overall);
    // Problems before the window are mentioned but do not affect the verdict.
    return {
      name,
      level: level === "bad" ? "warning" : level,
      value: "none",
      reason: overall === undefined
        ? "no message yet"
        : `no message in ${minutes}; ${percent(overall)} of all succeeded`,
    };
  }
  return {
    name,
    level: successLevel(rate),
    value: percent(rate),
    reason: `${percent(rate)} of ${counted(window.received, "message")} in ${minutes} succeeded`,
  };
}

function successLevel(rate: number): Level {
  if (rate >= SUCCESS_GOOD_PERCENT) return "good";
  return rate >= SUCCESS_WARNING_PERCENT ? "warning" : "bad";
}

function throughputCheck({ messagesPerSecond: rate }: Evidence): Check {
  const name = "throughput";
  const value = `${rate} msg/s`;
  if (rate >= RATE_NORMAL) return { name, level: "good", value, reason: value };
  return {
    name,
    level: rate >= RATE_LOW ? "warning" : "bad",
    value,
    reason: `throughput is low: ${rate} msg/s, normal is ${RATE_NORMAL} and more`,
  };
}

function lastErrorCheck({ lastErrorAgeMs }: Evidence): Check {
  const name = "last error";
  if (lastErrorAgeMs === undefined) {
    return { name, level: "good", value: "none", reason: "no error" };
  }
  const value = `${duration(lastErrorAgeMs)} ago`;
  const reason = `the last error was ${value}`;
  if (lastErrorAgeMs <= LAST_ERROR_RED_MS) return { name, level: "bad", value, reason };
  return {
    name,
    level: lastErrorAgeMs <= LAST_ERROR_YELLOW_MS ? "warning" : "good",
    value,
    reason,
  };
}

export function round1(value: number): number {
  return Math.round(value * 10) / 10;
}
