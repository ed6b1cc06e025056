/**
 * One run's hold on the redriving of a dead-letter topic: the transactional producer, of which the cluster allows one
 * at a time, and the log of what was redriven.
 *
 * @module
 */

import { delay } from "../async.ts";
import type { KafkaConnection } from "../kafka/client.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import { RefusedError } from "../kafka/errors.ts";
import type { Acknowledgement, SendRequest } from "../kafka/producer.ts";
import type { OutgoingRecord } from "../record.ts";
import type { TopicReader } from "../kafka/topic_reader.ts";
import { TransactionalProducer } from "../kafka/transactional_producer.ts";
import type { OpenedLetter } from "../tracker/opened_letter.ts";
import {
  REDRIVE_LOG_CONFIG,
  REDRIVE_LOG_PARTITION,
  RedriveLog,
  redriveLogTopicOf,
  type RedriveScope,
} from "./redrive_log.ts";

/** The part of a transactional producer that a redrive uses. */
export interface TransactionalSender extends AsyncDisposable {
  send(request: SendRequest): Promise<Acknowledgement>;
  commit(): Promise<void>;
}

export interface RedriveSessionOptions {
  readonly connection: KafkaConnection;
  readonly cluster: Pick<ClusterClient, "ensureTopic" | "findTopic" | "offsets" | "topicConfig">;
  readonly reader: TopicReader;
  readonly scope: RedriveScope;
  /** Default {@link TransactionalProducer.open}. */
  readonly openSender?: ((transactionalId: string) => Promise<TransactionalSender>) | undefined;
}

/** The broker aborts a transaction of this age. Until then it holds back readers after a SIGKILL. */
export const TRANSACTION_TIMEOUT_MS = 30_000;
const MARKERS_TIMEOUT_MS = 60_000;
const MARKERS_POLL_MS = 20;

export class RedriveSession implements AsyncDisposable {
  /** What was redriven, by this run and by others, up to the last read. */
  readonly log: RedriveLog;
  readonly #options: RedriveSessionOptions;
  readonly #logTopic: string;
  #logPosition = 0;
  #sender: TransactionalSender | undefined;

  constructor(options: RedriveSessionOptions) {
    this.#options = options;
    this.log = new RedriveLog(options.scope);
    this.#logTopic = redriveLogTopicOf(options.scope.deadLetterTopic);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sender = this.#sender;
    this.#sender = undefined;
    await sender?.[Symbol.asyncDispose]();
  }

  /**
   * Creates the log's topic if it is missing.
   *
   * @throws {RefusedError} if the topic would lose entries: their letters would be redriven again.
   */
  async prepareLog(): Promise<void> {
    const { cluster } = this.#options;
    const topic = this.#logTopic;
    await cluster.ensureTopic(topic, { partitionCount: 1, config: REDRIVE_LOG_CONFIG });
    const policy = await cluster.topicConfig(topic, "cleanup.policy");
    if (policy === "compact") return;
    const isKept = await cluster.topicConfig(topic, "retention.ms") === "-1" &&
      await cluster.topicConfig(topic, "retention.bytes") === "-1";
    if (isKept) return;
    throw new RefusedError(
      `topic "${topic}" has cleanup.policy ${policy} and would forget what was redriven: ` +
        `set it to compact`,
      { reason: "INVALID_CONFIG" },
    );
  }

  /**
   * Opens a producer, which fences every earlier one and settles its open transaction, and reads the log.
   *
   * The claim makes the log complete. A broker answers a commit before its markers are written, and a leader that was
   * deposed does not know the latest entries. Both are behind us once our own, later entry can be read.
   */
  async open(): Promise<void> {
    await this[Symbol.asyncDispose]();
    const { connection, openSender, scope } = this.#options;
    const transactionalId = transactionalIdOf(scope.deadLetterTopic);
    const sender = await (openSender?.(transactionalId) ?? TransactionalProducer.open(connection, {
      transactionalId,
      transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    }));
    this.#sender = sender;
    const claimOffset = await this.#append(this.log.claimEntry(new Date()));
    await sender.commit();
    await this.#readLog(claimOffset);
  }

  /** Reads the log without opening a producer, for a dry run. */
  async look(): Promise<void> {
    const found = await this.#options.cluster.findTopic(this.#logTopic);
    if (found !== undefined) await this.#readLog();
  }

  /** Sends records as part of the current transaction. */
  async send(request: SendRequest): Promise<Acknowledgement> {
    return await this.#requireSender().send(request);
  }

  /** Commits the records that were sent, with the log's entry for their letters; ends the transaction if there are none. */
  async commit(letters: readonly OpenedLetter[]): Promise<void> {
    if (letters.length > 0) await this.#append(this.log.redrivenEntry(letters, new Date()));
    await this.#requireSender().commit();
  }

  /** Reads the log up to the last commit, and checks that it names as many letters of this run as were counted. */
  async confirm(letterCount: number): Promise<void> {
    const deadline = performance.now() + MARKERS_TIMEOUT_MS;
    while (this.log.ownLetterCount < letterCount && performance.now() < deadline) {
      await this.#readLog();
      await delay(MARKERS_POLL_MS);
    }
    if (this.log.ownLetterCount === letterCount) return;
    throw new Error(
      `topic "${this.#logTopic}" names ${this.log.ownLetterCount} letters of this redrive: ` +
        `expected the ${letterCount} that were committed`,
    );
  }

  /** @returns the entry's offset. */
  async #append(entry: OutgoingRecord): Promise<number> {
    const { baseOffset } = await this.#requireSender().send({
      topic: this.#logTopic,
      partition: REDRIVE_LOG_PARTITION,
      records: [entry],
    });
    return baseOffset;
  }

  /** @param through an offset to wait for. */
  async #readLog(through = -1): Promise<void> {
    const { start, end } = await this.#unreadLog(through);
    const range = { topic: this.#logTopic, partition: REDRIVE_LOG_PARTITION, start, end };
    for await (const records of this.#options.reader.read(range)) {
      for (const record of records) {
        this.log.read(record);
        this.#logPosition = record.offset + 1;
      }
    }
    this.#logPosition = end;
  }

  async #unreadLog(through: number): Promise<{ readonly start: number; readonly end: number }> {
    const deadline = performance.now() + MARKERS_TIMEOUT_MS;
    for (;;) {
      const [range] = await this.#options.cluster.offsets(this.#logTopic, [REDRIVE_LOG_PARTITION]);
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

  #requireSender(): TransactionalSender {
    if (this.#sender === undefined) throw new TypeError("expected an open producer");
    return this.#sender;
  }
}

/** Returns the transactional id that all redrives of a dead-letter topic share, as they share its log. */
export function transactionalIdOf(deadLetterTopic: string): string {
  return `orderflow.redrive.${deadLetterTopic}`;
}
