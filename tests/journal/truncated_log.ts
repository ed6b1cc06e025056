/**
 * Shared by the tests of leader epochs: a partition's log that loses its end and is rewritten, lines with epochs, and
 * a plain implementation of the rule in `held_partition.ts`.
 */

import { findDivergence } from "../../lib/kafka/consumer/log_truncation.ts";
import type { EpochEnd } from "../../lib/kafka/protocol/offset_for_leader_epoch.ts";
import type { EpochRun } from "../../lib/kafka/protocol/record_batch.ts";
import { decodeEvent } from "../../lib/journal/line.ts";
import type { EpochStart } from "../../lib/journal/held_partition.ts";
import type { JournalAppend } from "../../lib/journal/append_queue.ts";
import type { Journal } from "../../lib/journal/journal.ts";
import { encodedLines, lineOf, partition } from "./fixture.ts";

/** A record's offset and epoch; the epoch is undefined if unknown. */
export type EpochRecord = readonly [offset: number, epoch: number | undefined];

export function lineInEpoch(number: number, [offset, epoch]: EpochRecord): string {
  const line = lineOf(partition(number), offset, `epoch ${epoch ?? "?"}`);
  return epoch === undefined ? line : line.replace(/\}\n$/, `,"kafka_leader_epoch":${epoch}}\n`);
}

/** Returns an append of the offsets from `start` up to `end`, all in one epoch. */
export function appendInEpoch(
  number: number,
  { start, end }: { readonly start: number; readonly end: number },
  epoch: number,
): JournalAppend {
  const offsets = Array.from({ length: end - start }, (_, index) => start + index);
  return {
    ...partition(number),
    intervals: [{ start, end }],
    epochs: [{ epoch, start }],
    ...encodedLines(offsets.map((offset) => lineInEpoch(number, [offset, epoch]))),
  };
}

/** Returns one partition's records in journal files, in the order of the lines. */
export function epochRecordsIn(
  texts: readonly string[],
): (readonly [partition: number, ...EpochRecord])[] {
  return texts.flatMap((text) => text.split("\n").slice(0, -1)).map((line) => {
    const { partition, offset, leaderEpoch } = decodeEvent(line);
    return [partition, offset, leaderEpoch] as const;
  });
}

/** Returns the held offsets of a partition with their epochs. */
export function heldRecords(journal: Journal, number: number): EpochRecord[] {
  const epochs = journal.heldEpochs(partition(number));
  return journal.heldIntervals(partition(number)).flatMap(({ start, end }) =>
    Array.from({ length: end - start }, (_, index) => {
      const offset = start + index;
      const epoch = epochs.findLast((entry) => entry.start <= offset)?.epoch;
      return [offset, epoch] as const;
    })
  );
}

/** Formats records as `0-99:e1 120-149:e2`; `e?` is an unknown epoch. */
export function textOf(records: readonly EpochRecord[]): string {
  const runs: { start: number; end: number; epoch: number | undefined }[] = [];
  for (const [offset, epoch] of records) {
    const last = runs.at(-1);
    if (last !== undefined && last.end + 1 === offset && last.epoch === epoch) last.end = offset;
    else runs.push({ start: offset, end: offset, epoch });
  }
  return runs.map(({ start, end, epoch }) => `${start}-${end}:e${epoch ?? "?"}`).join(" ");
}

export function heldText(journal: Journal, number = 0): string {
  return textOf(heldRecords(journal, number));
}

export type Held = ReadonlyMap<number, number | undefined>;

export function sorted(held: Held): EpochRecord[] {
  return [...held].sort(([a], [b]) => a - b);
}

/** Applies the rule of `held_partition.ts`, offset by offset. */
export function withLine(
  held: Held,
  [offset, epoch]: EpochRecord,
): Map<number, number | undefined> {
  const own = held.get(offset);
  const isHeld = held.has(offset);
  if (isHeld && (own === epoch || epoch === undefined)) return new Map(held);
  const kept = [...held].filter(([at, known]) => {
    if (at < offset || epoch === undefined) return true;
    return !isHeld && (known === undefined || known >= epoch);
  });
  return new Map(kept).set(offset, epoch);
}

/** An offset of a log: a record, or something that a consumer never sees (a transaction marker). */
interface LogEntry {
  readonly epoch: number;
  readonly isRecord: boolean;
}

/** A partition's log that loses its end, or elects an older replica, and then grows again. */
export class SimulatedLog {
  #entries: readonly LogEntry[] = [];
  #epoch = 0;
  readonly #replicas: (readonly LogEntry[])[] = [];

  get end(): number {
    return this.#entries.length;
  }

  records(start = 0, end = this.end): EpochRecord[] {
    return this.#entries.slice(start, end).flatMap(({ epoch, isRecord }, index) =>
      isRecord ? [[start + index, epoch] as const] : []
    );
  }

  /** Returns where epochs begin between `start` and `end`, as in batch headers. */
  epochStarts(start: number, end: number): EpochStart[] {
    const starts: EpochStart[] = [];
    for (let offset = start; offset < Math.min(end, this.end); offset++) {
      const epoch = this.#entries[offset]?.epoch;
      if (starts.length === 0 || starts.at(-1)?.epoch !== epoch) {
        starts.push({ epoch, start: offset });
      }
    }
    return starts;
  }

  /** @param isRecord called for each offset. */
  append(count: number, isRecord: () => boolean): void {
    const added = Array.from({ length: count }, () => ({
      epoch: this.#epoch,
      isRecord: isRecord(),
    }));
    this.#entries = [...this.#entries, ...added];
  }

  elect(): void {
    this.#epoch++;
  }

  /** Elects a leader that has the log only up to `offset`; the old one is left behind with all of it. */
  loseFrom(offset: number): void {
    this.#replicas.push(this.#entries);
    this.#entries = this.#entries.slice(0, offset);
    this.#epoch++;
  }

  electReplica(index: number): void {
    const replica = this.#replicas[index % this.#replicas.length];
    if (replica === undefined) return;
    this.#replicas.push(this.#entries);
    this.#entries = replica;
    this.#epoch++;
  }

  /** Answers OffsetForLeaderEpoch: the log's highest epoch not above the requested one, and its end. */
  epochEnd(asked: number): EpochEnd | undefined {
    const index = this.#entries.findLastIndex(({ epoch }) => epoch <= asked);
    const epoch = this.#entries[index]?.epoch;
    return epoch === undefined ? undefined : { epoch, endOffset: index + 1 };
  }

  /** Returns the offset at which the records read diverge from the log, found as the tracker finds it. */
  async divergence(read: readonly EpochRecord[]): Promise<number | undefined> {
    const found = await findDivergence(
      runsOf(read),
      (epoch) => Promise.resolve(this.epochEnd(epoch) ?? { epoch, endOffset: 0 }),
    );
    const offset = found?.offset ?? 0;
    // Reading began at 0. If none of the records read remains, it begins there again.
    return found && (read.some(([at]) => at < offset) ? offset : 0);
  }
}

/** Groups the records by leader epoch, as `heldRuns` does. */
function runsOf(records: readonly EpochRecord[]): readonly EpochRun[] {
  const runs: { epoch: number | undefined; start: number; end: number }[] = [];
  for (const [offset, epoch] of records) {
    const last = runs.at(-1);
    if (last !== undefined && last.epoch === epoch) last.end = offset + 1;
    else runs.push({ epoch, start: offset, end: offset + 1 });
  }
  return runs;
}
