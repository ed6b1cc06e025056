/**
 * Commits what became safe, one commit at a time, for all partitions that have something to commit. It is
 * tried again until it gets through, or this member's place in the group is another one.
 *
 * kafkajs's `consumer.commitOffsets` resolves without committing once the consumer stops: offsets are
 * committed through a batch's own `commitOffsetsIfNecessary`, explicitly, and count as committed only when
 * the COMMIT_OFFSETS event says so.
 *
 * @module
 */

import type { EachBatchPayload } from "kafkajs";
import { delay } from "../../async.ts";
import { isRebalanceReason } from "../error_classifier.ts";
import { reasonOf, RefusedError } from "../errors.ts";
import type { CommitPoint } from "./api.ts";

export interface CommitsOptions {
  readonly topic: string;
  /** Commits, or throws; kafkajs's own way to do so. */
  readonly send: EachBatchPayload["commitOffsetsIfNecessary"];
  readonly metadataOf: (point: CommitPoint) => string;
  /** Whether this member may still commit. */
  readonly isCurrent: () => boolean;
  readonly onCommitted: () => void;
  readonly onFailed: (points: readonly CommitPoint[], error: unknown) => void;
}

const RETRY_WAIT_MS = 500;

export class Commits {
  readonly #options: CommitsOptions;
  readonly #waiting = new Map<number, CommitPoint>();
  /** What the last COMMIT_OFFSETS events said, by partition. */
  readonly #confirmed = new Map<number, string>();
  #underWay: Promise<void> | undefined;

  constructor(options: CommitsOptions) {
    this.#options = options;
  }

  /** Resolves when no commit is under way. */
  get settled(): Promise<void> {
    return this.#underWay ?? Promise.resolve();
  }

  /** Whether nothing waits to be committed. */
  get isDone(): boolean {
    return this.#waiting.size === 0;
  }

  add(point: CommitPoint): void {
    this.#waiting.set(point.partition, point);
    // Not before the next turn: what becomes safe in this one is committed together.
    this.#underWay ??= Promise.resolve().then(() => this.#commitAll());
  }

  /** To be called with what the COMMIT_OFFSETS event says. */
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
        if (!isCurrent() || isRebalanceReason(reasonOf(error))) break;
        onFailed(points, error);
        for (const point of points) {
          // What became safe meanwhile is further on.
          if (!this.#waiting.has(point.partition)) this.#waiting.set(point.partition, point);
        }
        await delay(RETRY_WAIT_MS);
      }
    }
    // In the turn in which none was left: what becomes safe in the next one would else be committed by nobody.
    this.#underWay = undefined;
  }

  /** @throws {RefusedError} unless the COMMIT_OFFSETS event named each of these commits. */
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
      throw new RefusedError("the client sent no commit", { reason: "NO_COMMIT" });
    }
  }
}
