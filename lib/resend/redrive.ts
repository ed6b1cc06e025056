/**
 * `tracker redrive`: sends dead letters back to their topic, each record once.
 *
 *     1 open     a transactional producer whose id is fixed for the dead-letter topic: the broker fences every earlier
 *                redrive of these letters, and aborts its open transaction
 *     2 read     the log of what was redriven, up to an entry of our own
 *     3 send     letters in transactions of bounded size: their records to the topic, and one entry in the log that
 *                names the letters and their records
 *     4 confirm  the log names every letter that was counted
 *
 * No record goes twice. It is sent only by a producer that has read every entry committed before its own (2).
 * Another run can commit an entry only after it has opened (1), and from then on we can commit nothing: we are
 * fenced, and end. A transaction is committed with its entry or not at all, so a SIGKILL at any moment leaves one that
 * the next run aborts, or one that is in the log.
 *
 * No letter is forgotten. A letter counts as redriven only if the log names it. After any failure, such as a commit
 * without an answer, 1 to 3 are done again from the first letter that is not settled: the log tells what was
 * committed.
 *
 * A record that the topic refuses is left out of its transaction and named; the others go. The next redrive tries
 * it again.
 *
 * This holds for consumers of committed records (`isolation.level=read_committed`), because aborted records are in the
 * topic too, and as long as the log is kept.
 */

import type { KafkaConnection } from "../kafka/client.ts";
import { ClusterClient } from "../kafka/cluster.ts";
import type { TopicDescription } from "../kafka/cluster_answers.ts";
import { BatchSizer, PartitionQueue } from "../kafka/partition_queue.ts";
import type { KafkaRecord } from "../record.ts";
import { recordBytesMax } from "../kafka/protocol/record_size.ts";
import { type PartitionRange, TopicReader } from "../kafka/topic_reader.ts";
import type { Logger } from "../log.ts";
import { type OpenedLetter, openLetter } from "../tracker/opened_letter.ts";
import { type Candidate, LetterBatch } from "./letter_batch.ts";
import { failureOf, Interruptions } from "./interruptions.ts";
import {
  SEND_BYTES_MAX,
  TRANSACTION_BYTES_MAX,
  type TransactionalSender,
} from "./resend_session.ts";
import { redriveLogTopicOf } from "./redrive_log.ts";
import { leftOutBy, rangesOf, type Selection } from "./redrive_selection.ts";
import { type RedriveSession, redriveSession } from "./redrive_session.ts";
import { RedriveCounts, type RedriveSummary } from "./redrive_summary.ts";
import { confirmTopic, findTopics } from "./redrive_topics.ts";
import { warnWhenSlow } from "./slow_cluster.ts";
import { originalOf, targetPartitioner } from "./target.ts";

export interface RedriveOptions {
  readonly connection: KafkaConnection;
  readonly deadLetterTopic: string;
  /** Where the records go. */
  readonly topic: string;
  readonly selection: Selection;
  /** Reports what would be sent; sends and creates nothing, and fences no other run. */
  readonly isDryRun: boolean;
  readonly log: Logger;
  /** Ends the run after the current transaction. */
  readonly stop?: AbortSignal;
  /** Called at most twice a second. */
  readonly onProgress?: (progress: RedriveProgress) => void;
  /** Records in one transaction. Default 1,000. */
  readonly lettersMax?: number;
  /** Default `TransactionalProducer.open`. */
  readonly openSender?: (transactionalId: string) => Promise<TransactionalSender>;
}

export interface RedriveProgress {
  /** Offsets of the dead-letter topic. */
  readonly done: number;
  readonly total: number;
  readonly redriven: number;
}

/** Records in one transaction. */
const LETTERS_MAX = 1_000;
/** Letters settled together, sent or not; progress is shown and a stop is noticed after each group. */
const SETTLED_MAX = 10_000;
/** Unclear failures in a row over a single record, after which it counts as refused. */
const UNCLEAR_COUNT_MAX = 3;
const PROGRESS_INTERVAL_MS = 500;

/**
 * Redrives the selected letters that are in the topic now.
 *
 * @throws {FencedError} if another redrive has begun.
 * @throws {RefusedError} if a topic is missing or the cluster refuses; {BrokerUnreachableError} if no broker answers at
 * the start; {RangeError} if the selected partition does not exist.
 */
export async function redrive(options: RedriveOptions): Promise<RedriveSummary> {
  const { connection, deadLetterTopic, topic, isDryRun, openSender } = options;
  const { target, letters } = await findTopics(options);
  await using cluster = await ClusterClient.connect(connection, "persist");
  await using reader = await TopicReader.connect(connection, "persist");
  const scope = {
    deadLetterTopic,
    deadLetterTopicId: letters.topicId,
    topic,
    session: crypto.randomUUID(),
  };
  await using session = redriveSession({ connection, cluster, reader, openSender, scope });
  const run = new RedriveRun({ options, cluster, reader, session, target, letters });
  const isComplete = await run.run();
  const transactions = session.log.ownEntryCount;
  return run.counts.summary({ deadLetterTopic, topic, isDryRun, isComplete, transactions });
}

