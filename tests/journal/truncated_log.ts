/**
 * What tests of leader epochs share: a partition's log that loses its end and is written anew, lines with
 * epochs, and the rule of `held_partition.ts` in its plainest form.
 */

import { findDivergence } from "../../lib/kafka/consumer/log_truncation.ts";
import type { EpochEnd } from "../../lib/kafka/protocol/offset_for_leader_epoch.ts";
import type { EpochRun } from "../../lib/kafka/protocol/record_batch.ts";
import { decodeEvent } from "../../lib/journal/line.ts";
import type { EpochStart } from "../../lib/journal/held_partition.ts";
import type { JournalAppend } from "../../lib/journal/append_queue.ts";
import type { Journal } from "../../lib/journal/journal.ts";
import { encodedLines, lineOf, partition } from "./fixture.ts";

/** A record, as far as it matters here; the epoch is undefined where it is not known. */
export type EpochRecord = readonly [offset: number, epoch: number | undefined];

export function lineInEpoch(number: number, [offset, epoch]: EpochRecord): string {
  const line = lineOf(partition(number), offset, `epoch ${epoch ?? "?"}`);
  return epoch === undefined ? line : line.replace(/\}\n$/, `,"kafka_leader_epoch":${epoch}}\n`);
}

/** An append of the offsets from `start` up to `end`, all in one epoch. */
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

/** The records in journal files, in the order of the lines; `partition` tells whose. */
export function epochRecordsIn(
  texts: readonly string[],
): (readonly [partition: number, ...EpochRecord])[] {
  return texts.flatMap((text) => text.split("\n").slice(0, -1)).map((line) => {
    const { partition, offset, leaderEpoch } = decodeEvent(line);
    return [partition, offset, leaderEpoch] as const;
  });
}

/** What is held of a partition, offset by offset. */
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

/** `0-99:e1 120-149:e2`; `e?` is an unknown epoch. */
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

/** The rule of `held_partition.ts`, offset by offset. */
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

/** An offset of a log: of a record, or of something that a consumer never sees (a transaction's marker). */
interface LogEntry {
  readonly epoch: number;
  readonly isRecord: boolean;
}

/** A partition's log. It loses its end, or an older replica of it is elected, and then it is written on. */
export class SimulatedLog {
  #entries: readonly LogEntry[] = [];
  #epoch = 0;
  /** What replicas that were left behind have. */
  readonly #replicas: (readonly LogEntry[])[] = [];

  get end(): number {
    return this.#entries.length;
  }

  /** The records from `start` up to `end`. */
  records(start = 0, end = this.end): EpochRecord[] {
    return this.#entries.slice(start, end).flatMap(({ epoch, isRecord }, index) =>
      isRecord ? [[start + index, epoch] as const] : []
    );
  }

  /** Where the epochs begin from `start` up to `end`, as batch headers say. */
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

  /** @param isRecord asked for each offset. */
  append(count: number, isRecord: () => boolean): void {
    const added = Array.from({ length: count }, () => ({
      epoch: this.#epoch,
      isRecord: isRecord(),
    }));
    this.#entries = [...this.#entries, ...added];
  }

  /** A new leader, which has everything. */
  elect(): void {
    this.#epoch++;
  }

  /** A new leader, which has the log up to `offset` only; the old one is left behind with all of it. */
  loseFrom(offset: number): void {
    this.#replicas.push(this.#entries);
    this.#entries = this.#entries.slice(0, offset);
    this.#epoch++;
  }

  /** A replica that was left behind becomes the leader. */
  electReplica(index: number): void {
    const replica = this.#replicas[index % this.#replicas.length];
    if (replica === undefined) return;
    this.#replicas.push(this.#entries);
    this.#entries = replica;
    this.#epoch++;
  }

  /** What OffsetForLeaderEpoch answers: the highest epoch of the log up to the one asked for, and its end. */
  epochEnd(asked: number): EpochEnd | undefined {
    const index = this.#entries.findLastIndex(({ epoch }) => epoch <= asked);
    const epoch = this.#entries[index]?.epoch;
    return epoch === undefined ? undefined : { epoch, endOffset: index + 1 };
  }

  /** Returns the offset from which on what was read is not what the log has, as the tracker finds it. */
  async divergence(read: readonly EpochRecord[]): Promise<number | undefined> {
    const found = await findDivergence(
      runsOf(read),
      (epoch) => Promise.resolve(this.epochEnd(epoch) ?? { epoch, endOffset: 0 }),
    );
    const offset = found?.offset ?? 0;
    // Reading began at 0. Where nothing that was read is left, it begins there again.
    return found && (read.some(([at]) => at < offset) ? offset : 0);
  }
}

/** The records by leader epoch, as `heldRuns` gives them. */
function runsOf(records: readonly EpochRecord[]): readonly EpochRun[] {
  const runs: { epoch: number | undefined; start: number; end: number }[] = [];
  for (const [offset, epoch] of records) {
    const last = runs.at(-1);
    if (last !== undefined && last.epoch === epoch) last.end = offset + 1;
    else runs.push({ epoch, start: offset, end: offset + 1 });
  }
  return runs;
}
