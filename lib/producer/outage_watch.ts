/**
 * Notices an outage: sends that stay without an acknowledgement. The client retries them silently for as long
 * as it takes, so without this a producer says nothing while no broker responds.
 *
 * @module
 */

import { DeliveryError } from "../kafka/errors.ts";
import type { Logger } from "../log.ts";

/** A send that takes longer than this is part of an outage. */
const OUTAGE_MS = 5_000;
const CHECK_INTERVAL_MS = 1_000;
/** Five seconds, less what a timer of {@link CHECK_INTERVAL_MS} may be early. */
const WARNING_INTERVAL_MS = 4_500;

export interface OutageWatchOptions {
  readonly log: Logger;
  /** Returns how many orders wait or are in flight. */
  readonly unsettledCount: () => number;
}

/** Warns every 5 s of an outage, and once when it is over, until it is disposed of. */
export class OutageWatch implements Disposable {
  readonly #timer = setInterval(() => this.check(performance.now()), CHECK_INTERVAL_MS);
  readonly #options: OutageWatchOptions;
  /** By partition: when the oldest send without an acknowledgement began. */
  readonly #waitingSinceMs = new Map<number, number>();
  #outageSinceMs: number | undefined;
  #saidAtMs = -Infinity;

  constructor(options: OutageWatchOptions) {
    this.#options = options;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Sends to a partition, or looks a send up there; the partition waits until one of them is answered. */
  async watched<Answer>(partition: number, send: () => Promise<Answer>): Promise<Answer> {
    if (!this.#waitingSinceMs.has(partition)) {
      this.#waitingSinceMs.set(partition, performance.now());
    }
    try {
      const answer = await send();
      this.#waitingSinceMs.delete(partition);
      this.check(performance.now());
      return answer;
    } catch (error) {
      // A broker that refuses records responds.
      const isRefused = error instanceof DeliveryError && error.fate === "refused";
      if (isRefused) this.#waitingSinceMs.delete(partition);
      throw error;
    }
  }

  /** Logs what has changed; `nowMs` is a time of `performance.now()`. */
  check(nowMs: number): void {
    const { log, unsettledCount } = this.#options;
    // A send that failed for good is in the accounts, and is not retried.
    if (unsettledCount() === 0) {
      this.#waitingSinceMs.clear();
      return this.#endOutage();
    }
    const late = [...this.#waitingSinceMs].filter(([, sinceMs]) => nowMs - sinceMs >= OUTAGE_MS);
    if (late.length === 0) {
      if (this.#outageSinceMs === undefined) return;
      log.warn("Acknowledgements arrive again", {
        outage_seconds: seconds(nowMs - this.#outageSinceMs),
      });
      return this.#endOutage();
    }
    const sinceMs = Math.min(...late.map(([, ms]) => ms));
    this.#outageSinceMs ??= sinceMs;
    if (nowMs - this.#saidAtMs < WARNING_INTERVAL_MS) return;
    this.#saidAtMs = nowMs;
    log.warn("No acknowledgement from the brokers; retrying", {
      seconds: seconds(nowMs - sinceMs),
      partitions: late.map(([partition]) => partition).toSorted((one, other) => one - other),
      orders_waiting: unsettledCount(),
    });
  }

  #endOutage(): void {
    this.#outageSinceMs = undefined;
    this.#saidAtMs = -Infinity;
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
