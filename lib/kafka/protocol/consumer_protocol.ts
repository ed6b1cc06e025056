/**
 * Encodes the subscriptions and assignments that members of a consumer group exchange through its coordinator. Java
 * clients and kafkajs use the same format.
 *
 *     subscription => version topics user_data [owned_partitions [generation_id [rack_id]]]
 *     assignment   => version [topic [partition]] user_data
 *
 * Versions 1 to 3 only append fields to a subscription that round-robin assignment does not use. So version 0 is
 * written, and any version is read.
 *
 * Message format: `ConsumerProtocolSubscription.json` and `ConsumerProtocolAssignment.json` of Kafka's clients.
 */

import { Buffer } from "node:buffer";

export type TopicPartitions = ReadonlyMap<string, readonly number[]>;

const VERSION = 0;
const INT16_BYTES = 2;
const INT32_BYTES = 4;

export function encodeSubscription(topics: readonly string[]): Buffer {
  return Buffer.concat([int16(VERSION), int32(topics.length), ...topics.map(text), NO_USER_DATA]);
}

/**
 * Returns the topics that a member subscribes to.
 *
 * @throws {RangeError} if the bytes are not a subscription.
 */
export function decodeSubscription(bytes: Uint8Array): readonly string[] {
  const reader = new Reader(bytes);
  reader.version();
  return reader.array(() => reader.text());
}

export function encodeAssignment(assignment: TopicPartitions): Buffer {
  const topics = [...assignment].map(([topic, partitions]) =>
    Buffer.concat([text(topic), int32(partitions.length), ...partitions.map(int32)])
  );
  return Buffer.concat([int16(VERSION), int32(topics.length), ...topics, NO_USER_DATA]);
}

/**
 * Returns a member's partitions: none for empty bytes, which the coordinator returns for a member that the leader left
 * out.
 *
 * @throws {RangeError} if the bytes are not an assignment.
 */
export function decodeAssignment(bytes: Uint8Array): TopicPartitions {
  const assignment = new Map<string, number[]>();
  if (bytes.byteLength === 0) return assignment;
  const reader = new Reader(bytes);
  reader.version();
  reader.array(() => {
    const topic = reader.text();
    const partitions = reader.array(() => reader.int32());
    assignment.set(topic, [...assignment.get(topic) ?? [], ...partitions]);
  });
  return assignment;
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  version(): void {
    const version = this.#bytes.readInt16BE(this.#skip(INT16_BYTES));
    if (version < 0) throw new RangeError(`Expected a version of at least 0, got ${version}`);
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#skip(INT32_BYTES));
  }

  text(): string {
    const length = this.#bytes.readInt16BE(this.#skip(INT16_BYTES));
    const start = this.#skip(length);
    return this.#bytes.toString("utf8", start, start + length);
  }

  /** Throws at the first missing item if the count is too large for the bytes. */
  array<Item>(readItem: () => Item): Item[] {
    const items: Item[] = [];
    for (let count = this.int32(); count > 0; count--) items.push(readItem());
    return items;
  }

  #skip(byteCount: number): number {
    const start = this.#at;
    const left = this.#bytes.length - start;
    if (byteCount < 0 || byteCount > left) {
      throw new RangeError(`Expected ${byteCount} more bytes at byte ${start}, got ${left}`);
    }
    this.#at += byteCount;
    return start;
  }
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(INT16_BYTES);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(INT32_BYTES);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([int16(bytes.length), bytes]);
}

/** Null, as Java's clients write it. */
const NO_USER_DATA = int32(-1);
