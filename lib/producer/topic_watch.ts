/**
 * Finds out which topic stored an acknowledged batch. A topic can be deleted and created again under its name, and an
 * acknowledgement carries no topic id. So the cluster is asked for the id again after a batch was acknowledged:
 *
 *     topic A   batch sent, acknowledged   topic A   -> stored in A
 *     topic A   batch sent, acknowledged   topic B   -> read from B: stored there, or gone with a topic before it
 *
 * The answers also tell that the topic has more partitions, or does not exist.
 */

import { coalesced } from "../async.ts";
import type { TopicDescription } from "../kafka/cluster_answers.ts";

export type Topic = Pick<TopicDescription, "topicId" | "partitionCount">;

export interface TopicChange extends Topic {
  /** True if the topic was deleted and created again: it has another id and none of its old records. */
  readonly isRecreated: boolean;
}

/** An acknowledged batch, and the topic that existed before it was sent. */
export interface SentBatch {
  readonly topicId: string;
}

export interface TopicWatchOptions<Batch> {
  /** The topic at the start of the run. */
  readonly topic: Topic;
  /** Returns the topic as it is at some time after the call, undefined if it does not exist. */
  readonly findTopic: () => Promise<Topic | undefined>;
  /** Returns for each batch whether the topic that exists now has it, at the offset that was acknowledged. */
  readonly areStored: (batches: readonly Batch[]) => Promise<readonly boolean[]>;
  /** Called with each batch, in the order in which they were acknowledged. */
  readonly onConfirmed: (batch: Batch, topicId: string) => void;
  /** Called when the topic has another id or partition count, before any batch is confirmed for it. */
  readonly onChange: (change: TopicChange) => void;
  /** Called when the topic has been missing for a second. */
  readonly onMissing: () => void;
}

/** How long an acknowledged batch waits for its confirmation while the cluster answers. */
const CONFIRM_INTERVAL_MS = 100;
/** How often the topic is checked while nothing is acknowledged. */
const CHECK_INTERVAL_MS = 2_000;
/** How long a broker may not know a topic that exists. */
const MISSING_AFTER_MS = 1_000;

export class TopicWatch<Batch extends SentBatch> {
  /**
   * Confirms what was acknowledged before the call, and returns the topic; undefined if it does not exist.
   * Rejects where the cluster does not answer.
   */
  readonly check = coalesced(() => this.#check());
  readonly #options: TopicWatchOptions<Batch>;
  #topic: Topic;
  readonly #unconfirmed: Batch[] = [];
  #missingSinceMs: number | undefined;
  #isMissing = false;
  #checkedAtMs = performance.now();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: TopicWatchOptions<Batch>) {
    this.#options = options;
    this.#topic = options.topic;
  }

  /** The topic that was there when it was last found. */
  get topic(): Topic {
    return this.#topic;
  }

  /** True if the topic has been missing for a second or longer. */
  get isMissing(): boolean {
    return this.#isMissing;
  }

  get unconfirmedCount(): number {
    return this.#unconfirmed.length;
  }

  /** Checks from time to time until {@link stop}. */
  start(): void {
    this.#timer ??= setInterval(() => {
      const isDue = this.#unconfirmed.length > 0 || this.#missingSinceMs !== undefined ||
        performance.now() - this.#checkedAtMs >= CHECK_INTERVAL_MS;
      if (isDue) this.check().catch(() => {});
    }, CONFIRM_INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Takes an acknowledged batch. */
  add(batch: Batch): void {
    this.#unconfirmed.push(batch);
  }

  /** Confirms all that is left for the topic before it was sent, though the cluster did not say so. */
  confirmAll(): void {
    for (const batch of this.#unconfirmed.splice(0)) {
      this.#options.onConfirmed(batch, batch.topicId);
    }
  }

  async #check(): Promise<Topic | undefined> {
    const { onConfirmed, onChange } = this.#options;
    const batches = [...this.#unconfirmed];
    this.#checkedAtMs = performance.now();
    const { found, gone } = await this.#ask(batches);
    if (found === undefined) {
      this.#noteMissing();
      return undefined;
    }
    const last = this.#topic;
    const isRecreated = found.topicId !== last.topicId;
    this.#missingSinceMs = undefined;
    this.#isMissing = false;
    this.#topic = found;
    if (isRecreated || found.partitionCount !== last.partitionCount) {
      onChange({ ...found, isRecreated });
    }
    // None of them are left if confirmAll() was called meanwhile.
    for (const batch of this.#unconfirmed.splice(0, batches.length)) {
      onConfirmed(batch, gone.has(batch) ? batch.topicId : found.topicId);
    }
    return found;
  }

  /** Finds the topic, and those batches that it does not have because a topic before it stored them. */
  async #ask(
    batches: readonly Batch[],
  ): Promise<{ readonly found: Topic | undefined; readonly gone: ReadonlySet<Batch> }> {
    const { findTopic, areStored } = this.#options;
    let found = await findTopic();
    while (found !== undefined) {
      const { topicId } = found;
      const doubtful = batches.filter((batch) => batch.topicId !== topicId);
      if (doubtful.length === 0) break;
      const stored = await areStored(doubtful);
      // What was read is of this topic only if it is still there.
      found = await findTopic();
      if (found?.topicId === topicId) {
        return { found, gone: new Set(doubtful.filter((_, index) => stored[index] !== true)) };
      }
    }
    return { found, gone: new Set() };
  }

  #noteMissing(): void {
    this.#missingSinceMs ??= performance.now();
    if (this.#isMissing || performance.now() - this.#missingSinceMs < MISSING_AFTER_MS) return;
    this.#isMissing = true;
    this.#options.onMissing();
  }
}
