/**
 * A reliable producer: idempotent, acks=all, and one partition per send. A record counts as acknowledged only if the
 * broker acknowledged it.
 *
 * Guards against a bug of kafkajs 2.2.4 (seen with Kafka 4.3). If a `send` spans partitions and one of them rejects it,
 * kafkajs rolls back the sequence numbers of all of them. The broker then takes the next records for the others for
 * duplicates: it acknowledges them at the old offset and never stores them. Hence:
 *
 * 1. We choose the partition, and a send is for one partition only.
 * 2. An acknowledgement counts only for that partition, and only if its base offset is greater than the last one.
 * 3. After a rejected send, the kafkajs producer is discarded, because its sequence numbers cannot be trusted. The
 *    caller decides about the records in flight.
 */

import type { Kafka, Message, Producer } from "kafkajs";
import { delay } from "../async.ts";
import { checkedBaseOffset } from "./base_offset.ts";
import { type KafkaConnection, openClient, RETRY_WAITS } from "./client.ts";
import { AUTHENTICATION_RETRY_WAIT_MS, authenticationFailureOf } from "./authentication_failure.ts";
import { DeliveryError, fateOf, isAuthenticationFailure, reasonOf } from "./errors.ts";
import { onFailedAttempt } from "./kafkajs/produce_request.ts";
import { CODEC_NAMES } from "./protocol/batch_layout.ts";
import type { Compression } from "./protocol/compress.ts";
import type { OutgoingRecord } from "../record.ts";

/** The broker's acknowledgement of a send. */
export interface Acknowledgement {
  /** The partition that was sent to. */
  readonly partition: number;
  /** Offset of the first record; the others follow without a gap. */
  readonly baseOffset: number;
  /** The number of records stored. */
  readonly recordCount: number;
}

/** Records for one partition. */
export interface SendRequest {
  /** The topic's name. */
  readonly topic: string;
  /** The partition's number, from 0. */
  readonly partition: number;
  /** Records for this partition only; together smaller than the topic's `max.message.bytes`. */
  readonly records: readonly OutgoingRecord[];
  /** Compression of the batch; default: `none`. */
  readonly compression?: Compression;
  /** Called with the error of each failed attempt; most are retried until one succeeds. */
  readonly onFailedAttempt?: (error: unknown) => void;
}

/** One kafkajs producer, used as long as its sequence numbers can be trusted. */
interface Session {
  readonly producer: Producer;
  readonly connected: Promise<void>;
  /**
   * By topic and partition. Kept per session: brokers only detect duplicates within one, and a later session may find
   * the topic recreated, with offsets from 0.
   */
  readonly lastBaseOffsets: Map<string, number>;
  sendsInFlight: number;
  isDiscarded: boolean;
  /** Undefined until the producer is connected. */
  connectedAtMs: number | undefined;
}

const ACKS_ALL = -1;

/** A producer that reports the fate of each record. */
export class ReliableProducer {
  readonly #client: Kafka;
  readonly #authenticationFailure: ReturnType<typeof authenticationFailureOf>;
  #session: Session | undefined;
  #isClosed = false;

