/**
 * Decodes and encodes the consumer protocol inside JoinGroup and SyncGroup: subscriptions and assignments.
 *
 * https://kafka.apache.org/protocol#The_Messages_ConsumerProtocolSubscription
 */

import { Buffer } from "node:buffer";
import { array, int16, int32, text, WireReader } from "./wire.ts";

export type Assigned = Readonly<Record<string, readonly number[]>>;

export function topicsIn(subscription: Buffer): string[] {
  const reader = new WireReader(subscription);
  reader.int16(); // version
  return reader.array(() => reader.text());
}

export function subscriptionTo(topics: readonly string[]): Buffer {
  return Buffer.concat([int16(0), array(topics, (topic) => [text(topic)]), int32(0)]);
}

export function partitionsIn(assignment: Buffer): Assigned {
  const reader = new WireReader(assignment);
  reader.int16(); // version
  return Object.fromEntries(
    reader.array(() => [reader.text(), reader.array(() => reader.int32())]),
  );
}

export function assignmentOf(partitions: Assigned): Buffer {
  return Buffer.concat([
    int16(0),
    array(
      Object.entries(partitions),
      ([topic, list]) => [text(topic), array(list, (partition) => [int32(partition)])],
    ),
    int32(0),
  ]);
}
