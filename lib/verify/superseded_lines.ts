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

import type { LeaderEpochAnswer, LeaderEpochQuestion } from "../kafka/leader_epochs.ts";
import type { JournaledRecord } from "../journal/line.ts";
import { explainsLowerOffset } from "../tracker/start_position.ts";
import { type EpochRun, HeldPartition } from "../journal/held_partition.ts";

/** What a line that is not superseded tells beside its record, by the lines before it in its journal. */
export interface LinePosition {
  /** Offsets of lines without an epoch that it supersedes. */
  readonly superseded: readonly EpochRun[];
  /** A line of its partition with a higher offset comes before it, and neither a truncation nor a mark explains that. */
  readonly isOutOfOrder: boolean;
  /** It has no epoch, though an earlier line of its partition has one. */
  readonly lacksEpoch: boolean;
}

const NO_RUNS: readonly EpochRun[] = [];
const IN_ORDER: LinePosition = { superseded: NO_RUNS, isOutOfOrder: false, lacksEpoch: false };

/** What the lines of one journal have held so far of a partition. */
interface LinesSoFar {
  readonly held: HeldPartition;
  hasEpochs: boolean;
  /** One past the highest offset, since the partition was last read on from a lower one. */
  end: number;
}

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
  /** By journal and partition. */
  readonly #lines = new Map<string, LinesSoFar>();

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

  /** Notes a line that is not superseded. The lines of a journal come in the order in which they were written. */
  note(
    journal: number,
    { partition, offset, leaderEpoch }: JournaledRecord,
    mark = "",
  ): LinePosition {
    const key = `${journal} ${partition}`;
    let lines = this.#lines.get(key);
    if (lines === undefined) {
      lines = { held: new HeldPartition(), hasEpochs: false, end: 0 };
      this.#lines.set(key, lines);
    }
    const lacksEpoch = lines.hasEpochs && leaderEpoch === undefined;
    lines.hasEpochs ||= leaderEpoch !== undefined;
    const { isRepeated, superseded } = lines.held.addLine(offset, leaderEpoch);
    const isLower = offset < lines.end && !isRepeated;
    const isExplained = superseded.length > 0 || isLower && explainsLowerOffset(mark);
    lines.end = isExplained ? offset + 1 : Math.max(lines.end, offset + 1);
    const isOutOfOrder = isLower && !isExplained;
    if (!isOutOfOrder && !lacksEpoch && superseded.length === 0) return IN_ORDER;
    const withoutEpoch = superseded.filter(({ epoch }) => epoch === undefined);
    return { superseded: withoutEpoch, isOutOfOrder, lacksEpoch };
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
