/**
 * Moves the committed offsets of groups along with the records: to where a group that goes on in the target skips
 * nothing. A group's offset becomes that of the first record that it has not read; with `--partitions key`, records
 * that it has read can lie behind that one.
 */

import { delay } from "../async.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import { RefusedError } from "../kafka/errors.ts";
import type { Progress } from "./replay_log.ts";
import type { Plan, SourcePartition } from "./replay_plan.ts";

export interface MovedGroup {
  readonly group: string;
  /** False if an earlier run of this replay has moved it: the group may have read on since then. */
  readonly moved: boolean;
  readonly partitions: readonly { readonly partition: number; readonly offset: number }[];
}

/** By topic, partition, and one past the last offset that the group has read. */
type Committed = ReadonlyMap<string, ReadonlyMap<number, number>>;

const READ_BACK_TIMEOUT_MS = 30_000;
const READ_BACK_POLL_MS = 50;

/**
 * Reads what a group has committed in the topics of the records.
 *
 * @throws {RefusedError} if it cannot be moved: it has members, or has committed nothing.
 */
export async function committedBy(
  cluster: ClusterClient,
  group: string,
  { plan, target }: { readonly plan: Plan; readonly target: string },
): Promise<Committed> {
  const refuse = (why: string, reason: string) => {
    throw new RefusedError(`the offsets of group "${group}" cannot be moved: ${why}`, { reason });
  };
  const topics = new Set(Array.from(plan.partitions.values(), ({ source }) => source.topic));
  if (topics.has(target)) {
    refuse(`topic "${target}" is that of the records, too`, "INVALID_REQUEST");
  }
  await cluster.requireGroup(group);
  const members = await cluster.groupMemberCount(group);
  if (members > 0) refuse(`it has ${members} members; stop them first`, "NON_EMPTY_GROUP");
  const committed = new Map<string, ReadonlyMap<number, number>>();
  for (const topic of topics) {
    const offsets = await cluster.committedOffsets(group, topic);
    if (offsets.length === 0) continue;
    committed.set(topic, new Map(offsets.map(({ partition, offset }) => [partition, offset])));
  }
  if (committed.size === 0) {
    refuse(
      `it has committed nothing in ${
        [...topics].map((topic) => `"${topic}"`).join(", ")
      } of this cluster`,
      "GROUP_ID_NOT_FOUND",
    );
  }
  return committed;
}

/**
 * Returns the new offset of each partition of the target that has records.
 *
 * @param latest of a topic that was created again, the id whose records the group has committed.
 */
export function movedOffsets(
  committed: Committed,
  progress: Progress,
  latest: ReadonlyMap<string, string | undefined>,
): ReadonlyMap<number, number> {
  const unread = new Map<number, number>();
  const ends = new Map<number, number>();
  const readTo = ({ topic, topicId, partition }: SourcePartition) =>
    latest.get(topic) === topicId ? committed.get(topic)?.get(partition) ?? 0 : Infinity;
  for (const { source, first, count, to, target } of progress) {
    ends.set(to, Math.max(ends.get(to) ?? 0, target + count));
    const start = Math.max(first, readTo(source));
    if (start >= first + count) continue;
    unread.set(to, Math.min(unread.get(to) ?? Infinity, target + start - first));
  }
  return new Map(
    [...ends].map(([partition, end]) => [partition, unread.get(partition) ?? end] as const)
      .sort(([a], [b]) => a - b),
  );
}

/** Reads the committed offsets back. @throws {Error} if they are not what was committed. */
export async function confirmGroup(
  cluster: ClusterClient,
  { group, topic, offsets }: {
    readonly group: string;
    readonly topic: string;
    readonly offsets: ReadonlyMap<number, number>;
  },
): Promise<void> {
  const deadline = performance.now() + READ_BACK_TIMEOUT_MS;
  for (;;) {
    const found = new Map(
      (await cluster.committedOffsets(group, topic)).map((each) => [each.partition, each.offset]),
    );
    if ([...offsets].every(([partition, offset]) => found.get(partition) === offset)) return;
    if (performance.now() > deadline) {
      throw new Error(`group "${group}" has other offsets in topic "${topic}" than were committed`);
    }
    await delay(READ_BACK_POLL_MS);
  }
}
