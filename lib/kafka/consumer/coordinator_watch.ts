/**
 * Finds out that a group's coordinator is gone for good. kafkajs asks the one that it joined with for ever: fetches go
 * on, and neither heartbeats nor commits get through. A consumer that is built again finds the new one.
 *
 * @module
 */

/** Checks in a row: after a thread that was blocked the next heartbeat has its chance. */
const LATE_CHECKS_MIN = 3;

export class CoordinatorWatch {
  readonly #sessionTimeoutMs: number;
  readonly #now: () => number;
  #heardAtMs: number;
  #lateChecks = 0;

  /** @param sessionTimeoutMs after which a member that is not heard of has lost its place. */
  constructor(sessionTimeoutMs: number, now: () => number = () => performance.now()) {
    this.#sessionTimeoutMs = sessionTimeoutMs;
    this.#now = now;
    this.#heardAtMs = now();
  }

  /** A heartbeat was answered, or the group joined. */
  heard(): void {
    this.#heardAtMs = this.#now();
    this.#lateChecks = 0;
  }

  /**
   * To be called once a second. Returns for how many milliseconds the coordinator has not answered, where
   * that is a reason to build the consumer again; then it begins anew.
   *
   * @param isServed whether other brokers answer, and the member is in its group: else the fault is another.
   */
  check(isServed: boolean): number | undefined {
    const lateMs = this.#now() - this.#heardAtMs;
    this.#lateChecks = isServed && lateMs > this.#sessionTimeoutMs ? this.#lateChecks + 1 : 0;
    if (this.#lateChecks < LATE_CHECKS_MIN) return undefined;
    this.heard();
    return lateMs;
  }
}
