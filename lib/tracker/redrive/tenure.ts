/**
 * The right to redrive the letters of a dead-letter topic: one run has it at a time, and it carries the
 * book with it. How it is won, lost and won back stands at the top of `redrive.ts`.
 *
 * @module
 */

import type { KafkaConnection } from "../../kafka/client.ts";
import type { ClusterClient } from "../../kafka/cluster.ts";
import { DeliveryError, RefusedError } from "../../kafka/errors.ts";
import type { Acknowledgement, SendRequest } from "../../kafka/producer.ts";
import type { KafkaRecord, OutgoingRecord } from "../../kafka/record.ts";
import type { TopicReader } from "../../kafka/topic_reader.ts";
import { CommitUnknownError, TransactionalProducer } from "../../kafka/transactional_producer.ts";
import type { Logger } from "../../log.ts";
import { Book, BOOK_PARTITION, BOOK_TOPIC_CONFIG, type BookScope, bookTopicOf } from "./book.ts";
import { absenceOf, readPatiently, saidWhenSlow } from "./patience.ts";

/** What a redrive needs of a producer; {@link TransactionalProducer} in earnest. */
export interface TransactionalSender extends AsyncDisposable {
  send(request: SendRequest): Promise<Acknowledgement>;
  commit(): Promise<void>;
}

export interface TenureOptions {
  readonly connection: KafkaConnection;
  readonly cluster: Pick<ClusterClient, "ensureTopic" | "findTopic" | "offsets" | "topicConfig">;
  readonly reader: TopicReader;
  readonly scope: BookScope;
  readonly log: Logger;
  readonly openSender?: ((transactionalId: string) => Promise<TransactionalSender>) | undefined;
}

/** Another redrive of the same letters has begun, and this one was fenced; what it had committed stays. */
export class RedriveDisplacedError extends Error {
  override readonly name = "RedriveDisplacedError";

  constructor(deadLetterTopic: string, { since, redriven }: { since: string; redriven: number }) {
    super(
      `another redrive of "${deadLetterTopic}", begun at ${since}, has taken over: this one has ` +
        `redriven ${redriven} and leaves the rest to it`,
    );
  }
}

/**
 * After a SIGKILL readers of the topic wait for so long, unless the next redrive aborts the transaction; a broker
 * that is away for longer costs us the transaction in hand.
 */
const TRANSACTION_TIMEOUT_MS = 30_000;
const ATTEMPTS_MAX = 20;
const ATTEMPT_WAIT_MS = 250;
/** How long a redrive that was fenced gives another one to make its claim, which takes it some 100 ms. */
const CLAIM_GRACE_MS = 3_000;
const CLAIM_POLL_MS = 100;
const MARKERS_TIMEOUT_MS = 60_000;
const MARKERS_POLL_MS = 20;

export class Tenure implements AsyncDisposable {
  readonly #options: TenureOptions;
  readonly #log: Logger;
  readonly #book: Book;
  readonly #bookTopic: string;
  #bookPosition = 0;
  #sender: TransactionalSender | undefined;
  #hasClaimed = false;

  private constructor(options: TenureOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#book = new Book(options.scope);
    this.#bookTopic = bookTopicOf(options.scope.deadLetterTopic);
  }

