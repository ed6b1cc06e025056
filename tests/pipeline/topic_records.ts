/**
 * Reads the records that a producer left in a topic, and checks them.
 */

import assert from "node:assert/strict";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { TopicReader } from "../../lib/kafka/topic_reader.ts";
import type { Site } from "../site.ts";

const DECODER = new TextDecoder();

export async function recordsOf(
  { broker, topic }: Pick<Site, "broker" | "topic">,
): Promise<readonly KafkaRecord[]> {
  const connection = { brokers: [broker], clientId: "test" };
  await using cluster = await ClusterClient.connect(connection, "probe");
  await using reader = await TopicReader.connect(connection, "probe");
  const records: KafkaRecord[] = [];
  for (const { partition, low, high } of await cluster.allOffsets(topic)) {
    for await (const batch of reader.read({ topic, partition, start: low, end: high })) {
      records.push(...batch);
    }
  }
  return records;
}

/**
 * Asserts that no record is missing or repeated, each partition is in the order of generation, and each key is in one
 * partition.
 */
export function assertOnceAndInOrder(records: readonly KafkaRecord[], count: number): void {
  const seen = new Set<number>();
  const last = new Map<number, number>();
  const partitions = new Map<string, number>();
  for (const { partition, offset, key, value } of records) {
    const { sequence } = JSON.parse(DECODER.decode(value ?? new Uint8Array()));
    assert.ok(!seen.has(sequence), `sequence ${sequence} once`);
    assert.ok(sequence > (last.get(partition) ?? 0), `in order at ${partition}/${offset}`);
    seen.add(sequence);
    last.set(partition, sequence);
    if (key === null) continue;
    const name = DECODER.decode(key);
    assert.equal(partitions.get(name) ?? partition, partition, `${name} in one partition`);
    partitions.set(name, partition);
  }
  assert.equal(seen.size, count);
  for (let sequence = 1; sequence <= count; sequence++) assert.ok(seen.has(sequence));
}

/**
 * Returns how long after its due time a record was sent, in whole milliseconds; only for runs without a start time.
 */
export function lateness({ value, timestampMs }: KafkaRecord): { dueMs: number; lateMs: number } {
  const { metadata } = JSON.parse(DECODER.decode(value ?? new Uint8Array()));
  const dueMs = Date.parse(metadata.timestamp);
  return { dueMs, lateMs: timestampMs - dueMs };
}
