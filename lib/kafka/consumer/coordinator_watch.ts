/**
 * Detects that a group's coordinator is gone for good. kafkajs keeps asking the coordinator that it joined with:
 * fetches succeed, but heartbeats and commits do not. A rebuilt consumer finds the new coordinator.
 */

/** Consecutive late checks required, so that after a blocked thread the next heartbeat is still in time. */
const LATE_CHECKS_MIN = 3;

export class CoordinatorWatch {
  readonly #sessionTimeoutMs: number;
  readonly #now: () => number;
  #heardAtMs: number;
  #lateChecks = 0;

  /** @param sessionTimeoutMs time after which a silent member loses its partitions. */
  constructor(sessionTimeoutMs: number, now: () => number = () => performance.now()) {
    this.#sessionTimeoutMs = sessionTimeoutMs;
    this.#now = now;
    this.#heardAtMs = now();
  }

  heard(): void {
    this.#heardAtMs = this.#now();
    this.#lateChecks = 0;
  }

  /**
   * Must be called once a second. If the consumer should be rebuilt, returns for how many milliseconds the coordinator
   * has not answered, and resets the timer.
   *
   * @param isServed true if other brokers answer and the member is in its group; otherwise something else is wrong.
   */
  check(isServed: boolean): number | undefined {
    const lateMs = this.#now() - this.#heardAtMs;
    this.#lateChecks = isServed && lateMs > this.#sessionTimeoutMs ? this.#lateChecks + 1 : 0;
    if (this.#lateChecks < LATE_CHECKS_MIN) return undefined;
    this.heard();
    return lateMs;
  }
}
