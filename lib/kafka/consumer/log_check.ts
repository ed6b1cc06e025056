/**
 * The interface by which a group consumer asks its owner whether the logs still have the records that were read.
 *
 *     join              beforeStart      each assigned partition, before its start is decided
 *     misplaced fetch   realign          out of range, or the broker reports that its log diverges
 *     odd batch         realign          the owner reports that it does not continue what was read
 */

import type { Assignment } from "./api.ts";
import type { EpochEnd } from "../protocol/offset_for_leader_epoch.ts";

/** The position in a partition, and what is known about the record before it. */
export interface LogPosition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  /** Leader epoch of the record before it; undefined if not known. */
  readonly epoch: number | undefined;
  /** The end of the common log, if a fetch at this offset reported a diverging epoch. */
  readonly divergingEpoch: EpochEnd | undefined;
}

/** Compares what was read with the logs. Its methods reject if no leader answers, and are then called again. */
export interface LogCheck {
  /**
   * Compares each assigned partition before its start is decided.
   *
   * @returns the partitions whose log was truncated; their starts are committed at once.
   */
  beforeStart(assignment: Assignment): Promise<ReadonlySet<number>>;
  /** Compares one partition while none of its batches is being processed; returns the offset to resume at. */
  realign(position: LogPosition): Promise<number>;
  /** Returns the leader epoch of the record before an offset; undefined if not known. */
  epochBefore(partition: number, offset: number): number | undefined;
}
