/**
 * Compares what the journal holds of a partition with the partition's log, by leader epochs, and lets go of
 * what a truncated log has replaced (KIP-320).
 *
 *     join              each partition: what is held, and the record before the committed offset
 *     misplaced fetch   what is held: an offset is out of range, or a broker says that its log diverges
 *     batch             only where it does not go on in the epoch of the last held record
 *
 * The lines of what was replaced stay in the journal; what came in place of it is read from the log again.
 *
 * @module
 */

import type { CommittedOffset } from "../../kafka/cluster_answers.ts";
import type { Assignment, ConsumedBatch, PartitionStart } from "../../kafka/consumer/api.ts";
import type { LogCheck, LogPosition } from "../../kafka/consumer/log_check.ts";
import {
  type BatchFit,
  divergenceBefore,
  findDivergence,
  fitOf,
  isSucceeded,
  type ReadPoint,
} from "../../kafka/consumer/log_truncation.ts";
import { RefusedError } from "../../kafka/errors.ts";
import type { LeaderEpochAnswer } from "../../kafka/leader_epochs.ts";
import type { PartitionLogs } from "../../kafka/partition_logs.ts";
import type { EpochEnd } from "../../kafka/protocol/offset_for_leader_epoch.ts";
import type { EpochRun } from "../../kafka/protocol/record_batch.ts";
import type { Logger } from "../../log.ts";
import type { NotedTruncation } from "../../journal/held_partition.ts";
import type { JournalPartition } from "../../journal/intervals.ts";
import type { Journal } from "../../journal/journal.ts";
import { parseCommitNote } from "./commit_note.ts";
import { heldRuns } from "./held_runs.ts";
import { establishEpochs } from "./unknown_epochs.ts";

/** A log that was truncated: from `offset` on it lost what was read of it. */
export interface Truncation extends NotedTruncation {
  /** Epoch of the leader that said so: records that come now have it, or a higher one. */
  readonly leaderEpoch: number | undefined;
}

export interface TruncationCheckOptions {
  readonly journal: Journal;
  readonly logs: Pick<PartitionLogs, "epochEnd" | "leaderEpochs" | "range" | "recordAt">;
  readonly log: Logger;
  /** Resolves when no append of the partition is under way. */
  readonly settled: (partition: number) => Promise<unknown>;
  /** Called where a log was truncated, and where a commit says so and nothing has been journaled since. */
  readonly onTruncated: (place: JournalPartition, truncation: NotedTruncation) => void;
  /** Called where records were deleted before they were read. */
  readonly onGap: (gap: { partition: number; from: number; to: number }) => void;
}

/** Reasons for which a cluster answers no question about epochs, however often it is asked. */
const UNANSWERABLE: ReadonlySet<string> = new Set([
  "CLUSTER_AUTHORIZATION_FAILED",
  "TOPIC_AUTHORIZATION_FAILED",
  "UNSUPPORTED_VERSION",
]);

/**
 * Batches of a partition in a row that contradict what its leader says, until the batch is believed: one or two are of
 * a leader that was just replaced.
 */
const DISPUTES_MAX = 4;

/** A batch that does not fit what is held, though its leader says that the log has all of it. */
interface Dispute {
  readonly count: number;
  readonly runs: readonly EpochRun[];
}

export class TruncationCheck implements LogCheck {
  readonly #options: TruncationCheckOptions;
  #topic = { topic: "", topicId: "" };
  /** Commits that speak of records which the log has lost, by partition: up to where it has them. */
  readonly #committed = new Map<number, CommittedOffset>();
  /** What is known of a record before a start that is not held, by partition. */
  readonly #points = new Map<number, ReadPoint>();
  /** No record that can be read was appended in a later epoch, by partition. */
  #leaderEpochs: ReadonlyMap<number, number> = new Map();
  readonly #disputes = new Map<number, Dispute>();
  /** Truncations that were logged: what is held and a commit may both speak of one. */
  readonly #logged = new Set<string>();
  /** Partitions of which unknown epochs have been looked for. */
  readonly #established = new Set<string>();
  #hasAsked = false;
  #isUnanswerable = false;

  constructor(options: TruncationCheckOptions) {
    this.#options = options;
  }

