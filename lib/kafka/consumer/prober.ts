/**
 * Probes the cluster for what a member's fetches do not report: the ends of paused and blocked partitions, and, while
 * nothing succeeds, whether brokers answer and the topic still exists. Each fetch answer reports the ends of its
 * partitions, so these need no probe.
 */

import errorModule from "kafkajs/src/protocol/error.js";
import type { ClusterClient } from "../cluster.ts";
import type { LagTracker } from "./lag.ts";
import type { Liveness } from "./liveness.ts";

export interface ProberOptions {
  readonly cluster: Pick<ClusterClient, "probe">;
  readonly topic: string;
  readonly lag: LagTracker;
  readonly liveness: Liveness;
}

const ASKED_AGAIN_AFTER_MS = 900;
const NO_ERROR_CODE = 0;
const UNKNOWN_TOPIC_ERROR_CODE = 3;

export class Prober {
  readonly #options: ProberOptions;
  #isAsking = false;

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  /** Probes if necessary, one request at a time. Never throws. Must be called about once a second. */
  async probe(): Promise<void> {
    const { lag, liveness, topic, cluster } = this.#options;
    const partitions = lag.unheard(ASKED_AGAIN_AFTER_MS, performance.now());
    const isIdle = partitions.length === 0 && liveness.unsuccessfulMs < ASKED_AGAIN_AFTER_MS;
    if (this.#isAsking || isIdle) return;
    this.#isAsking = true;
    try {
      this.#note(await cluster.probe(topic, partitions));
    } catch (error) {
      liveness.failed(error);
    } finally {
      this.#isAsking = false;
    }
  }

  #note({ errorCode, answers }: Awaited<ReturnType<ClusterClient["probe"]>>): void {
    const { lag, liveness } = this.#options;
    if (errorCode === UNKNOWN_TOPIC_ERROR_CODE) {
      liveness.topicMissing();
      lag.forgetEnds();
      return;
    }
    if (errorCode !== NO_ERROR_CODE) {
      const { createErrorFromCode } = errorModule as { createErrorFromCode(code: number): Error };
      return liveness.failed(createErrorFromCode(errorCode));
    }
    liveness.topicFound();
    for (const answer of answers) {
      if ("ends" in answer) lag.noteEnds(answer.partition, answer.ends, performance.now());
      else liveness.failed(answer.error);
    }
  }
}
