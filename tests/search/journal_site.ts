/** Journals for the search tests: records with unusual texts, written by the real journal. */

import { openJournal } from "../../lib/journal/open_journal.ts";
import { recordTimesOf } from "../../lib/journal/account.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { encodeRecords } from "../../lib/tracker/encode.ts";
import { freshList } from "../../lib/tracker/fresh_records.ts";
import { JournalSearch, type SearchOptions } from "../../lib/search/search.ts";
import type { Query } from "../../lib/search/query.ts";
import { until } from "../journal/fixture.ts";

export const TOPIC_ID = "0123456789abcdef0123456789abcdef";
const ENCODER = new TextEncoder();

export function bytesOf(text: string): Uint8Array {
  return ENCODER.encode(text);
}

export function recordOf(offset: number, other: Partial<KafkaRecord> = {}): KafkaRecord {
  return {
    topic: "orders",
    partition: 0,
    offset,
    key: bytesOf("C1"),
    value: bytesOf(`{"order_id":"order-${offset}","total":${offset}}`),
    headers: [],
    timestampMs: 1_000_000 + offset * 1_000,
    ...other,
  };
}

export interface WriteOptions {
  readonly schema?: "order" | "none";
  readonly rotateBytes?: number;
  readonly compress?: boolean;
  readonly recordsAtATime?: number;
}

/** Writes the records to a journal in order and waits until each closed segment is processed. */
export async function writeJournal(
  folder: string,
  records: readonly KafkaRecord[],
  { schema = "order", rotateBytes, compress = false, recordsAtATime = 7 }: WriteOptions = {},
): Promise<void> {
  let waiting = 0;
  const journal = await openJournal({
    directory: folder,
    onNotice: ({ kind }) => {
      if (kind === "rotated") waiting++;
      if (kind === (compress ? "compressed" : "sealed")) waiting--;
    },
    ...(rotateBytes !== undefined && { rotateBytes }),
    compress,
  });
  for (let at = 0; at < records.length;) {
    const { topic = "", partition = 0 } = records[at] ?? {};
    const end = records.findIndex((record, index) =>
      index > at &&
      (record.topic !== topic || record.partition !== partition || index === at + recordsAtATime)
    );
    const batch = records.slice(at, end === -1 ? records.length : end);
    const { lines, lineEnds, timestampsMs } = await encodeRecords(
      freshList(batch, { topic, partition }),
      {
        schema,
        receivedAt: new Date(0),
        topicId: TOPIC_ID,
      },
    );
    await journal.append({
      topic,
      topicId: TOPIC_ID,
      partition,
      intervals: batch.map(({ offset }) => ({ start: offset, end: offset + 1 })),
      epochs: [],
      lines,
      lineEnds,
      recordTimes: recordTimesOf(timestampsMs),
    });
    at += batch.length;
  }
  await until(() => waiting === 0);
  await journal.close();
}

export interface Found {
  /** `partition:offset` of each record, in the order found. */
  readonly places: readonly string[];
  readonly lines: readonly string[];
  readonly problems: readonly string[];
  readonly skippedCount: number;
  readonly isComplete: boolean;
}

export async function search(
  folders: string | readonly string[],
  query: Query,
  options: Partial<SearchOptions> = {},
): Promise<Found> {
  using opened = await JournalSearch.open({
    directories: [folders].flat(),
    query,
    onProblem: () => {},
    ...options,
  });
  const places: string[] = [];
  const lines: string[] = [];
  for await (const hits of opened.run()) {
    for (const { record: { partition, offset }, line } of hits) {
      places.push(`${partition}:${offset}`);
      lines.push(new TextDecoder().decode(line));
    }
  }
  const { problems, skippedCount, isComplete } = opened;
  return { places, lines, problems, skippedCount, isComplete };
}