interface RedriveParts {
  readonly options: RedriveOptions;
  readonly cluster: ClusterClient;
  readonly reader: TopicReader;
  readonly session: RedriveSession;
  readonly target: TopicDescription;
  readonly letters: TopicDescription;
}

class RedriveRun {
  readonly counts = new RedriveCounts();
  readonly #parts: RedriveParts;
  readonly #options: RedriveOptions;
  readonly #session: RedriveSession;
  readonly #partitionOf: ReturnType<typeof targetPartitioner>;
  readonly #sizer = new BatchSizer(SEND_BYTES_MAX);
  readonly #lettersMax: number;
  /** Letters not settled yet; the first range begins where the last settled batch ended. */
  #ranges: PartitionRange[] | undefined;
  /** Offsets to read in all. */
  #total = 0;
  #batch: LetterBatch | undefined;
  /** Fewer than {@link #lettersMax} after the broker failed for no clear reason. */
  #batchCountMax: number;
  readonly #interruptions: Interruptions;
  #unclearCount = 0;
  /** Records over which the broker fails each time, by the place of their letter. */
  readonly #suspects = new Map<string, Error>();
  #lastProgressAtMs = -Infinity;

  constructor(parts: RedriveParts) {
    this.#parts = parts;
    this.#options = parts.options;
    this.#session = parts.session;
    const { deadLetterTopic, log } = parts.options;
    this.#interruptions = new Interruptions(
      { name: "redrive", place: `of "${deadLetterTopic}"`, done: "redriven" },
      log,
    );
    this.#partitionOf = targetPartitioner(parts.target.partitionCount);
    this.#lettersMax = this.#batchCountMax = parts.options.lettersMax ?? LETTERS_MAX;
  }

  /** @returns false if it was stopped before the end. */
  async run(): Promise<boolean> {
    const { isDryRun } = this.#options;
    if (!isDryRun) await this.#warnWhenSlow(() => this.#session.prepareLog());
    for (;;) {
      this.#batch = undefined;
      try {
        await this.#warnWhenSlow(() => isDryRun ? this.#session.look() : this.#session.open());
        const isComplete = await this.#settleLetters();
        if (!isDryRun) await this.#confirm(this.counts.sent);
        return isComplete;
      } catch (error) {
        await this.#waitAfter(error);
      }
    }
  }

  /** @returns false if it was stopped before the end. */
  async #settleLetters(): Promise<boolean> {
    const ranges = this.#ranges ??= await this.#findRanges();
    for (let [range] = ranges; range !== undefined; [range] = ranges) {
      for await (const batch of this.#batchesOf(range)) {
        this.#batch = batch;
        await this.#settle(batch);
        ranges[0] = { ...range, start: batch.end };
        this.#noteSettled(batch);
        if (this.#options.stop?.aborted) return false;
      }
      ranges.shift();
    }
    return true;
  }

  async #findRanges(): Promise<PartitionRange[]> {
    const { cluster, reader } = this.#parts;
    const { deadLetterTopic: topic, selection } = this.#options;
    const { withoutSource, sources } = this.#session.log;
    const offsets = await this.#warnWhenSlow(() => cluster.allOffsets(topic));
    // Entries of version 0.1 name letters only; the letters themselves say which records they were.
    for (const { partition, low, high } of offsets) {
      const letters = withoutSource.get(partition);
      if (letters?.end === undefined) continue;
      const start = Math.max(low, letters.intervals[0]?.start ?? low);
      const range = { topic, partition, start, end: Math.min(high, letters.end) };
      for await (const records of reader.read(range)) {
        for (const record of records) {
          if (letters.has(record.offset)) sources.add(openLetter(record).source);
        }
      }
    }
    const ranges = rangesOf(selection, { topic, offsets });
    this.#total = offsetCount(ranges);
    return [...ranges];
  }

  async *#batchesOf(range: PartitionRange): AsyncGenerator<LetterBatch> {
    let batch = new LetterBatch();
    for await (const records of this.#parts.reader.read(range)) {
      for (const record of records) {
        this.#select(record, batch);
        batch.end = record.offset + 1;
        if (!this.#isFull(batch)) continue;
        yield batch;
        batch = new LetterBatch();
      }
    }
    batch.end = range.end;
    yield batch;
  }

  #isFull({ candidates, bytes, letterCount }: LetterBatch): boolean {
    return candidates.length >= this.#batchCountMax || bytes >= TRANSACTION_BYTES_MAX ||
      letterCount >= SETTLED_MAX;
  }

  #select(record: KafkaRecord, batch: LetterBatch): void {
    const { counts } = this;
    const { log } = this.#session;
    const letter = openLetter(record);
    const leftOut = leftOutBy(this.#options.selection, letter);
    const { omitted } = letter;
    if (leftOut !== undefined) batch.addOther(() => counts.addLeftOut(leftOut));
    // A commit without an answer has succeeded.
    else if (log.hasOwn(record)) batch.addOther(() => counts.addSent(letter));
    else if (log.has(record)) batch.addOther(() => counts.addAlreadyRedriven());
    else if (log.sources.has(letter.source)) batch.addOther(() => counts.addRepeat());
    else if (omitted !== undefined) batch.addOther(() => counts.addOmitted(letter, omitted));
    else batch.addCandidate(letter, this.#suspects.get(placeOf(record)));
  }

  /** Sends the batch's records in one transaction, except those that the topic refuses. */
  async #settle(batch: LetterBatch): Promise<void> {
    if (this.#options.isDryRun || batch.accepted.length === 0) return;
    await this.#warnWhenSlow(async () => {
      const { cluster, letters, target } = this.#parts;
      await Promise.all([letters, target].map((topic) => confirmTopic(cluster, topic)));
      const groups = Map.groupBy(batch.accepted, ({ letter }) => this.#partitionOf(letter));
      for (const [partition, group] of groups) await this.#sendTo(partition, group);
      await this.#commit(batch.accepted.map(({ letter }) => letter));
    });
  }

  async #sendTo(partition: number, candidates: readonly Candidate[]): Promise<void> {
    const toRecord = ({ letter }: Candidate) => originalOf(letter, partition);
    const queue = new PartitionQueue<Candidate>({
      toRecord,
      sizeOf: (candidate) => recordBytesMax(toRecord(candidate)),
      sizer: this.#sizer,
    });
    queue.push(...candidates);
    const { topic } = this.#options;
    while (queue.length > 0) {
      const outcome = await queue.sendNext((records) =>
        this.#session.sender.send({ topic, partition, records })
      );
      if (outcome.kind === "failed") throw outcome.error;
      if (outcome.kind !== "refused") continue;
      outcome.item.refusal = outcome.error;
      queue.drop(1);
    }
  }

  /** Commits the records that were sent, with the log's entry for their letters; ends the transaction if there are none. */
  async #commit(letters: readonly OpenedLetter[]): Promise<void> {
    const { log, sender } = this.#session;
    if (letters.length > 0) await this.#session.append(log.redrivenEntry(letters, new Date()));
    await sender.commit();
  }

  /** Reads the log up to the last commit, and checks that it names as many letters of this run as were counted. */
  async #confirm(letterCount: number): Promise<void> {
    const { log } = this.#session;
    await this.#session.confirm(() => log.ownLetterCount >= letterCount);
    if (log.ownLetterCount === letterCount) return;
    throw new Error(
      `topic "${
        redriveLogTopicOf(this.#options.deadLetterTopic)
      }" names ${log.ownLetterCount} letters ` +
        `of this redrive: expected the ${letterCount} that were committed`,
    );
  }

  #noteSettled(batch: LetterBatch): void {
    batch.countOthers();
    for (const { letter, repeats, refusal } of batch.candidates) {
      if (refusal !== undefined) {
        this.#noteRefused([letter, ...repeats], refusal);
        continue;
      }
      this.#session.log.sources.add(letter.source);
      this.counts.addSent(letter);
      repeats.forEach(() => this.counts.addRepeat());
    }
    this.#interruptions.end();
    if (batch.accepted.length > 0) {
      this.#unclearCount = 0;
      this.#batchCountMax = Math.min(this.#lettersMax, 2 * this.#batchCountMax);
    }
    this.#reportProgress();
  }

  #noteRefused(letters: readonly OpenedLetter[], error: Error): void {
    for (const letter of letters) {
      const { record: { partition, offset }, source } = letter;
      this.#options.log.warn("The topic refuses a record; its letter is skipped", {
        topic: this.#options.topic,
        letterPartition: partition,
        letterOffset: offset,
        source: { ...source },
        error,
      });
      this.counts.addRefused(letter, error);
    }
  }

  /** Waits before the run is resumed after the last settled batch. Throws if a retry cannot succeed. */
  async #waitAfter(error: unknown): Promise<void> {
    if (failureOf(error) === "unclear") this.#narrow(error);
    await this.#interruptions.waitAfter(error);
  }

  /** Sends fewer records at a time, until the one that the broker fails over is alone, and then is refused. */
  #narrow(error: unknown): void {
    const [first, ...others] = this.#batch?.accepted ?? [];
    if (first === undefined || !(error instanceof Error)) return;
    this.#batchCountMax = Math.ceil((1 + others.length) / 2);
    if (others.length > 0 || ++this.#unclearCount < UNCLEAR_COUNT_MAX) return;
    this.#unclearCount = 0;
    this.#suspects.set(placeOf(first.letter.record), error);
  }

  async #warnWhenSlow<Result>(work: () => Promise<Result>): Promise<Result> {
    const { cluster, target } = this.#parts;
    return await warnWhenSlow(work, {
      log: this.#options.log,
      what: "redrive",
      confirmTopic: () => confirmTopic(cluster, target),
    });
  }

  #reportProgress(): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastProgressAtMs < PROGRESS_INTERVAL_MS) return;
    this.#lastProgressAtMs = nowMs;
    const done = this.#total - offsetCount(this.#ranges ?? []);
    this.#options.onProgress?.({ done, total: this.#total, redriven: this.counts.sent });
  }
}

function offsetCount(ranges: readonly PartitionRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}

function placeOf({ partition, offset }: KafkaRecord): string {
  return `${partition}/${offset}`;
}
