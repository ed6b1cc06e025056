/**
 * One run's hold on a resend: the transactional producer, of which the cluster allows one at a time, and the log of
 * what was sent, a topic with one partition whose entries are committed together with the records that they name.
 */

import { delay } from "../async.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import { RefusedError } from "../kafka/errors.ts";
import type { Acknowledgement, SendRequest } from "../kafka/producer.ts";
import type { TopicReader } from "../kafka/topic_reader.ts";
import type { KafkaRecord, OutgoingRecord } from "../record.ts";

/** The part of a transactional producer that a redrive uses. */
export interface TransactionalSender extends AsyncDisposable {
  send(request: SendRequest): Promise<Acknowledgement>;
  commit(): Promise<void>;
}

/** The log's entries up to the last read. */
export interface ResendLog {
  /** Adds an entry; each is given once. */
  read(entry: KafkaRecord): void;
  /** Returns the entry that a run begins with. */
  claimEntry(now: Date): OutgoingRecord;
}

export interface ResendSessionOptions<Log, Sender> {
  readonly cluster: Pick<ClusterClient, "ensureTopic" | "findTopic" | "offsets" | "topicConfig">;
  readonly reader: TopicReader;
  readonly logTopic: string;
  readonly log: Log;
  /** Verb for messages, such as `redriven`. */
  readonly done: string;
  readonly openSender: () => Promise<Sender>;
}

/** Compaction keeps the last entry of each key. Keys of records do not repeat, so no entry is lost. */
const LOG_CONFIG = { "cleanup.policy": "compact" } as const;
/** All entries are in one partition, which orders them. */
export const LOG_PARTITION = 0;
/** The broker aborts a transaction of this age. Until then it holds back readers after a SIGKILL. */
export const TRANSACTION_TIMEOUT_MS = 30_000;
/** Bounds a transaction: it holds back readers of the topic, and is sent again as a whole if it fails. */
export const TRANSACTION_BYTES_MAX = 4 * 1024 * 1024;
/** Half of what a broker accepts by default (`max.message.bytes`). */
export const SEND_BYTES_MAX = 512 * 1024;
const MARKERS_TIMEOUT_MS = 60_000;
const MARKERS_POLL_MS = 20;

export class ResendSession<Log extends ResendLog, Sender extends TransactionalSender>
  implements AsyncDisposable {
  /** Everything sent by this run and by others, up to the last read. */
  readonly log: Log;
  readonly #options: ResendSessionOptions<Log, Sender>;
  #position = 0;
  #sender: Sender | undefined;

  constructor(options: ResendSessionOptions<Log, Sender>) {
    this.#options = options;
    this.log = options.log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sender = this.#sender;
    this.#sender = undefined;
    await sender?.[Symbol.asyncDispose]();
  }

  /** Its transaction is the run's. */
  get sender(): Sender {
    if (this.#sender === undefined) throw new TypeError("expected an open producer");
    return this.#sender;
  }

  /**
   * Creates the log's topic if it is missing.
   *
   * @throws {RefusedError} if the topic would lose entries: their records would be sent again.
   */
  async prepareLog(): Promise<void> {
    const { cluster, logTopic: topic, done } = this.#options;
    await cluster.ensureTopic(topic, { partitionCount: 1, config: LOG_CONFIG });
    const policy = await cluster.topicConfig(topic, "cleanup.policy");
    if (policy === "compact") return;
    const isKept = await cluster.topicConfig(topic, "retention.ms") === "-1" &&
      await cluster.topicConfig(topic, "retention.bytes") === "-1";
    if (isKept) return;
    throw new RefusedError(
      `topic "${topic}" has cleanup.policy ${policy} and would forget what was ${done}: ` +
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
    this.#sender = await this.#options.openSender();
    const claimOffset = await this.append(this.log.claimEntry(new Date()));
    await this.sender.commit();
    await this.#readLog(claimOffset);
  }

  /** Reads the log without opening a producer, for a dry run. */
  async look(): Promise<void> {
    const found = await this.#options.cluster.findTopic(this.#options.logTopic);
    if (found !== undefined) await this.#readLog();
  }

  /** Adds an entry to the current transaction, and returns its offset. */
  async append(entry: OutgoingRecord): Promise<number> {
    const { baseOffset } = await this.sender.send({
      topic: this.#options.logTopic,
      partition: LOG_PARTITION,
      records: [entry],
    });
    return baseOffset;
  }

  /** Reads the log until it is complete, for as long as the last commit's markers may take. */
  async confirm(isComplete: () => boolean): Promise<boolean> {
    const deadline = performance.now() + MARKERS_TIMEOUT_MS;
    while (!isComplete() && performance.now() < deadline) {
      await this.#readLog();
      await delay(MARKERS_POLL_MS);
    }
    return isComplete();
  }

  /** @param through an offset to wait for. */
  async #readLog(through = -1): Promise<void> {
    const { start, end } = await this.#unreadLog(through);
    const range = { topic: this.#options.logTopic, partition: LOG_PARTITION, start, end };
    for await (const records of this.#options.reader.read(range)) {
      for (const record of records) {
        this.log.read(record);
        this.#position = record.offset + 1;
      }
    }
    this.#position = end;
  }

  async #unreadLog(through: number): Promise<{ readonly start: number; readonly end: number }> {
    const { cluster, logTopic } = this.#options;
    const deadline = performance.now() + MARKERS_TIMEOUT_MS;
    for (;;) {
      const [range] = await cluster.offsets(logTopic, [LOG_PARTITION]);
      if (range === undefined) throw new RangeError(`expected offsets of "${logTopic}"`);
      const start = Math.max(this.#position, range.low);
      if (range.high > through) return { start, end: Math.max(start, range.high) };
      if (performance.now() > deadline) {
        throw new Error(
          `topic "${logTopic}" cannot be read up to offset ${through}: ` +
            `another program seems to have a transaction open on it`,
        );
      }
      await delay(MARKERS_POLL_MS);
    }
  }
}
