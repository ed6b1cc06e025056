/**
 * A disk in memory that loses what was not synced, as a real one may when the power fails:
 *
 * - each block written since a file's last fdatasync is stored or not, independently; those that are
 *   not read as zeros, or as what was there before;
 * - each creation, rename, and removal since the directory's last sync happened or not, independently,
 *   in no particular order. A directory is an entry of its parent;
 * - a failed fdatasync forgets that its blocks are dirty: the next one succeeds, and they are lost.
 */

import { basename, dirname } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import type { FileFacts, OpenMode, Storage, StoredFile } from "../../lib/journal/storage.ts";
import { namesOf } from "./fixture.ts";

const BLOCK_BYTES = 64;
const ROOT = ".";

class Inode {
  live = new Uint8Array();
  synced = new Uint8Array();
  readonly dirty = new Set<number>();
  locked = false;

  constructor(readonly number: number) {}

  write(at: number, bytes: Uint8Array): void {
    const end = at + bytes.length;
    if (end > this.live.length) this.live = resized(this.live, end);
    this.live.set(bytes, at);
    for (let block = Math.floor(at / BLOCK_BYTES); block * BLOCK_BYTES < end; block++) {
      this.dirty.add(block);
    }
  }

  truncate(length: number): void {
    this.live = resized(this.live, length);
  }

  /** Stores the chosen dirty blocks, and marks the others as clean. */
  flush(length: number, isChosen: () => boolean): void {
    this.synced = resized(this.synced, length);
    for (const block of this.dirty) {
      const bytes = this.live.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
      const room = length - block * BLOCK_BYTES;
      if (room > 0 && isChosen()) this.synced.set(bytes.subarray(0, room), block * BLOCK_BYTES);
    }
    this.dirty.clear();
  }
}

function resized(bytes: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  return copy;
}

/** The fate of an operation on the disk: it is done, it fails, or (the power is off) it never returns. */
export type Fate = "done" | "fails" | "never";

/** What survives a power loss, of everything that was not synced. */
export interface Survivors {
  /** Reports whether a directory change survives, by its index among the unsynced changes. */
  change(index: number): boolean;
  block(): boolean;
  /** Returns how much of a file's growth or cut survives, from 0 to 1; called for each file. */
  length(): number;
}

/** Paths and what they refer to: a file, or a directory. */
type Names = Map<string, Inode | "directory">;

interface Change {
  readonly directory: string;
  apply(names: Names): void;
}

export class PowerLossDisk {
  #live: Names = new Map([[ROOT, "directory"]]);
  #synced: Names = new Map(this.#live);
  #changes: Change[] = [];
  #inodeCount = 0;
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  get changeCount(): number {
    return this.#changes.length;
  }

