/**
 * `tracker redrive`: sends dead letters back to their topic, each record once.
 *
 *     1 open     a transactional producer under an id that is fixed for the dead-letter topic: every earlier redrive
 *                of these letters is fenced by the broker, and its transaction is settled
 *     2 claim    an entry in the log, committed: once it can be read, all that was committed before it can
 *     3 read     the log: which letters, and which records, went back already
 *     4 letters  in transactions of bounded size: records to the topic, and one entry in the log that names
 *                their letters and their records
 *     5 confirm  at the end the log is read once more: it has to name what was counted
 *
 * Why no record goes twice. It is sent only by a producer that has read every entry committed before its own
 * claim (3) and remembers its own (4). Another one can commit an entry only after it has opened (1), and from then on
 * nothing of ours can be committed: we are fenced, and end. A transaction is committed with its entry or not
 * at all: a SIGKILL anywhere leaves one that the next redrive's opening aborts, or that was committed and is
 * in the log.
 *
 * Why no letter is forgotten. Nothing is taken for redriven that the log does not name. Where a commit has no answer, 1
 * to 3 are done again: the log tells whether it was committed.
 *
 * A record that the topic refuses is left out of its transaction and named; the others go. A letter that was
 * refused is no letter that was redriven: the next redrive tries it again.
 *
 * All this holds for consumers that read committed records only: the tracker does, and kcat; Java's consumer
 * has to be told so (`isolation.level=read_committed`), for aborted records lie in the log too. It holds as
 * long as the log is kept: without it, every letter is one that was never redriven.
 *
 * @module
 */

import type { KafkaConnection } from "../../kafka/client.ts";
import { ClusterClient, type OffsetRange, type TopicDescription } from "../../kafka/cluster.ts";
import { type DeliveryError, RefusedError, scopeOf } from "../../kafka/errors.ts";
import { BatchSizer, PartitionQueue } from "../../kafka/partition_queue.ts";
import type { KafkaRecord } from "../../kafka/record.ts";
import { recordBytesMax } from "../../kafka/record_size.ts";
import { type PartitionRange, TopicReader } from "../../kafka/topic_reader.ts";
import type { Logger } from "../../log.ts";
import { readThroughRestarts, warnWhenSlow } from "./broker_absence.ts";
import { openLetter, originalOf } from "./letter.ts";
import { type Candidate, LetterBatch } from "./letter_batch.ts";
import { RedriveSession, transactionalIdOf, type TransactionalSender } from "./redrive_session.ts";
import { leftOutBy, rangesOf, type Selection } from "./selection.ts";
import { RedriveCounts, type RedriveSummary } from "./summary.ts";
import { targetPartitioner } from "./target.ts";

export interface RedriveOptions {
  readonly connection: KafkaConnection;
  readonly deadLetterTopic: string;
  /** Where the letters go. */
  readonly topic: string;
  readonly selection: Selection;
  /** Reports what would be sent; sends nothing, creates nothing, fences nobody. */
  readonly isDryRun: boolean;
  readonly log: Logger;
  /** Ends it after the transaction in hand. */
  readonly stop?: AbortSignal;
  /** About twice a second at most. */
  readonly onProgress?: (progress: RedriveProgress) => void;
  /** Letters in one transaction. Default 1,000. */
  readonly lettersMax?: number;
  /** A `TransactionalProducer` where left out. */
  readonly openSender?: (transactionalId: string) => Promise<TransactionalSender>;
}

export interface RedriveProgress {
  /** Offsets of the dead-letter topic. */
  readonly done: number;
  readonly total: number;
  readonly redriven: number;
}

