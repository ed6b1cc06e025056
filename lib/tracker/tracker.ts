/**
 * The tracker: consumes a topic in a consumer group, journals every record once, dead-letters the bad
 * ones, and commits only what is safe.
 *
 *     batch -> journal: append and flush -> dead letters: sent and acknowledged -> commit
 *
 * A batch whose work cannot end at once (a full disk, a dead-letter topic that refuses) is not waited
 * for: its partition is paused, the work goes on beside it, and the records are read again later, when
 * the journal knows that it holds them.
 *
 * @module
 */

import type { ClusterClient } from "../kafka/cluster.ts";
import {
  type Assignment,
  type BatchOutcome,
  type ConsumedBatch,
  type ConsumerNotice,
  GroupConsumer,
} from "../kafka/consumer.ts";
import type { KafkaConnection } from "../kafka/client.ts";
import type { Logger } from "../log.ts";
import type { DeadLetters } from "./dead_letters.ts";
import { EventWriter } from "./event.ts";
import { firstGap, gapsIn } from "./journal/intervals.ts";
import { type Journal, JournalReopenedError } from "./journal/journal.ts";
import { type JudgedRecord, judgeRecord } from "./judge.ts";
import type { Metrics } from "./metrics.ts";
import { formatCommitNote, startPosition } from "./start_position.ts";

export interface TrackerOptions {
  readonly connection: KafkaConnection;
  /** Connected with patience `persist`; stays the caller's to close. */
  readonly cluster: ClusterClient;
  readonly topic: string;
  readonly groupId: string;
  /** Where a group without commits begins. */
  readonly from: "earliest" | "latest";
  readonly journal: Journal;
  /** Undefined where bad records are only journaled. */
  readonly deadLetters: DeadLetters | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Told of what was journaled, after it is on the disk. */
  readonly onJournaled: (records: readonly JudgedRecord[]) => void;
}

/** What is being done about a batch, apart from the handler that began it. */
interface BatchWork {
  readonly topicId: string;
  readonly firstOffset: number;
  readonly endOffset: number;
  /** True when all of the batch is journaled and dead-lettered; false when it was abandoned. */
  readonly done: Promise<boolean>;
}

/** How long a handler waits for its work before the partition is paused. */
const HANDLER_PATIENCE_MS = 1_000;
const PAUSE_MS = 500;
const CONFIRM_RETRY_MS = 250;
/** Room for a line: the value stands in it twice, once escaped (at most six-fold, which is rare). */
const LINE_BYTES_A_VALUE_BYTE = 2.25;
const LINE_BYTES_BESIDE = 640;

export class Tracker {
  readonly #options: TrackerOptions;
  readonly #consumer: GroupConsumer;
  readonly #works = new Map<number, BatchWork>();
  readonly #marks = new Map<number, string>();
  readonly #failed = Promise.withResolvers<never>();

