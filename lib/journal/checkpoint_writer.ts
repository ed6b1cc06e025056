/**
 * Decides when a checkpoint is written, and writes one at a time.
 *
 * While a group of appends is being written, the segment and what is held do not belong together. So a checkpoint
 * that is asked for then is begun by the journal when the group has ended.
 *
 * @module
 */

import { type Checkpoint, encodeCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import type { NoticeListener } from "./notice.ts";
import type { Storage } from "./storage.ts";

const INTERVAL_MS = 5_000;
/** About so much is read at a restart, at the most: some 0.2 s. */
const BYTES = 32 * 1024 * 1024;

export interface CheckpointWriterOptions {
  readonly storage: Storage;
  readonly directory: string;
  /** Milliseconds from any beginning, never going back. */
  readonly now: () => number;
  readonly onNotice: NoticeListener;
  /** Called between groups of appends only. */
  readonly content: () => Checkpoint;
  /** Whether no group is being written, nor will be soon. */
  readonly isIdle: () => boolean;
}

export class CheckpointWriter {
  readonly #options: CheckpointWriterOptions;
  #writing: Promise<void> | undefined;
  /** Resolves when a checkpoint was written that was begun after it was asked for. */
  #wanted: PromiseWithResolvers<void> | undefined;
  #hasFailed = false;
  #writtenMs: number;
  #bytes = 0;

  constructor(options: CheckpointWriterOptions) {
    this.#options = options;
    this.#writtenMs = options.now();
  }

  /** The end of the checkpoint that is being written; undefined where none is. */
  get writing(): Promise<void> | undefined {
    return this.#writing;
  }

  noteAppended(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Makes the next checkpoint due when the group has ended. */
  hasten(): void {
    this.#bytes = Infinity;
  }

  /**
   * Writes a checkpoint as soon as possible, and returns when it is written, or cannot be. Never throws: a journal
   * without one is whole, and slower to open.
   */
  request(): Promise<void> {
    const { promise } = this.#wanted ??= Promise.withResolvers();
    if (this.#options.isIdle()) this.writeIfDue();
    return promise;
  }

  /** Called when a group has ended. Not awaited: the content is taken now. */
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

  /** Nothing can be written at the moment: who waits for a checkpoint goes on without it. */
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