/** Bounds of a transaction: readers of the topic wait for its end, and all of it is sent again if it fails. */
const LETTERS_MAX = 1_000;
const TRANSACTION_BYTES_MAX = 4 * 1024 * 1024;
/** Half of what a broker accepts by default (`max.message.bytes`). */
const SEND_BYTES_MAX = 512 * 1024;
/** Transactions that failed, one after the other, for the same letters. */
const ATTEMPTS_MAX = 20;
/** Failures that do not say whose fault they are, after which the letters are sent in smaller transactions. */
const UNCLEAR_COUNT_MAX = 3;
const PROGRESS_INTERVAL_MS = 500;
/** A broker that has just started may not know the topics yet. */
const MISSING_TOPIC_ATTEMPTS_MAX = 10;
const MISSING_TOPIC_WAIT_MS = 250;

/**
 * Redrives what is selected of the letters that lie in the topic now.
 *
 * @throws {RedriveFencedError} where another redrive has begun.
 * @throws {RefusedError} where a topic is missing or the cluster refuses; {BrokerUnreachableError} where no
 * broker answers at the start; {RangeError} where there is no such partition.
 */
export async function redrive(options: RedriveOptions): Promise<RedriveSummary> {
  const { connection, deadLetterTopic, topic, isDryRun, log, openSender } = options;
  const { target, letters } = await findTopics(options);
  await using cluster = await ClusterClient.connect(connection, "persist");
  await using reader = await TopicReader.connect(connection, "persist");
  const session = crypto.randomUUID();
  const scope = { deadLetterTopic, deadLetterTopicId: letters.topicId, topic, session };
  const sessionOptions = { connection, cluster, reader, log, openSender, scope };
  await using opened = isDryRun
    ? await RedriveSession.look(sessionOptions)
    : await RedriveSession.open(sessionOptions);
  const run = new Redrive({ options, cluster, reader, session: opened, target, letters });
  const isComplete = await run.readLetters();
  if (!isDryRun) await opened.confirm(run.counts.sent);
  return run.counts.summary({ deadLetterTopic, topic, isDryRun, isComplete });
}

async function findTopics(
  { connection, deadLetterTopic, topic, isDryRun }: RedriveOptions,
): Promise<{ readonly target: TopicDescription; readonly letters: TopicDescription }> {
  await using cluster = await ClusterClient.connect(connection, "probe");
  const target = await cluster.describeTopic(topic);
  const letters = await cluster.findTopic(deadLetterTopic);
  if (letters === undefined) {
    throw new RefusedError(
      `topic "${deadLetterTopic}" does not exist: nothing was dead-lettered yet, ` +
        `or it goes to another topic (--dead-letters)`,
      { reason: "UNKNOWN_TOPIC_OR_PARTITION" },
    );
  }
  await cluster.requirePermission("Read", deadLetterTopic);
  if (!isDryRun) {
    await cluster.requirePermission("Write", topic);
    await cluster.requireTransactionalId(transactionalIdOf(deadLetterTopic));
  }
  return { target, letters };
}

interface RedriveParts {
  readonly options: RedriveOptions;
  readonly cluster: ClusterClient;
  readonly reader: TopicReader;
  readonly session: RedriveSession;
  readonly target: TopicDescription;
  readonly letters: TopicDescription;
}

class Redrive {
  readonly counts = new RedriveCounts();
  readonly #parts: RedriveParts;
  readonly #options: RedriveOptions;
  readonly #session: RedriveSession;
  readonly #partitionOf: ReturnType<typeof targetPartitioner>;
  readonly #sizer = new BatchSizer(SEND_BYTES_MAX);
  #lastProgressAtMs = -Infinity;

  constructor(parts: RedriveParts) {
    this.#parts = parts;
    this.#options = parts.options;
    this.#session = parts.session;
    this.#partitionOf = targetPartitioner(parts.target.partitionCount);
  }