  /** Kills the process but not the machine: everything written is kept. */
  kill(): void {
    for (const inode of inodesOf(this.#live)) inode.locked = false;
  }

  /** Cuts the machine's power. By default, what survives is random. */
  losePower(survivors: Survivors = this.#anySurvivors()): void {
    for (const [index, change] of this.#changes.entries()) {
      if (survivors.change(index)) change.apply(this.#synced);
    }
    this.#changes = [];
    for (const path of [...this.#synced.keys()]) {
      if (!this.#isReached(path)) this.#synced.delete(path);
    }
    this.#live = new Map(this.#synced);
    for (const inode of inodesOf(this.#live)) {
      const [from, to] = [inode.synced.length, inode.live.length];
      const length = from + Math.round((to - from) * survivors.length());
      inode.flush(length, () => survivors.block());
      inode.live = inode.synced.slice();
      inode.locked = false;
    }
  }

  #anySurvivors(): Survivors {
    return {
      change: () => this.#random() < 0.5,
      block: () => this.#random() < 0.5,
      length: () => this.#random(),
    };
  }

  #isReached(path: string): boolean {
    if (path === ROOT) return true;
    const parent = dirname(path);
    return this.#synced.get(parent) === "directory" && this.#isReached(parent);
  }

  /** Returns the paths and contents, as a process would find them. */
  files(): ReadonlyMap<string, Uint8Array> {
    const files = new Map<string, Uint8Array>();
    for (const path of [...this.#live.keys()].sort()) {
      const inode = this.#fileAt(path);
      if (inode !== undefined) files.set(basename(path), inode.live.slice());
    }
    return files;
  }

  /** Returns the disk as seen by a process that lives until `fate` returns `never`. */
  storage(fate: (operation: string) => Fate): Storage {
    const act = async <T>(name: string, operation: () => T, onFailure?: () => void): Promise<T> => {
      // Answers come in a later turn, so that concurrent operations interleave.
      await Promise.resolve();
      switch (fate(name)) {
        case "done":
          return operation();
        case "never":
          return await new Promise<T>(() => {});
        case "fails":
          onFailure?.();
          throw Object.assign(new Error(`${name} failed`), { code: "EIO" });
      }
    };
    return {
      open: (path, mode) => act(`open ${mode}`, () => this.#open(path, mode, act)),
      stat: (path) => act("stat", () => this.#factsAt(path)),
      rename: (from, to) =>
        act("rename", () => {
          const inode = this.#fileAt(from);
          if (inode === undefined) throw new Error(`no ${from}`);
          this.#change(to, (names) => {
            if (names.get(from) === inode) names.delete(from);
            names.set(to, inode);
          });
        }),
      remove: (path) => act("remove", () => this.#change(path, (names) => names.delete(path))),
      list: (directory) =>
        act("list", () => {
          this.#requireDirectory(directory);
          const paths = [...this.#live.keys()].filter((path) => path !== ROOT);
          return paths.filter((path) => dirname(path) === directory).map((path) => basename(path));
        }),
      createDirectory: (directory) =>
        act("createDirectory", () => this.#createDirectory(directory)),
      syncDirectory: (directory) =>
        act("syncDirectory", () => {
          this.#requireDirectory(directory);
          for (const change of this.#changes) {
            if (change.directory === directory) change.apply(this.#synced);
          }
          this.#changes = this.#changes.filter((change) => change.directory !== directory);
        }),
    };
  }

  #change(path: string, apply: (names: Names) => void): void {
    this.#requireDirectory(dirname(path));
    apply(this.#live);
    this.#changes.push({ directory: dirname(path), apply });
  }

  #createDirectory(directory: string): void {
    if (this.#live.has(directory)) return;
    this.#createDirectory(dirname(directory));
    this.#change(directory, (names) => names.set(directory, "directory"));
  }

  #requireDirectory(path: string): void {
    if (this.#live.get(path) !== "directory") throw new Error(`no directory ${path}`);
  }

  #fileAt(path: string): Inode | undefined {
    const found = this.#live.get(path);
    return found === "directory" ? undefined : found;
  }

  #factsAt(path: string): FileFacts | undefined {
    const found = this.#live.get(path);
    return found === "directory" ? { bytes: 0, identity: path } : found && factsOf(found);
  }

  #open(
    path: string,
    mode: OpenMode,
    act: <T>(name: string, operation: () => T, onFailure?: () => void) => Promise<T>,
  ): StoredFile {
    const existing = this.#fileAt(path);
    if (mode === "create" && existing !== undefined) throw new Error(`${path} exists`);
    const isCreated = mode === "create" || mode === "replace" || mode === "lock";
    if (existing === undefined && !isCreated) throw new Deno.errors.NotFound(`no ${path}`);
    const inode = existing ?? new Inode(++this.#inodeCount);
    if (existing === undefined) this.#change(path, (names) => names.set(path, inode));
    if (mode === "replace") inode.truncate(0);
    return this.#fileOf(inode, mode, act);
  }

  #fileOf(
    inode: Inode,
    mode: OpenMode,
    act: <T>(name: string, operation: () => T, onFailure?: () => void) => Promise<T>,
  ): StoredFile {
    let position = 0;
    let hasLock = false;
    return {
      read: (into) =>
        act("read", () => {
          const bytes = inode.live.subarray(position, position + into.length);
          into.set(bytes);
          position += bytes.length;
          return bytes.length === 0 ? null : bytes.length;
        }),
      write: (bytes) => {
        const writeSome = (count: number) => {
          const isAppended = mode === "append" || mode === "create";
          const at = isAppended ? inode.live.length : position;
          inode.write(at, bytes.subarray(0, count));
          position = at + count;
          return count;
        };
        const some = Math.ceil(this.#random() * bytes.length);
        // A write that fails, or during which the process dies, may be partly done.
        return act(
          "write",
          () => writeSome(this.#random() < 0.2 ? some : bytes.length),
          () => writeSome(some),
        );
      },
      seek: (to) =>
        act("seek", () => {
          position = to;
        }),
      truncate: (length) => act("truncate", () => inode.truncate(length)),
      syncData: () =>
        act(
          "syncData",
          () => inode.flush(inode.live.length, () => true),
          () => inode.dirty.clear(),
        ),
      stat: () => act("stat", () => factsOf(inode)),
      tryLock: () =>
        act("tryLock", () => {
          if (inode.locked) return false;
          return inode.locked = hasLock = true;
        }),
      close: () => {
        if (hasLock) inode.locked = false;
      },
    };
  }
}

function inodesOf(names: Names): Iterable<Inode> {
  return new Set([...names.values()].filter((found) => found !== "directory"));
}

function factsOf(inode: Inode): FileFacts {
  return { bytes: inode.live.length, identity: String(inode.number) };
}

/** Reads the lines of the segments in order, and the records of removed ones. */
export function journalOn(
  disk: PowerLossDisk,
): { readonly texts: readonly string[]; readonly removed: readonly string[] } {
  const files = disk.files();
  const decoder = new TextDecoder();
  const texts = new Map<string, string>();
  const removed: string[] = [];
  const gone = new Set<string>();
  for (const [name, bytes] of files) {
    const [, kind = "", number = ""] = /^tracker\.(\w+)\.(\d+)(?:\.zst|\.json)?$/.exec(name) ?? [];
    if (kind === "events") texts.set(number, decoder.decode(bytes));
    // One block, after the frame that contains its length.
    if (kind === "archive") {
      texts.set(number, decoder.decode(zstdDecompressSync(bytes.subarray(16))));
    }
    if (kind !== "removed") continue;
    gone.add(number);
    for (const { partition, held } of JSON.parse(decoder.decode(bytes)).body.partitions) {
      for (const [start, end] of held) removed.push(...namesOf(partition, { start, end }));
    }
  }
  for (const number of gone) texts.delete(number);
  const closed = [...texts].sort(([a], [b]) => a < b ? -1 : 1).map(([, text]) => text);
  const active = files.get("tracker.events");
  return { texts: active ? [...closed, decoder.decode(active)] : closed, removed };
}
