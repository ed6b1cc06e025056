/**
 * A transactional producer (KIP-98): for consumers that read committed records, its records in several partitions
 * become readable together or not at all.
 *
 *     open      InitProducerId: fences every earlier producer with this transactional id, and waits until its open
 *               transaction is aborted (or completed, if its commit was in progress)
 *     send ...  the first send begins a transaction
 *     commit    commits everything sent since the last commit
 *
 * Bugs of kafkajs 2.2.4 in transactions, and the guards against them:
 *
 * 1. If the answer to a commit is lost, kafkajs can neither commit nor abort any more, and the outcome of the commit is
 *    unknown. So after any error this producer is unusable: close it, open another one (which settles the transaction),
 *    and check what was stored.
 * 2. A rejected send rolls back sequence numbers, and later records may be acknowledged without being stored
 *    (`producer.ts`). So each send is for one partition, every answer is checked, and after a rejected send there is no
 *    commit. The exception is a batch refused because of its contents: the broker stored none of it, so the next batch
 *    correctly reuses its sequence numbers.
 * 3. A fenced producer and one whose transaction timed out get the same error code. Whether another producer has taken
 *    over must be found out in another way.
 */

import type { Producer, Transaction } from "kafkajs";
import { withinTime } from "../async.ts";
import { type KafkaConnection, openClient, RETRY_WAITS } from "./client.ts";
import { checkedBaseOffset } from "./base_offset.ts";
import { DeliveryError, explain, fateOf, reasonOf, scopeOf } from "./errors.ts";
import type { Acknowledgement, SendRequest } from "./producer.ts";
import { clientMessages } from "./producer.ts";

export interface TransactionalOptions {
  /** Used by one producer at a time: opening a second one fences the first. */
  readonly transactionalId: string;
  /** Time after which the broker aborts an open transaction. Kafka's `transaction.timeout.ms`. */
  readonly transactionTimeoutMs: number;
}

/** Thrown if the outcome of a commit is unknown: the transaction was either committed or aborted, as a whole. */
export class CommitUnknownError extends Error {
  override readonly name = "CommitUnknownError";
  readonly transactionalId: string;
  /** Kafka's name for the reason, if the broker gave one. */
  readonly reason: string;

  constructor(transactionalId: string, cause: unknown) {
    const reason = reasonOf(cause);
    super(`the outcome of the commit of "${transactionalId}" is unknown: ${reason}`, {
      cause,
    });
    this.transactionalId = transactionalId;
    this.reason = reason;
  }
}

const ACKS_ALL = -1;
const NO_COMPRESSION = 0;
/** The next transaction must wait until the last one's markers are written, which takes a few milliseconds. */
const FIRST_RETRY_MS = 20;
/** Aborting on close only unblocks readers sooner: the next producer, or the timeout, aborts as well. */
const ABORT_TIMEOUT_MS = 3_000;

export class TransactionalProducer implements AsyncDisposable {
  readonly #transactionalId: string;
  readonly #producer: Producer;
  readonly #lastBaseOffsets = new Map<string, number>();
  /** kafkajs sends no request for it before the first send. */
  #transaction: Transaction | undefined;
  #state: "idle" | "sending" | "in transaction" | "unusable" = "idle";

  private constructor(transactionalId: string, producer: Producer) {
    this.#transactionalId = transactionalId;
    this.#producer = producer;
  }

  /**
   * Fences every other producer with this transactional id and settles its transaction: when this returns, the others
   * cannot commit anything. Waits as long as no broker answers.
   *
   * @throws {RefusedError} if the cluster refuses; {BrokerUnreachableError} if a connection broke.
   */
  static async open(
    connection: KafkaConnection,
    { transactionalId, transactionTimeoutMs }: TransactionalOptions,
  ): Promise<TransactionalProducer> {
    const producer = openClient(connection, "persist").producer({
      transactionalId,
      transactionTimeout: transactionTimeoutMs,
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: () => ({ message }) => message.partition ?? 0,
      retry: {
        ...RETRY_WAITS,
        initialRetryTime: FIRST_RETRY_MS,
        retries: Number.MAX_SAFE_INTEGER,
      },
    });
    const self = new TransactionalProducer(transactionalId, producer);
    try {
      await producer.connect();
      self.#transaction = await producer.transaction();
      return self;
    } catch (error) {
      await producer.disconnect().catch(() => {});
      throw explain(error, {
        doing: `acquiring the transactional id "${transactionalId}"`,
        brokers: connection.brokers,
      });
    }
  }

  /**
   * Sends records to one partition within the transaction and waits for the broker's acknowledgement, indefinitely
   * while no broker answers. One send at a time.
   *
   * @throws {DeliveryError} if the send is rejected. If the broker refused the records because of their contents, the
   * transaction continues without them. Otherwise it cannot be committed, and the producer is unusable.
   */
  async send({ topic, partition, records }: SendRequest): Promise<Acknowledgement> {
    const messages = clientMessages(records, partition);
    this.#require("idle", "in transaction");
    this.#state = "sending";
    try {
      this.#transaction ??= await this.#producer.transaction();
      const report = await this.#transaction.send({
        topic,
        acks: ACKS_ALL,
        compression: NO_COMPRESSION,
        messages,
      });
      const baseOffset = checkedBaseOffset(report, {
        lastBaseOffsets: this.#lastBaseOffsets,
        topic,
        partition,
      });
      this.#state = "in transaction";
      return { partition, baseOffset, recordCount: records.length };
    } catch (error) {
      const isRefused = scopeOf(error) === "record" && fateOf(error) === "refused";
      this.#state = isRefused ? "in transaction" : "unusable";
      throw error instanceof DeliveryError ? error : new DeliveryError({
        topic,
        partition,
        fate: fateOf(error),
        reason: reasonOf(error),
        cause: error,
      });
    }
  }

  /**
   * Commits offsets for a group as a part of the transaction, which must have records.
   *
   * @throws {RefusedError} where the group's coordinator refuses: the producer is then unusable.
   */
  async sendOffsets(
    groupId: string,
    topic: string,
    offsets: ReadonlyMap<number, number>,
  ): Promise<void> {
    this.#require("in transaction");
    this.#state = "unusable";
    try {
      const partitions = [...offsets].map(([partition, offset]) => (
        { partition, offset: String(offset), metadata: "" }
      ));
      await this.#transaction?.sendOffsets({
        consumerGroupId: groupId,
        topics: [{ topic, partitions }],
      });
    } catch (error) {
      throw explain(error, { doing: `moving the offsets of group "${groupId}"`, brokers: [] });
    }
    this.#state = "in transaction";
  }

  /**
   * Commits everything sent since the last commit. Readers see it a few milliseconds later, when the broker has written
   * the markers.
   *
   * @throws {CommitUnknownError} if the outcome is unknown; the producer is then unusable.
   */
  async commit(): Promise<void> {
    this.#require("in transaction");
    this.#state = "unusable";
    try {
      await this.#transaction?.commit();
    } catch (error) {
      throw new CommitUnknownError(this.#transactionalId, error);
    }
    this.#transaction = undefined;
    this.#state = "idle";
  }

  /** Aborts an open transaction if the broker answers in time, and disconnects. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = "unusable";
    if (this.#transaction?.isActive()) {
      await withinTime(this.#transaction.abort().catch(() => {}), ABORT_TIMEOUT_MS);
    }
    await this.#producer.disconnect();
  }

  #require(...states: readonly string[]): void {
    if (states.includes(this.#state)) return;
    throw new TypeError(
      `the producer of "${this.#transactionalId}" is ${this.#state}: expected ${
        states.join(" or ")
      }`,
    );
  }
}
