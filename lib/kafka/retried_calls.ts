/**
 * Retries requests to a cluster that fail with transient errors.
 */

import { delay } from "../async.ts";
import type { RetryMode } from "./client.ts";
import { explain, isPassing, isUnreachable, reasonOf } from "./errors.ts";
import { type ClientCluster, otherBrokersAnswer } from "./kafkajs/client_cluster.ts";

/** Limit of retries of transient errors; in `persist` mode most of them are retried without limit. */
const PASSING_TIMEOUT_MS = 15_000;
const RETRY_DELAY_MS = 100;

export class RetriedCalls {
  readonly #cluster: ClientCluster;
  readonly #brokers: readonly string[];
  readonly #retryMode: RetryMode;
  #isConnected = false;
  #isClosed = false;

  constructor(
    { cluster, brokers, retryMode }: {
      readonly cluster: ClientCluster;
      readonly brokers: readonly string[];
      readonly retryMode: RetryMode;
    },
  ) {
    this.#cluster = cluster;
    this.#brokers = brokers;
    this.#retryMode = retryMode;
  }

  /** From now on, a broker that does not answer is retried if others answer. */
  noteConnected(): void {
    this.#isConnected = true;
  }

  close(): void {
    this.#isClosed = true;
  }

  /**
   * Retries transient errors, such as a coordinator election, for 15 s. Also retries if a broker does not answer while
   * others do, because the cluster may not have noticed yet that it died. In `persist` mode, retries forever if no
   * broker answers. Refreshes the metadata if a leader has moved.
   *
   * @param options.alsoTransient a reason that is transient for this call; retried for 15 s in any mode.
   * @throws the last error, explained.
   */
  async call<Result>(
    doing: string,
    call: () => Promise<Result>,
    { alsoTransient }: { readonly alsoTransient?: string } = {},
  ): Promise<Result> {
    const deadline = performance.now() + PASSING_TIMEOUT_MS;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const othersAnswer = await this.#othersAnswer(error);
        const mayPass = isPassing(error) || reasonOf(error) === alsoTransient || othersAnswer;
        const isRetried = mayPass && performance.now() < deadline ||
          this.#retryMode === "persist" && (isPassing(error) || isUnreachable(error));
        if (!isRetried || this.#isClosed) {
          throw explain(error, { doing, brokers: this.#brokers, othersAnswer });
        }
        await delay(RETRY_DELAY_MS);
        // Otherwise kafkajs asks the former leader again as long as it is alive.
        if (reasonOf(error) === "NOT_LEADER_FOR_PARTITION") {
          await this.#cluster.refreshMetadata().catch(() => {});
        }
      }
    }
  }

  /** Reports whether other brokers answer; always false in `persist` mode, where it makes no difference. */
  async #othersAnswer(error: unknown): Promise<boolean> {
    if (this.#retryMode !== "probe" || !this.#isConnected || !isUnreachable(error)) return false;
    return await otherBrokersAnswer(this.#cluster);
  }
}
