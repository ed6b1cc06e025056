/**
 * What a {@link GroupConsumer} asks its owner, and what it tells it.
 *
 * @module
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

/** Partitions that the group gave to this member, before anything is read of them. */
export interface Assignment {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: readonly PartitionStart[];
}

export interface PartitionStart {
  readonly partition: number;
  /** The first offset that can still be read, and one past the last. */
  readonly low: number;
  readonly high: number;
  readonly committed: CommittedOffset | undefined;
}

/** Records of one partition, in order, control and aborted records left out. */
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
  /** False once the partition may be another member's: nothing must be written or committed any more. */
  isCurrent(): boolean;
  /** Aborted when the partition may be another member's, so that nobody waits on for what does not count. */
  readonly lost: AbortSignal;
  /** Asks the cluster whether the topic is still the one that the batch was read from. */
  confirmTopic(): Promise<boolean>;
  /** Offsets of the record batches by leader epoch, aborted ones and control batches included. */
  readonly epochRuns?: readonly EpochRun[];
  /** Has the partition compared with its log before it is read again; for a batch that does not become safe. */
  checkLog?(): void;
  /** Whether the batch before this one of the partition became safe; work must not be done in another order. */
  readonly previous: Promise<boolean>;
}

/** What an operator should know; each is told once when it begins. */
export type ConsumerNotice =
  | GroupNotice
  /** Members whose subscription cannot be decoded: this member is the leader, and assigned nothing to them. */
  | { readonly kind: "unreadable-subscriptions"; readonly memberIds: readonly string[] }
  | { readonly kind: "joined"; readonly partitions: readonly number[]; readonly memberId: string }
  | HindranceNotice
  | { readonly kind: "rebuilding"; readonly reason: string; readonly inMs: number }
  /** What was fetched is not what was stored, or cannot be decompressed: it is asked for again. */
  | {
    readonly kind: "unreadable";
    readonly partition: number;
    readonly offset: number;
    readonly reason: string;
  }
  /** The consumer stopped before all work in hand was safe and committed. */
  | { readonly kind: "left-uncommitted" }
  | { readonly kind: "topic-changed"; readonly from: string; readonly to: string | undefined }
  | {
    readonly kind: "commit-failed";
    /** By partition. */
    readonly offsets: ReadonlyMap<number, number>;
    readonly reason: string;
  };

/** An offset that is committed. */
export interface CommitPoint {
  readonly partition: number;
  readonly offset: number;
  /** Leader epoch of the record before the offset; undefined where it is not known. */
  readonly epoch: number | undefined;
}

/** What is known of one of this member's partitions. */
export interface PartitionStanding extends PartitionLag {
  /** One past the last offset that is safe: where this member would read on; undefined until that is decided. */
  readonly position: number | undefined;
  /** Where the partition cannot be read, and why. */
  readonly unreadable: UnreadableBatch | undefined;
}

export interface UnreadableBatch {
  readonly offset: number;
  readonly reason: string;
}

/** What a member of a group knows of itself at one moment. */
export interface ConsumerStanding {
  readonly hindrance: Hindrance | undefined;
  /** Those that the group gave to this member, in order. */
  readonly partitions: readonly PartitionStanding[];
  /** Why commits fail; undefined where they do not. */
  readonly commitFailure: string | undefined;
  /** Partitions of the topic that no member of the group has; undefined where that is not known. */
  readonly unassigned: readonly number[] | undefined;
}

export interface GroupConsumerOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly groupId: string;
  /** Kept with every commit, so that a later member can tell whose commit it was. */
  readonly commitMetadata: (topicId: string, point: CommitPoint) => string;
  /**
   * Whether a group that has committed nothing of the topic begins at the topic's end. One member commits that end for
   * all partitions then, before any member reads. Left out, it is {@link startAt} that decides for each partition.
   */
  readonly beginsAtEnd?: (topic: Pick<Assignment, "topic" | "topicId">) => boolean;
  /** Where to read on, by partition; the answer is awaited before any record is handed over. */
  readonly startAt: (assignment: Assignment) => ReadonlyMap<number, number>;
  /**
   * Does the work on a batch, beside the fetching of the next. Resolves with true when all of the batch is
   * safe and may be committed, with false where it was abandoned: its records are then read again.
   */
  readonly onBatch: (batch: ConsumedBatch) => Promise<boolean>;
  readonly onNotice: (notice: ConsumerNotice) => void;
  /** Left out, a partition that cannot be read on is read from the first offset that it has. */
  readonly logCheck?: LogCheck;
  /** A member that says nothing for this long loses its partitions; 10 s. */
  readonly sessionTimeoutMs?: number;
}