  async beforeStart({ topic, topicId, partitions }: Assignment): Promise<ReadonlySet<number>> {
    this.#topic = { topic, topicId };
    this.#committed.clear();
    this.#points.clear();
    this.#disputes.clear();
    this.#leaderEpochs = await this.#options.logs.leaderEpochs(topic);
    const found = await this.#establishEpochs(partitions.map(({ partition }) => partition));
    await this.#askOnce(partitions[0]?.partition);
    const truncated = await Promise.all(
      partitions.map((start) => this.#checkStart(start, found.get(start.partition))),
    );
    return new Set(partitions.map(({ partition }) => partition).filter((_, at) => truncated[at]));
  }

  /** Returns the commit of a partition as far as the log still has what it speaks of. */
  committedOf({ partition, committed }: PartitionStart): CommittedOffset | undefined {
    return this.#committed.get(partition) ?? committed;
  }

  epochBefore(partition: number, offset: number): number | undefined {
    if (offset === 0) return undefined;
    const point = this.#points.get(partition);
    return this.#heldEpoch({ ...this.#topic, partition }, offset - 1) ??
      (point?.offset === offset ? point.epoch : this.#leaderEpochs.get(partition));
  }

  /** Finds out at the start whether such questions are answered at all, where there is nothing to ask about yet. */
  async #askOnce(partition: number | undefined): Promise<void> {
    if (partition === undefined || this.#hasAsked) return;
    const place = { ...this.#topic, partition };
    if (this.#options.journal.end(place) === undefined) await this.#ask(place, { epoch: 0 });
    this.#hasAsked = true;
  }

  /** Returns whether the start has to be committed, below what is committed now. */
  async #checkStart(
    { partition, committed, low }: PartitionStart,
    found: Truncation | undefined,
  ): Promise<boolean> {
    const { journal, onTruncated } = this.#options;
    const place = { ...this.#topic, partition };
    const truncation = found ?? await this.#checkHeld(place);
    if (truncation !== undefined) this.#tell(partition, truncation);
    const note = committed && parseCommitNote(committed.metadata);
    if (committed === undefined || note?.topicId !== place.topicId) return false;
    let { offset } = committed;
    const isOurs = note.journalId === journal.id || note.leaderEpoch === undefined;
    if (truncation !== undefined && isOurs) {
      offset = Math.min(offset, truncation.offset);
    } else if (note.leaderEpoch !== undefined && this.#heldEpoch(place, offset - 1) === undefined) {
      offset = await this.#checkPoint(place, { offset, epoch: note.leaderEpoch }, low);
    }
    if (offset < committed.offset) this.#committed.set(partition, { ...committed, offset });
    else if (note.truncation !== undefined && (journal.end(place) ?? 0) <= offset) {
      onTruncated(place, note.truncation);
    }
    return offset < committed.offset;
  }

  async realign(position: LogPosition): Promise<number> {
    const { topic, topicId, partition, epoch, divergingEpoch } = position;
    const { logs, onGap } = this.#options;
    const place = { topic, topicId, partition };
    const truncation = await this.#checkHeld(place, divergingEpoch) ??
      await this.#settleDispute(place);
    if (truncation !== undefined) this.#tell(partition, truncation);
    const { low, high } = await logs.range(topic, partition);
    this.#leaderEpochs = await logs.leaderEpochs(topic);
    let offset = Math.min(position.offset, truncation?.offset ?? Infinity);
    const isKnown = this.#heldEpoch(place, offset - 1) !== undefined;
    if (!isKnown && epoch !== undefined && truncation === undefined) {
      offset = await this.#checkPoint(place, { offset, epoch }, low);
    }
    if (offset < low) {
      onGap({ partition, from: offset, to: low });
      return low;
    }
    // Past the end, and nothing can be known of the records before: they may be others than they were.
    const isUnknown = epoch === undefined || this.#isUnanswerable;
    return offset > high && isUnknown ? low : offset;
  }

  /**
   * Returns whether a batch goes on from what is held. Where it does not, it must not be appended, and the partition
   * has to be realigned.
   */
  async accepts({ topic, topicId, partition, epochRuns = [] }: ConsumedBatch): Promise<boolean> {
    const { journal } = this.#options;
    const place = { topic, topicId, partition };
    const [first] = epochRuns;
    if (first?.epoch === undefined) return true;
    const isNext = epochRuns.length === 1 && first.epoch === journal.lastEpoch(place) &&
      (journal.end(place) ?? 0) <= first.start;
    const fit = isNext ? CONTINUES : fitOf(this.#held(place), epochRuns);
    if (await this.#isTrue(fit, { place, first })) {
      this.#disputes.delete(partition);
      return true;
    }
    const count = (this.#disputes.get(partition)?.count ?? 0) + 1;
    this.#disputes.set(partition, { count, runs: epochRuns });
    return false;
  }

  async #isTrue(
    fit: BatchFit,
    { place, first: { start, epoch } }: {
      readonly place: JournalPartition;
      readonly first: EpochRun;
    },
  ): Promise<boolean> {
    if (fit.kind !== "new epoch") return fit.kind === "continues";
    const answer = await this.#ask(place, { epoch: fit.epoch, leaderEpochMin: epoch });
    if (answer === undefined || isSucceeded(fit, { batchStart: start, answer: answer.end })) {
      return true;
    }
    const { end } = answer;
    const hasAll = end?.epoch === fit.epoch && end.endOffset >= fit.end;
    return hasAll && (this.#disputes.get(place.partition)?.count ?? 0) >= DISPUTES_MAX;
  }

  /** Finds the epochs of what earlier versions journaled, once; returns truncations that this brought to light. */
  async #establishEpochs(
    partitions: readonly number[],
  ): Promise<ReadonlyMap<number, Truncation>> {
    const { journal, log, logs, settled } = this.#options;
    const { topic, topicId } = this.#topic;
    const places = partitions.map((partition) => ({ topic, topicId, partition })).filter((place) =>
      journal.end(place) !== undefined && journal.lastEpoch(place) === undefined &&
      !this.#established.has(`${topicId} ${place.partition}`)
    );
    const truncations = new Map<number, Truncation>();
    if (places.length === 0 || this.#isUnanswerable) return truncations;
    log.info("Comparing the journal with the topic: an earlier version kept no leader epochs", {
      topic,
      partitions: places.map(({ partition }) => partition),
    });
    await Promise.all(places.map(({ partition }) => settled(partition)));
    const found = await this.#answered(topic, () => establishEpochs(places, { journal, logs }));
    for (const { place, truncatedAt, leaderEpoch } of found ?? []) {
      this.#established.add(`${topicId} ${place.partition}`);
      if (truncatedAt === undefined) continue;
      await journal.truncate(place, truncatedAt);
      truncations.set(place.partition, { offset: truncatedAt, epoch: undefined, leaderEpoch });
    }
    return truncations;
  }

  /** Lets go of what the log has replaced. */
  async #checkHeld(
    place: JournalPartition,
    divergingEpoch?: EpochEnd,
  ): Promise<Truncation | undefined> {
    const { journal, settled } = this.#options;
    await settled(place.partition);
    const held = this.#held(place);
    const leaderEpochs = new Set<number>();
    const divergence = await findDivergence(held, async (epoch) => {
      const answer = await this.#ask(place, { epoch });
      if (answer === undefined) return endByFetch(epoch, divergingEpoch);
      leaderEpochs.add(answer.leaderEpoch);
      return answer.end;
    });
    if (divergence === undefined) return undefined;
    // Answers of two leaders may be of two logs.
    if (leaderEpochs.size > 1) return await this.#checkHeld(place, divergingEpoch);
    await journal.truncate(place, divergence.offset);
    return { ...divergence, leaderEpoch: [...leaderEpochs][0] };
  }

  /** Returns up to where the log still has the records before a point. */
  async #checkPoint(place: JournalPartition, point: ReadPoint, low: number): Promise<number> {
    const { partition } = place;
    this.#points.set(partition, point);
    const answer = await this.#ask(place, { epoch: point.epoch });
    if (answer === undefined) return point.offset;
    const offset = divergenceBefore(point, { answer: answer.end, low });
    if (offset === undefined) return point.offset;
    const { leaderEpoch, end } = answer;
    this.#points.set(partition, { offset, epoch: end?.epoch ?? leaderEpoch });
    // Where the record that came in its place is held, the mark is on its line.
    if (this.#heldEpoch(place, offset) !== undefined) return offset;
    const { journal } = this.#options;
    if (journal.lastEpoch(place) === undefined) await journal.truncate(place, offset);
    this.#tell(partition, { offset, epoch: point.epoch, leaderEpoch });
    return offset;
  }

  /**
   * The leader keeps on saying that it has all that is held, and sending batches that say otherwise: what can be
   * read is believed.
   */
  async #settleDispute(place: JournalPartition): Promise<Truncation | undefined> {
    const { count, runs } = this.#disputes.get(place.partition) ?? NO_DISPUTE;
    if (count < DISPUTES_MAX && !this.#isUnanswerable) return undefined;
    const held = this.#held(place);
    const fit = fitOf(held, runs);
    if (fit.kind !== "contradicts") return undefined;
    const { offset } = fit;
    await this.#options.journal.truncate(place, offset);
    const epoch = held.find(({ end }) => end > offset)?.epoch;
    return { offset, epoch, leaderEpoch: runs.at(-1)?.epoch };
  }

  async #ask(
    place: JournalPartition,
    { epoch, leaderEpochMin = 0 }: {
      readonly epoch: number;
      readonly leaderEpochMin?: number | undefined;
    },
  ): Promise<LeaderEpochAnswer | undefined> {
    const question = { ...place, epoch, leaderEpochMin };
    return await this.#answered(place.topic, () => this.#options.logs.epochEnd(question));
  }

  /** Undefined where the cluster does not answer questions about epochs. */
  async #answered<Result>(
    topic: string,
    ask: () => Promise<Result>,
  ): Promise<Result | undefined> {
    if (this.#isUnanswerable) return undefined;
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof RefusedError) || !UNANSWERABLE.has(error.reason)) throw error;
      this.#isUnanswerable = true;
      this.#options.log.warn(
        "The cluster does not say where leader epochs end; a truncated log may go unnoticed. " +
          "Grant the permission Describe on the topic",
        { topic, error: error.message },
      );
      return undefined;
    }
  }

