/**
 * A Kafka record as the rest of the program sees it: plain data, free of any client's types.
 *
 * @module
 */

/** One header. Kafka allows a key to repeat and a value to be null, so headers are a list. */
export interface RecordHeader {
  /** A key may come more than once. */
  readonly key: string;
  /** Null is not empty. */
  readonly value: Uint8Array | null;
  /** What stood in the value, where it was too large to be kept; `value` is null then. */
  readonly omitted?: OmittedBytes;
}

/** Bytes that were too large to be kept. */
export interface OmittedBytes {
  /** How many there were. */
  readonly size: number;
  /** Their SHA-256, in hexadecimal. */
  readonly sha256: string;
}

/** A record as it was read from a partition. */
export interface KafkaRecord {
  /** The topic's name. */
  readonly topic: string;
  /** From 0 on. */
  readonly partition: number;
  /** Below 2^53: an offset beyond it is refused where records enter the program. */
  readonly offset: number;
  /**
   * Milliseconds since the epoch: the producer's or the broker's, as the topic is configured. Rounded where it is
   * beyond 2^53; then `exactTimestampMs` has it.
   */
  readonly timestampMs: number;
  /** The timestamp itself, present only where a number would round it. */
  readonly exactTimestampMs?: bigint | undefined;
  /** What decided about the partition; null where there is none. */
  readonly key: Uint8Array | null;
  /** `null` is a tombstone; an empty array is an empty value. */
  readonly value: Uint8Array | null;
  /** In the order in which they were written. */
  readonly headers: readonly RecordHeader[];
  /** What stood in the value, where it was larger than 64 MiB; `value` is null then, and this is no tombstone. */
  readonly omittedValue?: OmittedBytes;
  /** What stood in the key, where it was too large to be kept; `key` is null then. */
  readonly omittedKey?: OmittedBytes;
  /**
   * Leader epoch of the record batch (KIP-101): which leader of the partition appended it. After a log was truncated,
   * other records have the same offsets and a higher epoch. Absent where it is not known.
   */
  readonly leaderEpoch?: number | undefined;
}

/** A record to be sent. The partition is chosen by us, before the client sees it. */
export interface OutgoingRecord {
  /** From 0 on. */
  readonly partition: number;
  /** Null where there is none. */
  readonly key: Uint8Array | null;
  /** Null is a tombstone. */
  readonly value: Uint8Array | null;
  /** Written in this order. */
  readonly headers: readonly RecordHeader[];
  /** Milliseconds since the epoch; the time of sending where it is not given. */
  readonly timestampMs?: number;
  /** The timestamp itself, where a number would round it. */
  readonly exactTimestampMs?: bigint | undefined;
}
