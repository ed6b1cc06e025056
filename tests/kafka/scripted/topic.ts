/**
 * A topic of a scripted cluster: its id, and the record batches of its partitions.
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

const LEADER_EPOCH_AT = 12;

/** A partition; the next answer reflects whatever a test sets here. */
export class ScriptedPartition {
  leader = 1;
  leaderEpoch = 0;
  low = 0;
  /** One past the last readable offset; the log's end if undefined. */
  highWatermark: number | undefined;
  /** One past the last offset readable with read_committed; the high watermark if undefined. */
  lastStableOffset: number | undefined;
  /** If true, fetches return no records, although the offsets say that there are some. */
  isHeldBack = false;
  abortedTransactions: readonly AbortedTransaction[] = [];
  #batches: StoredBatch[] = [];

  get end(): number {
    return this.#batches.at(-1)?.endOffset ?? this.low;
  }

  /** Appends a batch at the log's end, and returns its first offset. A fetch returns one batch at a time. */
  append(records: readonly (string | RecordSpec)[], spec: BatchSpec = {}): number {
    const baseOffset = spec.baseOffset ?? this.end;
    const bytes = encodeBatch(records, { leaderEpoch: this.leaderEpoch, ...spec, baseOffset });
    this.appendBytes(bytes, baseOffset + (spec.lastOffsetDelta ?? records.length - 1) + 1);
    return baseOffset;
  }

  /** Appends any bytes, one batch or several, which a fetch returns at once. */
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

  /** Returns the batch that holds the offset; undefined at the readable end. */
  read(offset: number): Uint8Array | undefined {
    const limit = this.lastStableOffset ?? this.highWatermark ?? this.end;
    return this.isHeldBack || offset >= limit
      ? undefined
      : this.#batches.find(({ endOffset }) => endOffset > offset)?.bytes;
  }

  /** Returns the end of the log's highest epoch not above the requested one; undefined if there is none. */
  epochEnd(epoch: number): EpochEnd | undefined {
    if (epoch === this.leaderEpoch) return { epoch, endOffset: this.end };
    const found = this.#batches.findLast(({ leaderEpoch }) => leaderEpoch <= epoch)?.leaderEpoch;
    if (found === undefined) return undefined;
    const next = this.#batches.find(({ leaderEpoch }) => leaderEpoch > found);
    return { epoch: found, endOffset: next?.baseOffset ?? this.end };
  }

  /** Returns the divergence if the log has no record of the last fetched epoch just before the offset. */
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

  /** @throws {RangeError} if the topic has no such partition. */
  partition(index: number): ScriptedPartition {
    const partition = this.partitions[index];
    if (partition === undefined) throw new RangeError(`${this.name} has no partition ${index}`);
    return partition;
  }

  addPartitions(count: number): void {
    this.partitions.push(...partitionsOf(count));
  }

  /** Deletes the topic and creates another with the same name: empty, with a new id. */
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

export function leaderError(partition: ScriptedPartition | undefined, nodeId: number): number {
  if (partition === undefined) return ERROR.unknownTopic;
  return partition.leader === nodeId ? ERROR.none : ERROR.notLeader;
}

/** Returns the error of a node for a fetch; a divergence is not an error, even past the log's end. */
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
    // As in Kafka, when the log no longer knows that epoch.
    if (partition.epochEnd(lastFetchedEpoch) === undefined) return ERROR.offsetOutOfRange;
    if (partition.divergingEpoch({ offset, lastFetchedEpoch }) !== undefined) return ERROR.none;
  }
  return offset > partition.end ? ERROR.offsetOutOfRange : ERROR.none;
}

export function epochError(
  partition: ScriptedPartition | undefined,
  { nodeId, currentLeaderEpoch }: { readonly nodeId: number; readonly currentLeaderEpoch: number },
): number {
  const error = leaderError(partition, nodeId);
  if (partition === undefined || error !== ERROR.none || currentLeaderEpoch < 0) return error;
  if (currentLeaderEpoch < partition.leaderEpoch) return ERROR.fencedLeaderEpoch;
  return currentLeaderEpoch > partition.leaderEpoch ? ERROR.unknownLeaderEpoch : ERROR.none;
}

/** Returns the offsets of a response; all 0 if there is no such partition. */
export function boundsOf(partition: ScriptedPartition | undefined) {
  const { low = 0, end = 0 } = partition ?? {};
  const highWatermark = partition?.highWatermark ?? end;
  return { low, highWatermark, lastStableOffset: partition?.lastStableOffset ?? highWatermark };
}
