/**
 * Lists and opens the segments of a journal that a tracker may be writing to.
 */

import { ArchiveReader } from "./archive.ts";
import { activePath, ARCHIVE_ENDING, archivePath, closedPath, listSegments } from "./segments.ts";
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
 * Lists a folder's segments. A tracker renames the active one when it closes it, so that one is opened before the
 * listing, until the listing is of the same file. Closed segments keep their numbers, whatever becomes of them.
 */
export async function findSegments(
  options: ResolvedOptions,
  directory: string,
): Promise<readonly FoundSegment[]> {
  for (let listing = 0; listing < LISTINGS_MAX; listing++) {
    const active = await openedActive(options, directory);
    let isReturned = false;
    try {
      const { closed, activeIdentity, nextNumber } = await listed(options.storage, directory);
      const facts = await active.file?.stat();
      if (facts?.identity !== activeIdentity && !active.isUnreadable) continue;

      const found: FoundSegment[] = [];
      for (const segment of closed) found.push(...await examined(options, segment));
      if (active.file !== undefined && facts !== undefined) {
        const { file } = active;
        const path = activePath(directory);
        found.push({ number: nextNumber, path, isActive: true, file, bytes: facts.bytes });
      }
      isReturned = true;
      return found;
    } finally {
      if (!isReturned) active.file?.close();
    }
  }
  throw new Error(`Cannot read the journal in "${directory}": its segments keep changing`);
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

interface Listing {
  readonly closed: readonly SegmentName[];
  readonly activeIdentity: string | undefined;
  /** Number that the active segment gets when it is closed. */
  readonly nextNumber: number;
}

async function listed(storage: Storage, directory: string): Promise<Listing> {
  try {
    for (let listing = 0; listing < EMPTY_LISTINGS_MAX; listing++) {
      const found = await listedOnce(storage, directory);
      if (found.closed.length > 0 || found.activeIdentity !== undefined) return found;
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  throw new Error(
    `no journal in "${directory}": run the tracker first, or name its folder with --logs`,
  );
}

async function listedOnce(storage: Storage, directory: string): Promise<Listing> {
  const { closed, archived, nextNumber } = await listSegments(storage, directory);
  const inOrder = [...closed.map(({ number, path }) => [number, path] as const), ...archived]
    .sort(([a], [b]) => a - b);
  const active = await storage.stat(activePath(directory));
  return {
    closed: inOrder.map(([number, path]) => ({ directory, number, path })),
    activeIdentity: active?.identity,
    nextNumber,
  };
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
