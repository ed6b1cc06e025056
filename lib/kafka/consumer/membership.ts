/**
 * A group membership from one join to the next. Decides where to resume before any record is handed over, and has a
 * pipeline for each of its partitions.
 *
 *     join -> describe -> compare with the logs -> place -> commit the starts -> begun
 *
 * kafkajs's `isStale()` reports a pending seek, not a lost partition. So `isCurrent` is checked before each commit, and
 * by the owner before each write.
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
  readonly partitions: readonly number[];
  readonly cluster: Pick<
    ClusterClient,
    "describeTopic" | "offsets" | "allOffsets" | "committedOffsets"
  >;
  readonly consumer: Pick<Consumer, "pause" | "resume" | "seek">;
  /** Commits as this generation's member; throws once the consumer has rejoined. */
  readonly commit: ReturnType<typeof committerOf>;
  readonly createCommits: (membership: Membership) => Commits;
  readonly confirmTopic: (membership: Membership) => Promise<boolean>;
  readonly onPlaced: (assignment: Assignment) => void;
}

const RETRY_WAIT_MS = 500;
/** Interval between queries of a new group's commits while another member decides where it begins. */
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

  /** The id of the topic being read; empty until it is known. */
  get topicId(): string {
    return this.#topicId;
  }

  /** False once the partitions may belong to another member; work started before is then stale. */
  get isCurrent(): boolean {
    return !this.#lost.signal.aborted;
  }

  get isPlaced(): boolean {
    return this.#isPlaced;
  }

  /** True once the starts are decided and committed. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /**
   * Resolves to true when records may be handed over, and to false if the membership ended before that.
   *
   * @throws {Error} if the cluster refuses permanently.
   */
  begin(): Promise<boolean> {
    return this.#begun ??= this.#begin();
  }

  end(): void {
    this.#lost.abort();
  }

  positions(): ReadonlyMap<number, number> {
    return new Map(
      [...this.pipelines.values()].flatMap(({ partition, position }) =>
        position === undefined ? [] : [[partition, position]]
      ),
    );
  }

  /** Resolves when work in progress has ended: to true if everything that became safe is committed. */
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

  /** Commits the current end of all of the topic's partitions. After that the group is not new any more. */
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
   * Commits the starts of partitions without a commit, before any of their records is handed over. A group without
   * commits then never ran or was deleted. It cannot be one whose member died before its first commit while it
   * processed records, which must be read again.
   *
   * Also commits the start if retention deleted records after the commit, so that no lag remains that nobody can read,
   * and moves the commit back if the log was truncated.
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

  /** Returns where to resume; without a log check, at the partition's first offset. */
  async #realign(position: LogPosition): Promise<number> {
    const { cluster, topic, logCheck } = this.#options;
    if (logCheck !== undefined) return await logCheck.realign(position);
    const [range] = await cluster.offsets(topic, [position.partition]);
    return range?.low ?? position.offset;
  }
}
