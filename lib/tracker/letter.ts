/**
 * Encodes dead letters: the original record, and after its own headers a block of headers with the source and the
 * reason, following Kafka Connect's convention (KIP-298). The block begins with {@link SOURCE_TOPIC_HEADER} and has
 * each name once; values are UTF-8 text unless stated otherwise.
 *
 *     __connect.errors.topic .partition .offset .stage .exception.class.name .exception.message
 *     orderflow.errors.reason                  a FailureReason, such as VALIDATION
 *     orderflow.source.topic.id                32 hexadecimal digits; absent if not known
 *     orderflow.source.leader.epoch            absent if not known
 *     orderflow.source.timestamp               milliseconds; the letter's own may be the broker's
 *     orderflow.consumer.group                 the group that read the record
 *     orderflow.errors.adapted                 the adaptations, such as "timestamp, value"
 *     orderflow.errors.omitted.value.bytes     size of the omitted value
 *     orderflow.errors.omitted.headers.bytes   size of the record's omitted headers, or of one omitted header value
 *     orderflow.errors.omitted.key.bytes       size of the omitted key
 *     orderflow.errors.original.key            bytes, or null: the letter has a key of its own
 *     orderflow.errors.original.value          null: the record has none, the letter an empty one
 */

import {
  type KafkaRecord,
  NO_TIMESTAMP,
  type OutgoingRecord,
  type RecordHeader,
} from "../record.ts";
import { headerBytesMax } from "../kafka/protocol/record_size.ts";
import { failureKindOf, type RecordFailure } from "./failures.ts";

export const SOURCE_TOPIC_HEADER = "__connect.errors.topic";
export const SOURCE_PARTITION_HEADER = "__connect.errors.partition";
export const SOURCE_OFFSET_HEADER = "__connect.errors.offset";
const STAGE_HEADER = "__connect.errors.stage";
const EXCEPTION_CLASS_HEADER = "__connect.errors.exception.class.name";
const EXCEPTION_MESSAGE_HEADER = "__connect.errors.exception.message";
export const REASON_HEADER = "orderflow.errors.reason";
export const SOURCE_TOPIC_ID_HEADER = "orderflow.source.topic.id";
export const SOURCE_LEADER_EPOCH_HEADER = "orderflow.source.leader.epoch";
export const SOURCE_TIMESTAMP_HEADER = "orderflow.source.timestamp";
const GROUP_HEADER = "orderflow.consumer.group";
export const ADAPTED_HEADER = "orderflow.errors.adapted";
export const OMITTED_VALUE_HEADER = "orderflow.errors.omitted.value.bytes";
export const OMITTED_HEADERS_HEADER = "orderflow.errors.omitted.headers.bytes";
export const OMITTED_KEY_HEADER = "orderflow.errors.omitted.key.bytes";
export const ORIGINAL_KEY_HEADER = "orderflow.errors.original.key";
export const ORIGINAL_VALUE_HEADER = "orderflow.errors.original.value";

/** The header names of the block, in all versions of the tracker. */
export const LETTER_HEADERS: ReadonlySet<string> = new Set([
  SOURCE_TOPIC_HEADER,
  SOURCE_PARTITION_HEADER,
  SOURCE_OFFSET_HEADER,
  STAGE_HEADER,
  EXCEPTION_CLASS_HEADER,
  EXCEPTION_MESSAGE_HEADER,
  REASON_HEADER,
  SOURCE_TOPIC_ID_HEADER,
  SOURCE_LEADER_EPOCH_HEADER,
  SOURCE_TIMESTAMP_HEADER,
  GROUP_HEADER,
  ADAPTED_HEADER,
  OMITTED_VALUE_HEADER,
  OMITTED_HEADERS_HEADER,
  OMITTED_KEY_HEADER,
  ORIGINAL_KEY_HEADER,
  ORIGINAL_VALUE_HEADER,
]);

/** A record that could not be processed, and why. */
export interface DeadLetter {
  readonly record: KafkaRecord;
  readonly failure: RecordFailure;
  /** Distinguishes the record's topic from others with the same name. */
  readonly topicId?: string;
}

/** A change to a letter that the dead-letter topic does not accept unchanged. */
export type Adaptation =
  /** The current time instead of the record's timestamp. */
  | "timestamp"
  /** No timestamp: accepted with any bounds and any clock. */
  | "no-timestamp"
  /** A unique key; the record's key is in a header. */
  | "unique-key"
  | "value"
  | "headers"
  | "key"
  | "message";

export interface LetterEncoding {
  readonly partition: number;
  readonly groupId: string | undefined;
  readonly adaptations: ReadonlySet<Adaptation>;
}

const NOTHING = new Uint8Array();
/** A handler's error can have any length. */
const MESSAGE_LENGTH_MAX = 4_000;
const ENCODER = new TextEncoder();

/**
 * Returns the record to send for a letter.
 *
 * With a unique key, which a compacted topic requires, no letter replaces another. A null value becomes empty, so that
 * the letter is not a tombstone.
 */
