/**
 * The records of a batch, told apart by whether the journal holds them.
 */

import type { Journal } from "../journal/journal.ts";
import type { ConsumedBatch } from "../kafka/consumer/api.ts";
import { recordsInSpans, type RecordSpan } from "../kafka/protocol/records.ts";
import type { KafkaRecord } from "../record.ts";

/** Records of one partition that are to be journaled. */
export interface FreshRecords {
  readonly topic: string;
  readonly partition: number;
  readonly first: KafkaRecord | undefined;
  /** Decoded one by one. */
  readonly records: Iterable<KafkaRecord>;
  /** The same records as bytes, among others before `start`; undefined where some of them are held. */
  readonly spans?: readonly RecordSpan[] | undefined;
  readonly start: number;
  /** How many records there are at most, and about how many bytes. */
  readonly size: { readonly recordCountMax: number; readonly byteCount: number };
}

/** Returns the records that the journal does not hold, and those that it does. */
export function tellApart(
  batch: ConsumedBatch,
  journal: Pick<Journal, "holds" | "heldIntervals">,
): { readonly fresh: FreshRecords; readonly held: readonly KafkaRecord[] } {
  const { topic, topicId, partition, spans, start = 0 } = batch;
  const heldEnd = journal.heldIntervals({ topic, topicId, partition }).at(-1)?.end ?? 0;
  if (spans !== undefined && heldEnd <= start) {
    return { fresh: freshSpans({ topic, partition, start }, spans), held: [] };
  }
  const fresh: KafkaRecord[] = [];
  const held: KafkaRecord[] = [];
  for (const record of batch.records) {
    const { offset } = record;
    (journal.holds({ topic, topicId, partition, offset }) ? held : fresh).push(record);
  }
  return { fresh: freshList(fresh, { topic, partition }), held };
}

/** Returns records as if they had been fetched without their bytes. */
export function freshList(
  records: readonly KafkaRecord[],
  place: Pick<FreshRecords, "topic" | "partition">,
): FreshRecords {
  const byteCount = records.reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0);
  return {
    ...place,
    first: records[0],
    records,
    start: 0,
    size: { recordCountMax: records.length, byteCount },
  };
}

/** Returns the records of spans from an offset on. */
export function freshSpans(
  place: Pick<FreshRecords, "topic" | "partition" | "start">,
  spans: readonly RecordSpan[],
): FreshRecords {
  const records = { [Symbol.iterator]: () => recordsInSpans(spans, place) };
  const [first] = records;
  return {
    ...place,
    first,
    records,
    spans,
    size: {
      recordCountMax: spans.reduce((sum, { batch }) => sum + batch.recordCount, 0),
      byteCount: spans.reduce((sum, { bytes }) => sum + bytes.length, 0),
    },
  };
}
