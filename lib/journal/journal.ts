/**
 * The tracker's journal: every record once, in order, flushed to disk before anyone is told.
 *
 *     append -> queue -> group: write, fdatasync, check that the file is still in place -> held -> resolved
 *                                  \ failed: close, wait, open, cut to the last synced length, retry
 *
 * All appends that wait while a group is being written form the next group, and share its fdatasync. No record is
 * held, and no append resolves, before the sync that covers it.
 */

import { SegmentAccount } from "./account.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { CheckpointWriter } from "./checkpoint_writer.ts";
import { type Clock, systemClock } from "./clock.ts";
import {
  AppendQueue,
  type JournalAppend,
  JournalClosedError,
  JournalReopenedError,
} from "./append_queue.ts";
import { ActiveSegment, SegmentDisplacedError } from "./active_segment.ts";
import { FolderLock } from "./folder_lock.ts";
import type { HeldOffsets } from "./held_offsets.ts";
import type { EpochStart, NotedTruncation } from "./held_partition.ts";
import type { Interval, JournalPartition } from "./intervals.ts";
import type { NoticeListener } from "./notice.ts";
import { recover, type RecoveredJournal } from "./recovery.ts";
import { fingerprint, joined } from "./segments.ts";
import { denoStorage, type Storage } from "./storage.ts";
import { surviveFileLimit } from "../file_limit.ts";
import type { JournalOptions } from "./open_journal.ts";
import { Stall } from "./stall.ts";
import { SupersededRuns } from "./superseded_runs.ts";
import { Upkeep } from "./upkeep.ts";

/** Groups of several appends are copied together up to this size, to be written in one call. */
const COPIED_BYTES_MAX = 256 * 1024;
const RETRY_DELAY_MS_MIN = 250;
const RETRY_DELAY_MS_MAX = 5_000;
const CLOSE_TIMEOUT_MS = 10_000;

/** An open journal; see `openJournal`. */
export class Journal {
  readonly directory: string;
  readonly #options: Pick<JournalOptions, "rotateBytes" | "compress" | "keepMs">;
  readonly #segmentBytesMax: number;
  readonly #onNotice: NoticeListener;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #abandoned = new AbortController();
  readonly #forgetFileLimit: () => void;
  #lock: FolderLock;
  #segment: ActiveSegment;
  #id: string;
  #held: HeldOffsets;
  /** The active segment's account; undefined if it must be counted when the segment is closed. */
  #account: SegmentAccount | undefined;
  /** Bytes of the existing closed segments, by number. */
  readonly #closedSegments = new Map<number, number>();
  #upkeep: Upkeep;

  readonly #queue = new AppendQueue();
  #working: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  readonly #stall: Stall;
  /** Why the files must be read again before anything is written. */
  #displaced: string | undefined;

  readonly #superseded = new SupersededRuns();
  readonly #checkpoints: CheckpointWriter;

