/**
 * Types exchanged between a {@link GroupConsumer} and its owner.
 */

import type { KafkaConnection } from "../client.ts";
import type { CommittedOffset } from "../cluster_answers.ts";
import type { KafkaRecord } from "../../record.ts";
import type { EpochRun } from "../protocol/record_batch.ts";
import type { RecordSpan } from "../protocol/records.ts";
import type { GroupNotice } from "./group_watch.ts";
import type { PartitionLag } from "./lag.ts";
import type { Hindrance } from "./liveness.ts";
import type { LogCheck } from "./log_check.ts";
import type { HindranceNotice } from "./watchdog.ts";

/** The partitions assigned to this member, before anything is read from them. */
export interface Assignment {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: readonly PartitionStart[];
}

export interface PartitionStart {
  readonly partition: number;
  /** The first offset still in the log. */
  readonly low: number;
  /** One past the last readable offset. */
  readonly high: number;
  readonly committed: CommittedOffset | undefined;
}

/** Records of one partition, in order, without control records and aborted records. */
export interface ConsumedBatch {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Decoded where they are asked for. */
  readonly records: readonly KafkaRecord[];
  /** The same records as bytes, among others from before `start`; absent where they came as records only. */
  readonly spans?: readonly RecordSpan[] | undefined;
  /** No record of the batch is before this offset. */
  readonly start?: number;
  /** One past the last offset that the batch covers. */
  readonly endOffset: number;
  /** One past the last offset of the partition, when the batch was fetched. */
  readonly highWatermark: number;
  /** False once the partition may belong to another member: nothing may be written or committed then. */
  isCurrent(): boolean;
  /** Aborted when the partition may belong to another member, to cancel pending work. */
  readonly lost: AbortSignal;
  confirmTopic(): Promise<boolean>;
  /** Offsets of the record batches by leader epoch, including aborted and control batches. */
  readonly epochRuns?: readonly EpochRun[];
  /** Requests a comparison with the log before the partition is read again; for a batch that does not become safe. */
  checkLog?(): void;
  /** Resolves to whether the partition's previous batch became safe; batches must be processed in order. */
  readonly previous: Promise<boolean>;
}

/** A change that an operator should know about, reported once when it begins. */
export type ConsumerNotice =
  | GroupNotice
  /** This member, as the leader, assigned nothing to members whose subscription it cannot decode. */
  | { readonly kind: "unreadable-subscriptions"; readonly memberIds: readonly string[] }
  | { readonly kind: "joined"; readonly partitions: readonly number[]; readonly memberId: string }
  | HindranceNotice
  | { readonly kind: "rebuilding"; readonly reason: string; readonly inMs: number }
  /** A fetched batch is corrupt or cannot be decompressed: it is fetched again. */
  | {
    readonly kind: "unreadable";
    readonly partition: number;
    readonly offset: number;
    readonly reason: string;
  }
  /** The consumer stopped before all work in progress was safe and committed. */
  | { readonly kind: "left-uncommitted" }
  | { readonly kind: "topic-changed"; readonly from: string; readonly to: string | undefined }
  | {
    readonly kind: "commit-failed";
    readonly offsets: ReadonlyMap<number, number>;
    readonly reason: string;
  };

export interface CommitPoint {
  readonly partition: number;
  readonly offset: number;
  /** Leader epoch of the record before the offset; undefined if not known. */
  readonly epoch: number | undefined;
}

export interface PartitionStanding extends PartitionLag {
  /** One past the last safe offset, where this member would resume; undefined until the start is decided. */
  readonly position: number | undefined;
  readonly unreadable: UnreadableBatch | undefined;
}

export interface UnreadableBatch {
  readonly offset: number;
  readonly reason: string;
}

export interface ConsumerStanding {
  readonly hindrance: Hindrance | undefined;
  readonly partitions: readonly PartitionStanding[];
  /** Why commits fail; undefined if they succeed. */
  readonly commitFailure: string | undefined;
  /** Partitions of the topic that no group member holds; undefined if not known. */
  readonly unassigned: readonly number[] | undefined;
}

export interface GroupConsumerOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly groupId: string;
  /** Returns the metadata stored with a commit, by which a later member recognizes who made it. */
  readonly commitMetadata: (topicId: string, point: CommitPoint) => string;
  /**
   * Returns true if a group without commits begins at the topic's end. One member then commits the end of all
   * partitions before any member reads. By default, {@link startAt} decides for each partition.
   */
  readonly beginsAtEnd?: (topic: Pick<Assignment, "topic" | "topicId">) => boolean;
  /** Returns the offsets to resume at, by partition; called before any record is handed over. */
  readonly startAt: (assignment: Assignment) => ReadonlyMap<number, number>;
  /**
   * Processes a batch while the next one is fetched. Resolves to true when the whole batch is safe and may be
   * committed, and to false if it was abandoned; its records are then read again.
   */
  readonly onBatch: (batch: ConsumedBatch) => Promise<boolean>;
  readonly onNotice: (notice: ConsumerNotice) => void;
  /** By default, a partition that cannot be resumed is read from its first offset. */
  readonly logCheck?: LogCheck;
  /** Time after which a silent member loses its partitions; default: 10 s. */
  readonly sessionTimeoutMs?: number;
}
