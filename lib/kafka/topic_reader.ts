/**
 * Reads partitions from one offset to another, outside any consumer group: every committed record, once,
 * in order, with its checksum confirmed. Transaction markers and aborted records are left out, holes
 * that compaction or retention made are passed over.
 *
 * It shares connections with the client, and the decoder of record batches with our consumer: what is read
 * here can be held against what a tracker made of the same topic.
 */

import { delay } from "../async.ts";
import { type KafkaConnection, openClient, type RetryMode } from "./client.ts";
import { explain, isUnreachable, RefusedError } from "./errors.ts";
import { type ClientCluster, createCluster, otherBrokersAnswer } from "./kafkajs/client_cluster.ts";
import { committedBatches } from "./protocol/committed_records.ts";
import { type FetchAnswer, fetchRaw } from "./kafkajs/raw_fetch.ts";
import type { KafkaRecord } from "../record.ts";
import { CorruptBatchError, decodeBatches } from "./protocol/record_batch.ts";
import { decodeRecords } from "./protocol/records.ts";

/** The offsets of a partition from `start` up to, not including, `end`. */
export interface PartitionRange {
  readonly topic: string;
  readonly partition: number;
  readonly start: number;
  /** At most the partition's last stable offset. */
  readonly end: number;
}

const FETCH_BYTES_MAX = 512 * 1024;
/** An answer that does not come in time is asked for again in smaller pieces, down to these. */
const FETCH_BYTES_MIN = 64 * 1024;
const ATTEMPTS_MAX = 12;
const RETRY_WAIT_MS = 250;
/** Empty answers in a row, after which nothing is left: a log may lack the records before its end. */
const EMPTY_ANSWERS_MAX = 3;

const NO_ERROR_CODE = 0;
const OFFSET_OUT_OF_RANGE_CODE = 1;
/** Errors of a partition that moves from one broker to another, or is about to answer. */
const PASSING_ERROR_NAMES: Readonly<Record<number, string>> = {
  3: "UNKNOWN_TOPIC_OR_PARTITION",
  5: "LEADER_NOT_AVAILABLE",
  6: "NOT_LEADER_OR_FOLLOWER",
  9: "REPLICA_NOT_AVAILABLE",
  13: "NETWORK_EXCEPTION",
  56: "KAFKA_STORAGE_ERROR",
  74: "FENCED_LEADER_EPOCH",
  75: "UNKNOWN_LEADER_EPOCH",
  78: "OFFSET_NOT_AVAILABLE",
};
const OTHER_ERROR_NAMES: Readonly<Record<number, string>> = {
  2: "CORRUPT_MESSAGE",
  29: "TOPIC_AUTHORIZATION_FAILED",
  35: "UNSUPPORTED_VERSION",
};

export class TopicReader implements AsyncDisposable {
  readonly #brokers: readonly string[];
  readonly #cluster: ClientCluster;

  private constructor(brokers: readonly string[], cluster: ClientCluster) {
    this.#brokers = brokers;
    this.#cluster = cluster;
  }

  /** @throws {BrokerUnreachableError} where no broker answers, in `probe` mode. */
  static async connect(connection: KafkaConnection, retryMode: RetryMode): Promise<TopicReader> {
    const cluster = createCluster(openClient(connection, retryMode));
    try {
      await cluster.connect();
    } catch (error) {
      throw explain(error, { doing: "connecting", brokers: connection.brokers });
    }
    return new TopicReader(connection.brokers, cluster);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.disconnect().catch(() => {});
  }

  /**
   * Reads a range, some records at a time; the next fetch is under way while the caller looks at the last.
   * It begins later than asked where retention has moved on meanwhile.
   *
   * @throws {RefusedError} where the cluster refuses; {BrokerUnreachableError} where it answers no more;
   * {CorruptBatchError} where what came is not what was stored.
   */
  async *read(range: PartitionRange): AsyncGenerator<readonly KafkaRecord[]> {
    for await (const records of this.scan(range)) yield Array.from(records);
  }

