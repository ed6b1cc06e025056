/**
 * A dead letter opened again: why it is one, where it came from, and the record that it was before.
 *
 * @module
 */

import type { KafkaRecord, OutgoingRecord, RecordHeader } from "../../kafka/record.ts";
import { OMITTED_VALUE_HEADER, REASON_HEADER } from "../dead_letters.ts";
import type { FailureReason } from "../judge.ts";

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

export interface OpenedLetter {
  /** As it lies in the dead-letter topic. */
  readonly record: KafkaRecord;
  /** `UNKNOWN` where the letter is another program's and does not say. */
  readonly reason: FailureReason;
  /** Where the record was before; parts that the letter does not name are undefined. */
  readonly source: {
    readonly topic: string | undefined;
    readonly partition: number | undefined;
    readonly offset: number | undefined;
  };
  /** The value was too large for a dead letter and was left out: only the journal has it. */
  readonly isValueOmitted: boolean;
  /** The headers that the record had before it became a letter. */
  readonly originalHeaders: readonly RecordHeader[];
}

const SOURCE_TOPIC_HEADER = "__connect.errors.topic";
const SOURCE_PARTITION_HEADER = "__connect.errors.partition";
const SOURCE_OFFSET_HEADER = "__connect.errors.offset";
/** What the tracker puts on a letter (`dead_letters.ts`). */
const TRACKER_HEADERS: ReadonlySet<string> = new Set([
  SOURCE_TOPIC_HEADER,
  SOURCE_PARTITION_HEADER,
  SOURCE_OFFSET_HEADER,
  "__connect.errors.stage",
  "__connect.errors.exception.class.name",
  "__connect.errors.exception.message",
  REASON_HEADER,
  OMITTED_VALUE_HEADER,
]);
/** What Kafka Connect puts on a letter begins with this. */
const CONNECT_PREFIX = "__connect.errors.";

const DECODER = new TextDecoder();
const ENCODER = new TextEncoder();

/** Never throws: a header that cannot be read is as good as none. */
export function openLetter(record: KafkaRecord): OpenedLetter {
  const text = (key: string) => textOf(record.headers.findLast((header) => header.key === key));
  return {
    record,
    reason: reasonOf(text(REASON_HEADER)),
    source: {
      topic: text(SOURCE_TOPIC_HEADER),
      partition: wholeNumberOf(text(SOURCE_PARTITION_HEADER)),
      offset: wholeNumberOf(text(SOURCE_OFFSET_HEADER)),
    },
    isValueOmitted: record.value === null && text(OMITTED_VALUE_HEADER) !== undefined,
    originalHeaders: withoutErrorHeaders(record.headers),
  };
}

/**
 * The record as it was before, for a partition that is to be chosen, with one header more: which letter it
 * was. A record that is redriven again says where it came from last.
 */
export function originalOf(
  { record, originalHeaders }: OpenedLetter,
  partition: number,
): OutgoingRecord {
  const from = `${record.topic}/${record.partition}/${record.offset}`;
  return {
    partition,
    key: record.key,
    value: record.value,
    headers: [
      ...originalHeaders.filter(({ key }) => key !== REDRIVEN_HEADER),
      { key: REDRIVEN_HEADER, value: ENCODER.encode(from) },
    ],
    timestampMs: record.timestampMs,
    exactTimestampMs: record.exactTimestampMs,
  };
}

/**
 * Takes off what made a letter of the record. Of each name only the last: a topic may itself hold letters of
 * Kafka Connect, and then the ones before were the record's own.
 */
function withoutErrorHeaders(headers: readonly RecordHeader[]): readonly RecordHeader[] {
  const isTrackers = headers.some(({ key }) => key === REASON_HEADER);
  const isErrorHeader = (key: string) =>
    isTrackers ? TRACKER_HEADERS.has(key) : key.startsWith(CONNECT_PREFIX);
  const lastOfName = new Map(headers.map(({ key }, index) => [key, index]));
  return headers.filter(({ key }, index) => !isErrorHeader(key) || lastOfName.get(key) !== index);
}

function reasonOf(text: string | undefined): FailureReason {
  return FAILURE_REASONS.find((reason) => reason === text) ?? "UNKNOWN";
}

function wholeNumberOf(text: string | undefined): number | undefined {
  const number = text !== undefined && /^\d+$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}

function textOf(header: RecordHeader | undefined): string | undefined {
  return header === undefined || header.value === null ? undefined : DECODER.decode(header.value);
}
