/**
 * One run's hold on the redriving of a dead-letter topic: a {@link ResendSession} whose log names letters.
 *
 * @module
 */

import type { KafkaConnection } from "../kafka/client.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import type { Acknowledgement, SendRequest } from "../kafka/producer.ts";
import type { TopicReader } from "../kafka/topic_reader.ts";
import { TransactionalProducer } from "../kafka/transactional_producer.ts";
import type { OpenedLetter } from "../tracker/opened_letter.ts";
import { RedriveLog, redriveLogTopicOf, type RedriveScope } from "./redrive_log.ts";
import {
  ResendSession,
  TRANSACTION_TIMEOUT_MS,
  type TransactionalSender,
} from "./resend_session.ts";

export type { TransactionalSender } from "./resend_session.ts";

export interface RedriveSessionOptions {
  readonly connection: KafkaConnection;
  readonly cluster: Pick<ClusterClient, "ensureTopic" | "findTopic" | "offsets" | "topicConfig">;
  readonly reader: TopicReader;
  readonly scope: RedriveScope;
  /** Default {@link TransactionalProducer.open}. */
  readonly openSender?: ((transactionalId: string) => Promise<TransactionalSender>) | undefined;
}

export class RedriveSession implements AsyncDisposable {
  readonly #session: ResendSession<RedriveLog, TransactionalSender>;
  readonly #logTopic: string;

  constructor({ connection, cluster, reader, scope, openSender }: RedriveSessionOptions) {
    this.#logTopic = redriveLogTopicOf(scope.deadLetterTopic);
    const transactionalId = transactionalIdOf(scope.deadLetterTopic);
    this.#session = new ResendSession({
      cluster,
      reader,
      logTopic: this.#logTopic,
      log: new RedriveLog(scope),
      done: "redriven",
      openSender: async () =>
        await (openSender?.(transactionalId) ?? TransactionalProducer.open(connection, {
          transactionalId,
          transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
        })),
    });
  }

  /** Everything redriven by this run and by others, up to the last read. */
  get log(): RedriveLog {
    return this.#session.log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }

  /** As {@link ResendSession.prepareLog}. */
  async prepareLog(): Promise<void> {
    await this.#session.prepareLog();
  }

  /** As {@link ResendSession.open}. */
  async open(): Promise<void> {
    await this.#session.open();
  }

  /** As {@link ResendSession.look}. */
  async look(): Promise<void> {
    await this.#session.look();
  }

  /** Sends records as part of the current transaction. */
  async send(request: SendRequest): Promise<Acknowledgement> {
    return await this.#session.sender.send(request);
  }

  /** Commits the records that were sent, with the log's entry for their letters; ends the transaction if there are none. */
  async commit(letters: readonly OpenedLetter[]): Promise<void> {
    if (letters.length > 0) {
      await this.#session.append(this.log.redrivenEntry(letters, new Date()));
    }
    await this.#session.sender.commit();
  }

  /** Reads the log up to the last commit, and checks that it names as many letters of this run as were counted. */
  async confirm(letterCount: number): Promise<void> {
    const { log } = this;
    await this.#session.confirm(() => log.ownLetterCount >= letterCount);
    if (log.ownLetterCount === letterCount) return;
    throw new Error(
      `topic "${this.#logTopic}" names ${log.ownLetterCount} letters of this redrive: ` +
        `expected the ${letterCount} that were committed`,
    );
  }
}

/** Returns the transactional id that all redrives of a dead-letter topic share, as they share its log. */
export function transactionalIdOf(deadLetterTopic: string): string {
  return `orderflow.redrive.${deadLetterTopic}`;
}
