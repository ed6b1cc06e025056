/**
 * Read-only file system access for a tail. Small, so that a test can act between two calls.
 */

/** The current state of a file by its name. */
export interface FileState {
  /** Device and inode: two names with the same identity are one file. */
  readonly identity: string;
  readonly size: number;
  readonly modifiedMs: number;
  /** False for a pipe or a device, which could be read without end. */
  readonly isRegular: boolean;
}

/** An open file; stays the same when its name refers to another. */
export interface TailFile {
  readonly identity: string;
  size(): number;
  /** Reads from a position into `into`; returns the number of bytes, 0 at the end. */
  read(into: Uint8Array<ArrayBuffer>, position: number): Promise<number>;
  /** Reads a few bytes synchronously; fewer at the end of the file. */
  peek(byteCount: number, position: number): Uint8Array<ArrayBuffer>;
  close(): void;
}

export interface TailFiles {
  /** Returns all names in a folder; none if the folder is missing. */
  list(folder: string): readonly string[];
  /** Returns undefined for a missing file, a folder, or a dangling link. */
  stat(path: string): FileState | undefined;
  /** Returns why a file cannot be read; undefined for a regular or missing file. */
  obstacle(path: string): string | undefined;
  /**
   * Returns undefined if there is no such file.
   *
   * @throws {UnreadableError} if it cannot be read, or is not a regular file.
   */
  open(path: string): TailFile | undefined;
}

export class UnreadableError extends Error {
  override readonly name = "UnreadableError";

  constructor(readonly path: string, cause: Error) {
    const why = cause instanceof Deno.errors.NotCapable
      ? "this program was not given permission to read there (--allow-read)"
      : cause instanceof Deno.errors.PermissionDenied
      ? "permission denied; run the monitor as the user that runs the tracker"
      : cause.message;
    super(`Cannot read "${path}": ${why}`, { cause });
  }
}

export const TAIL_FILES: TailFiles = {
  list(folder) {
    const entries = present(folder, () => Array.from(Deno.readDirSync(folder)));
    return entries?.map((entry) => entry.name) ?? [];
  },
  stat(path) {
    const info = present(path, () => followed(path));
    if (info === undefined || info.isDirectory) return undefined;
    return {
      identity: identityOf(info),
      size: info.size,
      modifiedMs: info.mtime?.getTime() ?? 0,
      isRegular: info.isFile,
    };
  },
  obstacle(path) {
    const own = present(path, () => Deno.lstatSync(path));
    if (own === undefined) return undefined;
    const info = own.isSymlink ? present(path, () => followed(path)) : own;
    if (info === undefined) return LEADS_NOWHERE;
    if (info.isDirectory) return "it is a folder";
    return info.isFile ? undefined : NOT_REGULAR;
  },
  open(path) {
    // Opening a pipe would wait for a writer. The target of a link may appear later.
    const obstacle = TAIL_FILES.obstacle(path);
    if (obstacle !== undefined && obstacle !== LEADS_NOWHERE) {
      throw new UnreadableError(path, new Error(obstacle));
    }
    const file = present(path, () => Deno.openSync(path));
    return file === undefined ? undefined : new OpenTailFile(path, file);
  },
};

const LEADS_NOWHERE = "it is a link that leads nowhere";
const NOT_REGULAR = "it is not a regular file";

/** Returns what a name leads to; undefined for a link to itself. */
function followed(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.FilesystemLoop) return undefined;
    throw error;
  }
}

class OpenTailFile implements TailFile {
  readonly identity: string;
  readonly #path: string;
  readonly #file: Deno.FsFile;

  constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
    this.identity = identityOf(file.statSync());
  }

  size(): number {
    try {
      return this.#file.statSync().size;
    } catch (error) {
      throw asUnreadable(this.#path, error);
    }
  }

  async read(into: Uint8Array<ArrayBuffer>, position: number): Promise<number> {
    try {
      this.#file.seekSync(position, Deno.SeekMode.Start);
      return (await this.#file.read(into)) ?? 0;
    } catch (error) {
      throw asUnreadable(this.#path, error);
    }
  }

  peek(byteCount: number, position: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(byteCount);
    let filled = 0;
    try {
      this.#file.seekSync(position, Deno.SeekMode.Start);
      while (filled < byteCount) {
        const readCount = this.#file.readSync(bytes.subarray(filled));
        if (readCount === null) break;
        filled += readCount;
      }
    } catch (error) {
      throw asUnreadable(this.#path, error);
    }
    return bytes.subarray(0, filled);
  }

  close(): void {
    this.#file.close();
  }
}

function present<T>(path: string, ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw asUnreadable(path, error);
  }
}

function asUnreadable(path: string, error: unknown): unknown {
  return error instanceof Error ? new UnreadableError(path, error) : error;
}

function identityOf(info: Deno.FileInfo): string {
  return `${info.dev}:${info.ino}`;
}
