/**
 * The transactional producer of a redrive, and the log that it writes. One run has the transactional id of a
 * dead-letter topic at a time: whoever opens it fences the run before, which ends.
 *
 * @module
 */

import type { KafkaConnection } from "../../kafka/client.ts";
import type { ClusterClient } from "../../kafka/cluster.ts";
import { DeliveryError, RefusedError, scopeOf } from "../../kafka/errors.ts";
import type { Acknowledgement, SendRequest } from "../../kafka/producer.ts";
import type { OutgoingRecord } from "../../kafka/record.ts";
import type { TopicReader } from "../../kafka/topic_reader.ts";
import { CommitUnknownError, TransactionalProducer } from "../../kafka/transactional_producer.ts";
import type { Logger } from "../../log.ts";
import { isBrokerAway, readThroughRestarts, warnWhenSlow } from "./broker_absence.ts";
import type { OpenedLetter } from "./letter.ts";
import {
  REDRIVE_LOG_CONFIG,
  REDRIVE_LOG_PARTITION,
  RedriveLog,
  redriveLogTopicOf,
  type RedriveScope,
} from "./redrive_log.ts";

/** What a redrive needs of a producer. */
export interface TransactionalSender extends AsyncDisposable {
  send(request: SendRequest): Promise<Acknowledgement>;
  commit(): Promise<void>;
}

export interface RedriveSessionOptions {
  readonly connection: KafkaConnection;
  readonly cluster: Pick<ClusterClient, "ensureTopic" | "findTopic" | "offsets" | "topicConfig">;
  readonly reader: TopicReader;
  readonly scope: RedriveScope;
  readonly log: Logger;
  /** {@link TransactionalProducer.open} where left out. */
  readonly openSender?: ((transactionalId: string) => Promise<TransactionalSender>) | undefined;
}

/** Another run has begun, or a transaction took too long. What was committed stays, and is in the log. */
export class RedriveFencedError extends Error {
  override readonly name = "RedriveFencedError";

  constructor(deadLetterTopic: string, cause: unknown) {
    super(
      `this redrive of "${deadLetterTopic}" was fenced: another one has begun, or a transaction took ` +
        `longer than ${
          TRANSACTION_TIMEOUT_MS / 1_000
        } s. What was redriven is recorded: run it again ` +
        `for the rest`,
      { cause },
    );
  }
}

/** After a SIGKILL readers of the topic wait for so long, unless the next redrive aborts the transaction. */
const TRANSACTION_TIMEOUT_MS = 30_000;
const OPEN_ATTEMPTS_MAX = 20;
const OPEN_RETRY_MS = 250;
const MARKERS_TIMEOUT_MS = 60_000;
const MARKERS_POLL_MS = 20;

export class RedriveSession implements AsyncDisposable {
  /** What was redriven, by this run and others, as far as it was read. */
  readonly log: RedriveLog;
  readonly #options: RedriveSessionOptions;
  readonly #logTopic: string;
  #logPosition = 0;
  #sender: TransactionalSender | undefined;

  private constructor(options: RedriveSessionOptions) {
    this.#options = options;
    this.log = new RedriveLog(options.scope);
    this.#logTopic = redriveLogTopicOf(options.scope.deadLetterTopic);
  }

  /** Creates the log's topic where it is missing, fences the run before, and reads what it did. */
  static async open(options: RedriveSessionOptions): Promise<RedriveSession> {
    const session = new RedriveSession(options);
    const topic = session.#logTopic;
    const settings = { partitionCount: 1, config: REDRIVE_LOG_CONFIG };
    await session.#ask(() => options.cluster.ensureTopic(topic, settings));
    await session.#requireLastingLog();
    await session.reopen();
    return session;
  }

  /** Reads the log as it is, if there is one: for a dry run, which creates nothing and fences nobody. */
  static async look(options: RedriveSessionOptions): Promise<RedriveSession> {
    const session = new RedriveSession(options);
    const found = await session.#ask(() => options.cluster.findTopic(session.#logTopic));
    if (found !== undefined) await session.#readLog();
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sender = this.#sender;
    this.#sender = undefined;
    await sender?.[Symbol.asyncDispose]();
  }

  /** Sends records as a part of the transaction in hand. */
  async send(request: SendRequest): Promise<Acknowledgement> {
    const sender = this.#requireSender();
    return await warnWhenSlow(this.#options.log, () => sender.send(request));
  }

  /**
   * Commits what was sent, together with the entry for its letters. Without letters it ends the
   * transaction.
   *
   * @throws {DeliveryError | CommitUnknownError} where it failed or may have failed: {@link reopen} tells.
   */
  async commit(letters: readonly OpenedLetter[]): Promise<void> {
    const sender = this.#requireSender();
    await warnWhenSlow(this.#options.log, async () => {
      if (letters.length > 0) {
        await this.#sendEntry(sender, this.log.redrivenEntry(letters, new Date()));
      }
      await sender.commit();
    });
  }

