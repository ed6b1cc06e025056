/**
 * Checks that the topic holds every record that the producer's ledger lists as acknowledged, at its offset and with
 * its bytes. Together with the comparison of topic and journal, this proves each acknowledged order is journaled.
 *
 * Keeps entries in memory at 40 bytes each, and reads the topic alongside.
 */

import { createHash } from "node:crypto";
import type { KafkaConnection } from "../kafka/client.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import { TopicReader } from "../kafka/topic_reader.ts";
import { type LedgerEntry, readLedger } from "../producer/ledger.ts";

/** The result that `tracker verify --ledger --json` adds. entries = in_topic + different + missing. */
export interface LedgerVerification {
  readonly path: string;
  /** Records acknowledged according to the ledger. */
  readonly entries: number;
  /** Entries whose offset holds a value with the same SHA-256. */
  readonly in_topic: number;
  /** Entries whose offset holds another value. */
  readonly different: number;
  /** Entries whose offset holds nothing: lost, or expired since. */
  readonly missing: number;
  /** Missing entries stored in an earlier topic of this name, deleted since; absent if there are none. */
  readonly in_deleted_topic?: number;
  readonly ok: boolean;
}

export interface LedgerCheckOptions {
  readonly cluster: Pick<ClusterClient, "allOffsets" | "describeTopic">;
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly path: string;
}

const HASH_BYTES = 32;
const ROOM_MIN = 1_024;

class PartitionLedger {
  #offsets = new Float64Array(ROOM_MIN);
  #hashes = new Uint8Array(ROOM_MIN * HASH_BYTES);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get start(): number {
    return this.#offsets[0] ?? 0;
  }

  get end(): number {
    return (this.#offsets[this.#count - 1] ?? -1) + 1;
  }

  /** @throws {SyntaxError} if the offset is not above the last one: a partition's acknowledgements arrive in order. */
  add({ offset, sha256, partition }: LedgerEntry): void {
    if (this.#count > 0 && offset < this.end) {
      throw new SyntaxError(
        `the ledger's offsets are not ascending at partition ${partition}, offset ${offset}`,
      );
    }
    if (this.#count === this.#offsets.length) this.#grow();
    this.#offsets[this.#count] = offset;
    this.#hashes.set(Uint8Array.fromHex(sha256), this.#count * HASH_BYTES);
    this.#count++;
  }

  /** Returns the index of an offset's entry, searching forward from an index. */
  indexOf(offset: number, from: number): number {
    let index = from;
    while (index < this.#count && (this.#offsets[index] ?? Infinity) < offset) index++;
    return index;
  }

  has(offset: number, index: number): boolean {
    return index < this.#count && this.#offsets[index] === offset;
  }

  isSame(hash: Uint8Array, index: number): boolean {
    const start = index * HASH_BYTES;
    return hash.every((byte, at) => byte === this.#hashes[start + at]);
  }

  #grow(): void {
    this.#offsets = new Float64Array(this.#offsets.buffer.transfer(2 * this.#offsets.byteLength));
    this.#hashes = new Uint8Array(this.#hashes.buffer.transfer(2 * this.#hashes.byteLength));
  }
}

/** @throws {SyntaxError} if the file is not a ledger. */
export async function checkLedger(options: LedgerCheckOptions): Promise<LedgerVerification> {
  const { cluster, connection, topic, path } = options;
  const { topicId } = await cluster.describeTopic(topic);
  const ledgers = new Map<number, PartitionLedger>();
  let inDeletedTopic = 0;
  for await (const entry of readLedger(path)) {
    if (entry.topic_id !== undefined && entry.topic_id !== topicId) {
      inDeletedTopic++;
      continue;
    }
    const ledger = ledgers.get(entry.partition) ?? new PartitionLedger();
    ledgers.set(entry.partition, ledger);
    ledger.add(entry);
  }
  const held = new Map((await cluster.allOffsets(topic)).map((range) => [range.partition, range]));
  await using reader = await TopicReader.connect(connection, "probe");
  let entries = inDeletedTopic;
  let inTopic = 0;
  let different = 0;
  for (const [partition, ledger] of ledgers) {
    entries += ledger.count;
    let index = 0;
    const { low = 0, high = 0 } = held.get(partition) ?? {};
    const range = { start: Math.max(ledger.start, low), end: Math.min(ledger.end, high) };
    for await (const records of reader.scan({ topic, partition, ...range })) {
      for (const { offset, value } of records) {
        index = ledger.indexOf(offset, index);
        if (!ledger.has(offset, index)) continue;
        const hash = createHash("sha256").update(value ?? new Uint8Array()).digest();
        if (ledger.isSame(hash, index)) inTopic++;
        else different++;
      }
    }
  }
  return {
    path,
    entries,
    in_topic: inTopic,
    different,
    missing: entries - inTopic - different,
    ...(inDeletedTopic > 0 && { in_deleted_topic: inDeletedTopic }),
    ok: inTopic === entries,
  };
}
