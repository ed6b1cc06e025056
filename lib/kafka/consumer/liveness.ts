/**
 * Why a member of a group gets nothing: brokers are away, throttle it, have no such topic, refuse it, or
 * its group is rebalancing. "A broker sent anything" and "a fetch or heartbeat succeeded" are kept apart, so
 * that a broker that answers is never called silent.
 *
 * Pure: the clock is handed in.
 *
 * @module
 */

import { isLockedOut, reasonOf } from "../errors.ts";
import type { TrafficObserver } from "../kafkajs/traffic.ts";

/** What stands between this member and its records, the most fundamental first. */
export type Hindrance =
  /** No broker has sent anything for so long. */
  | { readonly kind: "unreachable"; readonly forMs: number }
  /** Brokers answer, and refuse: Kafka's name for the reason, such as `TOPIC_AUTHORIZATION_FAILED`. */
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "topic-missing" }
  /** A quota is used up: brokers ask this client to wait (KIP-219). */
  | { readonly kind: "throttled"; readonly forMs: number }
  /** The member waits for the group: `isFirst` where it was never in it. */
  | { readonly kind: "joining"; readonly forMs: number; readonly isFirst: boolean }
  /** Brokers answer, but nothing has succeeded for so long; the last error that they gave, where there was one. */
  | { readonly kind: "failing"; readonly forMs: number; readonly reason: string | undefined };

/** Without a byte from any broker for so long, none can be reached: they are asked once a second. */
export const SILENT_AFTER_MS = 3_000;
/** A member that joins again keeps its partitions meanwhile; mostly it takes less than this. */
const REJOINING_NOTED_AFTER_MS = 1_500;
const FAILING_AFTER_MS = 5_000;
/** Between two throttled answers a request or two goes through. */
const THROTTLE_LASTS_MS = 2_000;
/** One answer may come from a broker that is behind the others. */
const MISSING_ANSWERS_MIN = 2;

const REFUSALS: ReadonlySet<string> = new Set([
  "CLUSTER_AUTHORIZATION_FAILED",
  "GROUP_AUTHORIZATION_FAILED",
  "SASL_AUTHENTICATION_FAILED",
  "TOPIC_AUTHORIZATION_FAILED",
]);

export class Liveness implements TrafficObserver {
  readonly #now: () => number;
  #heardAtMs: number;
  #succeededAtMs: number;
  #throttledSinceMs: number | undefined;
  #throttledUntilMs = -Infinity;
  #refusal: string | undefined;
  #lastFailure: string | undefined;
  #missingAnswers = 0;
  #joiningSinceMs: number | undefined;
  #hasJoined = false;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#heardAtMs = now();
    this.#succeededAtMs = now();
  }

  heard(): void {
    this.#heardAtMs = this.#now();
  }

  throttled(throttleMs: number): void {
    const nowMs = this.#now();
    if (!this.isThrottled) this.#throttledSinceMs = nowMs;
    this.#throttledUntilMs = Math.max(this.#throttledUntilMs, nowMs + throttleMs);
  }

  failed(error: unknown): void {
    const reason = reasonOf(error);
    this.#lastFailure = reason;
    if (REFUSALS.has(reason) || isLockedOut(error)) this.#refusal = reason;
  }

  /** A fetch was answered, a heartbeat taken, an offset committed, or the group joined. */
  succeeded(): void {
    this.#succeededAtMs = this.#now();
    this.#refusal = undefined;
    this.#lastFailure = undefined;
  }

  topicFound(): void {
    this.#missingAnswers = 0;
  }

  topicMissing(): void {
    this.#missingAnswers++;
  }

  joining(): void {
    this.#joiningSinceMs ??= this.#now();
  }

  joined(): void {
    this.#joiningSinceMs = undefined;
    this.#hasJoined = true;
    this.succeeded();
  }

  /** This process did not run for so long, suspended or busy: what brokers sent meanwhile is still to be read. */
  excuse(pauseMs: number): void {
    const nowMs = this.#now();
    this.#heardAtMs = Math.min(nowMs, this.#heardAtMs + pauseMs);
    this.#succeededAtMs = Math.min(nowMs, this.#succeededAtMs + pauseMs);
  }

  get isThrottled(): boolean {
    return this.#now() < this.#throttledUntilMs + THROTTLE_LASTS_MS;
  }

  /** How long nothing has succeeded, in milliseconds. */
  get unsuccessfulMs(): number {
    return this.#now() - this.#succeededAtMs;
  }

  /** How long no broker has sent anything, in milliseconds. */
  get unheardMs(): number {
    return this.#now() - this.#heardAtMs;
  }

  /** What hinders this member now; undefined where nothing does. */
  get hindrance(): Hindrance | undefined {
    const nowMs = this.#now();
    if (this.unheardMs >= SILENT_AFTER_MS) return { kind: "unreachable", forMs: this.unheardMs };
    if (this.#refusal !== undefined) return { kind: "refused", reason: this.#refusal };
    if (this.#missingAnswers >= MISSING_ANSWERS_MIN) return { kind: "topic-missing" };
    if (this.isThrottled) {
      return { kind: "throttled", forMs: nowMs - (this.#throttledSinceMs ?? nowMs) };
    }
    if (this.#joiningSinceMs !== undefined) {
      const forMs = nowMs - this.#joiningSinceMs;
      const isFirst = !this.#hasJoined;
      if (isFirst || forMs >= REJOINING_NOTED_AFTER_MS) return { kind: "joining", forMs, isFirst };
    }
    if (this.unsuccessfulMs >= FAILING_AFTER_MS) {
      return { kind: "failing", forMs: this.unsuccessfulMs, reason: this.#lastFailure };
    }
    return undefined;
  }
}
