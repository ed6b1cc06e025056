/**
 * `tracker redrive`: sends dead letters back to their topic, never the same letter twice.
 *
 *     1 open     a transactional producer under an id that is fixed for the dead-letter topic: every earlier redrive
 *                of these letters is fenced by the broker, and what it had under way is settled
 *     2 claim    an entry in the book, committed: whoever reads it knows that he was displaced; and once we can read
 *                it ourselves, we can read all that was ever committed before it
 *     3 read     the book: which letters were redriven already
 *     4 letters  in transactions of bounded size: records to the topic, and one entry in the book that
 *                names their letters
 *     5 check    at the end the book is read once more: it has to name what was counted
 *
 * Why no letter goes twice. It is sent only by a producer that has read every entry committed before its
 * own claim (3) and remembers its own (4). Another one can commit an entry only after it has opened (1), and from
 * then on nothing of ours can be committed. A transaction is committed with its entry or not at all: a
 * SIGKILL anywhere leaves one that the next redrive's opening aborts, or that was committed and is in the book.
 *
 * Why no letter is forgotten. Nothing is taken for redriven that the book does not say. After any error
 * other than a refusal the producer is thrown away and 1 to 3 are done again: the book says whether
 * the transaction in hand was committed.
 *
 *     error  ->  the book's last claim is ours?  no   another redrive has taken over: say so, end
 *                                                yes  open, claim, read; go on with what is not in the book
 *
 * A broker fences a producer whose transaction timed out just as one that was displaced; the claim tells
 * which it was. Whoever is fenced waits for a claim before it opens again: else two redrives could fence each
 * other without end, each aborting what the other one has just begun. It is the last claim that stays.
 *
 * What is promised is promised to consumers that read committed records only: the tracker does, and kcat;
 * Java's consumer has to be told so (`isolation.level=read_committed`), for aborted records lie in the log too.
 * It is promised as long as the book is kept: without it, every letter is one that was never redriven.
 *
 * @module
 */

import type { KafkaConnection } from "../../kafka/client.ts";
import { ClusterClient, type TopicDescription } from "../../kafka/cluster.ts";
import { DeliveryError, RefusedError } from "../../kafka/errors.ts";
import type { KafkaRecord } from "../../kafka/record.ts";
import { type PartitionRange, TopicReader } from "../../kafka/topic_reader.ts";
import type { Logger } from "../../log.ts";
import { type OpenedLetter, openLetter } from "./letter.ts";
import { sendsOf, sizeOf, targetPartitioner } from "./outgoing.ts";
import { readPatiently, saidWhenSlow } from "./patience.ts";
import { leftOutBy, rangesOf, type Selection } from "./selection.ts";
import { type RedriveSummary, Tally } from "./tally.ts";
import {
  isWorthTakingOver,
  Tenure,
  transactionalIdOf,
  type TransactionalSender,
} from "./tenure.ts";

export interface RedriveOptions {
  readonly connection: KafkaConnection;
  readonly deadLetterTopic: string;
  /** Where the letters go. */
  readonly topic: string;
  readonly selection: Selection;
  /** Says what would be sent; sends nothing, creates nothing, fences nobody. */
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
/** Transactions that failed, one after the other, for the same letters. */
const ATTEMPTS_MAX = 20;
const PROGRESS_INTERVAL_MS = 500;
/** A broker that has just started may not know the topics yet. */
const MISSING_TOPIC_ATTEMPTS_MAX = 10;
const MISSING_TOPIC_WAIT_MS = 250;

const TOO_LARGE: ReadonlySet<string> = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]);

/**
 * Redrives what is selected of the letters that lie in the topic now.
 *
 * @throws {RedriveDisplacedError} where another redrive took over.
 * @throws {RefusedError} where a topic is missing or the cluster refuses; {BrokerUnreachableError} where no
 * broker answers at the start; {RangeError} where there is no such partition.
 */
export async function redrive(options: RedriveOptions): Promise<RedriveSummary> {
  const { connection, deadLetterTopic, topic, isDryRun, log, openSender } = options;
  const { target, letters } = await findTopics(options);
  await using cluster = await ClusterClient.connect(connection, "persist");
  await using reader = await TopicReader.connect(connection, "persist");
  const tenureOptions = {
    connection,
    cluster,
    reader,
    log,
    openSender,
    scope: {
      deadLetterTopic,
      deadLetterTopicId: letters.topicId,
      topic,
      session: crypto.randomUUID(),
    },
  };
  await using tenure = isDryRun
    ? await Tenure.look(tenureOptions)
    : await Tenure.begin(tenureOptions);
  const run = new Redrive({ options, cluster, reader, tenure, target, letters });
  const isComplete = await run.readLetters();
  if (!isDryRun) await tenure.check(run.tally.sent);
  return run.tally.summary({ deadLetterTopic, topic, isDryRun, isComplete });
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
  readonly tenure: Tenure;
  readonly target: TopicDescription;
  readonly letters: TopicDescription;
}

class Redrive {
  readonly tally = new Tally();
  readonly #parts: RedriveParts;
  readonly #options: RedriveOptions;
  readonly #tenure: Tenure;
  readonly #partitionOf: (letter: OpenedLetter) => number;
  #lastProgressAtMs = -Infinity;

