/**
 * Which journal lines are superseded: their log was truncated, and the cluster has other records at their offsets, or
 * none. After an unclean election, or after a broker lost what it had not flushed, that is no fault of the journal.
 *
 *     the line has an epoch      its partition's leader says where that epoch ends (OffsetForLeaderEpoch, KIP-101):
 *                                a line at or past the end is superseded, and so is one of an epoch the log lacks
 *     it has none                a later line of the same journal has its offset in a known epoch
 *
 * @module
 */

import type { LeaderEpochAnswer, LeaderEpochQuestion } from "../../kafka/leader_epochs.ts";
import type { JournaledRecord } from "../event.ts";
import { type EpochRun, HeldPartition } from "../journal/held_partition.ts";

/** Lines from `from` on are superseded; `Infinity` where none is, or nobody can say. */
type SupersededFrom = number;

export interface SupersededLinesOptions {
  readonly topic: string;
  readonly topicId: string;
  /** Undefined where no cluster can be asked: then no line with an epoch is taken for superseded. */
  readonly epochEnd: ((question: LeaderEpochQuestion) => Promise<LeaderEpochAnswer>) | undefined;
}

export class SupersededLines {
  readonly #options: SupersededLinesOptions;
  /** By partition and epoch. */
  readonly #ends = new Map<string, SupersededFrom>();
  /** What each journal's lines hold so far, by journal and partition. */
  readonly #held = new Map<string, HeldPartition>();

  constructor(options: SupersededLinesOptions) {
    this.#options = options;
  }

  /** Returns whether a line is superseded; a promise where a leader has to be asked, once for each epoch. */
  isSuperseded({ partition, offset, leaderEpoch }: JournaledRecord): boolean | Promise<boolean> {
    if (leaderEpoch === undefined) return false;
    const key = `${partition} ${leaderEpoch}`;
    const from = this.#ends.get(key);
    if (from !== undefined) return offset >= from;
    return this.#ask(partition, leaderEpoch).then((end) => {
      this.#ends.set(key, end);
      return offset >= end;
    });
  }

  /** Notes a line that is not superseded; returns the offsets of lines without an epoch that it supersedes. */
  note(journal: number, { partition, offset, leaderEpoch }: JournaledRecord): readonly EpochRun[] {
    const key = `${journal} ${partition}`;
    let held = this.#held.get(key);
    if (held === undefined) {
      held = new HeldPartition();
      this.#held.set(key, held);
    }
    return held.addLine(offset, leaderEpoch).superseded.filter(({ epoch }) => epoch === undefined);
  }

  async #ask(partition: number, epoch: number): Promise<SupersededFrom> {
    const { topic, topicId, epochEnd } = this.#options;
    const answer = await epochEnd?.({ topic, topicId, partition, epoch });
    if (answer === undefined) return Infinity;
    const { leaderEpoch, end } = answer;
    if (end?.epoch === epoch) return leaderEpoch === epoch ? Infinity : end.endOffset;
    // The log has no such epoch, though a later leader knows of it.
    return leaderEpoch > epoch ? 0 : Infinity;
  }
}
