/**
 * The tracker: consumes a topic in a consumer group, journals every record once, dead-letters the bad
 * ones, and commits only what is safe.
 *
 *     batch -> journal: append and flush -> dead letters: sent and acknowledged -> commit
 *
 * The next batch is fetched and encoded meanwhile. Work that cannot end at once (a full disk, a dead-letter
 * topic that refuses) goes on until it can; the partition is paused, and heartbeats go on.
 *
 * @module
 */

import type {
  Assignment,
  CommitPoint,
  ConsumedBatch,
  ConsumerNotice,
  GroupConsumerOptions,
} from "../kafka/consumer/api.ts";
import type { GroupConsumer } from "../kafka/consumer/group_consumer.ts";
import { delay } from "../async.ts";
import { RefusedError } from "../kafka/errors.ts";
import type { Logger } from "../log.ts";
import type { PartitionLogs } from "../kafka/partition_logs.ts";
import type { KafkaRecord } from "../record.ts";
import { noteJournaled, noteRecords, tracedProcess } from "../telemetry.ts";
import type { DeadLetters } from "./dead_letters.ts";
import type { EncodedRecords } from "./encode/encode.ts";
import { EncoderPool } from "./encode/pool.ts";
import { epochStartsIn } from "./epochs/held_runs.ts";
import { TruncationCheck, truncationMark } from "./epochs/truncation_check.ts";
import { firstGap, gapsIn } from "./journal/intervals.ts";
import { type Journal, JournalReopenedError } from "./journal/journal.ts";
import {
  DEFAULT_RETRY_POLICY,
  type OrderHandler,
  type RetryPolicy,
  runHandler,
} from "./handler.ts";
import { judgeRecord } from "./judge.ts";
import type { DeadLetter } from "./letter.ts";
import type { Metrics } from "./metrics.ts";
import { hindranceText, type Standing } from "./standing.ts";
import { StandingWatch } from "./standing_watch.ts";
import {
  formatCommitNote,
  type NotedTruncation,
  type StartPosition,
  startPosition,
} from "./start_position.ts";
import type { TrackerReport } from "../tracker_status.ts";

/** What a tracker does with its consumer. */
export type TrackerConsumer = Pick<GroupConsumer, "positions" | "standing" | "run" | "stop">;

/** What its consumer asks and tells a tracker. */
export type ConsumerHooks = Pick<
  GroupConsumerOptions,
  "commitMetadata" | "beginsAtEnd" | "startAt" | "onBatch" | "onNotice" | "logCheck"
>;

export interface TrackerOptions {
  /** Called once; the consumer reads `topic` as a member of `groupId`. */
  readonly openConsumer: (hooks: ConsumerHooks) => TrackerConsumer;
  readonly topic: string;
  readonly groupId: string;
  /** Where a group begins that has no commit of the topic, if the journal holds no record of it either. */
  readonly from: "earliest" | "latest";
  readonly journal: Journal;
  /** Asked whether a partition's log was truncated; left out, nobody is. */
  readonly partitionLogs?: Pick<PartitionLogs, "epochEnd" | "leaderEpochs" | "range" | "recordAt">;
  /** Undefined where bad records are only journaled. */
  readonly deadLetters: DeadLetters | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** What the topic holds: orders, which are validated, or anything, which is only journaled. */
  readonly schema: "order" | "none";
  /** Called for each good order after it is on the disk; its offset is committed when it has returned. */
  readonly onOrder?: OrderHandler;
  /** {@link DEFAULT_RETRY_POLICY} where it says nothing. */
  readonly retryPolicy?: Partial<RetryPolicy>;
  /** Told of the id that this tracker has in its group, at each join. */
  readonly onJoined: (memberId: string) => void;
  /** Told of what was journaled, after it is on the disk. */
  readonly onJournaled: (records: readonly KafkaRecord[]) => void;
}

/** The last append of a partition. */
interface PartitionAppend {
  readonly isCurrent: () => boolean;
  readonly settled: Promise<unknown>;
}

/** What was noticed of a partition, for its next line. */
interface Mark {
  readonly text: string;
  /** It is dropped where the next record is not below this offset. */
  readonly below: number;
}

const CONFIRM_RETRY_MS = 250;

