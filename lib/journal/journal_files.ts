/**
 * The journals as they were at one moment: the segments that there were, compressed ones too, each up to the
 * size that it had.
 * A tracker may go on appending to segments, closing, compressing, and removing them meanwhile. What is read twice is the
 * same; a segment that was removed is left out.
 *
 * One file is open for each journal, its active segment, and one more for the closed segment that is being read.
 *
 * All segments lie behind one another in one row of positions:
 *
 *     logs-a/tracker.events.000001 | logs-a/tracker.events | logs-b/tracker.events
 *     0                            100,000,000             123,456,789
 *
 * @module
 */

import { ArchiveDamagedError, ArchiveReader } from "./archive.ts";
import { LINE_BYTES_MAX } from "../limits.ts";
import { activePath, ARCHIVE_ENDING, archivePath, closedPath, listSegments } from "./segments.ts";
import { denoStorage, type ReadableFile, type Storage } from "./storage.ts";

interface Segment {
  readonly path: string;
  readonly directory: string;
  readonly number: number;
  /** The index of its directory among those that were given. */
  readonly journal: number;
  /** The segment that was active stays open: its path names another file once it is closed. */
  readonly file: ReadableFile | undefined;
  /** Where it lies in the row of all segments. */
  readonly start: number;
  readonly end: number;
  /** The last line of the segment that is being written may be half there. */
  readonly isActive: boolean;
}

/** Positions in the row of all segments. */
export interface PositionRange {
  readonly start: number;
  readonly end: number;
}

export interface JournalLine extends PositionRange {
  /** Without the newline; valid until the next lines are asked for. Undefined where no record is that long. */
  readonly bytes: Uint8Array | undefined;
}

/** Lines of one journal, to be gone through once, before the next are asked for. */
export interface JournalLines {
  readonly journal: number;
  readonly lines: Iterable<JournalLine>;
  /** Where the last of them ends. */
  readonly end: number;
}

const READ_BYTES = 512 * 1024;
const LISTINGS_MAX = 10;
const NEWLINE = 0x0a;

export class JournalFiles implements Disposable {
  readonly #segments: readonly Segment[];
  readonly #storage: Storage;
  /** Those that were given, each once. */
  readonly directories: readonly string[];
  /** Bytes after the last newline of the active segments: a line in the making, or what a crash left of one. */
  tornBytes = 0;

  private constructor(
    segments: readonly Segment[],
    directories: readonly string[],
    storage: Storage,
  ) {
    this.#segments = segments;
    this.#storage = storage;
    this.directories = directories;
  }

