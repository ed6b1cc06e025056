/**
 * Kafka records as plain data, independent of any client library.
 */

/** A header. Kafka allows repeated keys and null values, so headers are an array. */
export interface RecordHeader {
  /** May occur more than once in a record. */
  readonly key: string;
  /** Null is different from empty. */
  readonly value: Uint8Array | null;
  /** Describes a value that was too large to be kept; `value` is null then. */
  readonly omitted?: OmittedBytes;
}

/** Describes bytes that were too large to be kept. */
export interface OmittedBytes {
  /** Number of bytes. */
  readonly size: number;
  /** SHA-256 in hexadecimal. */
  readonly sha256: string;
}

/** The timestamp of a record without one, in Kafka's protocol. */
export const NO_TIMESTAMP = -1;

/** A record as it was read from a partition. */
export interface KafkaRecord {
  /** The topic's name. */
  readonly topic: string;
  /** The partition's number, from 0. */
  readonly partition: number;
  /** Below 2^53; larger offsets are refused when they are read. */
  readonly offset: number;
  /**
   * Milliseconds since the epoch, set by the producer or the broker, depending on the topic. Rounded beyond 2^53, see
   * `exactTimestampMs`.
   */
  readonly timestampMs: number;
  /** The exact timestamp, present only if `timestampMs` is rounded. */
  readonly exactTimestampMs?: bigint | undefined;
  /** The record's key, which usually determines the partition; null if it has none. */
  readonly key: Uint8Array | null;
  /** Null is a tombstone; an empty array is an empty value. */
  readonly value: Uint8Array | null;
  /** In their original order. */
  readonly headers: readonly RecordHeader[];
  /** Describes a value larger than 64 MiB; `value` is null then, and the record is not a tombstone. */
  readonly omittedValue?: OmittedBytes;
  /** Describes a key that was too large to be kept; `key` is null then. */
  readonly omittedKey?: OmittedBytes;
  /**
   * Leader epoch of the record batch (KIP-101): identifies the leader that appended it. After a log truncation, other
   * records have the same offsets and a higher epoch. Absent if not known.
   */
  readonly leaderEpoch?: number | undefined;
}

/** A record to send, with its partition already chosen. */
export interface OutgoingRecord {
  /** The partition's number, from 0. */
  readonly partition: number;
  /** Null for no key. */
  readonly key: Uint8Array | null;
  /** Null is a tombstone. */
  readonly value: Uint8Array | null;
  /** Written in this order. */
  readonly headers: readonly RecordHeader[];
  /** Milliseconds since the epoch. Default: the time of sending. */
  readonly timestampMs?: number;
  /** The exact timestamp, if a number would round it. */
  readonly exactTimestampMs?: bigint | undefined;
}
