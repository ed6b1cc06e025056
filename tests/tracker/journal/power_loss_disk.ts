/**
 * A disk in memory that forgets what was not synced, as a real one may when the power fails:
 *
 * - blocks written since a file's last fdatasync reach the disk or not, each on its own; those that
 *   did not read as zeros, or as what was there before;
 * - creations and renames since the directory's last sync happened up to any point;
 * - a failed fdatasync forgets that its blocks are dirty: the next one says yes, and they are lost.
 */

import type {
  FileFacts,
  OpenMode,
  Storage,
  StoredFile,
} from "../../../lib/tracker/journal/storage.ts";

const BLOCK_BYTES = 64;

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

  /** Puts those dirty blocks on the disk that are chosen, and forgets that the others were dirty. */
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

/** What the disk does with an operation: carry it out, fail, or (the power is off) never answer. */
export type Fate = "done" | "fails" | "never";

export class PowerLossDisk {
  #live = new Map<string, Inode>();
  #synced = new Map<string, Inode>();
  /** Directory changes since its last sync. */
  #changes: ((names: Map<string, Inode>) => void)[] = [];
  #inodeCount = 0;
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** The process died, the machine did not: everything written is there. */
  kill(): void {
    for (const inode of this.#live.values()) inode.locked = false;
  }

  /** The machine died. */
  losePower(): void {
    for (const change of this.#changes) if (this.#random() < 0.5) change(this.#synced);
    this.#changes = [];
    this.#live = new Map(this.#synced);
    for (const inode of new Set(this.#live.values())) {
      const [a, b] = [inode.synced.length, inode.live.length];
      const length = Math.min(a, b) + Math.floor(this.#random() * (Math.abs(a - b) + 1));
      inode.flush(length, () => this.#random() < 0.5);
      inode.live = inode.synced.slice();
      inode.locked = false;
    }
  }

  /** The names and what is in them, as a process would find it. */
  files(): ReadonlyMap<string, Uint8Array> {
    const files = Array.from(
      this.#live,
      ([path, { live }]) => [path.slice(path.indexOf("/") + 1), live.slice()] as const,
    );
    return new Map(files.sort(([a], [b]) => a < b ? -1 : 1));
  }

  /** The disk as a process sees it that lives until `fate` says `never`. */
  storage(fate: (operation: string) => Fate): Storage {
    const act = async <T>(name: string, operation: () => T, onFailure?: () => void): Promise<T> => {
      // Answers come in another turn, so that operations under way interleave.
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
      stat: (path) => act("stat", () => factsOf(this.#live.get(path))),
      rename: (from, to) =>
        act("rename", () => {
          const inode = this.#live.get(from);
          if (inode === undefined) throw new Error(`no ${from}`);
          this.#change((names) => {
            if (names.get(from) === inode) names.delete(from);
            names.set(to, inode);
          });
        }),
      remove: (path) => act("remove", () => this.#change((names) => void names.delete(path))),
      list: () =>
        act("list", () => [...this.#live.keys()].map((path) => path.slice(path.indexOf("/") + 1))),
      createDirectory: () => act("createDirectory", () => {}),
      syncDirectory: () =>
        act("syncDirectory", () => {
          this.#synced = new Map(this.#live);
          this.#changes = [];
        }),
    };
  }

  #change(change: (names: Map<string, Inode>) => void): void {
    change(this.#live);
    this.#changes.push(change);
  }

  #open(
    path: string,
    mode: OpenMode,
    act: <T>(name: string, operation: () => T, onFailure?: () => void) => Promise<T>,
  ): StoredFile {
    const existing = this.#live.get(path);
    if (mode === "create" && existing !== undefined) throw new Error(`${path} exists`);
    const isCreated = mode === "create" || mode === "replace" || mode === "lock";
    if (existing === undefined && !isCreated) throw new Error(`no ${path}`);
    const inode = existing ?? new Inode(++this.#inodeCount);
    if (existing === undefined) this.#change((names) => names.set(path, inode));
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
        // A write that fails, or that the process dies in, may have been done in part.
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
      stat: () => act("stat", () => factsOf(inode) ?? { bytes: 0, identity: "" }),
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

function factsOf(inode: Inode | undefined): FileFacts | undefined {
  return inode && { bytes: inode.live.length, identity: String(inode.number) };
}
