/**
 * Compares the records that the journal holds of a partition with the partition's log, by leader epochs, and drops
 * those that a truncated log has replaced (KIP-320).
 *
 *     join              each partition: held records, and the record before the committed offset
 *     misplaced fetch   held records: the offset is out of range, or the broker reports that its log diverges
 *     batch             only if it does not continue the epoch of the last held record
 *
 * The lines of replaced records stay in the journal; the replacing records are read from the log.
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

/** A truncation of a log, which has lost the records that were read from `offset` on. */
export interface Truncation extends NotedTruncation {
  /** Epoch of the leader that reported it: later records have this epoch or a higher one. */
  readonly leaderEpoch: number | undefined;
}

export interface TruncationCheckOptions {
  readonly journal: Journal;
  readonly logs: Pick<PartitionLogs, "epochEnd" | "leaderEpochs" | "range" | "recordAt">;
  readonly log: Logger;
  /** Resolves when no append to the partition is in progress. */
  readonly settled: (partition: number) => Promise<unknown>;
  /** Called if a log was truncated, or if a commit notes a truncation and nothing has been journaled since. */
  readonly onTruncated: (place: JournalPartition, truncation: NotedTruncation) => void;
  readonly onGap: (gap: { partition: number; from: number; to: number }) => void;
}

/** Reasons for which a cluster permanently refuses queries about epochs. */
const UNANSWERABLE: ReadonlySet<string> = new Set([
  "CLUSTER_AUTHORIZATION_FAILED",
  "TOPIC_AUTHORIZATION_FAILED",
  "UNSUPPORTED_VERSION",
]);

/**
 * Consecutive batches of a partition that may contradict its leader before the batch is trusted: one or two may be from
 * a leader that was just replaced.
 */
const DISPUTES_MAX = 4;

/** Batches that contradict the held records, although the leader reports that the log has all of these. */
interface Dispute {
  readonly count: number;
  readonly runs: readonly EpochRun[];
}

export class TruncationCheck implements LogCheck {
  readonly #options: TruncationCheckOptions;
  #topic = { topic: "", topicId: "" };
  /** Commits past a truncation, moved back to it, by partition. */
  readonly #committed = new Map<number, CommittedOffset>();
  /** The epoch before a start whose preceding record is not held, by partition. */
  readonly #points = new Map<number, ReadPoint>();
  /** The highest epoch that readable records can have, by partition. */
  #leaderEpochs: ReadonlyMap<number, number> = new Map();
  readonly #disputes = new Map<number, Dispute>();
  /** Truncations already logged: held records and a commit may both reveal the same one. */
  readonly #logged = new Set<string>();
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

  /** Returns the commit of a partition, moved back if the log was truncated before it. */
  committedOf({ partition, committed }: PartitionStart): CommittedOffset | undefined {
    return this.#committed.get(partition) ?? committed;
  }