  /**
   * As {@link read}, for whom needs each record only once: they are decoded as the caller goes through them, and
   * leave no thousands of objects behind that outlive the collector's short memory.
   */
  async *scan(range: PartitionRange): AsyncGenerator<Iterable<KafkaRecord>> {
    let position = range.start;
    if (position >= range.end) return;
    let next = this.#fetchPast(range, position);
    while (position < range.end) {
      const { answer, offset } = await next;
      const batches = Array.from(decodeBatches(answer.records));
      const nextPosition = answer.records.length === 0
        ? range.end
        : (batches.at(-1)?.lastOffset ?? -1) + 1;
      if (nextPosition <= position) {
        throw new CorruptBatchError(
          `${range.topic}[${range.partition}] has no whole batch at offset ${position}`,
        );
      }
      if (nextPosition < range.end) {
        next = this.#fetchPast(range, nextPosition);
        next.catch(() => {}); // awaited at the next turn, unless the caller goes away before
      }
      for (const batch of committedBatches(batches, answer.abortedTransactions)) {
        for await (const records of decodeRecords(batch, range)) {
          // The first batch may begin before what was asked for, the last one end after it.
          yield within(records, { start: offset, end: range.end });
        }
      }
      position = nextPosition;
    }
  }

  /**
   * An answer with at least one batch, and the offset that was asked for in the end; one without any where
   * the log holds nothing more before the range's end.
   */
  async #fetchPast(
    { topic, partition, end }: PartitionRange,
    start: number,
  ): Promise<{ readonly answer: FetchAnswer; readonly offset: number }> {
    const doing = `reading ${topic}[${partition}] at offset ${start}`;
    let offset = start;
    let bytesMax = FETCH_BYTES_MAX;
    let emptyAnswers = 0;
    let failure: unknown;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      try {
        const answer = await fetchRaw(this.#cluster, { topic, partition, offset, bytesMax });
        if (answer.errorCode === NO_ERROR_CODE) {
          if (answer.records.length > 0) return { answer, offset };
          // The log's last records before the end may be gone, by compaction or deletion.
          const isWhole = !answer.isThrottled && answer.lastStableOffset >= end;
          if (isWhole && ++emptyAnswers === EMPTY_ANSWERS_MAX) return { answer, offset };
          failure = new RefusedError(`${doing} failed: the broker has no records up to ${end}`, {
            reason: "NO_RECORDS",
          });
          continue;
        }
        if (answer.errorCode === OFFSET_OUT_OF_RANGE_CODE) {
          offset = await this.#offsetWithin({ topic, partition, end }, offset);
          if (offset >= end) return { answer, offset };
          continue;
        }
        failure = refused(doing, answer.errorCode);
        if (!(answer.errorCode in PASSING_ERROR_NAMES)) break;
      } catch (error) {
        failure = error;
        if (!isPassing(error)) break;
        bytesMax = Math.max(FETCH_BYTES_MIN, bytesMax / 2);
      }
      await delay(RETRY_WAIT_MS);
      await this.#cluster.refreshMetadata().catch(() => {}); // the next attempt tells
    }
    const othersAnswer = isUnreachable(failure) && await otherBrokersAnswer(this.#cluster);
    throw explain(failure, { doing, brokers: this.#brokers, othersAnswer });
  }

  /** Where the log begins now: retention may have passed the offset by. */
  async #offsetWithin(
    { topic, partition, end }: { topic: string; partition: number; end: number },
    offset: number,
  ): Promise<number> {
    const [answer] = await this.#cluster.fetchTopicsOffset([
      { topic, partitions: [{ partition }], fromBeginning: true },
    ]);
    const low = Number(answer?.partitions[0]?.offset ?? -1);
    if (low > offset) return Math.min(low, end);
    throw new RefusedError(
      `${topic}[${partition}] has no offset ${offset} any more: it was cut or created again meanwhile`,
      { reason: "OFFSET_OUT_OF_RANGE" },
    );
  }
}

function* within(
  records: Iterable<KafkaRecord>,
  { start, end }: { readonly start: number; readonly end: number },
): Generator<KafkaRecord> {
  for (const record of records) {
    if (record.offset >= start && record.offset < end) yield record;
  }
}

function isPassing(error: unknown): boolean {
  return isUnreachable(error) || error instanceof Error && "retriable" in error &&
      error.retriable === true;
}

function refused(doing: string, errorCode: number): RefusedError {
  const reason = PASSING_ERROR_NAMES[errorCode] ?? OTHER_ERROR_NAMES[errorCode] ??
    `error code ${errorCode}`;
  return new RefusedError(`${doing} failed: ${reason}`, { reason });
}