  /** @throws {Error} where a folder holds no journal. */
  static async open(
    directories: readonly string[],
    storage: Storage = denoStorage,
  ): Promise<JournalFiles> {
    const segments: Segment[] = [];
    try {
      let journal = 0;
      const each = await distinct(directories);
      for (const directory of each) {
        for (const { bytes, ...segment } of await findSegments(storage, directory)) {
          const start = segments.at(-1)?.end ?? 0;
          segments.push({ ...segment, directory, journal, start, end: start + bytes });
        }
        journal++;
      }
      return new JournalFiles(segments, each, storage);
    } catch (error) {
      for (const { file } of segments) file?.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const { file } of this.#segments) file?.close();
  }

  get journalCount(): number {
    return (this.#segments.at(-1)?.journal ?? -1) + 1;
  }

  get bytes(): number {
    return this.#segments.at(-1)?.end ?? 0;
  }

  /** The file that holds a position, and the byte in it. */
  placeOf(position: number): { readonly path: string; readonly byte: number } {
    const segment = this.#segments.find(({ end }) => position < end);
    if (segment === undefined) throw new RangeError(`no journal has position ${position}`);
    return { path: segment.path, byte: position - segment.start };
  }

  /** All lines, some at a time. */
  async *readAll(): AsyncGenerator<JournalLines> {
    for (const segment of this.#segments) yield* this.#readSegment(segment, [segment]);
  }

  /** The lines within ranges which begin and end with a line, lowest first, without overlap. */
  async *readRanges(ranges: readonly PositionRange[]): AsyncGenerator<JournalLines> {
    for (const segment of this.#segments) {
      const parts = ranges.map(({ start, end }) => ({
        start: Math.max(start, segment.start),
        end: Math.min(end, segment.end),
      }));
      yield* this.#readSegment(segment, parts.filter(({ start, end }) => start < end));
    }
  }

  async *#readSegment(
    segment: Segment,
    ranges: readonly PositionRange[],
  ): AsyncGenerator<JournalLines> {
    if (ranges.length === 0) return;
    const file = segment.file ?? await openClosed(this.#storage, segment);
    if (file === undefined) return;
    try {
      for (const range of ranges) yield* this.#readRange(segment, file, range);
    } finally {
      if (file !== segment.file) file.close();
    }
  }

  async *#readRange(
    segment: Segment,
    file: ReadableFile,
    { start, end }: PositionRange,
  ): AsyncGenerator<JournalLines> {
    const { journal } = segment;
    let buffer = new Uint8Array(Math.min(READ_BYTES, end - start));
    let filled = 0;
    /** The position of the buffer's first byte, and of the line that it is part of. */
    let bufferStart = start;
    let lineStart = start;
    await file.seek(start - segment.start);
    while (bufferStart + filled < end) {
      if (filled === buffer.length) buffer = grown(buffer);
      const count = await readOrNull(file, buffer.subarray(filled, end - bufferStart));
      if (count === null) break; // a tracker that could not write has cut what it had written
      filled += count;
      const bytes = buffer.subarray(0, filled);
      const linesEnd = bytes.lastIndexOf(NEWLINE) + 1;
      if (linesEnd > 0) {
        const whole = bytes.subarray(0, linesEnd);
        yield {
          journal,
          lines: linesIn(whole, { position: bufferStart, start: lineStart }),
          end: bufferStart + linesEnd,
        };
        lineStart = bufferStart + linesEnd;
      }
      const used = filled - linesEnd >= LINE_BYTES_MAX ? filled : linesEnd;
      buffer.copyWithin(0, used, filled);
      bufferStart += used;
      filled -= used;
    }
    const lineEnd = bufferStart + filled;
    if (lineEnd === lineStart) return;
    if (segment.isActive) this.tornBytes += lineEnd - lineStart;
    else {
      const cut = { bytes: undefined, start: lineStart, end: lineEnd }; // its newline is missing
      yield { journal, lines: [cut], end: lineEnd };
    }
  }
}

/** The lines of bytes that end with one; of the first of them the beginning may be missing. */
function* linesIn(
  bytes: Uint8Array,
  { position, start }: { readonly position: number; readonly start: number },
): Generator<JournalLine> {
  let used = 0;
  let lineStart = start;
  while (used < bytes.length) {
    const newline = bytes.indexOf(NEWLINE, used);
    const end = position + newline + 1;
    const isWhole = lineStart === position + used;
    yield {
      bytes: isWhole ? bytes.subarray(used, newline) : undefined,
      start: lineStart,
      end,
    };
    used = newline + 1;
    lineStart = end;
  }
}

/** Null where an archive is damaged: nothing after it can be read. */
async function readOrNull(file: ReadableFile, into: Uint8Array): Promise<number | null> {
  try {
    return await file.read(into);
  } catch (error) {
    if (error instanceof ArchiveDamagedError) return null;
    throw error;
  }
}

/** @throws {Error} where a folder holds no journal. */
export async function requireJournals(
  directories: readonly string[],
  storage: Storage = denoStorage,
): Promise<void> {
  for (const directory of directories) await listed(storage, directory);
}

interface FoundSegment {
  readonly number: number;
  readonly path: string;
  readonly isActive: boolean;
  /** Of the active segment only. */
  readonly file: ReadableFile | undefined;
  readonly bytes: number;
}

/** Lists a folder's segments until two listings agree: one may be closed, and renamed, in between. */
async function findSegments(
  storage: Storage,
  directory: string,
): Promise<readonly FoundSegment[]> {
  for (let listing = 0; listing < LISTINGS_MAX; listing++) {
    const before = await listed(storage, directory);
    const found: FoundSegment[] = [];
    try {
      for (const segment of before) found.push(await examined(storage, segment));
      if (areSame(before, await listed(storage, directory))) return found;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    for (const { file } of found) file?.close();
  }
  throw new Error(`Cannot read the journal in "${directory}": its segments change all the time`);
}

/** The size of a segment; of an active one, which may just be appended to, with the file that has it. */
async function examined(
  storage: Storage,
  { number, path, isActive }: ListedSegment,
): Promise<FoundSegment> {
  const file = await openSegment(storage, path);
  const { bytes } = await file.stat();
  if (!isActive) file.close();
  return { number, path, isActive, file: isActive ? file : undefined, bytes };
}

/** A closed segment, plain or compressed since; undefined where it was removed. */
async function openClosed(
  storage: Storage,
  { directory, number }: Segment,
): Promise<ReadableFile | undefined> {
  // An archive is complete before the plain segment is removed.
  for (const path of [closedPath(directory, number), archivePath(directory, number)]) {
    try {
      return await openSegment(storage, path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

/** An archive that is damaged is read as far as it can be; that it is, `checkManifests` says. */
async function openSegment(storage: Storage, path: string): Promise<ReadableFile> {
  const file = await storage.open(path, "read");
  return path.endsWith(ARCHIVE_ENDING) ? await ArchiveReader.open(file, { isPartial: true }) : file;
}

interface ListedSegment {
  readonly number: number;
  readonly path: string;
  readonly isActive: boolean;
  readonly identity: string;
}

async function listed(storage: Storage, directory: string): Promise<ListedSegment[]> {
  try {
    const { closed, archived, active, nextNumber } = await listSegments(storage, directory);
    const inOrder = [...closed.map(({ number, path }) => [number, path] as const), ...archived]
      .sort(([a], [b]) => a - b);
    const segments = inOrder.map(([number, path]) => ({ number, path, isActive: false }));
    if (active !== undefined) {
      segments.push({ number: nextNumber, path: activePath(directory), isActive: true });
    }
    const found: ListedSegment[] = [];
    for (const segment of segments) {
      const facts = await storage.stat(segment.path);
      if (facts !== undefined) found.push({ ...segment, identity: facts.identity });
    }
    if (found.length > 0) return found;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
      throw error;
    }
  }
  throw new Error(
    `no journal in "${directory}": run the tracker first, or name its folder with --logs`,
  );
}

function areSame(before: readonly ListedSegment[], after: readonly ListedSegment[]): boolean {
  return before.length === after.length &&
    before.every(({ path, identity }, index) =>
      path === after[index]?.path && identity === after[index]?.identity
    );
}

/** The same folder given twice is one journal. */
async function distinct(directories: readonly string[]): Promise<readonly string[]> {
  const byRealPath = new Map<string, string>();
  for (const directory of directories) {
    const realPath = await Deno.realPath(directory).catch(() => directory);
    if (!byRealPath.has(realPath)) byRealPath.set(realPath, directory);
  }
  return [...byRealPath.values()];
}

function grown(buffer: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(buffer.length * 2);
  larger.set(buffer);
  return larger;
}