  epochBefore(partition: number, offset: number): number | undefined {
    if (offset === 0) return undefined;
    const point = this.#points.get(partition);
    return this.#heldEpoch({ ...this.#topic, partition }, offset - 1) ??
      (point?.offset === offset ? point.epoch : this.#leaderEpochs.get(partition));
  }

  /** Checks once whether the cluster answers queries about epochs at all, if nothing else needs to be asked yet. */
  async #askOnce(partition: number | undefined): Promise<void> {
    if (partition === undefined || this.#hasAsked) return;
    const place = { ...this.#topic, partition };
    if (this.#options.journal.end(place) === undefined) await this.#ask(place, { epoch: 0 });
    this.#hasAsked = true;
  }

  /** Returns true if the start is below the current commit and must be committed. */
  async #checkStart(
    { partition, committed, low }: PartitionStart,
    found: Truncation | undefined,
  ): Promise<boolean> {
    const { journal, onTruncated } = this.#options;
    const place = { ...this.#topic, partition };
    const truncation = found ?? await this.#checkHeld(place);
    if (truncation !== undefined) this.#report(partition, truncation);
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
    if (truncation !== undefined) this.#report(partition, truncation);
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
    // Past the end, and nothing is known about the records before: they may have been replaced.
    const isUnknown = epoch === undefined || this.#isUnanswerable;
    return offset > high && isUnknown ? low : offset;
  }

  /** Returns true if a batch continues the held records. Otherwise it must not be appended; realign the partition. */
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

  /** Finds the epochs of records journaled by earlier versions, once. Returns the truncations found on the way. */
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
    log.info("Comparing the journal with the topic: an earlier version stored no leader epochs", {
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
    // Answers of two leaders may be about two logs.
    if (leaderEpochs.size > 1) return await this.#checkHeld(place, divergingEpoch);
    await journal.truncate(place, divergence.offset);
    return { ...divergence, leaderEpoch: [...leaderEpochs][0] };
  }

  /** Returns the offset up to which the log still has the records before a point. */
  async #checkPoint(place: JournalPartition, point: ReadPoint, low: number): Promise<number> {
    const { partition } = place;
    this.#points.set(partition, point);
    const answer = await this.#ask(place, { epoch: point.epoch });
    if (answer === undefined) return point.offset;
    const offset = divergenceBefore(point, { answer: answer.end, low });
    if (offset === undefined) return point.offset;
    const { leaderEpoch, end } = answer;
    this.#points.set(partition, { offset, epoch: end?.epoch ?? leaderEpoch });
    // If the replacing record is held, its line has the mark.
    if (this.#heldEpoch(place, offset) !== undefined) return offset;
    const { journal } = this.#options;
    if (journal.lastEpoch(place) === undefined) await journal.truncate(place, offset);
    this.#report(partition, { offset, epoch: point.epoch, leaderEpoch });
    return offset;
  }

  /**
   * Trusts the batches if the leader keeps reporting that it has all held records while its batches contradict that.
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

  /** Returns undefined if the cluster refuses queries about epochs. */
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
        "The cluster refuses queries about leader epochs; a truncated log may go unnoticed. " +
          "Grant the Describe permission on the topic",
        { topic, error: error.message },
      );
      return undefined;
    }
  }

  /** Returns the epoch of a held offset; undefined if it is not held, or its epoch is unknown. */
  #heldEpoch(place: JournalPartition, offset: number): number | undefined {
    const { journal } = this.#options;
    if (!journal.holds({ ...place, offset })) return undefined;
    return journal.heldEpochs(place).findLast(({ start }) => start <= offset)?.epoch;
  }

  #held(place: JournalPartition): readonly EpochRun[] {
    const { journal } = this.#options;
    return heldRuns(journal.heldIntervals(place), journal.heldEpochs(place));
  }

  #report(partition: number, truncation: Truncation): void {
    const { log, onTruncated } = this.#options;
    const { offset, leaderEpoch } = truncation;
    onTruncated({ ...this.#topic, partition }, truncation);
    const name = `${this.#topic.topicId} ${partition} ${offset} ${leaderEpoch}`;
    if (this.#logged.has(name)) return;
    this.#logged.add(name);
    log.warn("A partition's log was truncated; it is read again from that offset", {
      topic: this.#topic.topic,
      partition,
      offset: truncation.offset,
      mark: truncationMark(partition, { ...truncation, newEpoch: truncation.leaderEpoch }),
    });
  }
}

const CONTINUES: BatchFit = { kind: "continues" };
const NO_DISPUTE: Dispute = { count: 0, runs: [] };

/** Returns an epoch's end according to a fetch response, which says nothing about epochs below the diverging one. */
function endByFetch(epoch: number, divergingEpoch: EpochEnd | undefined): EpochEnd {
  if (divergingEpoch === undefined || epoch < divergingEpoch.epoch) {
    return { epoch, endOffset: Infinity };
  }
  return divergingEpoch;
}

/** Returns the text of the mark that describes a truncation in the journal and the log. */
export function truncationMark(
  partition: number,
  { offset, epoch, newEpoch }: NotedTruncation & { readonly newEpoch: number | undefined },
): string {
  return `partition ${partition} was truncated at offset ${offset}: ` +
    `its records of leader epoch ${epoch ?? "unknown"} were replaced in leader epoch ${
      newEpoch ?? "unknown"
    }`;
}