export function encodeLetter(
  letter: DeadLetter,
  { partition, groupId, adaptations }: LetterEncoding,
): OutgoingRecord {
  const { record } = letter;
  const hasUniqueKey = adaptations.has("unique-key");
  const value = adaptations.has("value") ? null : record.value;
  const key = adaptations.has("key") ? null : record.key;
  const timestampMs = timestampOf(record, adaptations);
  return {
    partition,
    key: hasUniqueKey ? ENCODER.encode(identityOf(letter, groupId)) : key,
    value: hasUniqueKey ? value ?? NOTHING : value,
    headers: [
      ...(adaptations.has("headers") ? [] : record.headers),
      ...failureHeaders(letter, groupId, adaptations),
      ...adaptationHeaders(record, adaptations),
    ],
    ...(timestampMs !== undefined && { timestampMs }),
    ...(timestampMs === record.timestampMs && { exactTimestampMs: record.exactTimestampMs }),
  };
}

/** Returns an upper bound for the size of a record's headers in a batch. */
export function headersBytesMax(headers: readonly RecordHeader[]): number {
  return headers.reduce((sum, header) => sum + headerBytesMax(header), 0);
}

/** Returns a key that is the same for all letters of the same record and group. */
function identityOf({ record, topicId }: DeadLetter, groupId: string | undefined): string {
  const { topic, partition, offset, leaderEpoch } = record;
  return [topic, topicId ?? "", partition, offset, leaderEpoch ?? "", groupId ?? ""].join("/");
}

/** Returns the timestamp to send; undefined for the current time. */
function timestampOf(
  { timestampMs }: KafkaRecord,
  adaptations: ReadonlySet<Adaptation>,
): number | undefined {
  if (adaptations.has("no-timestamp")) return NO_TIMESTAMP;
  return adaptations.has("timestamp") ? undefined : timestampMs;
}

function failureHeaders(
  { record, failure: { reason, message }, topicId }: DeadLetter,
  groupId: string | undefined,
  adaptations: ReadonlySet<Adaptation>,
): readonly RecordHeader[] {
  const { topic, partition, offset, leaderEpoch, timestampMs, exactTimestampMs } = record;
  const { stage, exception } = failureKindOf(reason);
  return [
    header(SOURCE_TOPIC_HEADER, topic),
    header(SOURCE_PARTITION_HEADER, String(partition)),
    header(SOURCE_OFFSET_HEADER, String(offset)),
    header(STAGE_HEADER, stage),
    header(EXCEPTION_CLASS_HEADER, exception),
    ...(adaptations.has("message")
      ? []
      : [header(EXCEPTION_MESSAGE_HEADER, message.slice(0, MESSAGE_LENGTH_MAX))]),
    header(REASON_HEADER, reason),
    ...(topicId === undefined ? [] : [header(SOURCE_TOPIC_ID_HEADER, topicId)]),
    ...(leaderEpoch === undefined ? [] : [header(SOURCE_LEADER_EPOCH_HEADER, String(leaderEpoch))]),
    header(SOURCE_TIMESTAMP_HEADER, String(exactTimestampMs ?? timestampMs)),
    ...(groupId === undefined ? [] : [header(GROUP_HEADER, groupId)]),
  ];
}

function adaptationHeaders(
  { key, value, headers, omittedValue, omittedKey }: KafkaRecord,
  adaptations: ReadonlySet<Adaptation>,
): readonly RecordHeader[] {
  const notes = adaptations.size === 0 ? [] : [header(ADAPTED_HEADER, [...adaptations].join(", "))];
  // Too large to be kept: the tracker never had these bytes itself.
  const omittedHeaderBytes = headers.reduce((sum, { omitted }) => sum + (omitted?.size ?? 0), 0);
  if (omittedHeaderBytes > 0 && !adaptations.has("headers")) {
    notes.push(header(OMITTED_HEADERS_HEADER, String(omittedHeaderBytes)));
  }
  if (omittedValue) notes.push(header(OMITTED_VALUE_HEADER, String(omittedValue.size)));
  if (omittedKey) notes.push(header(OMITTED_KEY_HEADER, String(omittedKey.size)));
  if (adaptations.has("value") && value !== null) {
    notes.push(header(OMITTED_VALUE_HEADER, String(value.length)));
  }
  if (adaptations.has("headers")) {
    notes.push(header(OMITTED_HEADERS_HEADER, String(headersBytesMax(headers))));
  }
  if (adaptations.has("key") && key !== null) {
    notes.push(header(OMITTED_KEY_HEADER, String(key.length)));
  } else if (adaptations.has("unique-key") && !omittedKey) {
    notes.push({ key: ORIGINAL_KEY_HEADER, value: key });
  }
  if (adaptations.has("unique-key") && value === null && !omittedValue) {
    notes.push({ key: ORIGINAL_VALUE_HEADER, value: null });
  }
  return notes;
}

function header(key: string, text: string): RecordHeader {
  return { key, value: ENCODER.encode(text) };
}
