/**
 * Finds superseded journal lines: their log was truncated, and the cluster has other records or none at their
 * offsets. This happens after an unclean election, or after a broker lost unflushed data, and is not a fault of the
 * journal.
 *
 *     line with an epoch      its partition's leader says where that epoch ends (OffsetForLeaderEpoch, KIP-101): lines at
 *                             or past the end are superseded, and so are lines of epochs that the log lacks
 *     line without an epoch   superseded if a later line of the same journal has its offset in a known epoch
 */

import type { LeaderEpochAnswer, LeaderEpochQuestion } from "../kafka/leader_epochs.ts";
import type { JournaledRecord } from "../journal/line.ts";
import { explainsLowerOffset } from "../tracker/start_position.ts";
import { type EpochRun, HeldPartition } from "../journal/held_partition.ts";

/** The result of checking a line that is not superseded against earlier lines of its journal. */
export interface LinePosition {
  readonly superseded: readonly EpochRun[];
  /**
   * True if a line of its partition with a higher offset precedes it, and neither a truncation nor a mark explains
   * that.
   */
  readonly isOutOfOrder: boolean;
  /** True if it has no epoch although an earlier line of its partition has one. */
  readonly lacksEpoch: boolean;
}

const NO_RUNS: readonly EpochRun[] = [];
const IN_ORDER: LinePosition = { superseded: NO_RUNS, isOutOfOrder: false, lacksEpoch: false };

/** The offsets of a partition in the lines of one journal read so far. */
interface LinesSoFar {
  readonly held: HeldPartition;
  hasEpochs: boolean;
  /** One past the highest offset since the partition was last read from a lower offset. */
  end: number;
}

/** Lines from this offset on are superseded; `Infinity` if none are, or it is unknown. */
type SupersededFrom = number;

export interface SupersededLinesOptions {
  readonly topic: string;
  readonly topicId: string;
  /** Undefined if there is no cluster to ask; then no line with an epoch counts as superseded. */
  readonly epochEnd: ((question: LeaderEpochQuestion) => Promise<LeaderEpochAnswer>) | undefined;
}

export class SupersededLines {
  readonly #options: SupersededLinesOptions;
  readonly #ends = new Map<string, SupersededFrom>();
  readonly #lines = new Map<string, LinesSoFar>();

  constructor(options: SupersededLinesOptions) {
    this.#options = options;
  }

  /** Returns whether a line is superseded; returns a promise if a leader must be asked, once per epoch. */
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

  /** Notes a line that is not superseded. A journal's lines must come in the order in which they were written. */
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
    // The log has no such epoch, although a later leader knows of it.
    return leaderEpoch > epoch ? 0 : Infinity;
  }
}
