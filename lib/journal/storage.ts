/**
 * The journal's way to the disk, small enough that a test can hand in one that fails on the third
 * write, writes short, or loses what was not synced.
 *
 * @module
 */

import { dirname } from "node:path";

/** How a file is opened; files that are created get mode 0600, for they hold customers' data. */
export type OpenMode =
  /** Reading only; the file must exist. */
  | "read"
  /** Reading, and writing at the end wherever that is; the file must exist. */
  | "append"
  /** Reading, and writing where it was last read or sought to; the file must exist. */
  | "rewrite"
  /** As `append`; the file must not exist. */
  | "create"
  /** Writing to a new file, in place of one that exists. */
  | "replace"
  /** Reading and writing; created where it is missing. Throws if it is a symbolic link. */
  | "lock";

export interface FileFacts {
  readonly bytes: number;
  /** Tells a file from another one of the same name (device and inode). */
  readonly identity: string;
}

export interface StoredFile {
  /** Reads on from where the last read or seek ended; null at the end of the file. */
  read(into: Uint8Array): Promise<number | null>;
  /** May write fewer bytes than it was given, as write(2) may. Returns how many. */
  write(bytes: Uint8Array): Promise<number>;
  seek(position: number): Promise<void>;
  truncate(bytes: number): Promise<void>;
  /** fdatasync(2). Having failed once it must not be called again: Linux drops the pages and says yes. */
  syncData(): Promise<void>;
  stat(): Promise<FileFacts>;
  /** Takes an exclusive lock which dies with the process; false where another holds it. */
  tryLock(): Promise<boolean>;
  close(): void;
}

export interface Storage {
  open(path: string, mode: OpenMode): Promise<StoredFile>;
  /** Undefined where there is no such file. */
  stat(path: string): Promise<FileFacts | undefined>;
  /** Replaces `to` where it exists, as rename(2) does. */
  rename(from: string, to: string): Promise<void>;
  /** Does nothing where there is no such file. */
  remove(path: string): Promise<void>;
  /** The names in a directory. */
  list(directory: string): Promise<readonly string[]>;
  createDirectory(directory: string): Promise<void>;
  /** Makes creations, renames, and removals in the directory durable. */
  syncDirectory(directory: string): Promise<void>;
}

/** What is needed of a file to read it. */
export type ReadableFile = Pick<StoredFile, "read" | "seek" | "stat" | "close">;

/** Writes all of `bytes`, however short the single writes are. */
export async function writeAll(file: StoredFile, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const count = await file.write(written === 0 ? bytes : bytes.subarray(written));
    if (count <= 0) {
      throw new Error(`Cannot write: ${bytes.length - written} bytes left and the disk took none`);
    }
    written += count;
  }
}

/** The bytes from `start` to `end`; fewer where the file ends before. */
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
 * Creates a directory durably where it is missing, and those above it. A directory is an entry of the
 * one above, which is synced even where the directory was there before: the process that created it
 * may have died before its sync.
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
    // Who may not read the directory above has not created this one there either.
    const { NotCapable, PermissionDenied } = Deno.errors;
    if (!(error instanceof NotCapable || error instanceof PermissionDenied)) throw error;
  }
}

/** Replaces a small file in one step: after a crash there is the old one or the new one. */
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

/** The whole of a small file; undefined where there is none. */
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

/** A file of such a name is not whole yet, or was left by a crash. */
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

/** The real disk. */
export const denoStorage: Storage = {
  async open(path, mode) {
    // Emptying a file in place would follow a symbolic link, and keep the mode of what was there.
    if (mode === "replace") await this.remove(path);
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
  async remove(path) {
    try {
      await Deno.remove(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  },
  async list(directory) {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(directory)) names.push(name);
    return names;
  },
  createDirectory: (directory) => Deno.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE }),
  async syncDirectory(directory) {
    // Windows cannot open a directory, and keeps its entries in a log of its own.
    if (Deno.build.os === "windows") return;
    using opened = await Deno.open(directory);
    await opened.sync();
  },
};

/** Throws, and closes the file, if it was opened through a symbolic link: what is written would go elsewhere. */
async function requireNoLink(path: string, file: Deno.FsFile): Promise<void> {
  const [named, opened] = await Promise.all([Deno.lstat(path), file.stat()]);
  if (!named.isSymlink && named.ino === opened.ino && named.dev === opened.dev) return;
  file.close();
  throw new Error(`Cannot lock "${path}": it is a symbolic link. Remove it, and start again.`);
}

class DenoFile implements StoredFile {
  readonly #file: Deno.FsFile;

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

  tryLock(): Promise<boolean> {
    return this.#file.tryLock(true);
  }

  close(): void {
    this.#file.close();
  }
}

function factsOf({ size, dev, ino }: Deno.FileInfo): FileFacts {
  return { bytes: size, identity: `${dev}:${ino}` };
}
