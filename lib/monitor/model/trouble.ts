/**
 * Names the problem that keeps records from being journaled, short enough for a dashboard's title. Pure.
 */

import type { SaidStatus } from "./health.ts";

export type TroubleName =
  /** The tracker's status is no longer written: it was killed, hangs, or cannot write. */
  | "NO TRACKER"
  | "BROKER AWAY"
  | "DISK FULL"
  /** Continues once someone fixes the cause. */
  | "BLOCKED"
  /** Continues by itself once the cluster or another program allows it. */
  | "HELD UP"
  | "FAILED";

export interface Trouble {
  readonly name: TroubleName;
  /** The tracker's reason, with the partition: not safe to print. */
  readonly reason: string;
  /** When it began, as far as known. */
  readonly sinceMs: number;
}

/** The time during which a trouble was seen; `toMs` is undefined while it lasts. */
export interface TroublePeriod {
  readonly name: TroubleName;
  readonly fromMs: number;
  readonly toMs: number | undefined;
}

export interface TroubleEvidence {
  readonly nowMs: number;
  readonly status: Omit<SaidStatus, "ageMs"> | undefined;
  /** Age of the last status of a tracker that should still be writing it. */
  readonly lostStatusAgeMs: number | undefined;
  readonly failure: string | undefined;
  /** An error of the tracker itself, logged within the last minute. */
  readonly logError: { readonly text: string; readonly timestampMs: number } | undefined;
}

/**
 * Patterns of the tracker's reasons (`lib/tracker/standing.ts`), which the status file has only as text, also in
 * earlier versions.
 */
const BROKER_AWAY = /^no broker has answered/;
const DISK_FULL = /no space left|\bENOSPC\b|\bEDQUOT\b|os error (?:28|122)\b|quota exceeded/i;

export function troubleOf(
  { nowMs, status, lostStatusAgeMs, failure, logError }: TroubleEvidence,
): Trouble | undefined {
  if (failure !== undefined) return { name: "FAILED", reason: failure, sinceMs: nowMs };
  if (status === undefined) {
    if (logError !== undefined && DISK_FULL.test(logError.text)) {
      return { name: "DISK FULL", reason: logError.text, sinceMs: logError.timestampMs };
    }
    if (lostStatusAgeMs === undefined) return undefined;
    const reason = "its status file is no longer written: it was killed, hangs, or cannot write";
    return { name: "NO TRACKER", reason, sinceMs: nowMs - lostStatusAgeMs };
  }
  const { state, isReady, reason } = status;
  if (reason === undefined || isReady) return undefined;
  const name = state === "blocked"
    ? DISK_FULL.test(reason) ? "DISK FULL" : "BLOCKED"
    : state === "waiting" || BROKER_AWAY.test(reason)
    ? BROKER_AWAY.test(reason) ? "BROKER AWAY" : "HELD UP"
    : undefined;
  return name && { name, reason, sinceMs: nowMs };
}

const PERIOD_COUNT_MAX = 50;

/** The troubles seen since the monitor was started. */
export class TroubleHistory {
  #periods: readonly TroublePeriod[] = [];

  /** Oldest first. */
  get periods(): readonly TroublePeriod[] {
    return this.#periods;
  }

  note(trouble: Trouble | undefined, nowMs: number): void {
    const last = this.#periods.at(-1);
    const current = last?.toMs === undefined ? last : undefined;
    if (current?.name === trouble?.name) return;
    const past = current === undefined
      ? this.#periods
      : [...this.#periods.slice(0, -1), { ...current, toMs: nowMs }];
    this.#periods = trouble === undefined
      ? past
      : [...past, { name: trouble.name, fromMs: trouble.sinceMs, toMs: undefined }]
        .slice(-PERIOD_COUNT_MAX);
  }
}
