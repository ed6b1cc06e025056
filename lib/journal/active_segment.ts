/**
 * The file being written, `tracker.events`. What `append` has returned from is on the disk, at that
 * path, in that file.
 *
 * After a failed write or sync nothing is known of the bytes after the last sync: Linux may have
 * dropped them from memory and then say yes to the next fdatasync. So the file is closed, and the
 * next append opens it, cuts it to the last synced length and writes its own bytes again.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { activePath, closedPath, SegmentEdges } from "./segments.ts";
import { type FileFacts, type Storage, type StoredFile, writeAll } from "./storage.ts";

/** The file on the disk is no longer the one that was written: it has to be read as after a start. */
export class SegmentDisplacedError extends Error {
  override readonly name = "SegmentDisplacedError";
}

export interface ActiveSegmentOptions {
  readonly storage: Storage;
  readonly directory: string;
  /** The number that it gets when it is closed. */
  readonly number: number;
  readonly bytes: number;
  readonly edges: SegmentEdges;
  /** Whether to take the SHA-256 of what is appended (1 s a GB); of no use where no segment is closed. */
  readonly isHashed: boolean;
}

export interface RotatedSegment {
  readonly path: string;
  readonly number: number;
  readonly bytes: number;
  readonly edges: SegmentEdges;
  /** Of all its bytes; undefined where a part was written by an earlier run. */
  readonly sha256: string | undefined;
}

export class ActiveSegment {
  readonly path: string;
  readonly #storage: Storage;
  readonly #directory: string;
  #number: number;
  /** The length that the last sync covered. */
  #bytes: number;
  #edges: SegmentEdges;
  #identity: string;
  readonly #isHashed: boolean;
  #hash: Hash | undefined;
  /** Undefined after a failure, until the next append. */
  #file: StoredFile | undefined;
  /** True from before the rename until the new file is there: a failure leaves it between. */
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

  /** Opens the file that recovery has left. */
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
   * Appends the parts, in order, and returns when they are on the disk. Where it throws, none of them
   * counts, and it may be called again with the same parts.
   *
   * @throws {SegmentDisplacedError} where the file is not the one that was written before.
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
   * Closes the segment by renaming it to its number, and begins the next one. All of it is synced
   * already. Where it throws, it has to be called again, and goes on from where it was:
   *
   *     rename  ->  sync the directory  ->  create  ->  sync the directory
   *
   * Recovery finds its way from between any two of them: no active file is an empty one.
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
      // rename(2) overwrites. The folder is ours alone by its lock, so looking first is enough.
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

  /** A folder that is away (unmounted, being moved) may come back with our file in it: keep trying. */
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
        `the journal has ${facts.bytes} bytes, and had ${this.#bytes}: it was cut by another program`,
      );
    }
  }

  /** Requires that the file is the one that was written, and has no bytes but ours. */
  #requireExact(facts: FileFacts | undefined, bytes: number): void {
    this.#requireSame(facts);
    if (facts?.bytes !== bytes) {
      throw new SegmentDisplacedError(
        `the journal has ${facts?.bytes} bytes where ${bytes} were expected: another program writes to it`,
      );
    }
  }

  /** A file that was removed or replaced can be written and synced without an error, and is lost. */
  async #requireInPlace(bytes: number): Promise<void> {
    this.#requireExact(await this.#storage.stat(this.path), bytes);
  }
}
