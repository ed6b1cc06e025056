/**
 * Logs that a cluster now rejects our credentials: the password was changed, the user removed, or the token expired.
 * Callers retry as if the broker were down, because the credentials may become valid again.
 */

import { loggerOf } from "../log.ts";
import type { KafkaConnection } from "./client.ts";
import { explain } from "./errors.ts";

/** Time between two attempts to authenticate: the broker delays its answer to each and logs each. */
export const AUTHENTICATION_RETRY_WAIT_MS = 1_000;
const LOG_INTERVAL_MS = 60_000;

const log = loggerOf("kafka");

const FAILURES = new WeakMap<KafkaConnection, AuthenticationFailure>();

/** Returns the object shared by all users of a connection, so that a failure is logged once. */
export function authenticationFailureOf(connection: KafkaConnection): AuthenticationFailure {
  const failure = FAILURES.get(connection) ?? new AuthenticationFailure(connection.brokers);
  FAILURES.set(connection, failure);
  return failure;
}

class AuthenticationFailure {
  readonly #brokers: readonly string[];
  /** Undefined while the cluster accepts our credentials. */
  #loggedAtMs: number | undefined;
  #refusedAtMs = -Infinity;

  constructor(brokers: readonly string[]) {
    this.#brokers = brokers;
  }

  /** Logs the failure at once, then once a minute. */
  noteRefused(error: unknown): void {
    const now = performance.now();
    this.#refusedAtMs = now;
    if (this.#loggedAtMs !== undefined && now - this.#loggedAtMs < LOG_INTERVAL_MS) return;
    this.#loggedAtMs = now;
    log.warn("The cluster now rejects our credentials; sends wait until it accepts them", {
      error: explain(error, { doing: "connecting", brokers: this.#brokers }),
    });
  }

  /** @param atMs when the connection was authenticated; ignored if that was before the last refusal. */
  noteAccepted(atMs: number): void {
    if (this.#loggedAtMs === undefined || atMs < this.#refusedAtMs) return;
    this.#loggedAtMs = undefined;
    log.warn("The cluster accepts our credentials again; sends resume");
  }
}