  constructor(
    { directory, onNotice, storage = denoStorage, clock = systemClock, ...options }: JournalOptions,
    { lock, recovered, segment }: {
      readonly lock: FolderLock;
      readonly recovered: RecoveredJournal;
      readonly segment: ActiveSegment;
    },
  ) {
    this.directory = directory;
    this.#options = options;
    this.#segmentBytesMax = options.rotateBytes ?? Infinity;
    this.#onNotice = onNotice;
    this.#storage = storage;
    this.#clock = clock;
    this.#stall = new Stall({ clock, onNotice });
    this.#lock = lock;
    this.#segment = segment;
    this.#id = recovered.id;
    this.#held = recovered.held;
    this.#account = recovered.active.account;
    this.#upkeep = this.#upkeepOf(recovered);
    this.#checkpoints = new CheckpointWriter({
      storage,
      directory,
      now: () => clock.now(),
      onNotice,
      content: () => this.#checkpointContent(),
      isIdle: () => this.#working === undefined && this.#stall.reason === undefined,
    });
    this.#forgetFileLimit = surviveFileLimit();
  }

  #upkeepOf({ id, closed }: RecoveredJournal): Upkeep {
    this.#closedSegments.clear();
    for (const { number, bytes } of closed) this.#closedSegments.set(number, bytes);
    return new Upkeep({
      storage: this.#storage,
      directory: this.directory,
      journalId: id,
      onNotice: this.#onNotice,
      clock: this.#clock,
      compress: this.#options.compress ?? false,
      keepMs: this.#options.keepMs,
      onRemove: (number) => this.#closedSegments.delete(number),
    }, closed);
  }

  /** Writes the first checkpoint and starts the maintenance of closed segments. Called by `openJournal`. */
  async begin(): Promise<void> {
    await this.checkpoint();
    this.#upkeep.start();
  }

  /** This journal's UUID. Changes only if the files were replaced (notices `reopened`, `rebuilt`). */
  get id(): string {
    return this.#id;
  }

  /** Why nothing can be written at the moment; undefined if writing works. */
  get stallReason(): string | undefined {
    return this.#stall.reason;
  }

  /** Returns whether the record is flushed to disk. */
  holds(record: JournalPartition & { readonly offset: number }): boolean {
    return this.#held.of(record).has(record.offset);
  }

  /** Returns one past the highest offset held of a partition; undefined if none is held. */
  end(partition: JournalPartition): number | undefined {
    return this.#held.of(partition).end;
  }

  /** Returns whether this partition holds records of another topic of the same name (deleted, or another cluster's). */
  holdsNamesake(partition: JournalPartition): boolean {
    return this.#held.hasNamesake(partition);
  }

  /** Returns whether any record is held of a topic of this name, even if deleted since, or of another cluster. */
  holdsTopic(topic: string): boolean {
    return this.#held.hasTopic(topic);
  }

  /** Returns the offsets held of a partition, sorted and disjoint. */
  heldIntervals(partition: JournalPartition): readonly Interval[] {
    return [...this.#held.of(partition).intervals];
  }

  /**
   * Returns where each leader epoch begins in a partition's held offsets, sorted by offset. An epoch applies up to
   * the start of the next; offsets before the first have an unknown epoch.
   */
  heldEpochs(partition: JournalPartition): readonly EpochStart[] {
    return [...this.#held.epochsOf(partition)];
  }

  lastEpoch(partition: JournalPartition): number | undefined {
    return this.#held.lastEpochOf(partition);
  }

  /**
   * Removes a partition's held offsets from `offset` on: its log was truncated there, and other records may be
   * appended at the same offsets. The lines stay in the files. Takes effect in memory at once; resolves when a
   * checkpoint includes it, or cannot be written at the moment.
   *
   * @throws {RangeError} if it is not an offset, or appends of the partition are in progress.
   * @throws {JournalClosedError} if the journal is closed or abandoned.
   */
  async truncate(partition: JournalPartition, offset: number): Promise<void> {
    this.#requireOpen();
    this.#queue.requireNone(partition);
    const runs = this.#held.truncate(partition, offset);
    if (runs.length === 0) return;
    this.#superseded.add(partition, runs);
    this.#account?.supersede(partition, runs);
    await this.checkpoint();
  }

  /** Returns where a partition's log was truncated, until a line is appended, which records the truncation. */
  truncationOf(partition: JournalPartition): NotedTruncation | undefined {
    return this.#held.truncationOf(partition);
  }

  /** Keeps a truncation for the partition's next line, across restarts. {@link truncate} does so itself. */
  noteTruncation(partition: JournalPartition, truncation: NotedTruncation): void {
    this.#held.partition(partition).noteTruncation(truncation);
    this.#checkpoints.hasten();
  }

  /** Sets the unknown epochs of held offsets from `start` up to the first known one. Call it for the highest epoch first. */
  establishEpoch(
    partition: JournalPartition,
    epoch: { readonly epoch: number; readonly start: number },
  ): void {
    this.#held.establish(partition, epoch);
    this.#checkpoints.hasten();
  }

  /**
   * Appends lines and resolves when they are flushed to disk. Appends of one partition keep their order. While
   * nothing can be written, the promise stays pending indefinitely. Keep one append per partition in progress:
   * memory is bounded only by callers waiting.
   *
   * @throws {RangeError} if intervals or lines are malformed, or offsets are already held or being appended.
   * @throws {JournalReopenedError} if the files were replaced meanwhile: ask `holds` again.
   * @throws {JournalClosedError} if the journal is closed or abandoned.
   */
  async append(append: JournalAppend): Promise<void> {
    this.#requireOpen();
    this.#queue.requireNew(append, this.#held);
    const appended = this.#queue.add(append);
    this.#working ??= this.#work();
    await appended;
  }

  /** Gives up the waiting appends: they throw `JournalClosedError`, and so do new ones. */
  abandon(): void {
    this.#abandoned.abort();
  }

  /** Waits for the appends in progress (abandons them after 10 s), writes a last checkpoint, and unlocks the folder. */
  close({ timeoutMs = CLOSE_TIMEOUT_MS }: { readonly timeoutMs?: number } = {}): Promise<void> {
    return this.#closing ??= this.#close(timeoutMs);
  }

  async #close(timeoutMs: number): Promise<void> {
    const done = new AbortController();
    const expired = this.#clock.sleep(timeoutMs, done.signal).then(() => {
      if (!done.signal.aborted) this.abandon();
    });
    try {
      await this.#working;
      await this.#upkeep.stop({ now: false, signal: this.#abandoned.signal });
      done.abort();
      await expired;
      await this.#checkpoints.writing;
      await this.checkpoint();
    } finally {
      this.#segment.close();
      this.#lock.release();
      this.#forgetFileLimit();
    }
  }

  async #work(): Promise<void> {
    while (!this.#queue.isEmpty) {
      const roomBytes = this.#segmentBytesMax - this.#segment.bytes;
      this.#queue.takeGroup({ roomBytes, segmentBytesMax: this.#segmentBytesMax });
      await this.#writeGroup();
      if (this.#stall.reason === undefined) this.#checkpoints.writeIfDue();
    }
    this.#working = undefined;
  }

  /** Writes the group to disk, retrying indefinitely. Only abandoning ends it earlier. */
  async #writeGroup(): Promise<void> {
    let delayMs = RETRY_DELAY_MS_MIN;
    while (!this.#abandoned.signal.aborted) {
      try {
        return await this.#tryGroupOrReopen();
      } catch (error) {
        this.#stall.note(error, { path: this.#segment.path, pending: this.#queue.pending });
        this.#checkpoints.postpone();
        await this.#clock.sleep(delayMs, this.#abandoned.signal);
        delayMs = Math.min(delayMs * 2, RETRY_DELAY_MS_MAX);
      }
    }
    this.#queue.refuseAll(() =>
      new JournalClosedError("Cannot append to the journal: it was abandoned")
    );
  }

  async #tryGroupOrReopen(): Promise<void> {
    try {
      if (this.#displaced === undefined) return await this.#tryGroup();
    } catch (error) {
      if (!(error instanceof SegmentDisplacedError)) throw error;
      this.#displaced = error.message;
    }
    await this.#reopen(this.#displaced);
  }

  async #tryGroup(): Promise<void> {
    const { group } = this.#queue;
    const parts = group.map(({ lines }) => lines).filter(({ length }) => length > 0);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (bytes > 0) {
      const isTooLarge = this.#segment.bytes + bytes > this.#segmentBytesMax;
      if (isTooLarge && this.#segment.bytes > 0) await this.#rotate();
      const together = parts.length > 1 && bytes <= COPIED_BYTES_MAX;
      await this.#segment.append(together ? [joined(...parts)] : parts);
    }
    this.#checkpoints.noteAppended(bytes);
    for (const append of group) this.#hold(append);
    this.#stall.end(this.#segment.path);
    this.#queue.resolveGroup();
  }

  #hold(append: JournalAppend): void {
    const held = this.#held.partition(append);
    for (const interval of append.intervals) {
      const superseded = held.add(interval, append.epochs);
      this.#account?.supersede(append, superseded);
    }
    if (this.#account?.addAppend(append) === false) this.#account = undefined;
    this.#superseded.forget(append, append.intervals);
  }

  async #rotate(): Promise<void> {
    const { path, ...closed } = await this.#segment.rotate();
    const { number, bytes } = closed;
    this.#closedSegments.set(number, bytes);
    this.#onNotice({ kind: "rotated", path, number });
    this.#upkeep.add({ ...closed, account: this.#account });
    this.#account = new SegmentAccount();
    // So that a restart does not read the closed segment.
    this.#checkpoints.hasten();
  }

  /** Reads the folder as after a restart, because its files are not those that were written. */
  async #reopen(reason: string): Promise<void> {
    const storage = this.#storage;
    const directory = this.directory;
    this.#segment.close();
    await this.#checkpoints.writing;
    await this.#upkeep.stop({ now: true });
    if (!await this.#lock.isInPlace()) {
      const lock = await FolderLock.take(storage, directory);
      this.#lock.release();
      this.#lock = lock;
    }
    const recovered = await recover({ storage, directory, onNotice: this.#onNotice });
    this.#segment = await ActiveSegment.open({
      storage,
      directory,
      ...recovered.active,
      isHashed: this.#options.rotateBytes !== undefined,
    });
    this.#superseded.removeFrom(recovered.held, recovered.active.account);
    recovered.held.noteTruncationsOf(this.#held);
    const forgottenOffsetCount = this.#held.countNotIn(recovered.held);
    const journalId = recovered.id;
    const newId = journalId !== this.#id;
    this.#id = journalId;
    this.#held = recovered.held;
    this.#account = recovered.active.account;
    this.#upkeep = this.#upkeepOf(recovered);
    this.#upkeep.start();
    this.#displaced = undefined;
    this.#checkpoints.hasten();
    const outcome = { journalId, newId, forgottenOffsetCount };
    this.#onNotice({ kind: "reopened", directory, reason, ...outcome });
    this.#stall.end(this.#segment.path);
    this.#queue.refuseAll(() =>
      new JournalReopenedError(`The journal's files were read again, because ${reason}`)
    );
  }

  /**
   * Writes a checkpoint as soon as no appends are being written. Never throws: opening without a checkpoint only
   * takes longer.
   */
  checkpoint(): Promise<void> {
    if (this.#stall.reason === undefined) return this.#checkpoints.request();
    this.#checkpoints.postpone();
    return Promise.resolve();
  }

  #checkpointContent(): Checkpoint {
    return {
      journalId: this.#id,
      segment: this.#segment.number,
      position: this.#segment.bytes,
      fingerprint: fingerprint(this.#segment.edges),
      closed: Array.from(this.#closedSegments, ([number, bytes]) => ({ number, bytes })),
      held: this.#held,
      active: this.#account?.data(),
    };
  }

  #requireOpen(): void {
    if (this.#closing === undefined && !this.#abandoned.signal.aborted) return;
    throw new JournalClosedError("Cannot change the journal: it is closed");
  }
}
