/**
 * What a group consumer asks whoever keeps the records that were read: whether the logs still have them.
 *
 *     join              beforeStart      each assigned partition, before its start is decided
 *     misplaced fetch   realign          out of range, or the broker says that its log diverges
 *     odd batch         realign          its owner says that it is no continuation of what was read
 *
 * @module
 */

import type { Assignment } from "./api.ts";
import type { EpochEnd } from "../protocol/offset_for_leader_epoch.ts";

/** Where a partition is read, and what is known of the record before. */
export interface LogPosition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** The next offset to be read. */
  readonly offset: number;
  /** Leader epoch of the record before it; undefined where it is not known. */
  readonly epoch: number | undefined;
  /** Where a broker that was to read on from here said that its log diverges. */
  readonly divergingEpoch: EpochEnd | undefined;
}

/** Compares what was read with the logs. Its methods reject where no leader answers, and are called again. */
export interface LogCheck {
  /**
   * Compares each assigned partition, before it is decided where to read on.
   *
   * @returns the partitions whose log was truncated; where they start is committed at once.
   */
  beforeStart(assignment: Assignment): Promise<ReadonlySet<number>>;
  /** Compares one partition while nothing of it is being worked on, and returns where to read on. */
  realign(position: LogPosition): Promise<number>;
  /** Returns the leader epoch of the record before an offset; undefined where it is not known. */
  epochBefore(partition: number, offset: number): number | undefined;
}
