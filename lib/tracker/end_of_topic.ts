/**
 * When `--exit-at-end` is done: all that was in the topic at the start is in the journal, or was another
 * member's to journal.
 *
 * @module
 */

import type { ClusterClient } from "../kafka/cluster.ts";

export interface EndOfTopicOptions {
  readonly cluster: ClusterClient;
  readonly topic: string;
  readonly groupId: string;
  /** One past the last offset that is safe, by partition that this member has; undefined until it has joined. */
  readonly positions: () => ReadonlyMap<number, number> | undefined;
  readonly stop: AbortSignal;
}

const POLL_MS = 100;
/** How often the group is asked about the partitions of other members. */
const GROUP_POLLS = 10;

/** Resolves with true at the end offsets that the topic has now, with false when it was stopped before. */
export async function reachedEnd(options: EndOfTopicOptions): Promise<boolean> {
  const { cluster, topic, groupId, positions, stop } = options;
  let ends = (await cluster.allOffsets(topic)).filter(({ low, high }) => high > low);
  let committed = new Map<number, number>();
  for (let poll = 0; !stop.aborted; poll++) {
    const own = positions();
    // Before it has joined, a commit may be an operator's: what it passes over is read from the journal's end.
    const left = ends.filter(({ partition, high }) => (own?.get(partition) ?? 0) < high);
    const isOthers = left.every(({ partition, high }) =>
      own !== undefined && !own.has(partition) && (committed.get(partition) ?? 0) >= high
    );
    if (isOthers) return true;
    if (poll % GROUP_POLLS === 0) {
      const offsets = await cluster.committedOffsets(groupId, topic);
      committed = new Map(offsets.map(({ partition, offset }) => [partition, offset]));
      // A log that was truncated ends before.
      const now = await cluster.offsets(topic, ends.map(({ partition }) => partition));
      ends = ends.map((end, at) => ({ ...end, high: Math.min(end.high, now[at]?.high ?? 0) }));
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return false;
}
