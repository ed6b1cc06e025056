/**
 * Lists and opens the segments of a journal that a tracker may be writing to.
 *
 * @module
 */

import { ArchiveReader } from "./archive.ts";
import { activePath, ARCHIVE_ENDING, archivePath, closedPath, listSegments } from "./segments.ts";
import { denoStorage, type ReadableFile, type Storage } from "./storage.ts";

/** A segment in the folder, before it is opened. */
export interface SegmentName {
  readonly directory: string;
  readonly number: number;
  readonly path: string;
  readonly isActive: boolean;
}

export interface Foreknown {
  /** False to skip the segment; it is then never opened. */
  readonly isWanted: boolean;
  readonly bytes?: number | undefined;
}

export interface JournalFilesOptions {
  readonly storage?: Storage;
  /** Returns what is known about a segment before it is opened. By default, all segments are read. */
  readonly foreknow?: (segment: SegmentName) => Foreknown;
  /**
   * Called with each segment that cannot be read, or not to its end, and the error. If undefined, a damaged archive
   * is read as far as possible, which `checkManifests` reports, and all other errors are thrown.
   */
  readonly onUnreadable?: (path: string, error: Error) => void;
}

export type ResolvedOptions = JournalFilesOptions & { readonly storage: Storage };

const LISTINGS_MAX = 10;
/** If a journal's only segment is closed, and renamed, during the first listing, the second one sees it. */
const EMPTY_LISTINGS_MAX = 2;

/** @throws {Error} if a folder holds no journal. */
export async function requireJournals(
  directories: readonly string[],
  storage: Storage = denoStorage,
): Promise<void> {
  for (const directory of directories) await listed(storage, directory);
}

export interface FoundSegment {
  readonly number: number;
  readonly path: string;
  readonly isActive: boolean;
  readonly closedBytes: number | undefined;
  /** Set only for the active segment. */
  readonly file: ReadableFile | undefined;
  readonly bytes: number;
}

/** Lists a folder's segments until two listings agree: one may be closed, and renamed, in between. */
export async function findSegments(
  options: ResolvedOptions,
  directory: string,
): Promise<readonly FoundSegment[]> {
  const { storage } = options;
  for (let listing = 0; listing < LISTINGS_MAX; listing++) {
    const before = await listed(storage, directory);
    const found: FoundSegment[] = [];
    try {
      for (const segment of before) found.push(...await examined(options, segment));
      if (areSame(before, await listed(storage, directory))) return found;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    for (const { file } of found) file?.close();
  }
  throw new Error(`Cannot read the journal in "${directory}": its segments keep changing`);
}

/**
 * Returns a segment with its size; an active one, which may be growing, together with its open file. Returns none
 * if it is not wanted or cannot be opened.
 */
async function examined(
  { storage, foreknow, onUnreadable }: ResolvedOptions,
  segment: ListedSegment,
): Promise<readonly FoundSegment[]> {
  const { number, path, isActive } = segment;
  const { isWanted, bytes: closedBytes } = foreknow?.(segment) ?? { isWanted: true };
  if (!isWanted) return [];
  try {
    const file = await openSegment(storage, path);
    const { bytes } = await file.stat();
    if (!isActive) file.close();
    return [{ number, path, isActive, closedBytes, file: isActive ? file : undefined, bytes }];
  } catch (error) {
    const isLeftOut = onUnreadable !== undefined && error instanceof Error &&
      !(error instanceof Deno.errors.NotFound);
    if (!isLeftOut) throw error;
    onUnreadable(path, error);
    return [];
  }
}

/** Opens a closed segment, which may have been compressed meanwhile; undefined if it was removed. */
export async function openClosed(
  storage: Storage,
  { directory, number }: Pick<SegmentName, "directory" | "number">,
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

/** Reads a damaged archive as far as possible; `checkManifests` reports the damage. */
async function openSegment(storage: Storage, path: string): Promise<ReadableFile> {
  const file = await storage.open(path, "read");
  return path.endsWith(ARCHIVE_ENDING) ? await ArchiveReader.open(file, { isPartial: true }) : file;
}

interface ListedSegment extends SegmentName {
  readonly identity: string;
}

async function listed(storage: Storage, directory: string): Promise<readonly ListedSegment[]> {
  try {
    for (let listing = 0; listing < EMPTY_LISTINGS_MAX; listing++) {
      const found = await listedOnce(storage, directory);
      if (found.length > 0) return found;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
      throw error;
    }
  }
  throw new Error(
    `no journal in "${directory}": run the tracker first, or name its folder with --logs`,
  );
}

async function listedOnce(storage: Storage, directory: string): Promise<readonly ListedSegment[]> {
  const { closed, archived, active, nextNumber } = await listSegments(storage, directory);
  const inOrder = [...closed.map(({ number, path }) => [number, path] as const), ...archived]
    .sort(([a], [b]) => a - b);
  const segments = inOrder.map(([number, path]) => ({
    directory,
    number,
    path,
    isActive: false,
  }));
  if (active !== undefined) {
    segments.push({ directory, number: nextNumber, path: activePath(directory), isActive: true });
  }
  const found: ListedSegment[] = [];
  for (const segment of segments) {
    const facts = await storage.stat(segment.path);
    if (facts !== undefined) found.push({ ...segment, identity: facts.identity });
  }
  return found;
}

function areSame(before: readonly ListedSegment[], after: readonly ListedSegment[]): boolean {
  return before.length === after.length &&
    before.every(({ path, identity }, index) =>
      path === after[index]?.path && identity === after[index]?.identity
    );
}

/** Removes duplicates: the same folder given twice is one journal. */
export async function distinct(directories: readonly string[]): Promise<readonly string[]> {
  const byRealPath = new Map<string, string>();
  for (const directory of directories) {
    const realPath = await Deno.realPath(directory).catch(() => directory);
    if (!byRealPath.has(realPath)) byRealPath.set(realPath, directory);
  }
  return [...byRealPath.values()];
}
