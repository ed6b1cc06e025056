/**
 * Finds out which lines a replay sends, and in which order: each record once, in the order of its partition.
 *
 *     superseded   its log was truncated: a line of a higher leader epoch has its offset, or a lower one. In one history
 *                  of a partition epochs never fall as offsets rise.
 *     repeated     another line, mostly of another journal, has the same record
 *     omitted      the line lacks the value, key, or a header, which was too large to be kept
 *
 * Lines are kept as runs: lines of one partition that stand one after another, with rising offsets. So a plan is small,
 * and the records are read again, a run at a time, when they are sent. Where runs of several journals alternate, they
 * are read in several sweeps, each with rising positions.
 */

import { gapsIn, type Interval, IntervalSet } from "../journal/intervals.ts";
import { quickClassify } from "../journal/line_scan.ts";
import type { JournalLine } from "../journal/journal_files.ts";
import { recordBytesMax } from "../kafka/protocol/record_size.ts";
import { Prefilter } from "../search/prefilter.ts";
import { type Hit, matches, parseLine, type Query } from "../search/query.ts";
import type { ReplaySource } from "./replay_source.ts";
import type { SourceRange } from "./source_records.ts";

/** A partition of a topic, told from one of an earlier or later topic of that name. */
export type SourcePartition = Omit<SourceRange, "leaderEpoch">;

/** Part of a run: records with offsets from `first` to `last`, in the lines at these positions. */
export interface Piece {
  readonly partition: PlannedPartition;
  readonly start: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
  readonly epoch: number | undefined;
}

export interface PlannedPartition {
  readonly source: SourcePartition;
  /** The offsets of the records. */
  readonly offsets: IntervalSet;
  /** In the order of their offsets; no two have offsets of one another between them. */
  readonly pieces: readonly Piece[];
}

/** An objection to records, and the first record that has it. */
export interface Objection {
  readonly count: number;
  readonly example: string;
}

export interface Plan {
  /** By {@link sourceKey}, in the order of their first lines. */
  readonly partitions: ReadonlyMap<string, PlannedPartition>;
  /** By the lines of the records' topics, selected or not. */
  readonly partitionCount: number;
  readonly count: number;
  readonly superseded: number;
  readonly repeated: number;
  readonly omitted: Objection | undefined;
  readonly unreadable: number;
  /** By the judge's name. */
  readonly objections: ReadonlyMap<string, Objection>;
  readonly bytesMax: number;
}

/** Says by name what speaks against a record. */
export type Judge = (hit: Hit) => readonly string[];

export function sourceKey({ topic, topicId, partition }: SourcePartition): string {
  return `${partition}/${topic.length}/${topic}/${topicId ?? ""}`;
}

interface Run {
  readonly start: number;
  end: number;
  last: number;
  readonly offsets: IntervalSet;
  readonly epoch: number | undefined;
  readonly objections: Map<string, Objection>;
}

/** The latest state of a partition in one journal's lines. */
interface JournalState {
  epoch: number | undefined;
  /** Offsets of lines without an epoch. */
  readonly withoutEpoch: IntervalSet;
}

class PartitionScan {
  readonly runs: Run[] = [];
  /** The lowest offset of each epoch. */
  readonly #epochs = new Map<number, number>();
  readonly #journals = new Map<number, JournalState>();
  /** From here on what has no epoch is superseded: a later line of its journal has one, and the same offset. */
  #withoutEpochEnd = Infinity;

  constructor(readonly source: SourcePartition) {}

  /** Notes any line of the partition, and returns its epoch. */
  note(journal: number, offset: number, epoch: number | undefined): number | undefined {
    const state = this.#journals.get(journal) ?? { epoch, withoutEpoch: new IntervalSet() };
    this.#journals.set(journal, state);
    // A line need not repeat the epoch of the line before it.
    state.epoch = epoch ?? state.epoch;
    if (state.epoch === undefined) {
      state.withoutEpoch.add({ start: offset, end: offset + 1 });
      return undefined;
    }
    this.#epochs.set(state.epoch, Math.min(this.#epochs.get(state.epoch) ?? Infinity, offset));
    if (offset < this.#withoutEpochEnd && state.withoutEpoch.has(offset)) {
      this.#withoutEpochEnd = offset;
    }
    return state.epoch;
  }

  /** Adds a selected line; the run goes on if it ends where the line starts. */
  add(
    { start, end }: Pick<JournalLine, "start" | "end">,
    { offset, epoch }: { readonly offset: number; readonly epoch: number | undefined },
  ): Run {
    let run = this.runs.at(-1);
    if (run?.end !== start || run.epoch !== epoch || run.last >= offset) {
      const offsets = new IntervalSet();
      run = { start, end, last: offset, offsets, epoch, objections: new Map() };
      this.runs.push(run);
    }
    run.end = end;
    run.last = offset;
    run.offsets.add({ start: offset, end: offset + 1 });
    return run;
  }

