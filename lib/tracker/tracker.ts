/**
 * The tracker: consumes a topic in a consumer group, journals every record once, dead-letters the bad
 * ones, and commits only what is safe.
 *
 *     batch -> journal: append and flush -> dead letters: sent and acknowledged -> commit
 *
 * The next batch is fetched and encoded meanwhile. Work that cannot end at once (a full disk, a dead-letter
 * topic that refuses) goes on until it can; the partition is paused, and heartbeats go on.
 */

import type { Assignment, CommitPoint, ConsumedBatch } from "../kafka/consumer/api.ts";
import { delay, Turns } from "../async.ts";
import { RefusedError } from "../kafka/errors.ts";
import { letterLogOf } from "../log.ts";
import type { KafkaRecord } from "../record.ts";
import { noteJournaled, noteRecords, tracedProcess } from "../telemetry.ts";
import { logConsumerNotice } from "./consumer_notices.ts";
import { type EncodedRecords, encodeRecords } from "./encode.ts";
import { epochStartsIn } from "./epochs/held_runs.ts";
import { TruncationCheck } from "./epochs/truncation_check.ts";
import { recordTimesOf } from "../journal/account.ts";
import { firstGap, gapsIn } from "../journal/intervals.ts";
import { JournalReopenedError } from "../journal/append_queue.ts";
import { loggedMessageOf } from "./failures.ts";
import { type FreshRecords, tellApart } from "./fresh_records.ts";
import { DEFAULT_RETRY_POLICY, runHandler } from "./handler.ts";
import { judgeRecord } from "./judge.ts";
import type { DeadLetter } from "./letter.ts";
import { PartitionMarks } from "./marks.ts";
import type { Standing } from "./standing.ts";
import { StandingWatch } from "./standing_watch.ts";
import { type StartPosition, startPosition } from "./start_position.ts";
import { formatCommitNote } from "./epochs/commit_note.ts";
import type { TrackerConsumer, TrackerOptions } from "./tracker_options.ts";
import type { TrackerReport } from "../tracker_status.ts";

/** The last append of a partition. */
interface PartitionAppend {
  readonly isCurrent: () => boolean;
  readonly settled: Promise<unknown>;
}

const CONFIRM_RETRY_MS = 250;

export class Tracker {
  readonly #options: TrackerOptions;
  readonly #consumer: TrackerConsumer;
  readonly #appends = new Map<number, PartitionAppend>();
  readonly #marks = new PartitionMarks((place) => this.#options.journal.truncationOf(place));
  readonly #truncationCheck: TruncationCheck | undefined;
  #topicId: string | undefined;
  readonly #failed = Promise.withResolvers<never>();
  readonly #stopping = new AbortController();
  readonly #watch: StandingWatch;