  constructor(parts: RedriveParts) {
    this.#parts = parts;
    this.#options = parts.options;
    this.#tenure = parts.tenure;
    this.#partitionOf = targetPartitioner(parts.target.partitionCount);
  }

  /** @returns false where it was stopped before the end. */
  async readLetters(): Promise<boolean> {
    const { deadLetterTopic, selection, log } = this.#options;
    const offsets = await saidWhenSlow(log, () => this.#parts.cluster.allOffsets(deadLetterTopic));
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

  async #readRange(
    range: PartitionRange,
    { before, total }: { readonly before: number; readonly total: number },
  ): Promise<void> {
    const { lettersMax = LETTERS_MAX, log } = this.#options;
    let batch: OpenedLetter[] = [];
    let bytes = 0;
    for await (const records of readPatiently(this.#parts.reader, range, { log })) {
      for (const record of records) {
        const letter = this.#select(record);
        if (letter === undefined) continue;
        const size = sizeOf(letter);
        if (batch.length === lettersMax || bytes + size > TRANSACTION_BYTES_MAX) {
          await this.#deliver(batch);
          if (this.#isStopped) return;
          batch = [];
          bytes = 0;
        }
        batch.push(letter);
        bytes += size;
      }
      this.#sayProgress({ done: before + (records.at(-1)?.offset ?? 0) - range.start, total });
      if (this.#isStopped) break;
    }
    await this.#deliver(batch);
  }

  /** A letter that is to be sent; others are counted. */
  #select(record: KafkaRecord): OpenedLetter | undefined {
    const letter = openLetter(record);
    const leftOut = leftOutBy(this.#options.selection, letter);
    if (leftOut !== undefined) this.tally.addLeftOut(leftOut);
    else if (this.#tenure.book.has(record)) this.tally.addAlreadyRedriven(1);
    else if (letter.omitted !== undefined) this.tally.addSkipped(letter, "value_omitted");
    else return letter;
    return undefined;
  }

  /** Sends letters of one partition in one transaction, and goes on until it is known that it was committed. */
  async #deliver(letters: readonly OpenedLetter[]): Promise<void> {
    if (this.#options.isDryRun) return this.tally.addSent(letters);
    if (letters.length > 0) await this.#confirmLetterTopic();
    let pending = letters;
    for (let attempt = 1;; attempt++) {
      // Asked again each time: the book may have been read since the letters were selected.
      pending = this.#countSettled(pending);
      if (pending.length === 0) return;
      try {
        await this.#tenure.transact(this.#sendsOf(pending), pending.map(({ record }) => record));
        this.tally.addTransaction();
        this.tally.addSent(pending);
        return;
      } catch (error) {
        await this.#tenure.close();
        if (isTooLarge(error)) return await this.#deliverSmaller(pending);
        if (!isWorthTakingOver(error) || attempt === ATTEMPTS_MAX) throw error;
        this.#options.log.warn("A transaction failed; the book is asked what became of it", {
          error,
        });
        await this.#tenure.takeOver({ after: error });
      }
    }
  }

  #sendsOf(letters: readonly OpenedLetter[]) {
    return sendsOf(letters, { topic: this.#options.topic, partitionOf: this.#partitionOf });
  }

  /** Counts those that the book names, and returns the rest. */
  #countSettled(letters: readonly OpenedLetter[]): readonly OpenedLetter[] {
    const { book } = this.#tenure;
    const settled = letters.filter(({ record }) => book.has(record));
    if (settled.length === 0) return letters;
    const own = settled.filter(({ record }) => book.hasOwn(record));
    if (own.length > 0) this.tally.addTransaction(); // committed, though no answer came
    this.tally.addSent(own);
    this.tally.addAlreadyRedriven(settled.length - own.length);
    return letters.filter(({ record }) => !book.has(record));
  }

  /** Halves until what is too large stands alone: the batch may have been, and no single letter. */
  async #deliverSmaller(letters: readonly OpenedLetter[]): Promise<void> {
    await this.#tenure.takeOver();
    const [letter] = letters;
    if (letters.length === 1 && letter !== undefined) {
      return this.tally.addSkipped(letter, "too_large");
    }
    const middle = Math.ceil(letters.length / 2);
    await this.#deliver(letters.slice(0, middle));
    await this.#deliver(letters.slice(middle));
  }

  /** Asked after the letters were fetched and before they are sent: letters of another topic have the same offsets. */
  async #confirmLetterTopic(): Promise<void> {
    const { cluster, letters } = this.#parts;
    for (let attempt = 1; attempt <= MISSING_TOPIC_ATTEMPTS_MAX; attempt++) {
      const found = await saidWhenSlow(this.#options.log, () => cluster.findTopic(letters.topic));
      if (found?.topicId === letters.topicId) return;
      if (found !== undefined) break;
      await new Promise((resolve) => setTimeout(resolve, MISSING_TOPIC_WAIT_MS));
    }
    throw new Error(
      `topic "${letters.topic}" was deleted or created again while it was being read: ` +
        `what was redriven is in the book; run it again for what is there now`,
    );
  }

  #sayProgress({ done, total }: { readonly done: number; readonly total: number }): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastProgressAtMs < PROGRESS_INTERVAL_MS) return;
    this.#lastProgressAtMs = nowMs;
    this.#options.onProgress?.({ done, total, redriven: this.tally.sent });
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof DeliveryError && TOO_LARGE.has(error.reason);
}