  /** Wins the right: makes the book where it is missing, fences whoever is at work, and claims the letters. */
  static async begin(options: TenureOptions): Promise<Tenure> {
    const tenure = new Tenure(options);
    await tenure.#ask(() =>
      options.cluster.ensureTopic(tenure.#bookTopic, {
        partitionCount: 1,
        config: BOOK_TOPIC_CONFIG,
      })
    );
    await tenure.#requireLastingBook();
    await tenure.takeOver();
    return tenure;
  }

  /** For a dry run: reads the book as it is now, if there is one; makes nothing and fences nobody. */
  static async look(options: TenureOptions): Promise<Tenure> {
    const tenure = new Tenure(options);
    const book = await tenure.#ask(() => options.cluster.findTopic(tenure.#bookTopic));
    if (book !== undefined) await tenure.#readBook();
    return tenure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get book(): Pick<Book, "has" | "hasOwn" | "ownCount"> {
    return this.#book;
  }

  /**
   * Sends and books letters of one partition, in one transaction.
   *
   * @throws {DeliveryError | CommitUnknownError} where it failed or may have failed: {@link close} it, and where
   * {@link isWorthTakingOver} says so, {@link takeOver} and look into the book.
   */
  async transact(sends: Iterable<SendRequest>, letters: readonly KafkaRecord[]): Promise<void> {
    const sender = this.#sender;
    if (sender === undefined) throw new TypeError("expected an open producer");
    await saidWhenSlow(this.#log, async () => {
      for (const request of sends) await sender.send(request);
      await this.#sendToBook(sender, this.#book.redrivenEntry(letters, new Date()));
      await sender.commit();
    });
  }

  /** Ends the producer; what it had not committed is aborted. */
  async close(): Promise<void> {
    const sender = this.#sender;
    this.#sender = undefined;
    await sender?.[Symbol.asyncDispose]();
  }

  /**
   * Opens a producer, claims the letters, and reads the book up to the claim.
   *
   * @param after the error for which the last producer was closed.
   * @throws {RedriveDisplacedError} where another redrive has claimed them since.
   */
  async takeOver({ after }: { readonly after?: unknown } = {}): Promise<void> {
    let cause = after;
    for (let attempt = 1;; attempt++) {
      if (this.#hasClaimed) await this.#requireOwnClaim({ graceMs: graceMsAfter(cause) });
      try {
        return await saidWhenSlow(this.#log, () => this.#claim());
      } catch (error) {
        await this.close();
        if (!isWorthTakingOver(error) || attempt === ATTEMPTS_MAX) throw error;
        this.#log.debug("The claim failed and is tried again", { error });
        cause = error;
        await delay(ATTEMPT_WAIT_MS);
      }
    }
  }

  async #claim(): Promise<void> {
    const sender = await this.#openSender();
    this.#sender = sender;
    const offset = await this.#sendToBook(sender, this.#book.claimEntry(new Date()));
    await sender.commit();
    this.#hasClaimed = true;
    await this.#readBook({ through: offset });
  }

  async #openSender(): Promise<TransactionalSender> {
    const { connection, openSender, scope } = this.#options;
    const transactionalId = transactionalIdOf(scope.deadLetterTopic);
    return await (openSender?.(transactionalId) ?? TransactionalProducer.open(connection, {
      transactionalId,
      transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    }));
  }

  async #sendToBook(sender: TransactionalSender, entry: OutgoingRecord): Promise<number> {
    const { baseOffset } = await sender.send({
      topic: this.#bookTopic,
      partition: BOOK_PARTITION,
      records: [entry],
    });
    return baseOffset;
  }

  /** To open again would fence whoever has taken over, so the book is asked first. */
  async #requireOwnClaim({ graceMs }: { readonly graceMs: number }): Promise<void> {
    const deadline = performance.now() + graceMs;
    for (;;) {
      await this.#readBook();
      const { lastClaim } = this.#book;
      if (lastClaim !== undefined && !this.#book.isOwn(lastClaim)) {
        throw new RedriveDisplacedError(this.#options.scope.deadLetterTopic, {
          since: lastClaim.at,
          redriven: this.#book.ownCount,
        });
      }
      if (performance.now() >= deadline) return;
      await delay(CLAIM_POLL_MS);
    }
  }

  /**
   * Reads on in the book: what can be read now, or through an offset, for which it waits: the broker writes the
   * markers that end a transaction after it has answered.
   */
  async #readBook({ through = -1 }: { readonly through?: number } = {}): Promise<void> {
    const end = await this.#bookEndPast(through);
    const range = {
      topic: this.#bookTopic,
      partition: BOOK_PARTITION,
      start: this.#bookPosition,
      end,
    };
    for await (const records of readPatiently(this.#options.reader, range, { log: this.#log })) {
      for (const record of records) this.#book.read(record);
    }
    this.#bookPosition = end;
  }

  async #bookEndPast(offset: number): Promise<number> {
    const { cluster } = this.#options;
    const deadline = performance.now() + MARKERS_TIMEOUT_MS;
    for (;;) {
      const [range] = await this.#ask(() => cluster.offsets(this.#bookTopic, [BOOK_PARTITION]));
      if (range === undefined) throw new RangeError(`expected offsets of "${this.#bookTopic}"`);
      if (range.high > offset) {
        this.#bookPosition = Math.max(this.#bookPosition, range.low);
        return Math.max(this.#bookPosition, range.high);
      }
      if (performance.now() > deadline) {
        throw new Error(
          `topic "${this.#bookTopic}" cannot be read up to offset ${offset}: ` +
            `another program seems to have a transaction open on it`,
        );
      }
      await delay(MARKERS_POLL_MS);
    }
  }

  /** What we write we read again: the book names as many letters of this run as were counted. */
  async check(redriven: number): Promise<void> {
    const deadline = performance.now() + MARKERS_TIMEOUT_MS;
    while (this.#book.ownCount < redriven && performance.now() < deadline) {
      await this.#readBook();
      await delay(MARKERS_POLL_MS);
    }
    if (this.#book.ownCount === redriven) return;
    throw new Error(
      `topic "${this.#bookTopic}" names ${this.#book.ownCount} letters of this redrive: ` +
        `expected the ${redriven} that were committed`,
    );
  }

  /** A book that loses entries would have letters redriven twice. */
  async #requireLastingBook(): Promise<void> {
    const { cluster } = this.#options;
    const setting = (name: string) => this.#ask(() => cluster.topicConfig(this.#bookTopic, name));
    const policy = await setting("cleanup.policy");
    if (policy === "compact") return;
    const isKept = await setting("retention.ms") === "-1" &&
      await setting("retention.bytes") === "-1";
    if (isKept) return;
    throw new RefusedError(
      `topic "${this.#bookTopic}" has cleanup.policy ${policy} and would forget what was redriven: ` +
        `set it to compact`,
      { reason: "INVALID_CONFIG" },
    );
  }

  /** The client asks again by itself, as long as no broker answers. */
  #ask<Result>(question: () => Promise<Result>): Promise<Result> {
    return saidWhenSlow(this.#log, question);
  }
}

