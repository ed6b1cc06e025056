/**
 * A topic of a scripted cluster: its id, and the record batches of its partitions.
 *
 * @module
 */

import type { AbortedTransaction } from "../../../lib/kafka/raw_fetch.ts";
import { ERROR } from "./group_script.ts";
import { type BatchSpec, encodeBatch, type RecordSpec } from "./record_batches.ts";

interface StoredBatch {
  readonly bytes: Uint8Array;
  readonly endOffset: number;
}

/** A partition; whatever a test sets here, the next answer says. */
export class ScriptedPartition {
  /** The leader's node id. */
  leader = 1;
  leaderEpoch = 0;
  /** The first offset that can be read. */
  low = 0;
  /** One past the last offset that can be read; the log's end where undefined. */
  highWatermark: number | undefined;
  /** One past the last offset that readers of committed records can read; the high watermark where undefined. */
  lastStableOffset: number | undefined;
  /** Whether fetches are answered without records, though the offsets say that there are some. */
  isHeldBack = false;
  abortedTransactions: readonly AbortedTransaction[] = [];
  #batches: StoredBatch[] = [];

  /** One past the last offset of the log. */
  get end(): number {
    return this.#batches.at(-1)?.endOffset ?? this.low;
  }

  /** Appends a batch at the log's end; a fetch brings one batch at a time. Returns its first offset. */
  append(records: readonly (string | RecordSpec)[], spec: BatchSpec = {}): number {
    const baseOffset = spec.baseOffset ?? this.end;
    const bytes = encodeBatch(records, { leaderEpoch: this.leaderEpoch, ...spec, baseOffset });
    this.appendBytes(bytes, baseOffset + (spec.lastOffsetDelta ?? records.length - 1) + 1);
    return baseOffset;
  }

  /** Appends any bytes, one batch or several, that a fetch brings at once. */
  appendBytes(bytes: Uint8Array, endOffset: number): void {
    this.#batches.push({ bytes, endOffset });
  }

  /** Cuts the log at an offset at which a batch begins. */
  truncate(endOffset: number): void {
    this.#batches = this.#batches.filter((batch) => batch.endOffset <= endOffset);
  }

  /** Deletes all records, as retention does: the log begins and ends at the offset. */
  deleteAllBelow(low: number): void {
    this.#batches = [];
    this.low = low;
  }

  /** Replaces the bytes of the batch that holds the offset. */
  replace(offset: number, change: (bytes: Uint8Array) => Uint8Array): void {
    const index = this.#batches.findIndex(({ endOffset }) => endOffset > offset);
    const batch = this.#batches[index];
    if (batch === undefined) throw new RangeError(`there is no batch with offset ${offset}`);
    this.#batches[index] = { ...batch, bytes: change(batch.bytes.slice()) };
  }

  /** The batch that holds the offset; undefined at the end of what can be read. */
  read(offset: number): Uint8Array | undefined {
    const limit = this.lastStableOffset ?? this.highWatermark ?? this.end;
    return this.isHeldBack || offset >= limit
      ? undefined
      : this.#batches.find(({ endOffset }) => endOffset > offset)?.bytes;
  }
}

export class ScriptedTopic {
  readonly name: string;
  /** 32 hexadecimal digits. */
  topicId: string;
  partitions: ScriptedPartition[];

  constructor(name: string, partitionCount: number) {
    this.name = name;
    this.topicId = newTopicId();
    this.partitions = partitionsOf(partitionCount);
  }

  /** @throws {RangeError} where the topic has no such partition. */
  partition(index: number): ScriptedPartition {
    const partition = this.partitions[index];
    if (partition === undefined) throw new RangeError(`${this.name} has no partition ${index}`);
    return partition;
  }

  addPartitions(count: number): void {
    this.partitions.push(...partitionsOf(count));
  }

  /** Deletes the topic and creates another of its name: empty, with another id. */
  recreate(): void {
    this.topicId = newTopicId();
    this.partitions = partitionsOf(this.partitions.length);
  }
}

function newTopicId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

function partitionsOf(count: number): ScriptedPartition[] {
  return Array.from({ length: count }, () => new ScriptedPartition());
}

/** The error of a node that is asked about a partition. */
export function leaderError(partition: ScriptedPartition | undefined, nodeId: number): number {
  if (partition === undefined) return ERROR.unknownTopic;
  return partition.leader === nodeId ? ERROR.none : ERROR.notLeader;
}

/** The error of a node that is asked for records. */
export function fetchError(
  partition: ScriptedPartition | undefined,
  { nodeId, offset }: { readonly nodeId: number; readonly offset: number },
): number {
  const error = leaderError(partition, nodeId);
  if (partition === undefined || error !== ERROR.none) return error;
  return offset < partition.low || offset > partition.end ? ERROR.offsetOutOfRange : ERROR.none;
}

/** The offsets that an answer names; all 0 where there is no such partition. */
export function boundsOf(partition: ScriptedPartition | undefined) {
  const { low = 0, end = 0 } = partition ?? {};
  const highWatermark = partition?.highWatermark ?? end;
  return { low, highWatermark, lastStableOffset: partition?.lastStableOffset ?? highWatermark };
}
