/**
 * Dead letters: a record that cannot be processed goes to a topic of its own, unchanged, with headers
 * that say where it came from and why, in Kafka Connect's convention (KIP-298).
 *
 * @module
 */

import { DeliveryError, reasonOf } from "../kafka/errors.ts";
import type { ReliableProducer } from "../kafka/producer.ts";
import type { KafkaRecord, OutgoingRecord, RecordHeader } from "../kafka/record.ts";
import type { Logger } from "../log.ts";
import { tracedSend } from "../telemetry.ts";
import type { FailureReason, RecordFailure } from "./judge.ts";

export interface DeadLetter {
  readonly record: KafkaRecord;
  readonly failure: RecordFailure;
}

/** A record whose dead letter cannot be sent at the moment: its partition waits. */
export interface BlockedLetter {
  /** Of the record. */
  readonly topic: string;
  readonly partition: number;
  /** The first record that waits. */
  readonly offset: number;
  /** Why it cannot be sent. */
  readonly error: string;
}

export interface DeadLettersOptions {
  readonly producer: Pick<ReliableProducer, "send">;
  readonly topic: string;
  readonly partitionCount: number;
  readonly log: Logger;
  readonly retryWaitMs?: number;
}

/** `orders-dlq`'s settings: a dead letter keeps its record's old timestamp, and would else expire at once. */
export const DEAD_LETTER_TOPIC_CONFIG = { "retention.ms": "-1" } as const;

/** Names the header that says how large a value was that could not be carried. */
export const OMITTED_VALUE_HEADER = "orderflow.errors.omitted.value.bytes";
/** Names the header with the contract's failure reason. */
export const REASON_HEADER = "orderflow.errors.reason";

const RETRY_WAIT_MS = 1_000;
const BATCH_BYTES_MAX = 512 * 1024;
const RECORD_OVERHEAD_BYTES = 1_024;
const ENCODER = new TextEncoder();

export class DeadLetters {
  readonly #options: DeadLettersOptions;
  /** The last send to each partition of the topic: one is in flight at a time, so that order is kept. */
  readonly #lastSends = new Map<number, Promise<unknown>>();
  readonly #blocked = new Map<number, BlockedLetter>();

  constructor(options: DeadLettersOptions) {
    this.#options = options;
  }

  /** The letters that cannot be sent now, by the partition of their records. */
  get blocked(): ReadonlyMap<number, BlockedLetter> {
    return this.#blocked;
  }

  /**
   * Sends the letters and waits until the broker has them all, without end while `isWanted` says so.
   *
   * @returns false where they were abandoned: some may have been sent, and will be once more.
   */
  async send(letters: readonly DeadLetter[], isWanted: () => boolean): Promise<boolean> {
    let sentCount = 0;
    for (const batch of batchesOf(letters.map((letter) => this.#outgoing(letter)))) {
      const source = letters[sentCount]?.record;
      if (!await this.#sendInTurn(batch, { isWanted, source })) return false;
      sentCount += batch.length;
    }
    return true;
  }

  /** All letters of a call are of one source partition, and so for one partition here. */
  #outgoing({ record, failure }: DeadLetter): OutgoingRecord {
    return {
      partition: record.partition % this.#options.partitionCount,
      key: record.key,
      value: record.value,
      headers: [...record.headers, ...failureHeaders(record, failure)],
      timestampMs: record.timestampMs,
      exactTimestampMs: record.exactTimestampMs,
    };
  }

  #sendInTurn(batch: readonly OutgoingRecord[], turn: Turn): Promise<boolean> {
    const partition = batch[0]?.partition ?? 0;
    const previous = this.#lastSends.get(partition) ?? Promise.resolve();
    const send = previous.then(() => this.#sendUntilStored(batch, turn));
    this.#lastSends.set(partition, send);
    return send;
  }

  async #sendUntilStored(
    batch: readonly OutgoingRecord[],
    turn: Turn,
  ): Promise<boolean> {
    try {
      return await this.#tryUntilStored(batch, turn);
    } finally {
      if (turn.source !== undefined) this.#blocked.delete(turn.source.partition);
    }
  }

  async #tryUntilStored(
    batch: readonly OutgoingRecord[],
    { isWanted, source }: Turn,
  ): Promise<boolean> {
    const { producer, topic, log } = this.#options;
    let records = batch;
    let isFailing = false;
    while (isWanted()) {
      try {
        const partition = batch[0]?.partition ?? 0;
        await tracedSend({
          topic,
          partition,
          records,
          isPropagated: false,
          reasonOf,
          send: (records) => producer.send({ topic, partition, records }),
        });
        if (isFailing) log.info("Dead letters are taken again", { topic });
        return true;
      } catch (error) {
        const lighter = withoutLargeValues(records, error);
        if (lighter !== undefined) {
          records = lighter;
          continue;
        }
        if (!isFailing) {
          log.error("Dead letters cannot be sent; the partition waits, and it is tried again", {
            topic,
            error,
          });
        }
        isFailing = true;
        if (source !== undefined) this.#noteBlocked(source, error);
        await new Promise((resolve) =>
          setTimeout(resolve, this.#options.retryWaitMs ?? RETRY_WAIT_MS)
        );
      }
    }
    return false;
  }

  #noteBlocked({ topic, partition, offset }: KafkaRecord, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#blocked.set(partition, { topic, partition, offset, error: reason });
  }
}

