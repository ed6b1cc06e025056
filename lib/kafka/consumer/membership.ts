/**
 * One stay of a member in its group, from a join to the next: it decides where to read on before any
 * record is handed over, and has a pipeline for each of its partitions.
 *
 *     join -> describe -> compare with the logs -> place -> commit where partitions begin -> begun
 *
 * kafkajs's `isStale()` tells of a pending seek, not of a lost partition: whether a membership is current
 * is checked before a commit, and by the owner before it writes.
 *
 * @module
 */

import type { Consumer } from "kafkajs";
import { delay } from "../../async.ts";
import type { ClusterClient } from "../cluster.ts";
import { endsConsumer } from "../error_classifier.ts";
import { isUnreachable, reasonOf } from "../errors.ts";
import type { committerOf } from "../kafkajs/group_member.ts";
import type { Assignment, CommitPoint, GroupConsumerOptions } from "./api.ts";
import type { Commits } from "./commits.ts";
import { beginningWaitMs } from "./group_beginning.ts";
import type { LogPosition } from "./log_check.ts";
import { PartitionPipeline, type PipelineOptions } from "./partition_pipeline.ts";

export interface MembershipOptions extends
  Pick<
    GroupConsumerOptions,
    "topic" | "groupId" | "commitMetadata" | "beginsAtEnd" | "startAt" | "logCheck"
  >,
  Pick<PipelineOptions, "isStopping" | "onBatch" | "onUnreadable"> {
  /** The topic's partitions that the group gave to this member. */
  readonly partitions: readonly number[];
  readonly cluster: Pick<
    ClusterClient,
    "describeTopic" | "offsets" | "allOffsets" | "committedOffsets"
  >;
  readonly consumer: Pick<Consumer, "pause" | "resume" | "seek">;
  /** Commits as the member that joined, and throws once it has joined again. */
  readonly commit: ReturnType<typeof committerOf>;
  readonly createCommits: (membership: Membership) => Commits;
  readonly confirmTopic: (membership: Membership) => Promise<boolean>;
  /** Told where the partitions are read on. */
  readonly onPlaced: (assignment: Assignment) => void;
}

const RETRY_WAIT_MS = 500;
/** How often a new group's commits are looked for while another member decides where it begins. */
const BEGINNING_POLL_MS = 250;

