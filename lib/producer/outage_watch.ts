/**
 * Notices an outage: batches that stay without an acknowledgement. The client retries them silently for as long
 * as it takes, so without this a producer says nothing while no broker responds.
 */

import type { Logger } from "../log.ts";

/** A batch that takes longer than this is part of an outage. */
const OUTAGE_MS = 5_000;
const CHECK_INTERVAL_MS = 1_000;
/** Five seconds, less what a timer of {@link CHECK_INTERVAL_MS} may be early. */
const WARNING_INTERVAL_MS = 4_500;

export interface OutageWatchOptions {
  readonly log: Logger;
  /** Returns how many orders wait or are in flight. */
  readonly unsettledCount: () => number;
  /** Returns whether batches take long because a quota is used up, which is no outage. Default: never. */
  readonly isThrottled?: () => boolean;
}

/** Warns every 5 s of an outage, and once when it is over, until it is disposed of. */
export class OutageWatch implements Disposable {
  readonly #timer = setInterval(() => this.check(performance.now()), CHECK_INTERVAL_MS);
  readonly #options: OutageWatchOptions;
  /** By partition: when the batch that has no outcome yet was first sent. */
  readonly #waitingSinceMs = new Map<number, number>();
  #outageSinceMs: number | undefined;
  #saidAtMs = -Infinity;

  constructor(options: OutageWatchOptions) {
    this.#options = options;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /**
   * Watches a partition's batch until it is acknowledged or has failed for good. One that failed is in the accounts,
   * and nothing waits for it any more.
   */
  async watched<Answer>(partition: number, deliver: () => Promise<Answer>): Promise<Answer> {
    this.#waitingSinceMs.set(partition, performance.now());
    const answer = await deliver().finally(() => this.#waitingSinceMs.delete(partition));
    const nowMs = performance.now();
    if (this.#outageSinceMs !== undefined && this.#late(nowMs).length === 0) {
      this.#options.log.warn("Acknowledgements arrive again", {
        outage_seconds: seconds(nowMs - this.#outageSinceMs),
      });
      this.#endOutage();
    }
    return answer;
  }

  /** Logs an outage; `nowMs` is a time of `performance.now()`. */
  check(nowMs: number): void {
    const { log, unsettledCount } = this.#options;
    const late = this.#late(nowMs);
    if (late.length === 0) return this.#endOutage();
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

  /** Partitions with a batch that has waited for too long, and since when. */
  #late(nowMs: number): readonly [number, number][] {
    const { unsettledCount, isThrottled } = this.#options;
    if (unsettledCount() === 0 || isThrottled?.()) return [];
    return [...this.#waitingSinceMs].filter(([, sinceMs]) => nowMs - sinceMs >= OUTAGE_MS);
  }

  #endOutage(): void {
    this.#outageSinceMs = undefined;
    this.#saidAtMs = -Infinity;
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
