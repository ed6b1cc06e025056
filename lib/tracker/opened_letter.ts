/**
 * Decodes dead letters: the failure reason, the source, and the original record.
 * `lib/tracker/letter.ts` encodes them and describes the format.
 */

import type { KafkaRecord, OutgoingRecord, RecordHeader } from "../record.ts";
import { type FailureReason, failureReasonOf } from "./failures.ts";
import {
  ADAPTED_HEADER,
  LETTER_HEADERS,
  OMITTED_HEADERS_HEADER,
  OMITTED_KEY_HEADER,
  OMITTED_VALUE_HEADER,
  ORIGINAL_KEY_HEADER,
  ORIGINAL_VALUE_HEADER,
  REASON_HEADER,
  SOURCE_LEADER_EPOCH_HEADER,
  SOURCE_OFFSET_HEADER,
  SOURCE_PARTITION_HEADER,
  SOURCE_TIMESTAMP_HEADER,
  SOURCE_TOPIC_HEADER,
  SOURCE_TOPIC_ID_HEADER,
} from "./letter.ts";

/** The source of the record. Anything that the letter does not state is undefined. */
export interface LetterSource {
  readonly topic: string | undefined;
  readonly partition: number | undefined;
  readonly offset: number | undefined;
  readonly topicId: string | undefined;
  readonly leaderEpoch: number | undefined;
}

export interface OpenedLetter {
  readonly record: KafkaRecord;
  /** `UNKNOWN` for a letter of another program that does not state it. */
  readonly reason: FailureReason;
  readonly source: LetterSource;
  /** The part of the record that did not fit into the letter: only the journal has it. */
  readonly omitted: "value" | "headers" | "key" | undefined;
  /** The record before it was dead-lettered, without the omitted part. */
  readonly original: Omit<OutgoingRecord, "partition">;
}

const CONNECT_PREFIX = "__connect.errors.";
const TOPIC_PATTERN = /^[a-zA-Z0-9._-]{1,249}$/;
const TOPIC_ID_PATTERN = /^[0-9a-f]{32}$/;

const DECODER = new TextDecoder();

/** Decodes a letter. Never throws: a header that cannot be decoded counts as absent. */
export function openLetter(record: KafkaRecord): OpenedLetter {
  const { ours, original } = splitHeaders(record.headers);
  const header = (key: string) => ours.findLast((header) => header.key === key);
  const text = (key: string) => textOf(header(key));
  const has = (key: string) => header(key) !== undefined;
  const isTombstone = record.value === null || has(ORIGINAL_VALUE_HEADER);
  const timestamp = timestampOf(text(SOURCE_TIMESTAMP_HEADER)) ??
    record.exactTimestampMs ?? BigInt(record.timestampMs);
  return {
    record,
    reason: failureReasonOf(text(REASON_HEADER)),
    source: {
      topic: matching(text(SOURCE_TOPIC_HEADER), TOPIC_PATTERN),
      partition: wholeNumberOf(text(SOURCE_PARTITION_HEADER)),
      offset: wholeNumberOf(text(SOURCE_OFFSET_HEADER)),
      topicId: matching(text(SOURCE_TOPIC_ID_HEADER), TOPIC_ID_PATTERN),
      leaderEpoch: wholeNumberOf(text(SOURCE_LEADER_EPOCH_HEADER)),
    },
    omitted: omittedIn(has, record, original),
    original: {
      key: has(ORIGINAL_KEY_HEADER) ? header(ORIGINAL_KEY_HEADER)?.value ?? null : record.key,
      value: isTombstone ? null : record.value,
      headers: original,
      timestampMs: Number(timestamp),
      ...(!Number.isSafeInteger(Number(timestamp)) && { exactTimestampMs: timestamp }),
    },
  };
}

/**
 * Returns the part of the record that is missing: its letter was sent without it, or the letter itself has one that is
 * too large to be read. Letters of versions before {@link ADAPTED_HEADER} state only the size of an omitted value.
 */
function omittedIn(
  has: (key: string) => boolean,
  { value, omittedValue, omittedKey }: KafkaRecord,
  original: readonly RecordHeader[],
): OpenedLetter["omitted"] {
  if (omittedValue !== undefined) return "value";
  if (has(OMITTED_VALUE_HEADER) && (has(ADAPTED_HEADER) || value === null)) return "value";
  if (has(OMITTED_HEADERS_HEADER) || original.some(isOmitted)) return "headers";
  return has(OMITTED_KEY_HEADER) || omittedKey !== undefined ? "key" : undefined;
}

function isOmitted({ omitted }: RecordHeader): boolean {
  return omitted !== undefined;
}

interface SplitHeaders {
  readonly ours: readonly RecordHeader[];
  readonly original: readonly RecordHeader[];
}

/**
 * Separates the record's own headers from those that the letter added. The tracker adds its headers as one block after
 * the record's own, which may have the same names: a topic can itself hold letters. Kafka Connect guarantees no
 * order, so of its headers only the last of each name was added.
 */
function splitHeaders(headers: readonly RecordHeader[]): SplitHeaders {
  const blockStart = headers.findLastIndex(({ key }) => key === SOURCE_TOPIC_HEADER);
  const isTrackers = headers.findLastIndex(({ key }) => key === REASON_HEADER) > blockStart;
  const lastOfName = new Map(headers.map(({ key }, index) => [key, index]));
  const isOurs = ({ key }: RecordHeader, index: number): boolean =>
    isTrackers
      ? index >= blockStart && LETTER_HEADERS.has(key)
      : key.startsWith(CONNECT_PREFIX) && lastOfName.get(key) === index;
  return {
    ours: headers.filter(isOurs),
    original: headers.filter((header, index) => !isOurs(header, index)),
  };
}

/** Returns a number below 2^53 - 1, so that the offset after it is exact too; undefined for any other text. */
function wholeNumberOf(text: string | undefined): number | undefined {
  const number = text !== undefined && /^\d+$/.test(text) ? Number(text) : NaN;
  return number < Number.MAX_SAFE_INTEGER ? number : undefined;
}

/** Any signed 64-bit integer is a valid timestamp. */
function timestampOf(text: string | undefined): bigint | undefined {
  if (text === undefined || !/^-?\d{1,19}$/.test(text)) return undefined;
  const timestamp = BigInt(text);
  return BigInt.asIntN(64, timestamp) === timestamp ? timestamp : undefined;
}

function matching(text: string | undefined, pattern: RegExp): string | undefined {
  return text !== undefined && pattern.test(text) ? text : undefined;
}

function textOf(header: RecordHeader | undefined): string | undefined {
  return header === undefined || header.value === null ? undefined : DECODER.decode(header.value);
}
