/**
 * Keeps marks for the next journal line of a partition: reading was not resumed where it ended, records expired, or the
 * log was truncated. A mark stays until its line is written or the partition is assigned to another member, which makes
 * its own marks. Truncations are stored in the journal across restarts; otherwise a later line would supersede earlier
 * ones without an explanation.
 */

import type { ConsumedBatch } from "../kafka/consumer/api.ts";
import type { KafkaRecord } from "../record.ts";
import { truncationMark } from "./epochs/truncation_check.ts";
import type { NotedTruncation } from "../journal/held_partition.ts";
import type { JournalPartition } from "../journal/intervals.ts";

export interface Mark {
  readonly text: string;
  /** The mark is dropped if the next record is not below this offset. */
  readonly below: number;
}

export interface TakenMarks {
  readonly text: string | undefined;
  /** Marks that depended on the offset of the next record and are now confirmed. */
  readonly confirmed: readonly string[];
  /** Must be called when the batch has ended; if it was not written, the next batch takes the marks. */
  settle(outcome: { readonly isWritten: boolean }): void;
}

type MarkedBatch = Pick<ConsumedBatch, "topic" | "topicId" | "partition" | "isCurrent">;

export class PartitionMarks {
  readonly #marks = new Map<number, readonly Mark[]>();
  /** The batches in progress that hold their partition's marks. */
  readonly #marked = new Map<number, MarkedBatch>();
  /** Partitions whose truncation mark is held by a batch in progress. */
  readonly #marking = new Set<number>();
  readonly #truncationOf: (partition: JournalPartition) => NotedTruncation | undefined;

  constructor(truncationOf: (partition: JournalPartition) => NotedTruncation | undefined) {
    this.#truncationOf = truncationOf;
  }

  /** Adds a mark; returns false if it is a duplicate, which happens because each join decides the start again. */
  add(partition: number, mark: Mark): boolean {
    const waiting = this.#marks.get(partition) ?? [];
    if (waiting.some(({ text, below }) => text === mark.text && below === mark.below)) return false;
    this.#marks.set(partition, [...waiting, mark]);
    return true;
  }

  keepOnly(partitions: ReadonlySet<number>): void {
    for (const partition of this.#marks.keys()) {
      if (!partitions.has(partition)) this.#marks.delete(partition);
    }
  }

  /** @param first the first new record; records that the journal already holds get no line. */
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

  /** Takes marks over from a stale batch, which will not be written. */
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
