/**
 * What is said while a cluster that let us in does so no longer: a password was changed, a user removed, a token
 * expired. It is waited for as for a broker that is away, since either side may change its mind.
 *
 * @module
 */

import { loggerOf } from "../log.ts";
import type { KafkaConnection } from "./client.ts";
import { explain } from "./errors.ts";

/** How long between two attempts to enter: a broker makes each wait, and its log has a line of each. */
export const LOCKOUT_RETRY_WAIT_MS = 1_000;
const SAY_AGAIN_MS = 60_000;

const log = loggerOf("kafka");

const LOCKOUTS = new WeakMap<KafkaConnection, Lockout>();

/** The one of all that go the same way: what is true for each of them is said once. */
export function lockoutOf(connection: KafkaConnection): Lockout {
  const lockout = LOCKOUTS.get(connection) ?? new Lockout(connection.brokers);
  LOCKOUTS.set(connection, lockout);
  return lockout;
}

class Lockout {
  readonly #brokers: readonly string[];
  #saidAtMs: number | undefined;
  #refusedAtMs = -Infinity;

  constructor(brokers: readonly string[]) {
    this.#brokers = brokers;
  }

  /** Says it at once, then once a minute. */
  noteRefused(error: unknown): void {
    const now = performance.now();
    this.#refusedAtMs = now;
    if (this.#saidAtMs !== undefined && now - this.#saidAtMs < SAY_AGAIN_MS) return;
    this.#saidAtMs = now;
    log.warn("The cluster does not let us in any more; sends wait until it does", {
      error: explain(error, { doing: "connecting", brokers: this.#brokers }),
    });
  }

  /** @param atMs when the cluster let us in: a connection from before the refusal says nothing. */
  noteEntered(atMs: number): void {
    if (this.#saidAtMs === undefined || atMs < this.#refusedAtMs) return;
    this.#saidAtMs = undefined;
    log.warn("The cluster lets us in again; sends go on");
  }
}
