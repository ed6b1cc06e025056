/**
 * Warns while brokers throttle the producer because it has used up a quota (KIP-219), and adds up for how long.
 */

import type { Logger } from "../log.ts";

const WARNING_INTERVAL_MS = 5_000;
/** Requests that waited are sent, and answered, within this time after a throttle has ended. */
const GRACE_MS = 2_000;

export class ThrottleWatch {
  readonly #log: Logger;
  readonly #now: () => number;
  #untilMs = -Infinity;
  #totalMs = 0;
  #warnedAtMs = -Infinity;

  /** @param now in milliseconds, from any start. */
  constructor(log: Logger, now = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  /** How long at least one broker has held back the producer's requests, in milliseconds. */
  get throttledMs(): number {
    return this.#totalMs - Math.max(0, this.#untilMs - this.#now());
  }

  /** True while sends wait for the end of a throttle. */
  get isThrottled(): boolean {
    return this.#now() < this.#untilMs + GRACE_MS;
  }

  /** Notes that a broker accepts no requests for this many milliseconds. */
  note(throttleMs: number): void {
    const nowMs = this.#now();
    const untilMs = Math.max(this.#untilMs, nowMs + throttleMs);
    this.#totalMs += untilMs - Math.max(nowMs, this.#untilMs);
    this.#untilMs = untilMs;
    if (nowMs - this.#warnedAtMs < WARNING_INTERVAL_MS) return;
    this.#warnedAtMs = nowMs;
    this.#log.warn("The brokers throttle this producer: it has used up its quota", {
      throttle_ms: throttleMs,
      throttled_seconds: Math.round(this.throttledMs / 1_000),
    });
  }
}