  /**
   * Creates the producer without connecting.
   *
   * @param onThrottled called with the throttle time, in milliseconds, when a broker throttles this client (quota).
   */
  constructor(connection: KafkaConnection, onThrottled?: (throttleMs: number) => void) {
    this.#client = openClient(
      connection,
      "persist",
      onThrottled === undefined ? {} : { throttled: onThrottled },
    );
    this.#authenticationFailure = authenticationFailureOf(connection);
  }

  /** Connects ahead of the first send, to make that one faster. */
  async connect(): Promise<void> {
    await this.#currentSession().connected;
  }

  /**
   * Sends records to one partition and waits for the broker's acknowledgement. Waits indefinitely while no broker
   * answers or the cluster rejects our credentials. To keep the order, the caller must have at most one send in flight
   * per partition.
   *
   * @throws {DeliveryError} if the send is rejected; its `fate` says whether the records may be stored.
   */
  async send(
    { topic, partition, records, compression = "none", onFailedAttempt: listener }: SendRequest,
  ): Promise<Acknowledgement> {
    const messages = clientMessages(records, partition);
    if (listener !== undefined) onFailedAttempt(messages, listener);
    let session: Session | undefined;
    try {
      session = await this.#acquireSession();
      const report = await session.producer.send({
        topic,
        acks: ACKS_ALL,
        compression: CODEC_NAMES.indexOf(compression),
        messages,
      });
      const baseOffset = checkedBaseOffset(report, {
        lastBaseOffsets: session.lastBaseOffsets,
        topic,
        partition,
      });
      return { partition, baseOffset, recordCount: records.length };
    } catch (error) {
      if (session !== undefined) session.isDiscarded = true;
      if (isAuthenticationFailure(error)) this.#authenticationFailure.noteRefused(error);
      throw error instanceof DeliveryError ? error : new DeliveryError({
        topic,
        partition,
        fate: fateOf(error),
        reason: reasonOf(error),
        cause: error,
      });
    } finally {
      if (session !== undefined) this.#releaseSession(session);
    }
  }

  /** Makes later sends fetch the topic's metadata again. Does not affect sends in flight. */
  renew(): void {
    const session = this.#session;
    if (session === undefined || session.isDiscarded) return;
    session.isDiscarded = true;
    if (session.sendsInFlight === 0) session.producer.disconnect().catch(() => {});
  }

  /** Disconnects. Sends in flight get no answer; their fate is unknown. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#session?.producer.disconnect();
  }

  /** Waits for a connected session, indefinitely while the cluster rejects our credentials. */
  async #acquireSession(): Promise<Session> {
    for (;;) {
      const session = this.#currentSession();
      session.sendsInFlight++;
      try {
        await session.connected;
        session.connectedAtMs ??= performance.now();
        this.#authenticationFailure.noteAccepted(session.connectedAtMs);
        return session;
      } catch (error) {
        session.isDiscarded = true;
        this.#releaseSession(session);
        if (!isAuthenticationFailure(error)) throw error;
        this.#authenticationFailure.noteRefused(error);
        await delay(AUTHENTICATION_RETRY_WAIT_MS);
      }
    }
  }

  #currentSession(): Session {
    if (this.#isClosed) throw new TypeError("the producer is closed");
    if (this.#session === undefined || this.#session.isDiscarded) {
      const producer = this.#client.producer({
        idempotent: true,
        maxInFlightRequests: 1,
        allowAutoTopicCreation: false,
        createPartitioner: () => ({ message }) => message.partition ?? 0,
        retry: { ...RETRY_WAITS, retries: Number.MAX_SAFE_INTEGER },
      });
      this.#session = {
        producer,
        connected: producer.connect(),
        lastBaseOffsets: new Map(),
        sendsInFlight: 0,
        isDiscarded: false,
        connectedAtMs: undefined,
      };
    }
    return this.#session;
  }

  /** Disconnects a discarded session after its last send in flight, which may still be acknowledged. */
  #releaseSession(session: Session): void {
    session.sendsInFlight--;
    if (session.isDiscarded && session.sendsInFlight === 0) {
      session.producer.disconnect().catch(() => {});
    }
  }
}

export interface ProducerPoolOptions {
  /**
   * The topic's partition count at the start; {@link ProducerPool.connect} connects the producers of these partitions.
   */
  readonly partitionCount: number;
  /** Maximum number of producers. */
  readonly producerCount: number;
  /** As for {@link ReliableProducer}. */
  readonly onThrottled?: (throttleMs: number) => void;
}

/**
 * Several producers, each responsible for its own partitions. Sends to different partitions run in parallel (kafkajs
 * allows an idempotent producer one request in flight per broker), and a rejected send affects the sequence numbers of
 * its own producer only.
 */
export class ProducerPool {
  readonly #connection: KafkaConnection;
  readonly #options: ProducerPoolOptions;
  readonly #producers: ReliableProducer[] = [];

  constructor(connection: KafkaConnection, options: ProducerPoolOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  /** As {@link ReliableProducer.connect}. */
  async connect(): Promise<void> {
    const partitions = Array.from({ length: this.#options.partitionCount }, (_, index) => index);
    const producers = new Set(partitions.map((partition) => this.#producerOf(partition)));
    await Promise.all([...producers].map((producer) => producer.connect()));
  }

  /** As {@link ReliableProducer.send}. */
  async send(request: SendRequest): Promise<Acknowledgement> {
    return await this.#producerOf(request.partition).send(request);
  }

  #producerOf(partition: number): ReliableProducer {
    const { producerCount, onThrottled } = this.#options;
    return this.#producers[partition % producerCount] ??= new ReliableProducer(
      this.#connection,
      onThrottled,
    );
  }

  /** As {@link ReliableProducer.renew}. */
  renew(): void {
    for (const producer of this.#producers) producer.renew();
  }

  async close(): Promise<void> {
    await Promise.all(this.#producers.map((producer) => producer.close()));
  }
}

/**
 * Returns the records as messages for kafkajs, which passes them unchanged to the encoder of `encodeProduceRequests`.
 * kafkajs itself only reads their partition and whether they have a value.
 */
export function clientMessages(records: readonly OutgoingRecord[], partition: number): Message[] {
  const other = records.find((record) => record.partition !== partition);
  if (other !== undefined) {
    throw new RangeError(`expected records for partition ${partition}, got ${other.partition}`);
  }
  return OnePartition.from(records) as unknown as Message[];
}

/**
 * An array that kafkajs groups by partition at no cost. Its `reduce` would copy the intermediate result at each record:
 * 70,000 copies for a batch of 380. Only kafkajs may call `reduce`.
 */
class OnePartition extends Array<OutgoingRecord> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  override reduce(): never {
    const [first] = this;
    return (first === undefined ? {} : { [first.partition]: this }) as never;
  }
}
