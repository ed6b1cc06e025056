/**
 * What was noticed of each partition, for the next line that is written of it: that it is not read on from
 * where it was left, that records expired, that its log was truncated. A mark stays until its line is
 * written, or the partition is another member's, who notices for itself what there is to notice. Truncations
 * are kept by the journal, over restarts, since a later line would else supersede earlier ones without a word.
 *
 * @module
 */

import type { ConsumedBatch } from "../kafka/consumer/api.ts";
import type { KafkaRecord } from "../record.ts";
import { truncationMark } from "./epochs/truncation_check.ts";
import type { NotedTruncation } from "../journal/held_partition.ts";
import type { JournalPartition } from "../journal/intervals.ts";

/** What was noticed of a partition. */
export interface Mark {
  readonly text: string;
  /** It is dropped where the next record is not below this offset. */
  readonly below: number;
}

/** The marks of a batch's first new record. */
export interface TakenMarks {
  /** What the line has to say; undefined for nothing. */
  readonly text: string | undefined;
  /** Those of it that hold only now that the record is known. */
  readonly confirmed: readonly string[];
  /** To be called when the batch has ended: where it was not written, the next one takes them. */
  settle(outcome: { readonly isWritten: boolean }): void;
}

type MarkedBatch = Pick<ConsumedBatch, "topic" | "topicId" | "partition" | "isCurrent">;

export class PartitionMarks {
  readonly #marks = new Map<number, readonly Mark[]>();
  /** The batch under way that has the partition's marks. */
  readonly #marked = new Map<number, MarkedBatch>();
  /** Partitions of which a batch under way has the mark of a truncation. */
  readonly #marking = new Set<number>();
  readonly #truncationOf: (partition: JournalPartition) => NotedTruncation | undefined;

  constructor(truncationOf: (partition: JournalPartition) => NotedTruncation | undefined) {
    this.#truncationOf = truncationOf;
  }

  /** Returns false where the mark waits already: each join decides anew where to read on. */
  add(partition: number, mark: Mark): boolean {
    const waiting = this.#marks.get(partition) ?? [];
    if (waiting.some(({ text, below }) => text === mark.text && below === mark.below)) return false;
    this.#marks.set(partition, [...waiting, mark]);
    return true;
  }

  /** Forgets the partitions that are another member's. */
  keepOnly(partitions: ReadonlySet<number>): void {
    for (const partition of this.#marks.keys()) {
      if (!partitions.has(partition)) this.#marks.delete(partition);
    }
  }

  /** @param first the first record that is new; records that the journal holds get no line. */
  take(batch: MarkedBatch, first: KafkaRecord | undefined): TakenMarks {
    const { partition } = batch;
    const truncation = this.#takeTruncation(batch, first);
    const taken = first === undefined ? [] : this.#takeMarks(batch);
    const right = taken.filter(({ below }) => (first?.offset ?? Infinity) < below);
    const texts = [...(truncation ? [truncation] : []), ...right.map(({ text }) => text)];
    return {
      text: texts.length === 0 ? undefined : texts.join("; "),
      confirmed: right.filter(({ below }) => below < Infinity).map(({ text }) => text),
      settle: ({ isWritten }) => {
        if (truncation !== undefined) this.#marking.delete(partition);
        if (this.#marked.get(partition) === batch) this.#marked.delete(partition);
        if (isWritten) this.#drop(partition, taken);
      },
    };
  }

  /** A batch that is stale has them no longer: it is not going to be written. */
  #takeMarks(batch: MarkedBatch): readonly Mark[] {
    const marks = this.#marks.get(batch.partition);
    if (marks === undefined || this.#marked.get(batch.partition)?.isCurrent()) return [];
    this.#marked.set(batch.partition, batch);
    return marks;
  }

  #takeTruncation(batch: MarkedBatch, first: KafkaRecord | undefined): string | undefined {
    const { partition } = batch;
    const truncation = this.#truncationOf(batch);
    if (truncation === undefined || first === undefined || this.#marking.has(partition)) {
      return undefined;
    }
    this.#marking.add(partition);
    return truncationMark(partition, { ...truncation, newEpoch: first.leaderEpoch });
  }

  #drop(partition: number, written: readonly Mark[]): void {
    const left = (this.#marks.get(partition) ?? []).filter((mark) => !written.includes(mark));
    if (left.length > 0) this.#marks.set(partition, left);
    else this.#marks.delete(partition);
  }
}