  /** @returns false where it was stopped before the end. */
  async readLetters(): Promise<boolean> {
    const { deadLetterTopic, selection, log } = this.#options;
    const offsets = await warnWhenSlow(log, () => this.#parts.cluster.allOffsets(deadLetterTopic));
    await this.#readSourcesOfOldEntries(offsets);
    const ranges = rangesOf(selection, { topic: deadLetterTopic, offsets });
    const total = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    let before = 0;
    for (const range of ranges) {
      await this.#readRange(range, { before, total });
      if (this.#isStopped) return false;
      before += range.end - range.start;
    }
    return true;
  }

  get #isStopped(): boolean {
    return this.#options.stop?.aborted ?? false;
  }

  /** Entries of earlier versions name letters only: which records they were, the letters themselves say. */
  async #readSourcesOfOldEntries(offsets: readonly OffsetRange[]): Promise<void> {
    const { withoutSource, sources } = this.#session.log;
    for (const { partition, low, high } of offsets) {
      const letters = withoutSource.get(partition);
      if (letters?.end === undefined) continue;
      const range = {
        topic: this.#options.deadLetterTopic,
        partition,
        start: Math.max(low, letters.intervals[0]?.start ?? low),
        end: Math.min(high, letters.end),
      };
      for await (const records of this.#read(range)) {
        for (const record of records) {
          if (letters.has(record.offset)) sources.add(openLetter(record).source);
        }
      }
    }
  }

  #read(range: PartitionRange): AsyncGenerator<readonly KafkaRecord[]> {
    return readThroughRestarts(this.#parts.reader, range, this.#options.log);
  }

