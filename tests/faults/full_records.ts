/**
 * Records that use every feature of a record: keys of all kinds, headers that are repeated, null, empty, or not text,
 * and explicit timestamps. The product's producer creates none with headers, and uses the time of sending as the
 * timestamp.
 */

import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { OutgoingRecord, RecordHeader } from "../../lib/record.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { type Site, withAdmin } from "../site.ts";

const ENCODER = new TextEncoder();
const NO_TEXT = Uint8Array.of(0xc3, 0x28, 0xff, 0x00);
const EMPTY = new Uint8Array();
/** Recent enough that no broker deletes the records. */
const AGE_MS_MAX = 3_600_000;
/** A prime, so that timestamps go up and down within a batch and none is repeated. */
const TIME_STRIDE_MS = 7_919;
const TIME_RANGE_MS = 1_000_003;

const KEYS: readonly (Uint8Array | null)[] = [ENCODER.encode("key"), null, EMPTY, NO_TEXT];

/** Sends good orders to all partitions in turn, with their own sequences. */
export async function sendFullRecords(
  site: Site,
  { count, firstSequence = 1_000_000 }: {
    readonly count: number;
    readonly firstSequence?: number;
  },
): Promise<number> {
  const topics = [site.topic];
  const metadata = await withAdmin(site, (admin) => admin.fetchTopicMetadata({ topics }));
  const partitionCount = metadata.topics[0]?.partitions.length ?? 0;
  const shop = createShop({ seed: firstSequence });
  const startMs = Date.now() - AGE_MS_MAX;
  const records = Array.from({ length: count }, (_, index): OutgoingRecord => {
    const sequence = firstSequence + index;
    const order = { ...shop.nextOrder(startMs), sequence };
    return {
      partition: index % partitionCount,
      key: KEYS[index % KEYS.length] ?? null,
      value: ENCODER.encode(JSON.stringify(order)),
      headers: headersOf(index),
      timestampMs: startMs + sequence * TIME_STRIDE_MS % TIME_RANGE_MS,
    };
  });
  const producer = new ReliableProducer({ brokers: site.broker.split(","), clientId: "test" });
  for (const [partition, each] of Map.groupBy(records, (record) => record.partition)) {
    await producer.send({ topic: site.topic, partition, records: each });
  }
  await producer.close();
  return count;
}

/**
 * Returns keys that repeat with others in between, null values, and values that are not text; every fifth record has
 * no headers.
 */
function headersOf(index: number): readonly RecordHeader[] {
  const all: readonly RecordHeader[] = [
    { key: "a", value: ENCODER.encode(String(index)) },
    { key: "b", value: null },
    { key: "a", value: EMPTY },
    { key: "2", value: NO_TEXT },
    { key: "1", value: ENCODER.encode("1") },
    { key: "a", value: null },
    { key: "", value: ENCODER.encode(`"quoted"\n`) },
  ];
  return all.slice(0, index % 5 === 0 ? 0 : 2 + index % 6);
}
