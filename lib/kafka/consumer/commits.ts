/**
 * Commits safe offsets of all partitions, one request at a time. Retries until the commit succeeds or the membership
 * ends.
 *
 * kafkajs's `consumer.commitOffsets` resolves without committing once the consumer is stopping. So offsets are
 * committed through a batch's `commitOffsetsIfNecessary`, and count as committed only after the COMMIT_OFFSETS event.
 */

import type { EachBatchPayload } from "kafkajs";
import { delay } from "../../async.ts";
import { isRebalanceReason } from "../error_classifier.ts";
import { reasonOf, RefusedError } from "../errors.ts";
import type { CommitPoint } from "./api.ts";

export interface CommitsOptions {
  readonly topic: string;
  readonly send: EachBatchPayload["commitOffsetsIfNecessary"];
  readonly metadataOf: (point: CommitPoint) => string;
  readonly isCurrent: () => boolean;
  readonly onCommitted: () => void;
  readonly onFailed: (points: readonly CommitPoint[], error: unknown) => void;
}

const RETRY_WAIT_MS = 500;

export class Commits {
  readonly #options: CommitsOptions;
  readonly #waiting = new Map<number, CommitPoint>();
  /** Offsets in the last COMMIT_OFFSETS events, by partition. */
  readonly #confirmed = new Map<number, string>();
  #underWay: Promise<void> | undefined;

  constructor(options: CommitsOptions) {
    this.#options = options;
  }

  get settled(): Promise<void> {
    return this.#underWay ?? Promise.resolve();
  }

  /** True if every point that was added is committed. */
  get isDone(): boolean {
    return this.#waiting.size === 0 && this.#underWay === undefined;
  }

  add(point: CommitPoint): void {
    this.#waiting.set(point.partition, point);
    // Deferred, so that everything that becomes safe in this turn of the event loop is committed together.
    this.#underWay ??= Promise.resolve().then(() => this.#commitAll());
  }

  noteConfirmed(partition: number, offset: string): void {
    this.#confirmed.set(partition, offset);
  }

  async #commitAll(): Promise<void> {
    const { isCurrent, onCommitted, onFailed } = this.#options;
    while (this.#waiting.size > 0 && isCurrent()) {
      const points = [...this.#waiting.values()];
      this.#waiting.clear();
      try {
        await this.#commit(points);
        onCommitted();
      } catch (error) {
        for (const point of points) {
          // A point added meanwhile is further ahead.
          if (!this.#waiting.has(point.partition)) this.#waiting.set(point.partition, point);
        }
        if (!isCurrent() || isRebalanceReason(reasonOf(error))) break;
        onFailed(points, error);
        await delay(RETRY_WAIT_MS);
      }
    }
    // In the same turn as the loop's last check; otherwise a point added in between would never be committed.
    this.#underWay = undefined;
  }

  /** @throws {RefusedError} if the COMMIT_OFFSETS event did not confirm all of these commits. */
  async #commit(points: readonly CommitPoint[]): Promise<void> {
    const { topic, send, metadataOf } = this.#options;
    const partitions = points.map((point) => ({
      partition: point.partition,
      offset: String(point.offset),
      metadata: metadataOf(point),
    }));
    for (const { partition } of partitions) this.#confirmed.delete(partition);
    await send({ topics: [{ topic, partitions }] });
    const isConfirmed = partitions.every(({ partition, offset }) =>
      this.#confirmed.get(partition) === offset
    );
    if (!isConfirmed) {
      throw new RefusedError("the client did not send the commit", { reason: "NO_COMMIT" });
    }
  }
}
