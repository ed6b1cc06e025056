/**
 * Detects partitions that do not advance: records are available, and for a while nothing was committed or handled, for
 * whatever reason. This catches causes that nothing else reports.
 *
 * Pure: times are parameters, in milliseconds of any monotonic clock.
 */

export interface ObservedPartition {
  readonly partition: number;
  readonly committed: number | undefined;
  /** Undefined if not known; there may be records then. */
  readonly lag: number | undefined;
}

interface Watched {
  committed: number | undefined;
  advancedAtMs: number;
}

/** In less time than this, a partition may just be processing a large batch. */
export const STILL_AFTER_MS = 10_000;

export class ProgressWatch {
  readonly #partitions = new Map<number, Watched>();

  /** Must be called about once a second, with all partitions of this tracker. */
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

  /** Records progress in a partition that has not led to a commit yet. */
  noteProgress(partition: number, nowMs: number): void {
    const watched = this.#partitions.get(partition);
    if (watched !== undefined) watched.advancedAtMs = nowMs;
  }

  /**
   * Returns how long a partition has not advanced, in milliseconds; 0 if that is below the threshold, or if it has
   * advanced since it was last observed.
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
