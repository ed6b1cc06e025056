/**
 * Writes the active segment, `tracker.events`. When `append` returns, its bytes are flushed to that file, and the
 * file is still at its path.
 *
 * After a failed write or sync, the bytes after the last sync are in an unknown state: Linux may have dropped them
 * from memory and then report success for the next fdatasync. So the file is closed. The next append reopens it,
 * cuts it to the last synced length, and writes its own bytes again.
 */

import { createHash, type Hash } from "node:crypto";
import { activePath, closedPath, SegmentEdges } from "./segments.ts";
import { type FileFacts, type Storage, type StoredFile, writeAll } from "./storage.ts";

/** The file on disk is not the one that was written; it must be read again, as after a restart. */
export class SegmentDisplacedError extends Error {
  override readonly name = "SegmentDisplacedError";
}

export interface ActiveSegmentOptions {
  readonly storage: Storage;
  readonly directory: string;
  /** The number it gets when it is closed. */
  readonly number: number;
  readonly bytes: number;
  readonly edges: SegmentEdges;
  /** True to compute the SHA-256 of appended bytes (1 s per GB); not needed if segments are never closed. */
  readonly isHashed: boolean;
}

export interface RotatedSegment {
  readonly path: string;
  readonly number: number;
  readonly bytes: number;
  readonly edges: SegmentEdges;
  /** SHA-256 of all bytes; undefined if an earlier run wrote a part of them. */
  readonly sha256: string | undefined;
}

export class ActiveSegment {
  readonly path: string;
  readonly #storage: Storage;
  readonly #directory: string;
  #number: number;
  /** The length covered by the last sync. */
  #bytes: number;
  #edges: SegmentEdges;
  #identity: string;
  readonly #isHashed: boolean;
  #hash: Hash | undefined;
  /** Undefined after a failure, until the next append. */
  #file: StoredFile | undefined;
  /** True from before the rename until the new file exists; stays true after a failure in between. */
  #rotating = false;

  private constructor(options: ActiveSegmentOptions, file: StoredFile, facts: FileFacts) {
    this.path = activePath(options.directory);
    this.#storage = options.storage;
    this.#directory = options.directory;
    this.#number = options.number;
    this.#bytes = options.bytes;
    this.#edges = options.edges;
    this.#isHashed = options.isHashed;
    this.#hash = options.bytes === 0 ? this.#newHash() : undefined;
    this.#file = file;
    this.#identity = facts.identity;
  }

