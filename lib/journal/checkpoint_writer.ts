/**
 * Decides when to write a checkpoint, and writes one at a time.
 *
 * While a group of appends is being written, the segment and the held offsets do not match. A checkpoint requested
 * then is started by the journal when the group has ended.
 */

import { type Checkpoint, encodeCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import type { NoticeListener } from "./notice.ts";
import type { Storage } from "./storage.ts";

const INTERVAL_MS = 5_000;
/** Bounds how much is read at a restart: some 0.2 s. */
const BYTES = 32 * 1024 * 1024;

export interface CheckpointWriterOptions {
  readonly storage: Storage;
  readonly directory: string;
  /** Returns milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly onNotice: NoticeListener;
  /** Called only between groups of appends. */
  readonly content: () => Checkpoint;
  /** True if no group is being written, nor will be soon. */
  readonly isIdle: () => boolean;
}

export class CheckpointWriter {
  readonly #options: CheckpointWriterOptions;
  #writing: Promise<void> | undefined;
  /** Resolves when a checkpoint has been written that was started after it was requested. */
  #wanted: PromiseWithResolvers<void> | undefined;
  #hasFailed = false;
  #writtenMs: number;
  #bytes = 0;

  constructor(options: CheckpointWriterOptions) {
    this.#options = options;
    this.#writtenMs = options.now();
  }

  get writing(): Promise<void> | undefined {
    return this.#writing;
  }

  noteAppended(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Makes the next checkpoint due at the end of the group. */
  hasten(): void {
    this.#bytes = Infinity;
  }

  /**
   * Writes a checkpoint as soon as possible. Resolves when it is written, or when that has failed. Never throws: a
   * journal without a checkpoint is complete, just slower to open.
   */
  request(): Promise<void> {
    const { promise } = this.#wanted ??= Promise.withResolvers();
    if (this.#options.isIdle()) this.writeIfDue();
    return promise;
  }

  /** Called at the end of a group. Not awaited: the content is taken now. */
  writeIfDue(): void {
    if (this.#writing !== undefined) return;
    const isDue = this.#wanted !== undefined || this.#bytes >= BYTES ||
      this.#options.now() - this.#writtenMs >= INTERVAL_MS;
    if (!isDue) return;
    const wanted = this.#wanted;
    this.#wanted = undefined;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
      wanted?.resolve();
      if (this.#wanted !== undefined && this.#options.isIdle()) this.writeIfDue();
    });
  }

  /** Lets those who wait for a checkpoint continue without it, because nothing can be written at the moment. */
  postpone(): void {
    this.hasten();
    this.#wanted?.resolve();
    this.#wanted = undefined;
  }

  async #write(): Promise<void> {
    const { storage, directory, content, now, onNotice } = this.#options;
    const text = encodeCheckpoint(content(), new Date());
    this.#writtenMs = now();
    this.#bytes = 0;
    try {
      await writeCheckpoint(storage, directory, text);
      this.#hasFailed = false;
    } catch (error) {
      if (this.#hasFailed) return;
      this.#hasFailed = true;
      onNotice({ kind: "checkpoint failed", directory, error });
    }
  }
}
