/**
 * Watches, as long as a consumer is a member of its group, what no client of Kafka's is told:
 *
 * - the partitions of its topic that no member of the group holds, which nobody reads;
 * - where this member is the group's leader, topics of any member's subscription that got more partitions, or exist
 *   since the last assignment, or again: the leader then has to assign partitions anew. kafkajs looks at the
 *   leader's own topics only, and by itself no sooner than after five minutes.
 *
 * What members hold changes with each assignment only, so it is asked for once after each; partition counts are asked
 * for every {@link INTERVAL_MS}.
 *
 * @module
 */

import { withinTime } from "../../async.ts";
import type { ClusterClient } from "../cluster.ts";
import type { GroupAssignment, TopicState } from "./assigner.ts";

/** Told once when it begins, and once when it is over. */
export type GroupNotice =
  /** Partitions of the topic that no member of the group holds. */
  | { readonly kind: "unassigned"; readonly partitions: readonly number[] }
  | { readonly kind: "all-assigned" };

export interface GroupWatchOptions {
  readonly cluster: Pick<ClusterClient, "findTopics" | "groupAssignments">;
  readonly topic: string;
  readonly groupId: string;
  readonly onNotice: (notice: GroupNotice) => void;
  /** Called where this member, as the leader, has to assign partitions anew. */
  readonly requestRejoin: () => void;
  /** Default {@link INTERVAL_MS}. */
  readonly intervalMs?: number;
}

const INTERVAL_MS = 5_000;
/** How long {@link GroupWatch.stop} waits for a broker's answer. */
const STOP_TIMEOUT_MS = 1_000;

/** A member's place in its group from one join to the next. */
interface Membership {
  /** Undefined where another member is the leader. */
  readonly assignment: GroupAssignment | undefined;
  /** The topic's partitions that any member holds; undefined while not known. */
  held: ReadonlySet<number> | undefined;
  /** Those that nobody held when last looked at. */
  suspected: ReadonlySet<number> | undefined;
}

export class GroupWatch {
  readonly #options: GroupWatchOptions;
  #membership: Membership | undefined;
  #unassigned: readonly number[] | undefined;
  /** What the last notice named. */
  #reported: readonly number[] = [];
  #isStopped = false;
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;

  constructor(options: GroupWatchOptions) {
    this.#options = options;
  }

  /**
   * The partitions of the topic that no member of the group holds, in two looks one after the other; undefined while
   * this is not known.
   */
  get unassigned(): readonly number[] | undefined {
    return this.#unassigned;
  }

  /** Looks at the group regularly until {@link stop}. */
  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#wake();
    if (this.#running !== undefined) await withinTime(this.#running, STOP_TIMEOUT_MS);
  }

  /**
   * To be called after each join.
   *
   * @param assignment what this member assigned; undefined where another one is the leader.
   */
  joined(assignment: GroupAssignment | undefined): void {
    this.#membership = { assignment, held: undefined, suspected: undefined };
    this.#unassigned = undefined;
    this.#wake();
  }

  /** To be called when this member is in the group no more. */
  left(): void {
    this.#membership = undefined;
    this.#unassigned = undefined;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const membership = this.#membership;
      try {
        if (membership !== undefined) await this.#look(membership);
      } catch {
        // No broker answers, or this user may not ask: what is not known is not told.
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

  async #look(membership: Membership): Promise<void> {
    const { cluster, topic, groupId, requestRejoin } = this.#options;
    const { assignment } = membership;
    const topics = await cluster.findTopics([
      ...new Set([topic, ...assignment?.subscribedTopics ?? []]),
    ]);
    const isCurrent = () => this.#membership === membership && !this.#isStopped;
    if (!isCurrent()) return;
    if (assignment !== undefined && isOutdated(assignment.topics, topics)) requestRejoin();
    membership.held ??= await this.#heldPartitions(topic, groupId);
    if (isCurrent()) this.#judge(membership, topics.get(topic)?.partitionCount);
  }

  async #heldPartitions(topic: string, groupId: string): Promise<ReadonlySet<number> | undefined> {
    const assignments = await this.#options.cluster.groupAssignments(groupId);
    return assignments && new Set(assignments.flatMap((held) => held.get(topic) ?? []));
  }

  /** Believes only what it sees twice: partitions that were just added are held by nobody for a moment. */
  #judge(membership: Membership, partitionCount: number | undefined): void {
    const { held, suspected } = membership;
    if (held === undefined || partitionCount === undefined) {
      this.#unassigned = undefined;
      return;
    }
    const missing = Array.from({ length: partitionCount }, (_, partition) => partition)
      .filter((partition) => !held.has(partition));
    membership.suspected = new Set(missing);
    if (missing.length > 0 && suspected === undefined) return;
    this.#tell(missing.filter((partition) => suspected?.has(partition)));
  }

  #tell(unassigned: readonly number[]): void {
    this.#unassigned = unassigned;
    if (unassigned.join() === this.#reported.join()) return;
    this.#reported = unassigned;
    const { onNotice } = this.#options;
    if (unassigned.length === 0) onNotice({ kind: "all-assigned" });
    else onNotice({ kind: "unassigned", partitions: unassigned });
  }
}

/**
 * Whether a topic has partitions that the last assignment did not know of. Fewer partitions of a topic are what a
 * broker says that is behind the others: Kafka takes none away.
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
