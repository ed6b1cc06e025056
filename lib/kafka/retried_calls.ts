/**
 * Retries requests to a cluster that fail for a reason that may pass.
 *
 * @module
 */

import { delay } from "../async.ts";
import type { Patience } from "./client.ts";
import { explain, isPassing, isUnreachable, reasonOf } from "./errors.ts";
import { type ClientCluster, otherBrokersAnswer } from "./kafkajs/client_cluster.ts";

/** How long errors that may pass are retried; with `persist` patience most are retried without a limit. */
const PASSING_TIMEOUT_MS = 15_000;
const RETRY_DELAY_MS = 100;

export class RetriedCalls {
  readonly #cluster: ClientCluster;
  readonly #brokers: readonly string[];
  readonly #patience: Patience;
  #isConnected = false;
  #isClosed = false;

  constructor(
    { cluster, brokers, patience }: {
      readonly cluster: ClientCluster;
      readonly brokers: readonly string[];
      readonly patience: Patience;
    },
  ) {
    this.#cluster = cluster;
    this.#brokers = brokers;
    this.#patience = patience;
  }

  /** From now on, a broker that does not answer is retried if others answer. */
  noteConnected(): void {
    this.#isConnected = true;
  }

  /** Ends the retries: the next error is thrown. */
  close(): void {
    this.#isClosed = true;
  }

  /**
   * Retries errors that pass by themselves, such as a group coordinator that is being chosen, for 15 s; also a broker
   * that does not answer while others do, since the cluster may still find out that it died. With `persist` patience,
   * a cluster that does not answer is retried without end. Refreshes the metadata when a leader has moved.
   *
   * @param passingToo a reason that may pass by itself here; retried for 15 s whatever the patience.
   * @throws the last error, explained.
   */
  async call<Result>(
    doing: string,
    call: () => Promise<Result>,
    { passingToo }: { readonly passingToo?: string } = {},
  ): Promise<Result> {
    const deadline = performance.now() + PASSING_TIMEOUT_MS;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const othersAnswer = await this.#othersAnswer(error);
        const mayPass = isPassing(error) || reasonOf(error) === passingToo || othersAnswer;
        const isRetried = mayPass && performance.now() < deadline ||
          this.#patience === "persist" && (isPassing(error) || isUnreachable(error));
        if (!isRetried || this.#isClosed) {
          throw explain(error, { doing, brokers: this.#brokers, othersAnswer });
        }
        await delay(RETRY_DELAY_MS);
        // A node that is alive but no longer leads a partition would otherwise be asked again as its leader.
        if (reasonOf(error) === "NOT_LEADER_FOR_PARTITION") {
          await this.#cluster.refreshMetadata().catch(() => {});
        }
      }
    }
  }

  /** Whether brokers other than the one asked answer. Not asked with `persist` patience, where it makes no difference. */
  async #othersAnswer(error: unknown): Promise<boolean> {
    if (this.#patience !== "probe" || !this.#isConnected || !isUnreachable(error)) return false;
    return await otherBrokersAnswer(this.#cluster);
  }
}