  /** Removes what is superseded, and returns how many records that are. */
  supersede(): number {
    let count = 0;
    for (const { offsets, epoch } of this.runs) {
      const higher = [...this.#epochs].filter(([other]) => epoch !== undefined && other > epoch);
      const start = epoch === undefined
        ? this.#withoutEpochEnd
        : Math.min(Infinity, ...higher.map(([, first]) => first));
      if (start === Infinity) continue;
      count += countOf(offsets.within({ start, end: Infinity }));
      offsets.remove({ start, end: Infinity });
    }
    return count;
  }
}

export interface PlanOptions {
  readonly source: ReplaySource;
  readonly query: Query;
  readonly judge: Judge;
  readonly signal?: AbortSignal | undefined;
  /** Called often, with positions. */
  readonly onRead?: (done: number) => void;
}

/** Reads all lines: also those that are not selected can tell that one that is selected is superseded. */
export async function planReplay(options: PlanOptions): Promise<Plan> {
  const planner = new Planner(options);
  await planner.scan();
  return planner.plan();
}

class Planner {
  readonly #options: PlanOptions;
  readonly #prefilter: Prefilter | undefined;
  readonly #scans = new Map<string, PartitionScan>();
  #omitted: Objection | undefined;
  #unreadable = 0;
  #bytesMax = 0;

  constructor(options: PlanOptions) {
    this.#options = options;
    this.#prefilter = Prefilter.of(options.query);
  }

  async scan(): Promise<void> {
    const { source, signal, onRead } = this.#options;
    for await (const { journal, lines, bytes, end } of source.files.readAll()) {
      if (signal?.aborted) throw new Error("stopped before anything was sent");
      const candidates = bytes && this.#candidatesIn(bytes);
      for (const line of lines) {
        const isCandidate = candidates?.has(line.bytes?.byteOffset ?? 0) ?? true;
        if (isCandidate) this.#read(line, journal);
        else this.#glance(line, journal);
      }
      onRead?.(end);
    }
  }

  plan(): Plan {
    this.#mergeTopicsWithoutId();
    const partitions = new Map<string, PlannedPartition>();
    const objections = new Map<string, Objection>();
    const totals = { count: 0, superseded: 0, repeated: 0 };
    for (const [key, scan] of this.#scans) {
      totals.superseded += scan.supersede();
      const lineCount = scan.runs.reduce((sum, { offsets }) => sum + countOf(offsets.intervals), 0);
      const { partition, runs } = plannedOf(scan);
      const count = countOf(partition.offsets.intervals);
      totals.repeated += lineCount - count;
      totals.count += count;
      if (count > 0) partitions.set(key, partition);
      for (const run of runs) {
        for (const [name, { count, example }] of run.objections) {
          const known = objections.get(name);
          const whole = { count: count + (known?.count ?? 0), example: known?.example ?? example };
          objections.set(name, whole);
        }
      }
    }
    const topics = new Set(Array.from(partitions.values(), ({ source }) => source.topic));
    const counts = Array.from(
      this.#scans.values(),
      ({ source: { topic, partition } }) => topics.has(topic) ? partition + 1 : 0,
    );
    return {
      ...totals,
      partitionCount: Math.max(0, ...counts),
      partitions,
      objections,
      omitted: this.#omitted,
      unreadable: this.#unreadable,
      bytesMax: this.#bytesMax,
    };
  }

