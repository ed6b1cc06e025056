/**
 * Reads journals as they were at one moment: the segments that existed, including compressed ones, each up to its
 * size at that moment. A tracker may keep appending, closing, compressing, and removing segments meanwhile. Reading
 * twice gives the same lines, except for segments that were removed.
 *
 * Keeps one file open per journal, its active segment, plus the closed segment being read.
 *
 * Positions run across all segments:
 *
 *     logs-a/tracker.events.000001 | logs-a/tracker.events | logs-b/tracker.events
 *     0                            100,000,000             123,456,789
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
  /** Index of its directory in `directories`. */
  readonly journal: number;
  /** The segment that was active stays open: once it is closed, its path names another file. */
  readonly file?: ReadableFile;
  /** Position across all segments. */
  readonly start: number;
  readonly end: number;
  /** True for the segment being written; its last line may be incomplete. */
  readonly isActive: boolean;
  /** Its length when it was closed, if known. */
  readonly closedBytes?: number | undefined;
}

export interface PositionRange {
  readonly start: number;
  readonly end: number;
}

export interface JournalLine extends PositionRange {
  /** Without the newline; valid until the next lines are requested. Undefined if the line is longer than any record. */
  readonly bytes: Uint8Array | undefined;
}

/** Lines of one journal, to be iterated once, before the next are requested. */
export interface JournalLines {
  readonly journal: number;
  readonly lines: Iterable<JournalLine>;
  /** The lines, each with its newline; undefined if some are not completely in memory. */
  readonly bytes: Uint8Array | undefined;
  readonly end: number;
}

const READ_BYTES = 512 * 1024;
const NEWLINE = 0x0a;

export class JournalFiles implements Disposable {
  readonly #segments: readonly Segment[];
  readonly #options: ResolvedOptions;
  /** The given directories without duplicates. */
  readonly directories: readonly string[];
  /**
   * Bytes after the last newline of the active segments: an incomplete line, still being written or left by a crash.
   */
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

  /** @throws {Error} if a folder holds no journal. */
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

  /** Returns the file that contains a position, and the byte in it. */
  placeOf(position: number): { readonly path: string; readonly byte: number } {
    const segment = this.#segments.find(({ end }) => position < end);
    if (segment === undefined) throw new RangeError(`no journal has position ${position}`);
    return { path: segment.path, byte: position - segment.start };
  }

  /** Yields all lines in batches. */
  async *readAll(): AsyncGenerator<JournalLines> {
    for (const segment of this.#segments) yield* this.#readSegment(segment, [segment]);
  }

  /** Yields the lines in ranges that begin and end at line boundaries, sorted, without overlap. */
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
    /** Position of the buffer's first byte, and of the line that it belongs to. */
    let bufferStart = start;
    let lineStart = start;
    await file.seek(start - segment.start);
    while (bufferStart + filled < end) {
      if (filled === buffer.length) buffer = grown(buffer);
      const count = await this.#readOrNull(file, buffer.subarray(filled, end - bufferStart));
      if (count === null) break; // after a failed write, the tracker cut what it had written
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

  /** Reports a segment that visibly changed since it was closed: missing, damaged, or of another size. */
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
      const reason = `the segment was changed: it has ${bytes} bytes, expected ${closedBytes}`;
      onUnreadable(path, new Error(reason));
    }
  }

  /** Returns null if an archive is damaged: nothing after the damage can be read. */
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

/** Splits bytes that end with a newline into lines. The beginning of the first line may be missing. */
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