  /** The epoch in which an offset is held; undefined where it is not, or in an unknown one. */
  #heldEpoch(place: JournalPartition, offset: number): number | undefined {
    const { journal } = this.#options;
    if (!journal.holds({ ...place, offset })) return undefined;
    return journal.heldEpochs(place).findLast(({ start }) => start <= offset)?.epoch;
  }

  #held(place: JournalPartition): readonly EpochRun[] {
    const { journal } = this.#options;
    return heldRuns(journal.heldIntervals(place), journal.heldEpochs(place));
  }

  #tell(partition: number, truncation: Truncation): void {
    const { log, onTruncated } = this.#options;
    const { offset, leaderEpoch } = truncation;
    onTruncated({ ...this.#topic, partition }, truncation);
    const name = `${this.#topic.topicId} ${partition} ${offset} ${leaderEpoch}`;
    if (this.#logged.has(name)) return;
    this.#logged.add(name);
    log.warn("A partition's log was truncated; it is read again from there", {
      topic: this.#topic.topic,
      partition,
      offset: truncation.offset,
      mark: truncationMark(partition, { ...truncation, newEpoch: truncation.leaderEpoch }),
    });
  }
}

const CONTINUES: BatchFit = { kind: "continues" };
const NO_DISPUTE: Dispute = { count: 0, runs: [] };

/** What a broker's answer to a fetch says of an epoch: nothing of those below the one where its log diverges. */
function endByFetch(epoch: number, divergingEpoch: EpochEnd | undefined): EpochEnd {
  if (divergingEpoch === undefined || epoch < divergingEpoch.epoch) {
    return { epoch, endOffset: Infinity };
  }
  return divergingEpoch;
}

/** Says for the journal and the log what became of a partition's records. */
export function truncationMark(
  partition: number,
  { offset, epoch, newEpoch }: NotedTruncation & { readonly newEpoch: number | undefined },
): string {
  return `partition ${partition} was truncated at offset ${offset}: ` +
    `its records of leader epoch ${epoch ?? "unknown"} were replaced in leader epoch ${
      newEpoch ?? "unknown"
    }`;
}
