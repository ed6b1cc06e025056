/**
 * Polls the state of the group that Kafka does not report to its clients:
 *
 * - partitions of the topic that no group member holds, so that nobody reads them;
 * - if this member is the group's leader: subscribed topics that got more partitions, or were created or recreated
 *   since the last assignment. The leader must then reassign partitions. kafkajs checks only the leader's own topics,
 *   every five minutes.
 *
 * The members' partitions change only with an assignment, so they are queried once after each. Partition counts are
 * queried every {@link INTERVAL_MS}.
 */

import { withinTime } from "../../async.ts";
import type { ClusterClient } from "../cluster.ts";
import type { GroupAssignment, TopicState } from "./assigner.ts";

/** Reported once when it begins and once when it ends. */
export type GroupNotice =
  | { readonly kind: "unassigned"; readonly partitions: readonly number[] }
  | { readonly kind: "all-assigned" };

export interface GroupWatchOptions {
  readonly cluster: Pick<ClusterClient, "findTopics" | "groupAssignments">;
  readonly topic: string;
  readonly groupId: string;
  readonly onNotice: (notice: GroupNotice) => void;
  /** Called if this member is the leader and must reassign partitions. */
  readonly requestRejoin: () => void;
  readonly intervalMs?: number;
}

const INTERVAL_MS = 5_000;
/** Limit of the wait for a broker's answer in {@link GroupWatch.stop}. */
const STOP_TIMEOUT_MS = 1_000;

interface Membership {
  /** Undefined if another member is the leader. */
  readonly assignment: GroupAssignment | undefined;
  /** The topic's partitions that any member holds; undefined while not known. */
  held: ReadonlySet<number> | undefined;
  suspected: ReadonlySet<number> | undefined;
}

export class GroupWatch {
  readonly #options: GroupWatchOptions;
  #membership: Membership | undefined;
  #unassigned: readonly number[] | undefined;
  #reported: readonly number[] = [];
  #isStopped = false;
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;

  constructor(options: GroupWatchOptions) {
    this.#options = options;
  }

  /** Partitions of the topic that no group member held in two consecutive checks; undefined while not known. */
  get unassigned(): readonly number[] | undefined {
    return this.#unassigned;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#wake();
    if (this.#running !== undefined) await withinTime(this.#running, STOP_TIMEOUT_MS);
  }

  /**
   * Must be called after each join.
   *
   * @param assignment what this member assigned as the leader; undefined if another member is the leader.
   */
  joined(assignment: GroupAssignment | undefined): void {
    this.#membership = { assignment, held: undefined, suspected: undefined };
    this.#unassigned = undefined;
    this.#wake();
  }

  /** Must be called when this member has left the group. */
  left(): void {
    this.#membership = undefined;
    this.#unassigned = undefined;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const membership = this.#membership;
      try {
        if (membership !== undefined) await this.#check(membership);
      } catch {
        // No broker answers, or this user may not describe the group.
        this.#unassigned = undefined;
      }
      if (this.#membership === membership) await this.#pause();
    }
  }

  async #pause(): Promise<void> {
    if (this.#isStopped) return;
    const { promise: woken, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await withinTime(woken, this.#options.intervalMs ?? INTERVAL_MS);
  }

  async #check(membership: Membership): Promise<void> {
    const { cluster, topic, groupId, requestRejoin } = this.#options;
    const { assignment } = membership;
    const topics = await cluster.findTopics([
      ...new Set([topic, ...assignment?.subscribedTopics ?? []]),
    ]);
    const isCurrent = () => this.#membership === membership && !this.#isStopped;
    if (!isCurrent()) return;
    if (assignment !== undefined && isOutdated(assignment.topics, topics)) requestRejoin();
    membership.held ??= await this.#heldPartitions(topic, groupId);
    if (isCurrent()) this.#compare(membership, topics.get(topic)?.partitionCount);
  }

  async #heldPartitions(topic: string, groupId: string): Promise<ReadonlySet<number> | undefined> {
    const assignments = await this.#options.cluster.groupAssignments(groupId);
    return assignments && new Set(assignments.flatMap((held) => held.get(topic) ?? []));
  }

  /** Reports only what two checks find: partitions that were just added are unassigned for a moment. */
  #compare(membership: Membership, partitionCount: number | undefined): void {
    const { held, suspected } = membership;
    if (held === undefined || partitionCount === undefined) {
      this.#unassigned = undefined;
      return;
    }
    const missing = Array.from({ length: partitionCount }, (_, partition) => partition)
      .filter((partition) => !held.has(partition));
    membership.suspected = new Set(missing);
    if (missing.length > 0 && suspected === undefined) return;
    this.#report(missing.filter((partition) => suspected?.has(partition)));
  }

  #report(unassigned: readonly number[]): void {
    this.#unassigned = unassigned;
    if (unassigned.join() === this.#reported.join()) return;
    this.#reported = unassigned;
    const { onNotice } = this.#options;
    if (unassigned.length === 0) onNotice({ kind: "all-assigned" });
    else onNotice({ kind: "unassigned", partitions: unassigned });
  }
}

/**
 * Reports whether a topic has partitions that the last assignment did not include. Kafka never removes partitions, so
 * fewer of them mean that the broker's metadata is stale.
 */
function isOutdated(
  assigned: ReadonlyMap<string, TopicState>,
  now: ReadonlyMap<string, TopicState>,
): boolean {
  return [...now].some(([topic, { topicId, partitionCount }]) => {
    const before = assigned.get(topic);
    return before === undefined || before.topicId !== topicId ||
      before.partitionCount < partitionCount;
  });
}
