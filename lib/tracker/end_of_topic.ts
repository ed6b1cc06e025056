/**
 * When `--exit-at-end` is done: all that was in the topic at the start is in the journal, or was another
 * member's to journal. Records that wait behind an open transaction are waited for a little, and then named.
 *
 * @module
 */

import { delay } from "../async.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import type { OffsetRange } from "../kafka/cluster_answers.ts";
import { counted } from "../text.ts";

export interface EndOfTopicOptions {
  readonly cluster: Pick<ClusterClient, "allOffsets" | "offsets" | "committedOffsets">;
  readonly topic: string;
  readonly groupId: string;
  /** One past the last offset that is safe, by partition that this member has; undefined until it has joined. */
  readonly positions: () => ReadonlyMap<number, number> | undefined;
  readonly stop: AbortSignal;
}

/** Records of which nobody can say yet whether they count: their transaction, or one before them, is still open. */
export interface UndecidedRecords {
  /** From 0 on. */
  readonly partition: number;
  /** Where the transaction begins. */
  readonly firstOffset: number;
  /** Offsets from there to the partition's end. */
  readonly recordCount: number;
}

/** How waiting for the end of a topic ended. */
export interface EndOfTopic {
  /** False where it was stopped before. */
  readonly isReached: boolean;
  /** What was in the topic at the start, and is not in the journal; empty where all is. */
  readonly undecided: readonly UndecidedRecords[];
}

const POLL_MS = 100;
/** How often the cluster is asked about other members' partitions, and about what can be read. */
const CLUSTER_POLLS = 10;
/** Most transactions end sooner. */
const UNDECIDED_PATIENCE_MS = 3_000;

/** Waits until this tracker has journaled what is in the topic now, or until the rest waits behind open transactions. */
export async function reachedEnd(options: EndOfTopicOptions): Promise<EndOfTopic> {
  const { cluster, topic, groupId, positions, stop } = options;
  const atStart = await cluster.allOffsets(topic);
  const goals = new Map(atStart.map(({ partition, highWatermark }) => [partition, highWatermark]));
  let ranges: ReadonlyMap<number, OffsetRange> = new Map();
  let committed: ReadonlyMap<number, number> = new Map();
  let undecidedSinceMs: number | undefined;
  for (let poll = 0; !stop.aborted; poll++) {
    if (poll % CLUSTER_POLLS === 0) {
      const asked = await cluster.offsets(topic, [...goals.keys()]);
      ranges = new Map(asked.map((range) => [range.partition, range]));
      // A log that was truncated meanwhile ends before.
      for (const [partition, goal] of goals) {
        const end = ranges.get(partition)?.highWatermark ?? goal;
        if (end < goal) goals.set(partition, end);
      }
      const commits = await cluster.committedOffsets(groupId, topic);
      committed = new Map(commits.map(({ partition, offset }) => [partition, offset]));
    }
    const own = positions();
    const left = [...goals].filter(([partition, goal]) => {
      const { low } = ranges.get(partition) ?? { low: 0 };
      return low < goal && (own?.get(partition) ?? 0) < goal;
    });
    /** Of partitions that are another member's. Before this one has joined, a commit may be an operator's. */
    const isOthers = (partition: number, end: number) =>
      own !== undefined && !own.has(partition) && (committed.get(partition) ?? 0) >= end;
    if (left.every(([partition, goal]) => isOthers(partition, goal))) {
      return { isReached: true, undecided: [] };
    }

    const undecided = left.flatMap(([partition, goal]): readonly UndecidedRecords[] => {
      const stableEnd = ranges.get(partition)?.high ?? Infinity;
      const isRead = (own?.get(partition) ?? 0) >= stableEnd || isOthers(partition, stableEnd);
      return stableEnd < goal && own !== undefined && isRead
        ? [{ partition, firstOffset: stableEnd, recordCount: goal - stableEnd }]
        : [];
    });
    const isAllUndecided = left.every(([partition, goal]) =>
      isOthers(partition, goal) || undecided.some((records) => records.partition === partition)
    );
    undecidedSinceMs = isAllUndecided ? undecidedSinceMs ?? performance.now() : undefined;
    if (performance.now() - (undecidedSinceMs ?? Infinity) > UNDECIDED_PATIENCE_MS) {
      return { isReached: true, undecided };
    }
    await delay(POLL_MS);
  }
  return { isReached: false, undecided: [] };
}

/** A line for a person: what was not waited for. */
export function describeUndecided(topic: string, undecided: readonly UndecidedRecords[]): string {
  const places = undecided.map(({ partition, firstOffset, recordCount }) =>
    `${counted(recordCount, "record")} in ${topic}[${partition}] from offset ${firstOffset} on`
  );
  return `not journaled, because an open transaction holds them back: ${places.join(", ")}. ` +
    "Run again when the transaction has been committed or aborted";
}
