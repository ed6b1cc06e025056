/**
 * A producer whose records of several partitions become readable together or not at all
 * (KIP-98), for consumers that read committed records only.
 *
 *     open      InitProducerId: every earlier producer with this transactional id is fenced, and what it had
 *               open is aborted (or, where its commit was under way, completed) before this returns
 *     send ...  the first begins a transaction
 *     commit    all that was sent since the last commit
 *
 * What kafkajs 2.2.4 does wrong in transactions, and the guard against it:
 *
 * 1. A commit whose answer does not come leaves it in a state from which nothing goes on, neither a
 *    commit nor an abort; and nobody knows whether it was committed. So after any error this producer is
 *    spent: close it, open another one (which settles the transaction), and look what is there.
 * 2. A rejected send takes sequence numbers back, and later records may then be "acknowledged" without
 *    having been stored (`producer.ts`). So a send is for one partition, every answer is checked twice, and after
 *    a rejected send there is no commit. The exception is a batch that the broker refused for what is in it: of
 *    that partition it stored nothing, and the next batch rightly has the same sequence numbers.
 * 3. A producer that was fenced, and one whose transaction took longer than its timeout, get the same
 *    error code. Who has taken over must be found out by other means.
 *
 * @module
 */

import type { Producer, Transaction } from "kafkajs";
import { withinTime } from "../async.ts";
import { type KafkaConnection, openClient, RETRY_WAITS } from "./client.ts";
import { checkedBaseOffset } from "./base_offset.ts";
import { DeliveryError, explain, fateOf, reasonOf, scopeOf } from "./errors.ts";
import type { Acknowledgement, SendRequest } from "./producer.ts";
import { clientMessages } from "./producer.ts";

export interface TransactionalOptions {
  /** One producer at a time has it: opening a second one fences the first. */
  readonly transactionalId: string;
  /** After this the broker aborts a transaction that was not ended. Kafka's `transaction.timeout.ms`. */
  readonly transactionTimeoutMs: number;
}

/** No answer to a commit that can be trusted: the transaction was committed or aborted, as a whole. */
export class CommitUnknownError extends Error {
  override readonly name = "CommitUnknownError";
  readonly transactionalId: string;
  /** Kafka's name for the reason, where the broker gave one. */
  readonly reason: string;

  constructor(transactionalId: string, cause: unknown) {
    const reason = reasonOf(cause);
    super(`the commit of "${transactionalId}" ended without an answer to trust: ${reason}`, {
      cause,
    });
    this.transactionalId = transactionalId;
    this.reason = reason;
  }
}

const ACKS_ALL = -1;
const NO_COMPRESSION = 0;
/** The next transaction has to wait until the last one's markers are written, which takes some milliseconds. */
const FIRST_RETRY_MS = 20;
/** An abort on the way out only frees readers sooner: the next producer, or the timeout, does it too. */
const ABORT_TIMEOUT_MS = 3_000;

export class TransactionalProducer implements AsyncDisposable {
  readonly #transactionalId: string;
  readonly #producer: Producer;
  readonly #lastBaseOffsets = new Map<string, number>();
  /** Begun by kafkajs, which asks the broker for nothing before the first send. */
  #transaction: Transaction | undefined;
  #state: "idle" | "sending" | "in transaction" | "spent" = "idle";

  private constructor(transactionalId: string, producer: Producer) {
    this.#transactionalId = transactionalId;
    this.#producer = producer;
  }

  /**
   * Fences every other producer with this transactional id and settles what it had under way: when this
   * returns, nothing of theirs can be committed any more. It waits as long as no broker answers.
   *
   * @throws {RefusedError} where the cluster refuses, {BrokerUnreachableError} where a connection broke.
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
        doing: `taking the transactional id "${transactionalId}"`,
        brokers: connection.brokers,
      });
    }
  }

  /**
   * Sends records to one partition, as a part of the transaction, and waits for the broker's
   * acknowledgement: as long as it takes, while brokers do not answer. One send at a time.
   *
   * @throws {DeliveryError} where the send is rejected. Where the broker refused the records for what is in them,
   * the transaction goes on without them; else it will not be committed, and the producer is spent.
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
      this.#state = isRefused ? "in transaction" : "spent";
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
   * @throws {RefusedError} where the group's coordinator refuses: the producer is spent.
   */
  async sendOffsets(
    groupId: string,
    topic: string,
    offsets: ReadonlyMap<number, number>,
  ): Promise<void> {
    this.#require("in transaction");
    this.#state = "spent";
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
   * Commits what was sent since the last commit. Readers see it some milliseconds later, when the broker has
   * written its markers.
   *
   * @throws {CommitUnknownError} where no answer came that can be trusted: the producer is spent.
   */
  async commit(): Promise<void> {
    this.#require("in transaction");
    this.#state = "spent";
    try {
      await this.#transaction?.commit();
    } catch (error) {
      throw new CommitUnknownError(this.#transactionalId, error);
    }
    this.#transaction = undefined;
    this.#state = "idle";
  }

  /** Aborts what was not committed, as far as the broker answers, and ends the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = "spent";
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
