/**
 * The journal's interface to the disk. It is small enough that a test can pass one that fails on the third write,
 * writes short, or loses what was not synced.
 */

import { dirname } from "node:path";

/** How a file is opened. New files get mode 0600, because they hold customer data. */
export type OpenMode =
  /** Read only; the file must exist. */
  | "read"
  /** Read, and write at the end of the file; the file must exist. */
  | "append"
  /** Read, and write at the position of the last read or seek; the file must exist. */
  | "rewrite"
  /** Like `append`; the file must not exist. */
  | "create"
  /** Write to a new file, replacing an existing one. */
  | "replace"
  /** Read and write; created if missing. Throws if it is a symbolic link. */
  | "lock";

export interface FileFacts {
  readonly bytes: number;
  /** Device and inode: distinguishes a file from another of the same name. */
  readonly identity: string;
}

export interface StoredFile {
  /** Continues where the last read or seek ended; null at the end of the file. */
  read(into: Uint8Array): Promise<number | null>;
  /** Returns how many bytes were written; may be fewer than given, as for write(2). */
  write(bytes: Uint8Array): Promise<number>;
  seek(position: number): Promise<void>;
  truncate(bytes: number): Promise<void>;
  /** fdatasync(2). After a failure it must not be called again: Linux drops the pages and reports success. */
  syncData(): Promise<void>;
  stat(): Promise<FileFacts>;
  /** Takes an exclusive lock that ends with the process; false if another process holds it. */
  tryLock(): Promise<boolean>;
  close(): void;
}

export interface Storage {
  open(path: string, mode: OpenMode): Promise<StoredFile>;
  /** Returns undefined if there is no such file. */
  stat(path: string): Promise<FileFacts | undefined>;
  /** Replaces an existing `to`, like rename(2). */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  list(directory: string): Promise<readonly string[]>;
  createDirectory(directory: string): Promise<void>;
  /** Makes creations, renames, and removals in the directory durable. */
  syncDirectory(directory: string): Promise<void>;
}

/** The operations needed to read a file. */
export type ReadableFile = Pick<StoredFile, "read" | "seek" | "stat" | "close">;

/** Writes all of `bytes`, despite short writes. */
export async function writeAll(file: StoredFile, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const count = await file.write(written === 0 ? bytes : bytes.subarray(written));
    if (count <= 0) {
      throw new Error(
        `Cannot write: ${bytes.length - written} bytes left, but the disk accepted none`,
      );
    }
    written += count;
  }
}

/** Reads the bytes from `start` to `end`, or to the end of the file if that comes first. */
export async function readRange(
  file: ReadableFile,
  { start, end }: { readonly start: number; readonly end: number },
): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  await file.seek(start);
  let filled = 0;
  while (filled < bytes.length) {
    const count = await file.read(bytes.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

/**
 * Creates a missing directory, and those above it, durably. The parent is synced even if the directory existed: the
 * process that created it may have died before syncing.
 */
export async function createDirectory(storage: Storage, directory: string): Promise<void> {
  const parent = dirname(directory);
  if (await storage.stat(directory) === undefined) {
    if (parent !== directory) await createDirectory(storage, parent);
    await storage.createDirectory(directory);
  }
  try {
    await storage.syncDirectory(parent);
  } catch (error) {
    // Without permission to read the parent directory, this process did not create the directory either.
    const { NotCapable, PermissionDenied } = Deno.errors;
    if (!(error instanceof NotCapable || error instanceof PermissionDenied)) throw error;
  }
}

/** Replaces a small file atomically: after a crash, there is either the old one or the new one. */
export async function replaceFile(storage: Storage, path: string, text: string): Promise<void> {
  const temporary = path + TEMPORARY_ENDING;
  const file = await storage.open(temporary, "replace");
  try {
    await writeAll(file, new TextEncoder().encode(text));
    await file.syncData();
  } finally {
    file.close();
  }
  await storage.rename(temporary, path);
  await storage.syncDirectory(dirname(path));
}

/** Reads a small file completely; undefined if there is none. */
export async function readFile(storage: Storage, path: string): Promise<Uint8Array | undefined> {
  try {
    const file = await storage.open(path, "read");
    try {
      return await readRange(file, { start: 0, end: (await file.stat()).bytes });
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Marks files that are incomplete, or left by a crash. */
export const TEMPORARY_ENDING = ".new";
const MODE = 0o600;
const DIRECTORY_MODE = 0o700;

const OPEN_OPTIONS: Readonly<Record<OpenMode, Deno.OpenOptions>> = {
  read: { read: true },
  append: { read: true, append: true },
  rewrite: { read: true, write: true },
  create: { read: true, append: true, createNew: true, mode: MODE },
  replace: { write: true, createNew: true, mode: MODE },
  lock: { read: true, write: true, create: true, mode: MODE },
};

export const denoStorage: Storage = {
  async open(path, mode) {
    // Truncating a file in place would follow a symbolic link and keep the old file's mode.
    if (mode === "replace") await removeIfThere(path);
    const file = await Deno.open(path, OPEN_OPTIONS[mode]);
    if (mode === "lock") await requireNoLink(path, file);
    return new DenoFile(file);
  },
  async stat(path) {
    try {
      return factsOf(await Deno.stat(path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  },
  rename: (from, to) => Deno.rename(from, to),
  remove: removeIfThere,
  async list(directory) {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(directory)) names.push(name);
    return names;
  },
  createDirectory: (directory) => Deno.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE }),
  async syncDirectory(directory) {
    // Windows cannot open a directory; NTFS journals its entries.
    if (Deno.build.os === "windows") return;
    using opened = await Deno.open(directory);
    await opened.sync();
  },
};

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Throws, and closes the file, if it was opened through a symbolic link: data would be written elsewhere. */
async function requireNoLink(path: string, file: Deno.FsFile): Promise<void> {
  const [named, opened] = await Promise.all([Deno.lstat(path), file.stat()]);
  if (!named.isSymlink && named.ino === opened.ino && named.dev === opened.dev) return;
  file.close();
  throw new Error(`Cannot lock "${path}": it is a symbolic link. Remove it, and start again.`);
}

class DenoFile implements StoredFile {
  readonly #file: Deno.FsFile;
  #isLocked = false;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#file.read(into);
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#file.write(bytes);
  }

  async seek(position: number): Promise<void> {
    await this.#file.seek(position, Deno.SeekMode.Start);
  }

  truncate(bytes: number): Promise<void> {
    return this.#file.truncate(bytes);
  }

  syncData(): Promise<void> {
    return this.#file.syncData();
  }

  async stat(): Promise<FileFacts> {
    return factsOf(await this.#file.stat());
  }

  async tryLock(): Promise<boolean> {
    return this.#isLocked = await this.#file.tryLock(true);
  }

  close(): void {
    if (this.#isLocked) this.#unlock();
    this.#file.close();
  }

  /** Closing is not enough: a child process being started at this moment shares the open file, and so the lock. */
  #unlock(): void {
    try {
      this.#file.unlockSync();
    } catch {
      // An operation on the file is in progress; the lock ends with it.
    }
  }
}

function factsOf({ size, dev, ino }: Deno.FileInfo): FileFacts {
  return { bytes: size, identity: `${dev}:${ino}` };
}
