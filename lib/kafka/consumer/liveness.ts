/**
 * Determines why a group member receives nothing: brokers are unreachable, throttle it, do not know the topic, or
 * refuse it, or the group is rebalancing. "A broker sent something" and "a fetch or heartbeat succeeded" are tracked
 * separately, so that a broker that answers with errors is not reported as unreachable.
 *
 * Pure: the clock is a parameter.
 */

import { isAuthenticationFailure, reasonOf } from "../errors.ts";
import type { TrafficObserver } from "../kafkajs/traffic.ts";

/** The reason why this member cannot read, the most fundamental first. */
export type Hindrance =
  /** No broker has sent anything for `forMs`. */
  | { readonly kind: "unreachable"; readonly forMs: number }
  /** Brokers refuse; `reason` is Kafka's name for it, such as `TOPIC_AUTHORIZATION_FAILED`. */
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "topic-missing" }
  /** A quota is exceeded: brokers ask this client to wait (KIP-219). */
  | { readonly kind: "throttled"; readonly forMs: number }
  /** The member is joining the group; `isFirst` if it has not been a member before. */
  | { readonly kind: "joining"; readonly forMs: number; readonly isFirst: boolean }
  /** Brokers answer, but nothing has succeeded for `forMs`; `reason` is their last error, if any. */
  | { readonly kind: "failing"; readonly forMs: number; readonly reason: string | undefined };

/** Time without a byte from any broker after which brokers count as unreachable; they are probed once a second. */
export const SILENT_AFTER_MS = 3_000;
/** A member keeps its partitions while it rejoins, which usually takes less than this. */
const REJOINING_NOTED_AFTER_MS = 1_500;
const FAILING_AFTER_MS = 5_000;
/** A few requests succeed between two throttled answers. */
const THROTTLE_LASTS_MS = 2_000;
/** A single answer may come from a broker with stale metadata. */
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
    if (REFUSALS.has(reason) || isAuthenticationFailure(error)) this.#refusal = reason;
  }

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

  /** Discounts a time in which this process did not run (suspended or busy): the brokers' answers are still unread. */
  excuse(pauseMs: number): void {
    const nowMs = this.#now();
    this.#heardAtMs = Math.min(nowMs, this.#heardAtMs + pauseMs);
    this.#succeededAtMs = Math.min(nowMs, this.#succeededAtMs + pauseMs);
  }

  get isThrottled(): boolean {
    return this.#now() < this.#throttledUntilMs + THROTTLE_LASTS_MS;
  }

  /** Time since something last succeeded, in milliseconds. */
  get unsuccessfulMs(): number {
    return this.#now() - this.#succeededAtMs;
  }

  /** Time since a broker last sent anything, in milliseconds. */
  get unheardMs(): number {
    return this.#now() - this.#heardAtMs;
  }

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