  constructor(options: TrackerOptions) {
    this.#options = options;
    this.#failed.promise.catch(() => {}); // it is run() that reports it
    const { partitionLogs, journal } = options;
    this.#truncationCheck = partitionLogs && new TruncationCheck({
      ...options,
      logs: partitionLogs,
      settled: (partition) => this.#appends.get(partition)?.settled ?? Promise.resolve(),
      onTruncated: (place, truncation) => journal.noteTruncation(place, truncation),
      onGap: (gap) => this.#noteGap(gap),
    });
    this.#consumer = options.openConsumer({
      commitMetadata: (topicId, point) => this.#commitNote(topicId, point),
      beginsAtEnd: (topic) => this.#beginsAtEnd(topic),
      startAt: (assignment) => this.#startAt(assignment),
      onBatch: (batch) => this.#onBatch(batch),
      onNotice: (notice) => {
        if (notice.kind === "joined") options.onJoined(notice.memberId);
        logConsumerNotice(notice, options);
      },
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

  /** True if everything that is safe is committed. */
  get isCommitted(): boolean {
    return this.#consumer.isCommitted;
  }

  /** The tracker's state and readiness, with reasons. */
  get standing(): Standing {
    return this.#watch.standing;
  }

  /** The content of `tracker.status`. */
  get report(): TrackerReport {
    return this.#watch.report;
  }

  /** Runs until {@link stop}; rejects if it cannot continue. */
  async run(): Promise<void> {
    using _watching = this.#watch.start();
    await Promise.race([this.#consumer.run(), this.#failed.promise]);
  }

  /** Finishes the batches in hand, commits them and leaves the group. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#consumer.stop();
  }

  #commitNote(topicId: string, { partition, epoch }: CommitPoint): string {
    const { journal, topic } = this.#options;
    const truncation = journal.truncationOf({ topic, topicId, partition });
    return formatCommitNote({
      ...{ journalId: journal.id, topicId },
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
    this.#marks.keepOnly(new Set(partitions.map(({ partition }) => partition)));
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
        const isNew = this.#marks.add(partition, { text: mark, below: markBelow ?? Infinity });
        if (isNew && markBelow === undefined) {
          log.warn("A partition does not continue at the committed offset", {
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
    const { topic, topicId, partition } = batch;
    await this.#settledAppends(batch);
    const { fresh, held } = tellApart(batch, journal);
    const { first } = fresh;
    const marks = this.#marks.take(batch, first);
    // Encoded while the batch before is written; written only after it.
    const [encoded, isSameTopic, isNext] = await Promise.all([
      encodeRecords(fresh, {
        receivedAt: new Date(),
        topicId,
        schema: this.#options.schema,
        ...(marks.text !== undefined && { mark: marks.text }),
      }, this.#options.lineThread),
      this.#isSameTopic(batch),
      batch.previous,
    ]);
    const isWritten = isSameTopic && isNext && await this.#fitsLog(batch) &&
      (first === undefined || await this.#append(batch, fresh, encoded));
    this.#options.lineThread?.reuse(encoded.lines);
    marks.settle({ isWritten });
    if (!isWritten) return false;
    for (const mark of marks.confirmed) {
      this.#options.log.warn("A partition did not continue at the committed offset", {
        topic,
        partition,
        offset: first?.offset,
        mark,
      });
    }

    const failed = encoded.failures;
    metrics.countJournaled({ received: encoded.lineEnds.length, failed });
    metrics.countAlreadyJournaled(held.length);
    noteRecords("failed", batch, failed.length);
    noteRecords("alreadyJournaled", batch, held.length);

    // What is in the journal but was not committed goes through this again: handlers and dead letters are
    // at least once.
    const failedBefore = this.#options.schema === "none" ? [] : await failuresOf(held);
    const letters = [...failedBefore, ...failed];
    const unhandled = await this.#handle(batch, letters);
    if (unhandled === undefined) return false;
    return await this.#deadLetter([...letters, ...unhandled], batch);
  }

  /** An append that was begun before the partition was lost, or read again, may still be under way. */
  async #settledAppends({ partition }: ConsumedBatch): Promise<void> {
    const append = this.#appends.get(partition);
    if (append !== undefined && !append.isCurrent()) await append.settled;
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
    { first, records }: FreshRecords,
    { lines, lineEnds, timestampsMs }: EncodedRecords,
  ): Promise<boolean> {
    const { journal, metrics, onJournaled, log } = this.#options;
    const { topic, topicId, partition } = batch;
    if (!batch.isCurrent()) return false;
    const intervals = gapsIn(journal.heldIntervals({ topic, topicId, partition }), {
      start: first?.offset ?? batch.endOffset,
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
        recordTimes: recordTimesOf(timestampsMs),
      });
      this.#appends.set(partition, { isCurrent: batch.isCurrent, settled: append.catch(() => {}) });
      await append;
    } catch (error) {
      if (!(error instanceof JournalReopenedError)) throw error;
      log.warn("The journal was modified by another process; the batch is read again", {
        partition,
        error,
      });
      return false;
    }
    const flushMs = performance.now() - appendedAtMs;
    noteJournaled(batch, { timestampsMs, flushMs });
    metrics.flushDuration.record(flushMs);
    const now = Date.now();
    for (const timestampMs of timestampsMs) metrics.recordLatency(now - timestampMs);
    onJournaled(records);
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
    metrics.countUnhandled(unhandled);
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
    const { log, onDeadLettered, logValues = false } = this.#options;
    for (const { record, failure } of letters) {
      onDeadLettered?.(record, failure);
      letterLogOf(log).warn("A record was sent to the dead-letter topic", {
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        reason: failure.reason,
        error: loggedMessageOf(failure, { logValues }),
      });
    }
  }

  /** Records expired while this tracker had the partition, before it could read them. */
  #noteGap({ partition, from, to }: { partition: number; from: number; to: number }): void {
    const { journal, log, topic } = this.#options;
    const held = journal.heldIntervals({ topic, topicId: this.#topicId ?? "", partition });
    if (firstGap(held, from) >= to) return;
    const mark = `offsets ${from} to ${to - 1} were deleted before they were read`;
    if (!this.#marks.add(partition, { text: mark, below: Infinity })) return;
    const place = { topic, partition, offset: to };
    log.warn("A partition does not continue at the committed offset", { ...place, mark });
  }
}

async function failuresOf(records: readonly KafkaRecord[]): Promise<readonly DeadLetter[]> {
  const letters: DeadLetter[] = [];
  using turns = new Turns();
  for (const record of records) {
    const { failure } = judgeRecord(record);
    if (failure !== undefined) letters.push({ record, failure });
    await turns.next();
  }
  return letters;
}
