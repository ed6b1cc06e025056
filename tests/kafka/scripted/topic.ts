/**
 * A topic of a scripted cluster: its id, and the record batches of its partitions.
 *
 * @module
 */

import type { EpochEnd } from "../../../lib/kafka/protocol/offset_for_leader_epoch.ts";
import type { AbortedTransaction } from "../../../lib/kafka/protocol/committed_records.ts";
import { ERROR } from "./group_script.ts";
import { type BatchSpec, encodeBatch, type RecordSpec } from "./record_batches.ts";

interface StoredBatch {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly endOffset: number;
}

/** Where a record batch says it. */
const LEADER_EPOCH_AT = 12;

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
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const baseOffset = Number(view.getBigInt64(0));
    this.#batches.push({
      ...{ bytes, baseOffset, endOffset },
      leaderEpoch: view.getInt32(LEADER_EPOCH_AT),
    });
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

  /** Where the highest epoch of the log ends that is not above the one asked for; undefined where there is none. */
  epochEnd(epoch: number): EpochEnd | undefined {
    if (epoch === this.leaderEpoch) return { epoch, endOffset: this.end };
    const found = this.#batches.findLast(({ leaderEpoch }) => leaderEpoch <= epoch)?.leaderEpoch;
    if (found === undefined) return undefined;
    const next = this.#batches.find(({ leaderEpoch }) => leaderEpoch > found);
    return { epoch: found, endOffset: next?.baseOffset ?? this.end };
  }

  /** Given where the log has no record of the last fetched epoch just before the offset. */
  divergingEpoch(
    { offset, lastFetchedEpoch }: { readonly offset: number; readonly lastFetchedEpoch: number },
  ): EpochEnd | undefined {
    if (lastFetchedEpoch < 0) return undefined;
    const end = this.epochEnd(lastFetchedEpoch);
    return end === undefined || end.epoch === lastFetchedEpoch && end.endOffset >= offset
      ? undefined
      : end;
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

/** The error of a node that is asked for records; what diverges is no error, though it lies past the log's end. */
export function fetchError(
  partition: ScriptedPartition | undefined,
  { nodeId, offset, lastFetchedEpoch }: {
    readonly nodeId: number;
    readonly offset: number;
    readonly lastFetchedEpoch: number;
  },
): number {
  const error = leaderError(partition, nodeId);
  if (partition === undefined || error !== ERROR.none) return error;
  if (offset < partition.low) return ERROR.offsetOutOfRange;
  if (lastFetchedEpoch >= 0) {
    // As Kafka does: nothing is known of that epoch any more.
    if (partition.epochEnd(lastFetchedEpoch) === undefined) return ERROR.offsetOutOfRange;
    if (partition.divergingEpoch({ offset, lastFetchedEpoch }) !== undefined) return ERROR.none;
  }
  return offset > partition.end ? ERROR.offsetOutOfRange : ERROR.none;
}

/** The error of a node that is asked where an epoch ends. */
export function epochError(
  partition: ScriptedPartition | undefined,
  { nodeId, currentLeaderEpoch }: { readonly nodeId: number; readonly currentLeaderEpoch: number },
): number {
  const error = leaderError(partition, nodeId);
  if (partition === undefined || error !== ERROR.none || currentLeaderEpoch < 0) return error;
  if (currentLeaderEpoch < partition.leaderEpoch) return ERROR.fencedLeaderEpoch;
  return currentLeaderEpoch > partition.leaderEpoch ? ERROR.unknownLeaderEpoch : ERROR.none;
}

/** The offsets that an answer names; all 0 where there is no such partition. */
export function boundsOf(partition: ScriptedPartition | undefined) {
  const { low = 0, end = 0 } = partition ?? {};
  const highWatermark = partition?.highWatermark ?? end;
  return { low, highWatermark, lastStableOffset: partition?.lastStableOffset ?? highWatermark };
}