  static async open(options: ActiveSegmentOptions): Promise<ActiveSegment> {
    const file = await options.storage.open(activePath(options.directory), "append");
    try {
      const facts = await file.stat();
      if (facts.bytes !== options.bytes) {
        throw new SegmentDisplacedError(
          `the journal has ${facts.bytes} bytes just after ${options.bytes} were read`,
        );
      }
      return new ActiveSegment(options, file, facts);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  get number(): number {
    return this.#number;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get edges(): SegmentEdges {
    return this.#edges;
  }

  /**
   * Appends the parts in order and returns when they are flushed to disk. If it throws, nothing was appended, and
   * it may be called again with the same parts.
   *
   * @throws {SegmentDisplacedError} if the file is not the one written before.
   */
  async append(parts: readonly Uint8Array[]): Promise<void> {
    if (this.#rotating) throw new TypeError("Cannot append to a segment that is being closed");
    const file = await this.#attached();
    try {
      let bytes = this.#bytes;
      for (const part of parts) {
        await writeAll(file, part);
        bytes += part.length;
      }
      await file.syncData();
      await this.#requireInPlace(bytes);
      for (const part of parts) {
        this.#edges.append(part);
        this.#hash?.update(part);
      }
      this.#bytes = bytes;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Closes the segment by renaming it to its number, and starts the next one. Everything is synced already. If it
   * throws, call it again; it resumes at the failed step:
   *
   *     rename  ->  sync the directory  ->  create  ->  sync the directory
   *
   * Recovery handles a crash between any two steps: a missing active file counts as an empty one.
   */
  async rotate(): Promise<RotatedSegment> {
    if (!this.#rotating) {
      await this.#attached();
      this.close();
      this.#rotating = true;
    }
    return await this.#finishRotation();
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  async #attached(): Promise<StoredFile> {
    return this.#file ??= await this.#reopened();
  }

  async #reopened(): Promise<StoredFile> {
    await this.#requireDirectory();
    const facts = await this.#storage.stat(this.path);
    this.#requireSame(facts);
    const file = await this.#storage.open(this.path, "append");
    try {
      this.#requireSame(await file.stat());
      await file.truncate(this.#bytes);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  async #finishRotation(): Promise<RotatedSegment> {
    await this.#requireDirectory();
    const closed = await this.#renamed();
    await this.#storage.syncDirectory(this.#directory);
    const left = await this.#storage.stat(this.path);
    if (left !== undefined && left.bytes > 0) {
      throw new SegmentDisplacedError(`a file of ${left.bytes} bytes took the journal's place`);
    }
    const file = await this.#storage.open(this.path, left === undefined ? "create" : "append");
    try {
      const facts = await file.stat();
      await this.#storage.syncDirectory(this.#directory);
      this.#identity = facts.identity;
    } catch (error) {
      file.close();
      throw error;
    }
    const rotated = { ...closed, edges: this.#edges, sha256: this.#hash?.digest("hex") };
    this.#file = file;
    this.#number = closed.number + 1;
    this.#bytes = 0;
    this.#edges = new SegmentEdges();
    this.#hash = this.#newHash();
    this.#rotating = false;
    return rotated;
  }

  /** Renames the segment to its number, unless that was done before a failure. */
  async #renamed(): Promise<Pick<RotatedSegment, "path" | "number" | "bytes">> {
    const facts = await this.#storage.stat(this.path);
    if (facts?.identity === this.#identity) {
      this.#requireExact(facts, this.#bytes);
      // rename(2) overwrites. We hold the folder's lock, so checking first is enough.
      while (await this.#storage.stat(closedPath(this.#directory, this.#number)) !== undefined) {
        this.#number++;
      }
      await this.#storage.rename(this.path, closedPath(this.#directory, this.#number));
    }
    const path = closedPath(this.#directory, this.#number);
    this.#requireExact(await this.#storage.stat(path), this.#bytes);
    return { path, number: this.#number, bytes: this.#bytes };
  }

  #newHash(): Hash | undefined {
    return this.#isHashed ? createHash("sha256") : undefined;
  }

  /**
   * Throws if the folder is gone. It may be unmounted or being moved, and come back with our file in it, so callers
   * retry.
   */
  async #requireDirectory(): Promise<void> {
    await this.#storage.list(this.#directory);
  }

  #requireSame(facts: FileFacts | undefined): void {
    if (facts === undefined) throw new SegmentDisplacedError("the journal's file is gone");
    if (facts.identity !== this.#identity) {
      throw new SegmentDisplacedError("another file has taken the journal's place");
    }
    if (facts.bytes < this.#bytes) {
      throw new SegmentDisplacedError(
        `the journal has ${facts.bytes} bytes, but had ${this.#bytes}: another program cut it`,
      );
    }
  }

  /** Requires that the file is the one that was written and contains only our bytes. */
  #requireExact(facts: FileFacts | undefined, bytes: number): void {
    this.#requireSame(facts);
    if (facts?.bytes !== bytes) {
      throw new SegmentDisplacedError(
        `the journal has ${facts?.bytes} bytes where ${bytes} were expected: another program writes to it`,
      );
    }
  }

  /**
   * Requires that the file is still in place: writing and syncing a removed or replaced file succeeds, but the data
   * is lost.
   */
  async #requireInPlace(bytes: number): Promise<void> {
    this.#requireExact(await this.#storage.stat(this.path), bytes);
  }
}
