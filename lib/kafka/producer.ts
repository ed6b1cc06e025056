/**
 * A producer that keeps its word: idempotent, acks=all, one partition a send, and nothing counted as
 * acknowledged that the broker did not acknowledge.
 *
 * What kafkajs does if nothing is done (kafkajs 2.2.4, seen on Kafka 4.3): a `send` that spans partitions
 * and is rejected for one of them takes back the sequence numbers of all, so that the next records for
 * the others are taken by the broker for repeats of those already stored: acknowledged, at the old
 * offset, and never stored. Hence the three guards here:
 *
 * 1. the partition is ours to choose, and a send is for one partition only;
 * 2. an acknowledgement counts only for the partition that was sent to, and only at a base offset
 *    greater than the last one;
 * 3. after a rejected send the kafkajs producer, whose sequence numbers can no longer be trusted, is
 *    discarded, and the records in hand are the caller's to account for.
 *
 * @module
 */

import type { Kafka, Message, Producer } from "kafkajs";
import { delay } from "../async.ts";
import { checkedBaseOffset } from "./base_offset.ts";
import { type KafkaConnection, openClient, RETRY_WAITS } from "./client.ts";
import { DeliveryError, fateOf, isLockedOut, reasonOf } from "./errors.ts";
import { LOCKOUT_RETRY_WAIT_MS, lockoutOf } from "./lockout.ts";
import { onFailedAttempt } from "./kafkajs/produce_request.ts";
import { type Compression, COMPRESSION_CODES } from "./protocol/compress.ts";
import type { OutgoingRecord } from "../record.ts";

/** What the broker said to a send. */
export interface Acknowledgement {
  /** The one that was sent to. */
  readonly partition: number;
  /** Offset of the first record; the others follow without a gap. */
  readonly baseOffset: number;
  /** How many records are stored. */
  readonly recordCount: number;
}

/** Records for one partition. */
export interface SendRequest {
  /** The topic's name. */
  readonly topic: string;
  /** From 0 on. */
  readonly partition: number;
  /** All for this partition; together below the topic's `max.message.bytes`. */
  readonly records: readonly OutgoingRecord[];
  /** Of the batch; `none` by default. */
  readonly compression?: Compression;
  /** Called with the error of each attempt that failed; most are made again until one succeeds. */
  readonly onFailedAttempt?: (error: unknown) => void;
}

/** One kafkajs producer, for as long as its sequence numbers can be trusted. */
interface Session {
  readonly producer: Producer;
  readonly connected: Promise<void>;
  /**
   * By topic and partition. What the brokers take for a repeat is of the same session; another one may find the
   * topic created again, with offsets from 0 on.
   */
  readonly lastBaseOffsets: Map<string, number>;
  sendsInFlight: number;
  isDiscarded: boolean;
  /** When it was connected; undefined until then. */
  enteredAtMs: number | undefined;
}

const ACKS_ALL = -1;

/** A producer that says of each record what became of it. */
export class ReliableProducer {
  readonly #client: Kafka;
  readonly #lockout: ReturnType<typeof lockoutOf>;
  #session: Session | undefined;
  #isClosed = false;

  /**
   * Nothing is connected yet.
   *
   * @param onThrottled called when a broker accepts no request for so many milliseconds, because a quota is used up.
   */
  constructor(connection: KafkaConnection, onThrottled?: (throttleMs: number) => void) {
    this.#client = openClient(
      connection,
      "persist",
      onThrottled === undefined ? {} : { throttled: onThrottled },
    );
    this.#lockout = lockoutOf(connection);
  }

  /** Connects ahead of the first send, which would else be slower than the others. */
  async connect(): Promise<void> {
    await this.#currentSession().connected;
  }

  /**
   * Sends records to one partition and waits for the broker's acknowledgement: as long as it takes, while
   * brokers do not answer, or do not let us in any more. The caller has one send in flight a partition, else
   * order is not kept.
   *
   * @throws {DeliveryError} where the send is rejected; its `fate` says whether the records can be stored.
   */
  async send(
    { topic, partition, records, compression = "none", onFailedAttempt: listener }: SendRequest,
  ): Promise<Acknowledgement> {
    const messages = clientMessages(records, partition);
    if (listener !== undefined) onFailedAttempt(messages, listener);
    let session: Session | undefined;
    try {
      session = await this.#enter();
      const report = await session.producer.send({
        topic,
        acks: ACKS_ALL,
        compression: COMPRESSION_CODES[compression],
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
      if (isLockedOut(error)) this.#lockout.noteRefused(error);
      throw error instanceof DeliveryError ? error : new DeliveryError({
        topic,
        partition,
        fate: fateOf(error),
        reason: reasonOf(error),
        cause: error,
      });
    } finally {
      if (session !== undefined) this.#leave(session);
    }
  }

  /** Makes later sends fetch the topic's metadata again. Sends in flight are not affected. */
  renew(): void {
    const session = this.#session;
    if (session === undefined || session.isDiscarded) return;
    session.isDiscarded = true;
    if (session.sendsInFlight === 0) session.producer.disconnect().catch(() => {});
  }

  /** Ends the connections. Sends that are under way get no answer: their fate is unknown. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#session?.producer.disconnect();
  }

  /** Waits for a session to be connected; as long as it takes, while the cluster does not let us in. */
  async #enter(): Promise<Session> {
    for (;;) {
      const session = this.#currentSession();
      session.sendsInFlight++;
      try {
        await session.connected;
        session.enteredAtMs ??= performance.now();
        this.#lockout.noteEntered(session.enteredAtMs);
        return session;
      } catch (error) {
        session.isDiscarded = true;
        this.#leave(session);
        if (!isLockedOut(error)) throw error;
        this.#lockout.noteRefused(error);
        await delay(LOCKOUT_RETRY_WAIT_MS);
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
        enteredAtMs: undefined,
      };
    }
    return this.#session;
  }

  /** A discarded session's other sends may still be acknowledged: it is disconnected after the last of them. */
  #leave(session: Session): void {
    session.sendsInFlight--;
    if (session.isDiscarded && session.sendsInFlight === 0) {
      session.producer.disconnect().catch(() => {});
    }
  }
}

/**
 * Several producers, each owning its partitions, so that sends to different partitions are under way side
 * by side (kafkajs lets an idempotent producer have one request in flight a broker) and a rejected send
 * costs only its own producer its sequence numbers.
 */
export interface ProducerPoolOptions {
  /** The topic's partition count at the start: as many producers are connected ahead. */
  readonly partitionCount: number;
  /** Producers at most. */
  readonly producerCount: number;
  /** As that of a {@link ReliableProducer}. */
  readonly onThrottled?: (throttleMs: number) => void;
}

export class ProducerPool {
  readonly #connection: KafkaConnection;
  readonly #options: ProducerPoolOptions;
  readonly #producers: ReliableProducer[] = [];

  /** Nothing is connected yet. */
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
 * Records pass through kafkajs as they are, to {@link installProduceEncoding}'s encoder; on the way it only
 * looks whether there is a value, and which partition it is for.
 */
export function clientMessages(records: readonly OutgoingRecord[], partition: number): Message[] {
  const astray = records.find((record) => record.partition !== partition);
  if (astray !== undefined) {
    throw new RangeError(`expected records for partition ${partition}, got ${astray.partition}`);
  }
  return OnePartition.from(records) as unknown as Message[];
}

/**
 * A list that kafkajs need not group: its own way is a `reduce` by partition that copies what it has so far
 * at each record, 70,000 times for a batch of 380. It is for kafkajs alone: nothing else can reduce it.
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