/** What a batch of letters waits for its turn with. */
interface Turn {
  readonly isWanted: () => boolean;
  /** The first record that the batch has a letter of. */
  readonly source: KafkaRecord | undefined;
}

const TOO_LARGE: ReadonlySet<string> = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]);

/**
 * What to send instead of records that the broker finds too large: a record alone loses its value, which
 * the journal has. Undefined where the error is another, or nothing is left to take away.
 */
function withoutLargeValues(
  records: readonly OutgoingRecord[],
  error: unknown,
): readonly OutgoingRecord[] | undefined {
  if (!(error instanceof DeliveryError) || !TOO_LARGE.has(error.reason)) return undefined;
  const largest = Math.max(...records.map(({ value }) => value?.byteLength ?? 0));
  if (largest === 0) return undefined;
  return records.map((record) =>
    record.value?.byteLength === largest ? headersOnly(record) : record
  );
}

function headersOnly(record: OutgoingRecord): OutgoingRecord {
  const bytes = String(record.value?.byteLength ?? 0);
  return {
    ...record,
    value: null,
    headers: [...record.headers, header(OMITTED_VALUE_HEADER, bytes)],
  };
}

function* batchesOf(records: readonly OutgoingRecord[]): Generator<readonly OutgoingRecord[]> {
  let batch: OutgoingRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const recordBytes = (record.value?.byteLength ?? 0) + RECORD_OVERHEAD_BYTES;
    if (batch.length > 0 && bytes + recordBytes > BATCH_BYTES_MAX) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += recordBytes;
  }
  if (batch.length > 0) yield batch;
}

const STAGES: Readonly<Record<FailureReason, string>> = {
  DESERIALIZATION: "VALUE_CONVERTER",
  VALIDATION: "TASK_PUT",
  PROCESSING: "TASK_PUT",
  TIMEOUT: "TASK_PUT",
  UNKNOWN: "TASK_PUT",
};

const EXCEPTIONS: Readonly<Record<FailureReason, string>> = {
  DESERIALIZATION: "DeserializationError",
  VALIDATION: "ValidationError",
  PROCESSING: "ProcessingError",
  TIMEOUT: "TimeoutError",
  UNKNOWN: "Error",
};

function failureHeaders(record: KafkaRecord, { reason, message }: RecordFailure): RecordHeader[] {
  return [
    header("__connect.errors.topic", record.topic),
    header("__connect.errors.partition", String(record.partition)),
    header("__connect.errors.offset", String(record.offset)),
    header("__connect.errors.stage", STAGES[reason]),
    header("__connect.errors.exception.class.name", EXCEPTIONS[reason]),
    header("__connect.errors.exception.message", message),
    header(REASON_HEADER, reason),
  ];
}

function header(key: string, text: string): RecordHeader {
  return { key, value: ENCODER.encode(text) };
}