export class Membership {
  readonly pipelines: ReadonlyMap<number, PartitionPipeline>;
  readonly commits: Commits;
  readonly #options: MembershipOptions;
  readonly #lost = new AbortController();
  #topicId = "";
  #isPlaced = false;
  #hasBegun = false;
  #begun: Promise<boolean> | undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.commits = options.createCommits(this);
    const pipelineOptions: PipelineOptions = {
      ...options,
      topicId: () => this.#topicId,
      isCurrent: () => this.isCurrent,
      lost: this.#lost.signal,
      confirmTopic: () => options.confirmTopic(this),
      onSafe: (point) => this.commits.add(point),
      realign: (position) => this.#realign(position),
      epochBefore: (partition, offset) => options.logCheck?.epochBefore(partition, offset),
    };
    this.pipelines = new Map(
      options.partitions.map((each) => [each, new PartitionPipeline(each, pipelineOptions)]),
    );
  }

  /** The id of the topic that is read; empty until it is known. */
  get topicId(): string {
    return this.#topicId;
  }

  /** False once the partitions may be another member's: what was begun before is stale. */
  get isCurrent(): boolean {
    return !this.#lost.signal.aborted;
  }

  /** Whether it is decided where to read on. */
  get isPlaced(): boolean {
    return this.#isPlaced;
  }

  /** Whether where the partitions begin is committed, too. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /**
   * Resolves with true when records may be handed over, with false where the membership ended before.
   *
   * @throws {Error} where the cluster refuses what cannot be cured by trying again.
   */
  begin(): Promise<boolean> {
    return this.#begun ??= this.#begin();
  }

  end(): void {
    this.#lost.abort();
  }

  /** Where to read on, by partition. */
  positions(): ReadonlyMap<number, number> {
    return new Map(
      [...this.pipelines.values()].flatMap(({ partition, position }) =>
        position === undefined ? [] : [[partition, position]]
      ),
    );
  }

  /** Resolves when the work under way has ended, with whether everything that became safe is committed. */
  async drained(): Promise<boolean> {
    await Promise.all([...this.pipelines.values()].map(({ settled }) => settled));
    await this.commits.settled;
    return this.commits.isDone;
  }

  async #begin(): Promise<boolean> {
    const joinedAt = performance.now();
    let assignment: Assignment | undefined;
    let truncated: ReadonlySet<number> = new Set();
    while (this.isCurrent) {
      try {
        if (assignment === undefined) {
          const { isGroupNew, ...described } = await this.#describe();
          truncated = await this.#options.logCheck?.beforeStart(described) ?? truncated;
          if (!this.isCurrent) return false;
          if (isGroupNew && this.#beginsAtEnd(described)) {
            const waitedMs = performance.now() - joinedAt;
            if (waitedMs < beginningWaitMs(this.#options.partitions)) {
              await delay(BEGINNING_POLL_MS);
            } else await this.#beginAtEnd(described);
            continue;
          }
          this.#place(described);
          assignment = described;
        }
        await this.#commitStarts(assignment, truncated);
        this.#hasBegun = this.isCurrent;
        return this.#hasBegun;
      } catch (error) {
        if (!isUnreachable(error) && endsConsumer(reasonOf(error))) throw error;
        await delay(RETRY_WAIT_MS);
      }
    }
    return false;
  }

  async #describe(): Promise<Assignment & { readonly isGroupNew: boolean }> {
    const { cluster, topic, groupId, partitions } = this.#options;
    const { topicId } = await cluster.describeTopic(topic);
    const ranges = await cluster.offsets(topic, partitions);
    const committed = await cluster.committedOffsets(groupId, topic);
    return {
      topic,
      topicId,
      partitions: ranges.map((range) => ({
        ...range,
        committed: committed.find(({ partition }) => partition === range.partition),
      })),
      isGroupNew: committed.length === 0,
    };
  }

  #beginsAtEnd(assignment: Assignment): boolean {
    return assignment.partitions.length > 0 && this.#options.beginsAtEnd?.(assignment) === true;
  }

  /** Commits the topic's present end for all of its partitions: from then on the group is no new one. */
  async #beginAtEnd({ topic, topicId }: Assignment): Promise<void> {
    const ends = await this.#options.cluster.allOffsets(topic);
    await this.#commit(
      topicId,
      ends.map(({ partition, high }) => ({ partition, offset: high, epoch: undefined })),
    );
  }

  #place(assignment: Assignment): void {
    this.#topicId = assignment.topicId;
    const starts = this.#options.startAt(assignment);
    for (const { partition, low, committed } of assignment.partitions) {
      this.pipelines.get(partition)?.begin(starts.get(partition) ?? committed?.offset ?? low);
    }
    this.#isPlaced = true;
    this.#options.onPlaced(assignment);
  }

  /**
   * Commits where partitions without a commit begin, before any of their records is handed over. So a
   * group without a commit is one that was never here, or was deleted: not one whose member died before
   * its first commit, with records in hand that must be seen again. So does a partition whose records
   * expired past its commit: there is nothing to read before its start, and nothing to lag behind. Where a
   * log was truncated its commit is taken back to what is left.
   */
  async #commitStarts(
    { topicId, partitions }: Assignment,
    truncated: ReadonlySet<number>,
  ): Promise<void> {
    const points = partitions.flatMap(({ partition, committed }) => {
      const point = this.pipelines.get(partition)?.point;
      const isDue = point !== undefined &&
        ((committed?.offset ?? -1) < point.offset || truncated.has(partition));
      return isDue ? [point] : [];
    });
    if (points.length > 0) await this.#commit(topicId, points);
  }

  async #commit(topicId: string, points: readonly CommitPoint[]): Promise<void> {
    const { topic, commit, commitMetadata } = this.#options;
    const partitions = points.map((point) => ({
      partition: point.partition,
      offset: String(point.offset),
      metadata: commitMetadata(topicId, point),
    }));
    await commit([{ topic, partitions }]);
  }

  /** Without anybody who knows what was read, a partition is read from the first offset that it has. */
  async #realign(position: LogPosition): Promise<number> {
    const { cluster, topic, logCheck } = this.#options;
    if (logCheck !== undefined) return await logCheck.realign(position);
    const [range] = await cluster.offsets(topic, [position.partition]);
    return range?.low ?? position.offset;
  }
}
