/**
 * Determines when `--exit-at-end` is done: everything that was in the topic at the start has been journaled by this or
 * another member. Records behind an open transaction are waited for briefly, then reported.
 */

import { delay } from "../async.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import type { OffsetRange } from "../kafka/cluster_answers.ts";
import { counted } from "../text.ts";

export interface EndOfTopicOptions {
  readonly cluster: Pick<ClusterClient, "allOffsets" | "offsets" | "committedOffsets">;
  readonly topic: string;
  readonly groupId: string;
  /** Returns one past the last safe offset, by partition of this member; undefined until it has joined. */
  readonly positions: () => ReadonlyMap<number, number> | undefined;
  /** True if everything up to the positions is committed; a coordinator may have removed this member meanwhile. */
  readonly isCommitted: () => boolean;
  readonly stop: AbortSignal;
}

/**
 * Records whose transaction, or an earlier one, is still open, so that it is unknown whether they will be committed.
 */
export interface UndecidedRecords {
  /** The partition's number, from 0. */
  readonly partition: number;
  /** The first offset of the open transaction. */
  readonly firstOffset: number;
  /** Offsets from there to the partition's end. */
  readonly recordCount: number;
}

export interface EndOfTopic {
  readonly isReached: boolean;
  /** Records that were in the topic at the start and are not in the journal. */
  readonly undecided: readonly UndecidedRecords[];
}

const POLL_MS = 100;
/** Every nth poll also asks the cluster for readable offsets and for other members' commits. */
const CLUSTER_POLLS = 10;
/** Most transactions end sooner. */
const UNDECIDED_TIMEOUT_MS = 3_000;

/**
 * Waits until this tracker has journaled the topic's current records, or until the rest is behind open transactions.
 */
export async function reachedEnd(options: EndOfTopicOptions): Promise<EndOfTopic> {
  const { cluster, topic, groupId, positions, isCommitted, stop } = options;
  const atStart = await cluster.allOffsets(topic);
  const goals = new Map(atStart.map(({ partition, highWatermark }) => [partition, highWatermark]));
  let ranges: ReadonlyMap<number, OffsetRange> = new Map();
  let committed: ReadonlyMap<number, number> = new Map();
  let undecidedSinceMs: number | undefined;
  for (let poll = 0; !stop.aborted; poll++) {
    if (poll % CLUSTER_POLLS === 0) {
      const asked = await cluster.offsets(topic, [...goals.keys()]);
      ranges = new Map(asked.map((range) => [range.partition, range]));
      // A log that was truncated meanwhile ends earlier.
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
    /** Only counts after this member has joined: a commit from before may be an operator's. */
    const isOthers = (partition: number, end: number) =>
      own !== undefined && !own.has(partition) && (committed.get(partition) ?? 0) >= end;
    const isDone = own === undefined || isCommitted();
    if (isDone && left.every(([partition, goal]) => isOthers(partition, goal))) {
      return { isReached: true, undecided: [] };
    }

    const undecided = left.flatMap(([partition, goal]): readonly UndecidedRecords[] => {
      const stableEnd = ranges.get(partition)?.high ?? Infinity;
      const isRead = (own?.get(partition) ?? 0) >= stableEnd || isOthers(partition, stableEnd);
      return stableEnd < goal && own !== undefined && isRead
        ? [{ partition, firstOffset: stableEnd, recordCount: goal - stableEnd }]
        : [];
    });
    const isAllUndecided = isDone &&
      left.every(([partition, goal]) =>
        isOthers(partition, goal) || undecided.some((records) => records.partition === partition)
      );
    undecidedSinceMs = isAllUndecided ? undecidedSinceMs ?? performance.now() : undefined;
    if (performance.now() - (undecidedSinceMs ?? Infinity) > UNDECIDED_TIMEOUT_MS) {
      return { isReached: true, undecided };
    }
    await delay(POLL_MS);
  }
  return { isReached: false, undecided: [] };
}

/** Describes records that were not waited for. */
export function describeUndecided(topic: string, undecided: readonly UndecidedRecords[]): string {
  const places = undecided.map(({ partition, firstOffset, recordCount }) =>
    `${counted(recordCount, "record")} in ${topic}[${partition}] from offset ${firstOffset} on`
  );
  return `not journaled, because an open transaction holds them back: ${places.join(", ")}. ` +
    "Run again when the transaction has been committed or aborted";
}
