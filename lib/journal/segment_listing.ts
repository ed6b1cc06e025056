/**
 * Lists and opens the segments of a journal that a tracker may be writing to.
 */

import { ArchiveReader } from "./archive.ts";
import {
  activePath,
  ARCHIVE_ENDING,
  archivePath,
  closedPath,
  listSegments,
  type SegmentList,
} from "./segments.ts";
import { denoStorage, type ReadableFile, type Storage } from "./storage.ts";

/** A closed segment in the folder, before it is opened. */
export interface SegmentName {
  readonly directory: string;
  readonly number: number;
  readonly path: string;
}

export interface Foreknown {
  /** False to skip the segment; it is then never opened. */
  readonly isWanted: boolean;
  readonly bytes?: number | undefined;
}

export interface JournalFilesOptions {
  readonly storage?: Storage;
  /** Returns what is known about a closed segment before it is opened. By default, all segments are read. */
  readonly foreknow?: (segment: SegmentName) => Foreknown;
  /**
   * Called with each segment that cannot be read, or not to its end, and the error. If undefined, a damaged archive
   * is read as far as possible, which `checkManifests` reports, and all other errors are thrown.
   */
  readonly onUnreadable?: (path: string, error: Error) => void;
}

export type ResolvedOptions = JournalFilesOptions & { readonly storage: Storage };

const LISTINGS_MAX = 10;
/** If the active segment is closed during each of these, the next listings end with it. */
const LISTINGS_TO_ACTIVE = 2;
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
  /** Its length when it was closed, if known. */
  readonly closedBytes?: number | undefined;
  /** Set only for the active segment. */
  readonly file?: ReadableFile;
  readonly bytes: number;
}

/**
 * Lists a folder's segments, however many are closed meanwhile. A tracker renames a segment when it closes it, so the
 * active one is opened first, and then looked for in the listing.
 */
export async function findSegments(
  options: ResolvedOptions,
  directory: string,
): Promise<readonly FoundSegment[]> {
  for (let listing = 0; listing < LISTINGS_MAX; listing++) {
    const { file, isUnreadable } = await openedActive(options, directory);
    let isReturned = false;
    try {
      const list = await listed(options.storage, directory);
      if (file === undefined && list.active !== undefined && !isUnreadable) continue;
      const last = file && await findOpened(list, { file, storage: options.storage, directory });
      const isClosed = last?.path !== activePath(directory);
      // Undefined: compressed or removed already.
      const isRepeated = last === undefined || isClosed && listing < LISTINGS_TO_ACTIVE;
      if (file !== undefined && isRepeated) continue;

      const found: FoundSegment[] = [];
      for (const segment of list.closed) {
        if (segment.number < (last?.number ?? Infinity)) {
          found.push(...await examined(options, segment));
        }
      }
      if (last !== undefined) found.push(last);
      isReturned = true;
      return found;
    } finally {
      if (!isReturned) file?.close();
    }
  }
  throw new Error(`Cannot read the journal in "${directory}": its segments keep changing`);
}

/** Returns the segment of a file that was opened as the active one, even if it is closed by now. */
async function findOpened(
  { closed, nextNumber }: Listing,
  { file, storage, directory }: {
    readonly file: ReadableFile;
    readonly storage: Storage;
    readonly directory: string;
  },
): Promise<FoundSegment | undefined> {
  const { identity, bytes } = await file.stat();
  const candidates = [
    { number: nextNumber, path: activePath(directory) },
    { number: nextNumber, path: closedPath(directory, nextNumber) }, // closed after the listing
    ...closed.toReversed(),
  ];
  for (const { number, path } of candidates) {
    const facts = await storage.stat(path);
    if (facts?.identity === identity) return { number, path, isActive: true, file, bytes };
  }
  return undefined;
}

interface OpenedActive {
  /** Undefined if there is no active segment, or it is unreadable. */
  readonly file: ReadableFile | undefined;
  readonly isUnreadable: boolean;
}

async function openedActive(
  { storage, onUnreadable }: ResolvedOptions,
  directory: string,
): Promise<OpenedActive> {
  const path = activePath(directory);
  try {
    return { file: await storage.open(path, "read"), isUnreadable: false };
  } catch (error) {
    if (isMissing(error)) return { file: undefined, isUnreadable: false };
    if (onUnreadable === undefined || !(error instanceof Error)) throw error;
    onUnreadable(path, error);
    return { file: undefined, isUnreadable: true };
  }
}

/** Returns a closed segment with its size; none if it is not wanted, was removed, or cannot be opened. */
async function examined(
  { storage, foreknow, onUnreadable }: ResolvedOptions,
  segment: SegmentName,
): Promise<readonly FoundSegment[]> {
  const { number, path } = segment;
  const { isWanted, bytes: closedBytes } = foreknow?.(segment) ?? { isWanted: true };
  if (!isWanted) return [];
  try {
    const file = await openClosed(storage, segment);
    if (file === undefined) return [];
    const { bytes } = await file.stat();
    file.close();
    return [{ number, path, isActive: false, closedBytes, bytes }];
  } catch (error) {
    if (onUnreadable === undefined || !(error instanceof Error)) throw error;
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

interface Listing extends Pick<SegmentList, "active" | "nextNumber"> {
  /** With the compressed ones, in order. */
  readonly closed: readonly SegmentName[];
}

async function listed(storage: Storage, directory: string): Promise<Listing> {
  try {
    for (let listing = 0; listing < EMPTY_LISTINGS_MAX; listing++) {
      const found = await listedOnce(storage, directory);
      if (found.closed.length > 0 || found.active !== undefined) return found;
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  throw new Error(
    `no journal in "${directory}": run the tracker first, or name its folder with --logs`,
  );
}

async function listedOnce(storage: Storage, directory: string): Promise<Listing> {
  const { closed, archived, active, nextNumber } = await listSegments(storage, directory);
  const inOrder = [...closed.map(({ number, path }) => [number, path] as const), ...archived]
    .sort(([a], [b]) => a - b);
  const names = inOrder.map(([number, path]) => ({ directory, number, path }));
  return { closed: names, active, nextNumber };
}

function isMissing(error: unknown): boolean {
  const { NotFound, NotADirectory } = Deno.errors;
  return error instanceof NotFound || error instanceof NotADirectory;
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
