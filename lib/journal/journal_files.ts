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
import {
  distinct,
  findSegments,
  type JournalFilesOptions,
  openClosed,
  type ResolvedOptions,
} from "./segment_listing.ts";
import { removedPath } from "./segments.ts";
import { denoStorage, type ReadableFile } from "./storage.ts";

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
  /** The length that it had when it was closed, where that is known. */
  readonly closedBytes?: number | undefined;
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
  /** The lines, each with its newline; undefined if some are not in memory as a whole. */
  readonly bytes: Uint8Array | undefined;
  /** Where the last of them ends. */
  readonly end: number;
}

const READ_BYTES = 512 * 1024;
const NEWLINE = 0x0a;

export class JournalFiles implements Disposable {
  readonly #segments: readonly Segment[];
  readonly #options: ResolvedOptions;
  /** Those that were given, each once. */
  readonly directories: readonly string[];
  /** Bytes after the last newline of the active segments: a line in the making, or what a crash left of one. */
  tornBytes = 0;

  private constructor(
    segments: readonly Segment[],
    directories: readonly string[],
    options: ResolvedOptions,
  ) {
    this.#segments = segments;
    this.#options = options;
    this.directories = directories;
  }

  /** @throws {Error} where a folder holds no journal. */
  static async open(
    directories: readonly string[],
    { storage = denoStorage, ...rest }: JournalFilesOptions = {},
  ): Promise<JournalFiles> {
    const options = { storage, ...rest };
    const segments: Segment[] = [];
    try {
      let journal = 0;
      const each = await distinct(directories);
      for (const directory of each) {
        for (const { bytes, ...segment } of await findSegments(options, directory)) {
          const start = segments.at(-1)?.end ?? 0;
          segments.push({ ...segment, directory, journal, start, end: start + bytes });
        }
        journal++;
      }
      return new JournalFiles(segments, each, options);
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
    const { onUnreadable } = this.#options;
    let file: ReadableFile | undefined;
    try {
      file = segment.file ?? await openClosed(this.#options.storage, segment);
      if (onUnreadable !== undefined) await this.#requireWhole(segment, file);
      if (file === undefined) return;
      for (const range of ranges) yield* this.#readRange(segment, file, range);
    } catch (error) {
      if (onUnreadable === undefined || !(error instanceof Error)) throw error;
      onUnreadable(segment.path, error);
    } finally {
      if (file !== segment.file) file?.close();
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
      const count = await this.#readOrNull(file, buffer.subarray(filled, end - bufferStart));
      if (count === null) break; // a tracker that could not write has cut what it had written
      filled += count;
      const bytes = buffer.subarray(0, filled);
      const linesEnd = bytes.lastIndexOf(NEWLINE) + 1;
      if (linesEnd > 0) {
        const whole = bytes.subarray(0, linesEnd);
        yield {
          journal,
          lines: linesIn(whole, { position: bufferStart, start: lineStart }),
          bytes: lineStart === bufferStart ? whole : undefined,
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
      yield { journal, lines: [cut], bytes: undefined, end: lineEnd };
    }
  }

  /** Reports a segment that is not what it was when it was closed, as far as that shows at once. */
  async #requireWhole(segment: Segment, file: ReadableFile | undefined): Promise<void> {
    const { storage, onUnreadable = () => {} } = this.#options;
    const { path, directory, number, closedBytes } = segment;
    if (file === undefined) {
      const isRemoved = await storage.stat(removedPath(directory, number)) !== undefined;
      if (!isRemoved) onUnreadable(path, new Error("the segment is missing"));
      return;
    }
    const { bytes } = await file.stat();
    if (file instanceof ArchiveReader && file.damagedAt !== undefined) {
      onUnreadable(
        path,
        new ArchiveDamagedError(`the archive is damaged at byte ${file.damagedAt}`),
      );
    } else if (closedBytes !== undefined && closedBytes !== bytes) {
      const reason = `the segment was changed: it has ${bytes} bytes, and had ${closedBytes}`;
      onUnreadable(path, new Error(reason));
    }
  }

  /** Null where an archive is damaged: nothing after it can be read. */
  async #readOrNull(file: ReadableFile, into: Uint8Array): Promise<number | null> {
    try {
      return await file.read(into);
    } catch (error) {
      if (error instanceof ArchiveDamagedError && this.#options.onUnreadable === undefined) {
        return null;
      }
      throw error;
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

function grown(buffer: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(buffer.length * 2);
  larger.set(buffer);
  return larger;
}
