/**
 * A dead letter opened again: why it is one, where its record came from, and the record as it was before. The
 * format: `lib/tracker/letter.ts`.
 *
 * @module
 */

import type { KafkaRecord, OutgoingRecord, RecordHeader } from "../../kafka/record.ts";
import type { FailureReason } from "../judge.ts";
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
} from "../letter.ts";

/** The contract's failure reasons. */
export const FAILURE_REASONS = [
  "DESERIALIZATION",
  "VALIDATION",
  "PROCESSING",
  "TIMEOUT",
  "UNKNOWN",
] as const satisfies readonly FailureReason[];

/** Names the header of a redriven record that says which letter it was: `orders-dlq/2/17`. */
export const REDRIVEN_HEADER = "orderflow.redriven.from";

/** Where a record was before; what the letter does not say is undefined. */
export interface LetterSource {
  readonly topic: string | undefined;
  readonly partition: number | undefined;
  readonly offset: number | undefined;
  readonly topicId: string | undefined;
  readonly leaderEpoch: number | undefined;
}

export interface OpenedLetter {
  /** As it lies in the dead-letter topic. */
  readonly record: KafkaRecord;
  /** `UNKNOWN` where the letter is another program's and does not say. */
  readonly reason: FailureReason;
  readonly source: LetterSource;
  /** A part of the record that the letter had to leave out: only the journal has it. */
  readonly omitted: "value" | "headers" | "key" | undefined;
  /** The record as it was before it became a letter; without what was left out. */
  readonly original: Omit<OutgoingRecord, "partition">;
}

/** What Kafka Connect puts on a letter begins with this. */
const CONNECT_PREFIX = "__connect.errors.";
const TOPIC_PATTERN = /^[a-zA-Z0-9._-]{1,249}$/;
const TOPIC_ID_PATTERN = /^[0-9a-f]{32}$/;

const DECODER = new TextDecoder();
const ENCODER = new TextEncoder();

/** Never throws: a header that cannot be read is as good as none. */
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
    reason: reasonOf(text(REASON_HEADER)),
    source: {
      topic: matching(text(SOURCE_TOPIC_HEADER), TOPIC_PATTERN),
      partition: wholeNumberOf(text(SOURCE_PARTITION_HEADER)),
      offset: wholeNumberOf(text(SOURCE_OFFSET_HEADER)),
      topicId: matching(text(SOURCE_TOPIC_ID_HEADER), TOPIC_ID_PATTERN),
      leaderEpoch: wholeNumberOf(text(SOURCE_LEADER_EPOCH_HEADER)),
    },
    omitted: omittedIn(has, record),
    original: {
      key: has(ORIGINAL_KEY_HEADER) ? header(ORIGINAL_KEY_HEADER)?.value ?? null : record.key,
      value: isTombstone ? null : record.value,
      headers: original,
      timestampMs: Number(timestamp),
      ...(!Number.isSafeInteger(Number(timestamp)) && { exactTimestampMs: timestamp }),
    },
  };
}

/** Letters from before {@link ADAPTED_HEADER} say only how long a value was. */
function omittedIn(
  has: (key: string) => boolean,
  { value }: KafkaRecord,
): OpenedLetter["omitted"] {
  const isAdapted = has(ADAPTED_HEADER);
  if (has(OMITTED_VALUE_HEADER) && (isAdapted || value === null)) return "value";
  if (has(OMITTED_HEADERS_HEADER)) return "headers";
  return has(OMITTED_KEY_HEADER) ? "key" : undefined;
}

/**
 * Returns the record as it was before, for a partition that is to be chosen, with one header more: which letter
 * it was. A record that is redriven again says where it came from last.
 */
export function originalOf(
  { record, original }: OpenedLetter,
  partition: number,
): OutgoingRecord {
  const from = `${record.topic}/${record.partition}/${record.offset}`;
  return {
    ...original,
    partition,
    headers: [
      ...original.headers.filter(({ key }) => key !== REDRIVEN_HEADER),
      { key: REDRIVEN_HEADER, value: ENCODER.encode(from) },
    ],
  };
}

interface SplitHeaders {
  /** What made a letter of the record. */
  readonly ours: readonly RecordHeader[];
  readonly original: readonly RecordHeader[];
}

/**
 * Tells the headers that the record had before from those of the letter. The tracker's stand in one block behind the
 * record's own, which may have the same names: a topic may itself hold letters. Of Kafka Connect's, which have
 * no order to rely on, only the last of each name is the letter's.
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

function reasonOf(text: string | undefined): FailureReason {
  return FAILURE_REASONS.find((reason) => reason === text) ?? "UNKNOWN";
}

function wholeNumberOf(text: string | undefined): number | undefined {
  const number = text !== undefined && /^\d+$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}

/** A record's timestamp is any number of 64 bits. */
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
