/**
 * Checks a group member twice a second: reports what hinders it, keeps its membership while it is throttled, and has
 * its consumer rebuilt if nothing succeeds for too long.
 */

import type { Hindrance, Liveness } from "./liveness.ts";

/** Reports a hindrance, once when it begins and once when it ends. */
export type HindranceNotice =
  | { readonly kind: "silent"; readonly silentMs: number }
  | { readonly kind: "answers-again"; readonly silentMs: number }
  | { readonly kind: "hindered"; readonly hindrance: Hindrance }
  | { readonly kind: "unhindered"; readonly was: Hindrance["kind"] };

export interface WatchdogOptions {
  readonly liveness: Liveness;
  readonly onNotice: (notice: HindranceNotice) => void;
  readonly heartbeat: () => Promise<void>;
  readonly rebuild: (reason: Error) => void;
}

const INTERVAL_MS = 500;
/** A timer that is late by more than this shows that the process was suspended or blocked. */
const PAUSE_NOTED_AFTER_MS = 1_000;
/** Shorter phases of joining or failing are not reported. */
const REPORTED_AFTER_MS = 5_000;
const REBUILD_AFTER_MS = 45_000;

export class Watchdog implements Disposable {
  readonly #options: WatchdogOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #reported: Hindrance["kind"] | undefined;
  #silentSinceMs = 0;
  #checkedAtMs = performance.now();

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#check(), INTERVAL_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const { liveness, heartbeat, rebuild } = this.#options;
    const nowMs = performance.now();
    const lateMs = nowMs - this.#checkedAtMs - INTERVAL_MS;
    this.#checkedAtMs = nowMs;
    if (lateMs > PAUSE_NOTED_AFTER_MS) liveness.excuse(lateMs);
    this.#report(liveness.hindrance, nowMs);
    if (liveness.isThrottled) {
      // kafkajs sends heartbeats only between fetches, and a throttled fetch may wait longer than the session timeout.
      // If this one reports a rebalance, so will kafkajs's own next heartbeat.
      heartbeat().catch(() => {});
      return;
    }
    const { unsuccessfulMs } = liveness;
    if (unsuccessfulMs > REBUILD_AFTER_MS) {
      liveness.succeeded();
      rebuild(new Error(`nothing has succeeded for ${Math.round(unsuccessfulMs / 1_000)} s`));
    }
  }

  #report(hindrance: Hindrance | undefined, nowMs: number): void {
    const { onNotice } = this.#options;
    const reported = this.#reported;
    if (hindrance?.kind === reported || isBrief(hindrance)) return;
    this.#reported = hindrance?.kind;
    if (reported === "unreachable") {
      onNotice({ kind: "answers-again", silentMs: nowMs - this.#silentSinceMs });
    } else if (reported !== undefined) {
      onNotice({ kind: "unhindered", was: reported });
    }
    if (hindrance?.kind === "unreachable") {
      this.#silentSinceMs = nowMs - hindrance.forMs;
      onNotice({ kind: "silent", silentMs: hindrance.forMs });
    } else if (hindrance !== undefined) {
      onNotice({ kind: "hindered", hindrance });
    }
  }
}

function isBrief(hindrance: Hindrance | undefined): boolean {
  return (hindrance?.kind === "joining" || hindrance?.kind === "failing") &&
    hindrance.forMs < REPORTED_AFTER_MS;
}
