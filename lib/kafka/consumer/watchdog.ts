/**
 * Looks after a member of a group twice a second: says what hinders it, keeps its place in the group while
 * it is throttled, and has its consumer rebuilt where nothing succeeds for too long.
 *
 * @module
 */

import type { Hindrance, Liveness } from "./liveness.ts";

/** What an operator should know of a hindrance; each is told once when it begins, and when it ends. */
export type HindranceNotice =
  /** No broker has sent anything for so long. */
  | { readonly kind: "silent"; readonly silentMs: number }
  | { readonly kind: "answers-again"; readonly silentMs: number }
  /** Something other than silence. */
  | { readonly kind: "hindered"; readonly hindrance: Hindrance }
  | { readonly kind: "unhindered"; readonly was: Hindrance["kind"] };

export interface WatchdogOptions {
  readonly liveness: Liveness;
  readonly onNotice: (notice: HindranceNotice) => void;
  /** Sends a heartbeat where one is due. */
  readonly heartbeat: () => Promise<void>;
  readonly rebuild: (reason: Error) => void;
}

const INTERVAL_MS = 500;
/** A timer that fires so much later than it should shows that this process did not run meanwhile. */
const PAUSE_NOTED_AFTER_MS = 1_000;
/** Joining and failing are worth a line in the log only where they last. */
const SAID_AFTER_MS = 5_000;
const REBUILD_AFTER_MS = 45_000;

export class Watchdog implements Disposable {
  readonly #options: WatchdogOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #said: Hindrance["kind"] | undefined;
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
    this.#say(liveness.hindrance, nowMs);
    if (liveness.isThrottled) {
      // kafkajs sends heartbeats between fetches only, and a throttled fetch may wait for longer than a
      // session lasts. A rebalance is told to its own next heartbeat, too.
      heartbeat().catch(() => {});
      return;
    }
    const { unsuccessfulMs } = liveness;
    if (unsuccessfulMs > REBUILD_AFTER_MS) {
      liveness.succeeded();
      rebuild(new Error(`nothing has succeeded for ${Math.round(unsuccessfulMs / 1_000)} s`));
    }
  }

  #say(hindrance: Hindrance | undefined, nowMs: number): void {
    const { onNotice } = this.#options;
    const said = this.#said;
    if (hindrance?.kind === said || isBrief(hindrance)) return;
    this.#said = hindrance?.kind;
    if (said === "unreachable") {
      onNotice({ kind: "answers-again", silentMs: nowMs - this.#silentSinceMs });
    } else if (said !== undefined) {
      onNotice({ kind: "unhindered", was: said });
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
    hindrance.forMs < SAID_AFTER_MS;
}