  constructor(options: TrackerOptions) {
    this.#options = options;
    this.#failed.promise.catch(() => {}); // it is run() that reports it
    this.#consumer = new GroupConsumer(options.cluster, {
      connection: options.connection,
      topic: options.topic,
      groupId: options.groupId,
      commitMetadata: (topicId) => formatCommitNote({ journalId: options.journal.id, topicId }),
      startAt: (assignment) => this.#startAt(assignment),
      onBatch: (batch) => this.#onBatch(batch),
      onNotice: (notice) => this.#logNotice(notice),
    });
  }

  /** One past the last offset that is safe, by partition that this tracker has. */
  get positions(): ReadonlyMap<number, number> {
    return this.#consumer.positions;
  }

  /** Runs until {@link stop}; rejects where going on is of no use. */
  async run(): Promise<void> {
    await Promise.race([this.#consumer.run(), this.#failed.promise]);
  }

  /** Finishes the batches in hand, commits them and leaves the group. */
  async stop(): Promise<void> {
    await this.#consumer.stop();
  }

  #startAt({ topic, topicId, partitions }: Assignment): ReadonlyMap<number, number> {
    const { journal, from, metrics, log } = this.#options;
    metrics.keepPartitions(partitions.map(({ partition }) => partition));
    const starts = new Map<number, number>();
    for (const start of partitions) {
      const { partition } = start;
      const held = journal.heldIntervals({ topic, topicId, partition });
      const isFirstStart = start.committed === undefined && held.length === 0;
      const { offset, mark } = isFirstStart && from === "latest"
        ? { offset: start.high, mark: undefined }
        : startPosition({
          start,
          topicId,
          journalId: journal.id,
          journaled: { end: held.at(-1)?.end, firstGap: (from) => firstGap(held, from) },
        });
      if (mark !== undefined) {
        log.warn("A partition is not read on from where it was left", {
          topic,
          partition,
          offset,
          mark,
        });
        this.#marks.set(partition, mark);
      }
      starts.set(partition, offset);
      metrics.recordLag({ partition, lag: Math.max(0, start.high - offset) });
    }
    return starts;
  }

  async #onBatch(batch: ConsumedBatch): Promise<BatchOutcome> {
    const work = this.#workOn(batch);
    const isDone = await settledWithin(work.done, HANDLER_PATIENCE_MS);
    await batch.heartbeat();
    if (isDone === undefined) return { kind: "wait", waitMs: PAUSE_MS };
    if (!isDone) {
      this.#works.delete(batch.partition);
      return { kind: "wait", waitMs: PAUSE_MS };
    }
    return { kind: "done", endOffset: work.endOffset };
  }

  /** The work that was begun on these records, or a new one: nothing is done twice at the same time. */
  #workOn(batch: ConsumedBatch): BatchWork {
    const { partition, topicId } = batch;
    const firstOffset = batch.records[0]?.offset ?? batch.endOffset;
    const known = this.#works.get(partition);
    if (known?.topicId === topicId && known.firstOffset === firstOffset) return known;
    const done = this.#process(batch).catch((error) => {
      this.#failed.reject(error);
      return false;
    });
    const work = { topicId, firstOffset, endOffset: batch.endOffset, done };
    this.#works.set(partition, work);
    return work;
  }

  async #process(batch: ConsumedBatch): Promise<boolean> {
    const { journal, metrics, deadLetters } = this.#options;
    const { topic, topicId, partition } = batch;
    if (!await this.#isSameTopic(batch)) return false;

    const judged = batch.records.map(judgeRecord);
    const fresh = judged.filter(({ record }) =>
      !journal.holds({ topic, topicId, partition, offset: record.offset })
    );
    metrics.countAlreadyJournaled(judged.length - fresh.length);
    if (fresh.length > 0 && !await this.#append(batch, fresh)) return false;

    const letters = judged.flatMap(({ record, failure }) => failure ? [{ record, failure }] : []);
    if (deadLetters !== undefined && letters.length > 0) {
      if (!await deadLetters.send(letters, () => batch.isCurrent())) return false;
      metrics.countDeadLetters(letters.length);
      this.#logDeadLetters(letters);
    }
    metrics.recordLag({ partition, lag: Math.max(0, batch.highWatermark - batch.endOffset) });
    return true;
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

  async #append(batch: ConsumedBatch, fresh: readonly JudgedRecord[]): Promise<boolean> {
    const { journal, metrics, onJournaled, log } = this.#options;
    const { topic, topicId, partition } = batch;
    const lines = this.#encode(batch, fresh);
    if (!batch.isCurrent()) return false;
    const from = fresh[0]?.record.offset ?? batch.endOffset;
    const intervals = gapsIn(journal.heldIntervals({ topic, topicId, partition }), {
      start: from,
      end: batch.endOffset,
    });
    try {
      await journal.append({
        topic,
        topicId,
        partition,
        intervals,
        lines,
        lineCount: fresh.length,
      });
    } catch (error) {
      if (!(error instanceof JournalReopenedError)) throw error;
      log.warn("The journal was changed by another hand; the batch is read again", {
        partition,
        error,
      });
      return false;
    }
    const failedCount = fresh.filter(({ failure }) => failure !== undefined).length;
    metrics.countJournaled({ received: fresh.length, failed: failedCount });
    const now = Date.now();
    for (const { record } of fresh) metrics.recordLatency(now - record.timestampMs);
    onJournaled(fresh);
    return true;
  }

  #encode({ topicId, partition }: ConsumedBatch, fresh: readonly JudgedRecord[]): Uint8Array {
    const receivedAt = new Date();
    const valueBytes = fresh.reduce((sum, { record }) => sum + (record.value?.byteLength ?? 0), 0);
    const writer = new EventWriter(
      valueBytes * LINE_BYTES_A_VALUE_BYTE + fresh.length * LINE_BYTES_BESIDE,
    );
    let mark = this.#marks.get(partition);
    this.#marks.delete(partition);
    for (const { record, verdict } of fresh) {
      writer.write(record, verdict, { receivedAt, topicId, ...(mark !== undefined && { mark }) });
      mark = undefined;
    }
    return writer.lines;
  }

  #logDeadLetters(letters: readonly Required<Pick<JudgedRecord, "record" | "failure">>[]): void {
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

  #logNotice(notice: ConsumerNotice): void {
    const { log, topic, groupId } = this.#options;
    switch (notice.kind) {
      case "joined":
        return log.info("Joined the consumer group", {
          topic,
          groupId,
          partitions: notice.partitions,
        });
      case "silent":
        return log.warn("No answer from the brokers; trying on", {
          seconds: seconds(notice.silentMs),
        });
      case "answers-again":
        return log.info("The brokers answer again", { seconds: seconds(notice.silentMs) });
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
      case "commit-failed":
        return log.warn("A commit failed; the journal holds its records, and it is tried again", {
          topic,
          partition: notice.partition,
          offset: notice.offset,
          error: notice.reason,
        });
    }
  }
}

/** The promise's value, or undefined where it takes longer. */
async function settledWithin<Value>(
  promise: Promise<Value>,
  ms: number,
): Promise<Value | undefined> {
  const { promise: timedOut, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  try {
    return await Promise.race([promise, timedOut]);
  } finally {
    clearTimeout(timer);
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
