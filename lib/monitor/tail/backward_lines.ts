/**
 * Reads a journal's lines from newest to oldest, including compressed segments, a piece at a time.
 */

import { join } from "node:path";
import { ArchiveReader } from "../../journal/archive.ts";
import { denoStorage, type ReadableFile, readRange } from "../../journal/storage.ts";
import { LINE_BYTES_MAX } from "../../limits.ts";
import { TAIL_FILES } from "./tail_files.ts";

const ACTIVE = "tracker.events";
const SEGMENT = /^tracker\.events\.(\d{6,15})$/;
const ARCHIVE = /^tracker\.archive\.(\d{6,15})\.zst$/;
/** Takes a few milliseconds, during which the event loop is blocked. */
const PIECE_BYTES = 512 * 1024;
const NEWLINE = 0x0a;

/** Whole lines, newest first, and how much of the journal's files has been read. */
export interface LinePiece {
  readonly lines: readonly Uint8Array[];
  readonly readBytes: number;
  readonly totalBytes: number;
}

interface Source {
  readonly path: string;
  readonly isArchive: boolean;
  readonly number: number;
  readonly bytes: number;
}

/**
 * Reads the files that exist now. Skips segments that are removed or damaged meanwhile, lines longer than the bound, and
 * a last line without a newline.
 */
export async function* linesBackward(folder: string): AsyncGenerator<LinePiece, void, void> {
  const sources = sourcesIn(folder);
  const totalBytes = sources.reduce((sum, { bytes }) => sum + bytes, 0);
  let readBytes = 0;
  for (const source of sources) {
    using opened = await open(source);
    if (opened !== undefined) {
      for await (const { lines, restShare } of pieces(opened.file)) {
        yield { lines, readBytes: readBytes + source.bytes * (1 - restShare), totalBytes };
      }
    }
    readBytes += source.bytes;
    yield { lines: [], readBytes, totalBytes };
  }
}

/** Returns the segments, newest first; one that exists both plain and compressed is listed once. */
function sourcesIn(folder: string): readonly Source[] {
  const byNumber = new Map<number, Source>();
  for (const name of TAIL_FILES.list(folder)) {
    const plain = SEGMENT.exec(name)?.[1];
    const archived = ARCHIVE.exec(name)?.[1];
    const number = name === ACTIVE ? Infinity : Number(plain ?? archived ?? NaN);
    if (Number.isNaN(number) || (archived !== undefined && byNumber.has(number))) continue;
    const path = join(folder, name);
    const state = TAIL_FILES.stat(path);
    // Opening a pipe would wait for a writer.
    if (state?.isRegular !== true) continue;
    byNumber.set(number, { path, number, bytes: state.size, isArchive: archived !== undefined });
  }
  return [...byNumber.values()].sort((one, other) => one.number < other.number ? 1 : -1);
}

async function open(
  { path, isArchive }: Source,
): Promise<Disposable & { readonly file: ReadableFile } | undefined> {
  try {
    const plain = await denoStorage.open(path, "read");
    const file = isArchive ? await ArchiveReader.open(plain, { isPartial: true }) : plain;
    return { file, [Symbol.dispose]: () => file.close() };
  } catch {
    return undefined;
  }
}

/** Yields a file's lines from its end, and the share of it that is left to read. */
async function* pieces(
  file: ReadableFile,
): AsyncGenerator<{ readonly lines: readonly Uint8Array[]; readonly restShare: number }> {
  const { bytes: size } = await file.stat();
  let end = size;
  let pieceBytes = PIECE_BYTES;
  while (end > 0) {
    const start = Math.max(0, end - pieceBytes);
    const bytes = await readOrNone(file, start, end);
    // The file was truncated, or is damaged.
    if (bytes.length < end - start) return;
    const first = start === 0 ? 0 : bytes.indexOf(NEWLINE) + 1;
    if (start > 0 && (first === 0 || first === bytes.length)) {
      // The piece holds no whole line: try a longer one, up to the bound; past that, skip the line.
      if (pieceBytes < LINE_BYTES_MAX) pieceBytes *= 2;
      else end = start;
      continue;
    }
    end = start + first;
    pieceBytes = PIECE_BYTES;
    yield { lines: linesIn(bytes.subarray(first)), restShare: end / size };
  }
}

async function readOrNone(file: ReadableFile, start: number, end: number): Promise<Uint8Array> {
  try {
    return await readRange(file, { start, end });
  } catch {
    return new Uint8Array(0);
  }
}

/** Returns the lines that end with a newline, last one first. */
function linesIn(bytes: Uint8Array): readonly Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return lines.reverse();
}