/** One for all targets: they share the book, whose readable end an open transaction of another id would hold back. */
/** The one that all redrives of a dead-letter topic share. */
export function transactionalIdOf(deadLetterTopic: string): string {
  return `orderflow.redrive.${deadLetterTopic}`;
}

/** What a producer is told that was fenced, or whose transaction is over; a newer code than the client knows too. */
const FENCED: ReadonlySet<string> = new Set([
  "CONCURRENT_TRANSACTIONS",
  "INVALID_PRODUCER_EPOCH",
  "INVALID_PRODUCER_ID_MAPPING",
  "INVALID_TXN_STATE",
  "KAFKAJS_UNKNOWN_ERROR_CODE",
]);

/** Whether another producer may have opened the same id. */
function isFencing(error: unknown): boolean {
  return (error instanceof DeliveryError || error instanceof CommitUnknownError ||
    error instanceof RefusedError) && FENCED.has(error.reason);
}

/** Two that were fenced and open again at once would fence each other without end. */
function graceMsAfter(error: unknown): number {
  return isFencing(error) ? CLAIM_GRACE_MS : 0;
}

/** Whether to open again can help after an error. Never throws. */
export function isWorthTakingOver(error: unknown): boolean {
  if (isFencing(error)) return true; // the claim tells by whom
  if (error instanceof DeliveryError) return error.fate !== "refused"; // a refusal stays one
  if (error instanceof CommitUnknownError) return true; // the book tells what became of it
  return absenceOf(error) !== undefined; // opening, while brokers are away
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