  #candidatesIn(bytes: Uint8Array): ReadonlySet<number> | undefined {
    if (this.#prefilter === undefined) return undefined;
    const candidates = new Set<number>();
    this.#prefilter.visit(bytes, (line) => {
      candidates.add(line.byteOffset);
      return true;
    });
    return candidates;
  }

  #glance({ bytes, start }: JournalLine, journal: number): void {
    const line = bytes && quickClassify(bytes);
    if (line?.kind === "record") {
      const { topicId, ...partition } = line.partition;
      const scan = this.#scanOf({ ...partition, topicId: topicId === "" ? undefined : topicId });
      scan.note(journal, line.offset, line.leaderEpoch);
    } else this.#noteUnreadable(start, new SyntaxError("it is no line of a journal"));
  }

  #read(line: JournalLine, journal: number): void {
    let hit: Hit;
    try {
      if (line.bytes === undefined) {
        throw new SyntaxError("it is longer than any record, or truncated");
      }
      hit = parseLine(line.bytes);
    } catch (error) {
      return this.#noteUnreadable(line.start, error);
    }
    const { topic, topicId, partition, offset, leaderEpoch } = hit.record;
    const scan = this.#scanOf({ topic, topicId, partition });
    const epoch = scan.note(journal, offset, leaderEpoch);
    if (!matches(this.#options.query, hit)) return;
    const example = `${topic}[${partition}] offset ${offset}`;
    if (isIncomplete(hit)) {
      this.#omitted = { count: 1 + (this.#omitted?.count ?? 0), example };
      return;
    }
    const { value, details: { key, headers } = { key: null, headers: [] } } = hit.record;
    this.#bytesMax = Math.max(this.#bytesMax, recordBytesMax({ key, value, headers }));
    const { objections } = scan.add(line, { offset, epoch });
    for (const name of this.#options.judge(hit)) {
      const known = objections.get(name) ?? { count: 0, example };
      objections.set(name, { ...known, count: known.count + 1 });
    }
  }

  #scanOf(source: SourcePartition): PartitionScan {
    const key = sourceKey(source);
    const scan = this.#scans.get(key) ?? new PartitionScan(source);
    this.#scans.set(key, scan);
    return scan;
  }

  #noteUnreadable(position: number, error: unknown): void {
    this.#unreadable++;
    this.#options.source.noteUnreadable(position, error);
  }

  /** Lines of the founding project's tracker have no topic id: they are of the one topic of that name that is known. */
  #mergeTopicsWithoutId(): void {
    for (const [key, scan] of this.#scans) {
      const { topic, topicId, partition } = scan.source;
      const ids = new Set(
        [...this.#scans.values()].map(({ source }) => source)
          .filter((source) => source.topic === topic && source.topicId !== undefined)
          .map((source) => source.topicId),
      );
      if (topicId !== undefined || ids.size !== 1) continue;
      const [id] = ids;
      this.#scans.delete(key);
      this.#scanOf({ topic, topicId: id, partition }).runs.unshift(...scan.runs);
    }
  }
}

/** Gives each record to one run, and splits runs between whose records others have theirs. */
function plannedOf(
  { source, runs: all }: PartitionScan,
): { readonly partition: PlannedPartition; readonly runs: readonly Run[] } {
  const offsets = new IntervalSet();
  const wanted = new Map<Run, readonly Interval[]>();
  for (const run of all) {
    const parts = run.offsets.intervals.flatMap((interval) =>
      gapsIn(offsets.within(interval), interval)
    );
    for (const part of parts) offsets.add(part);
    if (parts.length > 0) wanted.set(run, parts);
  }
  const pieces: Piece[] = [];
  const partition: PlannedPartition = { source, offsets, pieces };
  for (const [{ start, end, epoch }, parts] of wanted) {
    const span = { start: parts[0]?.start ?? 0, end: parts.at(-1)?.end ?? 0 };
    const isAlone = countOf(offsets.within(span)) === countOf(parts);
    for (const part of isAlone ? [span] : parts) {
      pieces.push({ partition, start, end, epoch, first: part.start, last: part.end - 1 });
    }
  }
  pieces.sort((a, b) => a.first - b.first);
  return { partition, runs: [...wanted.keys()] };
}

/** Returns the pieces to be read together, in the order of their positions, sweep after sweep. */
export function sweepsOf(
  partitions: Iterable<{ readonly pieces: readonly Piece[] }>,
): readonly (readonly Piece[])[] {
  const sweeps: Piece[][] = [];
  for (const { pieces } of partitions) {
    let sweep = 0;
    let end = 0;
    for (const piece of pieces) {
      if (piece.start < end) sweep++;
      end = piece.end;
      (sweeps[sweep] ??= []).push(piece);
    }
  }
  for (const sweep of sweeps) sweep.sort((a, b) => a.start - b.start);
  return sweeps;
}

/** Reads the records of pieces again, some at a time, in the order in which they are to be sent. */
export async function* readPieces(
  source: ReplaySource,
  partitions: Iterable<{ readonly pieces: readonly Piece[] }>,
): AsyncGenerator<readonly { readonly piece: Piece; readonly hit: Hit }[]> {
  for (const pieces of sweepsOf(partitions)) {
    let index = 0;
    for await (const { lines } of source.files.readRanges(joined(pieces))) {
      const found: { piece: Piece; hit: Hit }[] = [];
      for (const { bytes, start } of lines) {
        while (start >= (pieces[index]?.end ?? Infinity)) index++;
        const piece = pieces[index];
        if (piece === undefined || bytes === undefined) continue;
        const hit = parseLine(bytes);
        const { offset } = hit.record;
        if (offset >= piece.first && offset <= piece.last) found.push({ piece, hit });
      }
      yield found;
    }
  }
}

function joined(pieces: readonly Piece[]): readonly { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = [];
  for (const { start, end } of pieces) {
    const last = ranges.at(-1);
    if (last?.end === start) last.end = end;
    else ranges.push({ start, end });
  }
  return ranges;
}

function isIncomplete({ record: { omittedValue, details } }: Hit): boolean {
  return omittedValue !== undefined || details?.omittedKey !== undefined ||
    details?.headers.some(({ omitted }) => omitted !== undefined) === true;
}

export function countOf(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, { start, end }) => sum + end - start, 0);
}
