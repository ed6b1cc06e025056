/**
 * Notices partitions that stand still: records lie there, and nothing was committed, handled, or
 * otherwise done with them for a while, whatever the reason. The safety net under the reasons that are known.
 *
 * Pure: the time is handed in, in milliseconds of any clock that only goes forward.
 *
 * @module
 */

/** What is known of a partition at one moment. */
export interface ObservedPartition {
  readonly partition: number;
  readonly committed: number | undefined;
  /** Undefined where it is not known: then there may be records. */
  readonly lag: number | undefined;
}

interface Watched {
  committed: number | undefined;
  advancedAtMs: number;
}

/** A partition that stood still for less than this may just be at a large batch. */
export const STILL_AFTER_MS = 10_000;

export class ProgressWatch {
  readonly #partitions = new Map<number, Watched>();

  /** To be called about once a second, with all partitions that this tracker has. */
  observe(partitions: readonly ObservedPartition[], nowMs: number): void {
    const present = new Set(partitions.map(({ partition }) => partition));
    for (const partition of this.#partitions.keys()) {
      if (!present.has(partition)) this.#partitions.delete(partition);
    }
    for (const { partition, committed, lag } of partitions) {
      const watched = this.#partitions.get(partition);
      if (watched === undefined) {
        this.#partitions.set(partition, { committed, advancedAtMs: nowMs });
      } else if (hasAdvanced({ partition, committed, lag }, watched)) {
        watched.committed = committed;
        watched.advancedAtMs = nowMs;
      }
    }
  }

  /** Something was done with a partition's records, though nothing could be committed yet. */
  noteProgress(partition: number, nowMs: number): void {
    const watched = this.#partitions.get(partition);
    if (watched !== undefined) watched.advancedAtMs = nowMs;
  }

  /**
   * How long a partition has stood still, in milliseconds; 0 if that is too short to tell, or if it has advanced since
   * it was last observed.
   */
  stillMs(now: ObservedPartition, nowMs: number): number {
    const watched = this.#partitions.get(now.partition);
    if (watched === undefined || hasAdvanced(now, watched)) return 0;
    const stillMs = nowMs - watched.advancedAtMs;
    return stillMs < STILL_AFTER_MS ? 0 : stillMs;
  }
}

function hasAdvanced({ committed, lag }: ObservedPartition, watched: Watched): boolean {
  return lag === 0 || watched.committed !== committed;
}
