/**
 * Allows one tracker per folder: two that append to the same journal would write records twice and cut each other's
 * lines.
 *
 * The lock is the operating system's (flock(2)), on `tracker.lock`. It ends with the process that holds it, however
 * that dies. The process id in the file is only for people and messages.
 */

import { join } from "node:path";
import { readRange, type Storage, type StoredFile, writeAll } from "./storage.ts";

export const LOCK_NAME = "tracker.lock";
const PID_BYTES_MAX = 32;

export class JournalLockedError extends Error {
  override readonly name = "JournalLockedError";
  readonly path: string;
  /** Process id of the tracker holding the lock, if it could be read. */
  readonly holderPid: number | undefined;

  constructor(path: string, holderPid: number | undefined) {
    super(
      `Cannot open the journal in "${path}": another tracker` +
        (holderPid === undefined ? "" : ` (process ${holderPid})`) +
        ` is writing there; stop it, or give this one a folder of its own with --logs`,
    );
    this.path = path;
    this.holderPid = holderPid;
  }
}

/** The right to write to a folder, held until it is released or the process ends. */
export class FolderLock {
  readonly #storage: Storage;
  readonly #path: string;
  readonly #file: StoredFile;

  private constructor(storage: Storage, path: string, file: StoredFile) {
    this.#storage = storage;
    this.#path = path;
    this.#file = file;
  }

  /** @throws {JournalLockedError} if another tracker has locked the folder. */
  static async take(storage: Storage, directory: string): Promise<FolderLock> {
    const path = join(directory, LOCK_NAME);
    const file = await storage.open(path, "lock");
    try {
      if (!await file.tryLock()) throw new JournalLockedError(directory, await holderOf(file));
      await file.truncate(0);
      await file.seek(0);
      await writeAll(file, new TextEncoder().encode(`${Deno.pid}\n`));
      return new FolderLock(storage, path, file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Reports whether the lock file is still the one in the folder. It is not after the folder was replaced. */
  async isInPlace(): Promise<boolean> {
    const [ours, there] = [await this.#file.stat(), await this.#storage.stat(this.#path)];
    return ours.identity === there?.identity;
  }

  /** Leaves the file in place: removing it could remove one that another tracker has just locked. */
  release(): void {
    this.#file.close();
  }
}

async function holderOf(file: StoredFile): Promise<number | undefined> {
  const text = new TextDecoder().decode(await readRange(file, { start: 0, end: PID_BYTES_MAX }));
  return /^\d+\n$/.test(text) ? Number(text) : undefined;
}