export class Tracker {
  readonly #options: TrackerOptions;
  readonly #consumer: TrackerConsumer;
  readonly #encoders = new EncoderPool();
  readonly #appends = new Map<number, PartitionAppend>();
  /** Each stays until its line is written, or the partition is another member's. */
  readonly #marks = new Map<number, readonly Mark[]>();
  /** The batch under way that has the partition's marks. */
  readonly #marked = new Map<number, ConsumedBatch>();
  /** Logs that were truncated, to be marked on the next line of the partition. */
  readonly #truncations = new Map<number, NotedTruncation>();
  /** Partitions of which a batch under way has that mark. */
  readonly #marking = new Set<number>();
  readonly #truncationCheck: TruncationCheck | undefined;
  #topicId: string | undefined;
  readonly #failed = Promise.withResolvers<never>();
  readonly #stopping = new AbortController();
  readonly #watch: StandingWatch;

  constructor(options: TrackerOptions) {
    this.#options = options;
    this.#failed.promise.catch(() => {}); // it is run() that reports it
    const { partitionLogs } = options;
    this.#truncationCheck = partitionLogs && new TruncationCheck({
      ...options,
      logs: partitionLogs,
      settled: (partition) => this.#appends.get(partition)?.settled ?? Promise.resolve(),
      onTruncated: (partition, truncation) => this.#truncations.set(partition, truncation),
      onGap: (gap) => this.#noteGap(gap),
    });
    this.#consumer = options.openConsumer({
      commitMetadata: (topicId, point) => this.#commitNote(topicId, point),
      beginsAtEnd: (topic) => this.#beginsAtEnd(topic),
      startAt: (assignment) => this.#startAt(assignment),
      onBatch: (batch) => this.#onBatch(batch),
      onNotice: (notice) => this.#logNotice(notice),
      ...(this.#truncationCheck !== undefined && { logCheck: this.#truncationCheck }),
    });
    this.#watch = new StandingWatch({
      ...options,
      consumer: this.#consumer,
      stopping: this.#stopping.signal,
    });
  }

  /** One past the last offset that is safe, by partition that this tracker has; undefined until it has joined. */
  get positions(): ReadonlyMap<number, number> | undefined {
    return this.#consumer.positions;
  }

  /** What this tracker is doing, whether it is ready, and why not. */
  get standing(): Standing {
    return this.#watch.standing;
  }

  /** What `tracker.status` says. */
  get report(): TrackerReport {
    return this.#watch.report;
  }

  /** Runs until {@link stop}; rejects where going on is of no use. */
  async run(): Promise<void> {
    using _watching = this.#watch.start();
    await Promise.race([this.#consumer.run(), this.#failed.promise]);
  }

  /** Finishes the batches in hand, commits them and leaves the group. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#consumer.stop();
    this.#encoders[Symbol.dispose]();
  }

  #commitNote(topicId: string, { partition, epoch }: CommitPoint): string {
    const truncation = this.#truncations.get(partition);
    return formatCommitNote({
      journalId: this.#options.journal.id,
      topicId,
      ...(epoch !== undefined && { leaderEpoch: epoch }),
      ...(truncation !== undefined && { truncation }),
    });
  }

  /** A topic that was created again, as far as this tracker can know, is read from its beginning. */
  #beginsAtEnd({ topic, topicId }: Pick<Assignment, "topic" | "topicId">): boolean {
    const { journal, from } = this.#options;
    const isAnotherTopic = this.#topicId !== undefined && this.#topicId !== topicId;
    return from === "latest" && !isAnotherTopic && !journal.holdsTopic(topic);
  }

  #startAt({ topic, topicId, partitions }: Assignment): ReadonlyMap<number, number> {
    const { journal, log, from } = this.#options;
    const starts = new Map<number, number>();
    const isAnotherTopic = this.#topicId !== undefined && this.#topicId !== topicId;
    this.#topicId = topicId;
    // Whoever has a partition next notices for itself what there is to notice.
    for (const partition of [...this.#marks.keys(), ...this.#truncations.keys()]) {
      if (partitions.some((start) => start.partition === partition)) continue;
      this.#marks.delete(partition);
      this.#truncations.delete(partition);
    }
    for (const assigned of partitions) {
      const { partition } = assigned;
      const committed = this.#truncationCheck?.committedOf(assigned) ?? assigned.committed;
      const start = { ...assigned, committed };
      const held = journal.heldIntervals({ topic, topicId, partition });
      const hasOlderTopic = isAnotherTopic ||
        journal.holdsNamesake({ topic, topicId, partition });
      const { offset, mark, markBelow }: StartPosition = startPosition({
        start,
        topicId,
        journalId: journal.id,
        journaled: {
          end: held.at(-1)?.end,
          firstGap: (offset) => firstGap(held, offset),
          hasOlderTopic,
        },
      });
      if (mark !== undefined) {
        const isNew = this.#addMark(partition, { text: mark, below: markBelow ?? Infinity });
        if (isNew && markBelow === undefined) {
          log.warn("A partition is not read on from where it was left", {
            topic,
            partition,
            offset,
            mark,
          });
        }
      }
      if (mark === undefined && start.committed === undefined && from === "latest") {
        log.info("A partition that the group has not read yet is read from its beginning", {
          topic,
          partition,
          offset,
        });
      }
      starts.set(partition, offset);
    }
    return starts;
  }

  async #onBatch(batch: ConsumedBatch): Promise<boolean> {
    try {
      return await tracedProcess(batch, () => this.#process(batch));
    } catch (error) {
      this.#failed.reject(error);
      return false;
    }
  }

  async #process(batch: ConsumedBatch): Promise<boolean> {
    const { journal, metrics } = this.#options;
    const { topic, topicId, partition, records } = batch;
    await this.#settledAppends(batch);
    const fresh: KafkaRecord[] = [];
    const held: KafkaRecord[] = [];
    for (const record of records) {
      const { offset } = record;
      (journal.holds({ topic, topicId, partition, offset }) ? held : fresh).push(record);
    }
    // It waits for a record that is new: those that the journal holds get no line.
    const waiting = fresh[0] === undefined ? [] : this.#takeMarks(batch);
    const right = waiting.filter(({ below }) => (fresh[0]?.offset ?? Infinity) < below);
    const truncation = this.#takeTruncation(partition, fresh[0]);
    const marks = [...(truncation ? [truncation] : []), ...right.map(({ text }) => text)];
    // Encoded while the batch before is written; written only after it.
    const [encoded, isSameTopic, isNext] = await Promise.all([
      this.#encode(batch, fresh, marks.length === 0 ? undefined : marks.join("; ")),
      this.#isSameTopic(batch),
      batch.previous,
    ]);
    const isWritten = isSameTopic && isNext && await this.#fitsLog(batch) &&
      (fresh.length === 0 || await this.#append(batch, fresh, encoded));
    this.#encoders.giveBack(encoded.lines);
    if (truncation !== undefined) this.#giveBackTruncation(partition, { isMarked: isWritten });
    if (this.#marked.get(partition) === batch) this.#marked.delete(partition);
    if (!isWritten) return false;
    this.#dropMarks(partition, waiting);
    for (const { text, below } of right) {
      if (below === Infinity) continue; // said when it was noticed
      this.#options.log.warn("A partition was not read on from where it was left", {
        topic,
        partition,
        offset: fresh[0]?.offset,
        mark: text,
      });
    }

    const failed = encoded.failures.flatMap(({ index, failure }) => {
      const record = fresh[index];
      return record === undefined ? [] : [{ record, failure }];
    });
    metrics.countJournaled({ received: fresh.length, failed: failed.length });
    metrics.countAlreadyJournaled(held.length);
    noteRecords("failed", batch, failed.length);
    noteRecords("alreadyJournaled", batch, held.length);

    // What is in the journal but was not committed goes through this again: handlers and dead letters are
    // at least once.
    const failedBefore = this.#options.schema === "none" ? [] : failuresOf(held);
    const letters = [...failedBefore, ...failed];
    const unhandled = await this.#handle(batch, letters);
    if (unhandled === undefined) return false;
    return await this.#deadLetter([...letters, ...unhandled], batch);
  }

  /** Returns false where the mark waits already: each join decides anew where to read on. */
  #addMark(partition: number, mark: Mark): boolean {
    const waiting = this.#marks.get(partition) ?? [];
    if (waiting.some(({ text, below }) => text === mark.text && below === mark.below)) return false;
    this.#marks.set(partition, [...waiting, mark]);
    return true;
  }

  #dropMarks(partition: number, written: readonly Mark[]): void {
    const left = (this.#marks.get(partition) ?? []).filter((mark) => !written.includes(mark));
    if (left.length > 0) this.#marks.set(partition, left);
    else this.#marks.delete(partition);
  }

  /** A batch that is stale has them no longer: it is not going to be written. */
  #takeMarks(batch: ConsumedBatch): readonly Mark[] {
    const marks = this.#marks.get(batch.partition);
    if (marks === undefined || this.#marked.get(batch.partition)?.isCurrent()) return [];
    this.#marked.set(batch.partition, batch);
    return marks;
  }

  /** Returns the mark for a batch's first new record, where the log was truncated before it; once. */
  #takeTruncation(partition: number, first: KafkaRecord | undefined): string | undefined {
    const truncation = this.#truncations.get(partition);
    if (truncation === undefined || first === undefined || this.#marking.has(partition)) {
      return undefined;
    }
    this.#marking.add(partition);
    return truncationMark(partition, { ...truncation, newEpoch: first.leaderEpoch });
  }

  /** Until its line is written a truncation is kept with every commit. */
  #giveBackTruncation(partition: number, { isMarked }: { readonly isMarked: boolean }): void {
    this.#marking.delete(partition);
    if (isMarked) this.#truncations.delete(partition);
  }

  /** An append that was begun before the partition was lost, or read again, may still be under way. */
  async #settledAppends({ partition }: ConsumedBatch): Promise<void> {
    const append = this.#appends.get(partition);
    if (append !== undefined && !append.isCurrent()) await append.settled;
  }

  async #encode(
    { topicId }: ConsumedBatch,
    fresh: readonly KafkaRecord[],
    mark: string | undefined,
  ): Promise<EncodedRecords> {
    return await this.#encoders.encode(fresh, {
      receivedAt: new Date(),
      topicId,
      schema: this.#options.schema,
      ...(mark !== undefined && { mark }),
    });
  }

  /** Records of a topic that was created again must not be taken for those of the old one. */
  async #isSameTopic(batch: ConsumedBatch): Promise<boolean> {
    while (batch.isCurrent()) {
      try {
        return await batch.confirmTopic();
      } catch {
        await delay(CONFIRM_RETRY_MS); // no broker answers: the consumer says so
      }
    }
    return false;
  }

  /** Records of a log that was truncated meanwhile must not be taken for the continuation of what is held. */
  async #fitsLog(batch: ConsumedBatch): Promise<boolean> {
    while (batch.isCurrent()) {
      try {
        if (await this.#truncationCheck?.accepts(batch) ?? true) return true;
        batch.checkLog?.();
        return false;
      } catch (error) {
        // A topic that is gone, or another one: nothing of it is written.
        if (error instanceof RefusedError && !await this.#isSameTopic(batch)) return false;
        await delay(CONFIRM_RETRY_MS);
      }
    }
    return false;
  }

  async #append(
    batch: ConsumedBatch,
    fresh: readonly KafkaRecord[],
    { lines, lineEnds }: EncodedRecords,
  ): Promise<boolean> {
    const { journal, metrics, onJournaled, log } = this.#options;
    const { topic, topicId, partition } = batch;
    if (!batch.isCurrent()) return false;
    const intervals = gapsIn(journal.heldIntervals({ topic, topicId, partition }), {
      start: fresh[0]?.offset ?? batch.endOffset,
      end: batch.endOffset,
    });
    const appendedAtMs = performance.now();
    try {
      const append = journal.append({
        topic,
        topicId,
        partition,
        intervals,
        epochs: epochStartsIn(batch),
        lines,
        lineEnds,
      });
      this.#appends.set(partition, { isCurrent: batch.isCurrent, settled: append.catch(() => {}) });
      await append;
    } catch (error) {
      if (!(error instanceof JournalReopenedError)) throw error;
      log.warn("The journal was changed by another hand; the batch is read again", {
        partition,
        error,
      });
      return false;
    }
    noteJournaled(batch, { records: fresh, flushMs: performance.now() - appendedAtMs });
    const now = Date.now();
    for (const { timestampMs } of fresh) metrics.recordLatency(now - timestampMs);
    onJournaled(fresh);
    return true;
  }

  /** Hands the good orders over one after another; returns those that failed, undefined where it was stopped. */
  async #handle(
    batch: ConsumedBatch,
    letters: readonly DeadLetter[],
  ): Promise<readonly DeadLetter[] | undefined> {
    const { onOrder, retryPolicy, metrics } = this.#options;
    if (onOrder === undefined) return [];
    const badOffsets = new Set(letters.map(({ record }) => record.offset));
    const stop = AbortSignal.any([this.#stopping.signal, batch.lost]);
    const unhandled: DeadLetter[] = [];
    for (const record of batch.records) {
      if (badOffsets.has(record.offset)) continue;
      const { order } = judgeRecord(record);
      if (order === undefined) continue;
      using _call = this.#watch.handling(record);
      const outcome = await runHandler({
        handler: onOrder,
        order,
        record,
        policy: { ...DEFAULT_RETRY_POLICY, ...retryPolicy },
        stop,
      });
      if (outcome.kind === "abandoned") return undefined;
      if (outcome.kind === "failed") unhandled.push({ record, failure: outcome.failure });
    }
    metrics.countUnhandled(unhandled.length);
    noteRecords("failed", batch, unhandled.length);
    return unhandled;
  }

  async #deadLetter(letters: readonly DeadLetter[], batch: ConsumedBatch): Promise<boolean> {
    const { deadLetters, metrics } = this.#options;
    if (deadLetters === undefined || letters.length === 0) return true;
    const { topicId } = batch;
    const identified = letters.map((letter) => ({ ...letter, topicId }));
    if (!await deadLetters.send(identified, () => batch.isCurrent())) return false;
    metrics.countDeadLetters(letters.length);
    noteRecords("deadLettered", batch, letters.length);
    this.#logDeadLetters(letters);
    return true;
  }

  #logDeadLetters(letters: readonly DeadLetter[]): void {
    for (const { record, failure } of letters) {
      this.#options.log.warn("A record was sent to the dead-letter topic", {
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        reason: failure.reason,
        error: failure.message,
      });
    }
  }

  /** Records expired while this tracker had the partition, before it could read them. */
  #noteGap({ partition, from, to }: { partition: number; from: number; to: number }): void {
    const { journal, topic } = this.#options;
    const held = journal.heldIntervals({ topic, topicId: this.#topicId ?? "", partition });
    if (firstGap(held, from) >= to) return;
    const mark = `offsets ${from} to ${to - 1} were deleted before they were read`;
    if (!this.#addMark(partition, { text: mark, below: Infinity })) return;
    this.#options.log.warn("A partition is not read on from where it was left", {
      topic: this.#options.topic,
      partition,
      offset: to,
      mark,
    });
  }

  #logNotice(notice: ConsumerNotice): void {
    const { log, topic, groupId } = this.#options;
    switch (notice.kind) {
      case "joined":
        this.#options.onJoined(notice.memberId);
        return log.info("Joined the consumer group", {
          topic,
          groupId,
          partitions: notice.partitions,
        });
      case "unassigned":
        return log.warn(
          "Partitions of the topic are unassigned: no member of the group reads them",
          {
            topic,
            groupId,
            partitions: notice.partitions,
          },
        );
      case "all-assigned":
        return log.info("No partition of the topic is unassigned any more", { topic, groupId });
      case "unreadable-subscriptions":
        return log.warn(
          "Members of the group get no partitions: their subscription is unreadable",
          {
            groupId,
            memberIds: notice.memberIds,
          },
        );
      case "silent":
        return log.warn("No broker is responding; retrying", {
          seconds: seconds(notice.silentMs),
        });
      case "answers-again":
        return log.info("The brokers answer again", { seconds: seconds(notice.silentMs) });
      case "hindered":
        return log.warn("The tracker is held up", {
          topic,
          why: hindranceText(notice.hindrance, topic),
        });
      case "unhindered":
        return log.info("The tracker is not held up any more", { topic, was: notice.was });
      case "unreadable":
        return log.warn("A batch cannot be read; it is fetched again until it can", {
          topic,
          partition: notice.partition,
          offset: notice.offset,
          error: notice.reason,
        });
      case "rebuilding":
        return log.warn("The consumer ended; it is built again", {
          error: notice.reason,
          inMs: notice.inMs,
        });
      case "topic-changed":
        return log.warn("The topic was deleted or created again", {
          topic,
          from: notice.from,
          to: notice.to,
        });
      case "left-uncommitted":
        return log.warn("The tracker stops before all that it journaled is committed", {
          topic,
          meaning: "the next one reads it again, and finds it in the journal",
        });
      case "commit-failed":
        return log.warn("A commit failed; the journal holds its records, and it is tried again", {
          topic,
          offsets: Object.fromEntries(notice.offsets),
          error: notice.reason,
        });
    }
  }
}

function failuresOf(records: readonly KafkaRecord[]): readonly DeadLetter[] {
  return records.map(judgeRecord)
    .flatMap(({ record, failure }) => failure ? [{ record, failure }] : []);
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