  /**
   * Opens a producer in place of the last one, whose transaction is settled then, and reads on in the log: it
   * says whether that transaction was committed.
   *
   * @throws {RedriveFencedError} where another run has begun meanwhile.
   */
  async reopen(): Promise<void> {
    await this[Symbol.asyncDispose]();
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#ask(() => this.#open());
      } catch (error) {
        await this[Symbol.asyncDispose]();
        this.throwIfLost(error);
        if (attempt === OPEN_ATTEMPTS_MAX) throw error;
        await delay(OPEN_RETRY_MS);
      }
    }
  }

  /** Throws where to open another producer is of no use. */
  throwIfLost(error: unknown): void {
    if (isFenced(error)) {
      throw new RedriveFencedError(this.#options.scope.deadLetterTopic, error);
    }
    const isUnsettled = error instanceof CommitUnknownError || isBrokerAway(error) ||
      error instanceof DeliveryError &&
        (scopeOf(error) === "passing" || scopeOf(error) === "unclear");
    if (!isUnsettled) throw error;
  }

  /** Reads back what was written: the log names as many letters of this run as were counted. */
  async confirm(letterCount: number): Promise<void> {
    const deadline = performance.now() + MARKERS_TIMEOUT_MS;
    while (this.log.ownCount < letterCount && performance.now() < deadline) {
      await this.#readLog();
      await delay(MARKERS_POLL_MS);
    }
    if (this.log.ownCount === letterCount) return;
    throw new Error(
      `topic "${this.#logTopic}" names ${this.log.ownCount} letters of this redrive: ` +
        `expected the ${letterCount} that were committed`,
    );
  }

  /** Once its own claim can be read, all that was committed before can be read too. */
  async #open(): Promise<void> {
    const { connection, openSender, scope } = this.#options;
    const transactionalId = transactionalIdOf(scope.deadLetterTopic);
    const sender = await (openSender?.(transactionalId) ?? TransactionalProducer.open(connection, {
      transactionalId,
      transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    }));
    this.#sender = sender;
    const offset = await this.#sendEntry(sender, this.log.claimEntry(new Date()));
    await sender.commit();
    await this.#readLog(offset);
  }

  async #sendEntry(sender: TransactionalSender, entry: OutgoingRecord): Promise<number> {
    const { baseOffset } = await sender.send({
      topic: this.#logTopic,
      partition: REDRIVE_LOG_PARTITION,
      records: [entry],
    });
    return baseOffset;
  }

  /** @param through an offset to wait for: a broker answers a commit before its records can be read. */
  async #readLog(through = -1): Promise<void> {
    const { reader, log } = this.#options;
    const { start, end } = await this.#unreadLog(through);
    const range = { topic: this.#logTopic, partition: REDRIVE_LOG_PARTITION, start, end };
    for await (const records of readThroughRestarts(reader, range, log)) {
      for (const record of records) this.log.read(record);
    }
    this.#logPosition = end;
  }

  async #unreadLog(through: number): Promise<{ readonly start: number; readonly end: number }> {
    const { cluster } = this.#options;
    const deadline = performance.now() + MARKERS_TIMEOUT_MS;
    for (;;) {
      const [range] = await this.#ask(() =>
        cluster.offsets(this.#logTopic, [REDRIVE_LOG_PARTITION])
      );
      if (range === undefined) throw new RangeError(`expected offsets of "${this.#logTopic}"`);
      const start = Math.max(this.#logPosition, range.low);
      if (range.high > through) return { start, end: Math.max(start, range.high) };
      if (performance.now() > deadline) {
        throw new Error(
          `topic "${this.#logTopic}" cannot be read up to offset ${through}: ` +
            `another program seems to have a transaction open on it`,
        );
      }
      await delay(MARKERS_POLL_MS);
    }
  }

  /** A log that loses entries would have letters redriven twice. */
  async #requireLastingLog(): Promise<void> {
    const setting = (name: string) =>
      this.#ask(() => this.#options.cluster.topicConfig(this.#logTopic, name));
    const policy = await setting("cleanup.policy");
    if (policy === "compact") return;
    const isKept = await setting("retention.ms") === "-1" &&
      await setting("retention.bytes") === "-1";
    if (isKept) return;
    throw new RefusedError(
      `topic "${this.#logTopic}" has cleanup.policy ${policy} and would forget what was redriven: ` +
        `set it to compact`,
      { reason: "INVALID_CONFIG" },
    );
  }

  #requireSender(): TransactionalSender {
    if (this.#sender === undefined) throw new TypeError("expected an open producer");
    return this.#sender;
  }

  #ask<Result>(question: () => Promise<Result>): Promise<Result> {
    return warnWhenSlow(this.#options.log, question);
  }
}

/** Returns the id that all redrives of a dead-letter topic share: they share the log, too. */
export function transactionalIdOf(deadLetterTopic: string): string {
  return `orderflow.redrive.${deadLetterTopic}`;
}

/** What a producer is told that was fenced, or whose transaction is over; also by a code newer than the client. */
const FENCED: ReadonlySet<string> = new Set([
  "CONCURRENT_TRANSACTIONS",
  "INVALID_PRODUCER_EPOCH",
  "INVALID_PRODUCER_ID_MAPPING",
  "INVALID_TXN_STATE",
  "KAFKAJS_UNKNOWN_ERROR_CODE",
]);

function isFenced(error: unknown): boolean {
  return (error instanceof DeliveryError || error instanceof CommitUnknownError ||
    error instanceof RefusedError) && FENCED.has(error.reason);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