  async #readRange(
    range: PartitionRange,
    { before, total }: { readonly before: number; readonly total: number },
  ): Promise<void> {
    const { lettersMax = LETTERS_MAX } = this.#options;
    let batch = new LetterBatch();
    for await (const records of this.#read(range)) {
      for (const record of records) {
        this.#select(record, batch);
        if (batch.candidates.length < lettersMax && batch.bytes < TRANSACTION_BYTES_MAX) continue;
        await this.#deliver(batch.candidates);
        if (this.#isStopped) return;
        batch = new LetterBatch();
      }
      this.#sayProgress({ done: before + (records.at(-1)?.offset ?? 0) - range.start, total });
      if (this.#isStopped) break;
    }
    await this.#deliver(batch.candidates);
  }

  /** Adds a letter that is to be sent to the batch; others are counted. */
  #select(record: KafkaRecord, batch: LetterBatch): void {
    const { log } = this.#session;
    const letter = openLetter(record);
    const leftOut = leftOutBy(this.#options.selection, letter);
    if (leftOut !== undefined) this.counts.addLeftOut(leftOut);
    else if (log.has(record)) this.counts.addAlreadyRedriven();
    else if (log.sources.has(letter.source)) this.counts.addRepeat();
    else if (letter.omitted !== undefined) this.counts.addOmitted(letter, letter.omitted);
    else batch.add(letter);
  }

  /** Sends letters of one partition in one transaction, and goes on until it is known that it was committed. */
  async #deliver(candidates: readonly Candidate[]): Promise<void> {
    if (this.#options.isDryRun) return candidates.forEach((candidate) => this.#noteSent(candidate));
    if (candidates.length > 0) await this.#confirmLetterTopic();
    let pending = candidates;
    for (let attempt = 1;; attempt++) {
      // Asked again each time: the log may have been read since the letters were selected.
      pending = this.#countSettled(pending);
      if (pending.length === 0) return;
      try {
        return await this.#transact(pending);
      } catch (error) {
        this.#session.throwIfLost(error);
        if (attempt === ATTEMPTS_MAX) throw error;
        this.#options.log.warn("A transaction failed; the log tells whether it was committed", {
          error,
        });
        await this.#session.reopen();
        if (attempt === UNCLEAR_COUNT_MAX && scopeOf(error) === "unclear") {
          return await this.#deliverApart(pending, error);
        }
      }
    }
  }

  async #transact(candidates: readonly Candidate[]): Promise<void> {
    const refused = new Map<Candidate, DeliveryError>();
    const groups = Map.groupBy(candidates, ({ letter }) => this.#partitionOf(letter));
    for (const [partition, group] of groups) {
      await this.#sendTo(partition, group, refused);
    }
    const sent = candidates.filter((candidate) => !refused.has(candidate));
    await this.#session.commit(sent.map(({ letter }) => letter));
    if (sent.length > 0) this.counts.addTransaction();
    for (const candidate of sent) this.#noteSent(candidate);
    for (const [candidate, error] of refused) this.#noteRefused(candidate, error);
  }

  /** Sends records to one partition of the target; those that it refuses are left out. */
  async #sendTo(
    partition: number,
    candidates: readonly Candidate[],
    refused: Map<Candidate, DeliveryError>,
  ): Promise<void> {
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
        this.#session.send({ topic, partition, records })
      );
      if (outcome.kind === "failed") throw outcome.error;
      if (outcome.kind !== "refused") continue;
      refused.set(outcome.item, outcome.error);
      queue.drop(1);
    }
  }

  /** Halves until what the broker fails over stands alone. */
  async #deliverApart(candidates: readonly Candidate[], error: unknown): Promise<void> {
    const [candidate] = candidates;
    if (candidates.length === 1 && candidate !== undefined && error instanceof Error) {
      return this.#noteRefused(candidate, error);
    }
    const middle = Math.ceil(candidates.length / 2);
    await this.#deliver(candidates.slice(0, middle));
    await this.#deliver(candidates.slice(middle));
  }

  #noteSent({ letter, repeats }: Candidate): void {
    this.#session.log.sources.add(letter.source);
    this.counts.addSent(letter);
    repeats.forEach(() => this.counts.addRepeat());
  }

  #noteRefused({ letter, repeats }: Candidate, error: Error): void {
    const { record: { partition, offset }, source } = letter;
    this.#options.log.warn("The topic refuses a record; its letter is skipped", {
      topic: this.#options.topic,
      letterPartition: partition,
      letterOffset: offset,
      source: { ...source },
      error,
    });
    for (const each of [letter, ...repeats]) this.counts.addRefused(each, error);
  }

  /** Counts those whose records went back already, and returns the rest. */
  #countSettled(candidates: readonly Candidate[]): readonly Candidate[] {
    const { log } = this.#session;
    const isOwn = ({ letter }: Candidate) => log.hasOwn(letter.record);
    const isSettled = ({ letter }: Candidate) =>
      log.has(letter.record) || log.sources.has(letter.source);
    const settled = candidates.filter(isSettled);
    if (settled.some(isOwn)) this.counts.addTransaction(); // committed, though no answer came
    for (const candidate of settled) {
      if (isOwn(candidate)) this.#noteSent(candidate);
      else [candidate.letter, ...candidate.repeats].forEach(() => this.counts.addRepeat());
    }
    return candidates.filter((candidate) => !isSettled(candidate));
  }

  /** Asked after the letters were fetched and before they are sent: letters of another topic have the same offsets. */
  async #confirmLetterTopic(): Promise<void> {
    const { cluster, letters } = this.#parts;
    for (let attempt = 1; attempt <= MISSING_TOPIC_ATTEMPTS_MAX; attempt++) {
      const found = await warnWhenSlow(this.#options.log, () => cluster.findTopic(letters.topic));
      if (found?.topicId === letters.topicId) return;
      if (found !== undefined) break;
      await new Promise((resolve) => setTimeout(resolve, MISSING_TOPIC_WAIT_MS));
    }
    throw new Error(
      `topic "${letters.topic}" was deleted or created again while it was being read: ` +
        `what was redriven is recorded; run it again for what is there now`,
    );
  }

  #sayProgress({ done, total }: { readonly done: number; readonly total: number }): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastProgressAtMs < PROGRESS_INTERVAL_MS) return;
    this.#lastProgressAtMs = nowMs;
    this.#options.onProgress?.({ done, total, redriven: this.counts.sent });
  }
}
