/**
 * The tracker's journal: every record once, in order, on the disk before anyone is told.
 *
 *     append -> queue -> group: write, fdatasync, look whether the file is still in place -> held -> resolved
 *                                  \ failed: close, wait, open, cut to the last synced length, again
 *
 * All appends that wait while a group is being written form the next group, and share its fdatasync.
 * Nothing is held, and no append resolves, before the sync that covers it.
 *
 * @module
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
import type { EpochStart } from "./held_partition.ts";
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

/** Up to here a group of several appends is copied together, to be written in one go. */
const COPIED_BYTES_MAX = 256 * 1024;
const RETRY_DELAY_MS_MIN = 250;
const RETRY_DELAY_MS_MAX = 5_000;
const CLOSE_TIMEOUT_MS = 10_000;

/** An open journal; made by `openJournal`. */
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
  /** What the active segment has in it; undefined where that has to be counted when it is closed. */
  #account: SegmentAccount | undefined;
  /** Bytes of the closed segments that are there, by number. */
  readonly #closedSegments = new Map<number, number>();
  #upkeep: Upkeep;

  readonly #queue = new AppendQueue();
  #working: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  readonly #stall: Stall;
  /** Why the files have to be read again before anything is written. */
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

  /** Writes the first checkpoint, and begins to look after the closed segments. For `openJournal`. */
  async begin(): Promise<void> {
    await this.checkpoint();
    this.#upkeep.start();
  }

  /** This journal's UUID. Changes only where the files were replaced (notices `reopened`, `rebuilt`). */
  get id(): string {
    return this.#id;
  }

  /** Why nothing can be written at the moment; undefined where it can. */
  get stallReason(): string | undefined {
    return this.#stall.reason;
  }

  /** Whether the record is on the disk. */
  holds(record: JournalPartition & { readonly offset: number }): boolean {
    return this.#held.of(record).has(record.offset);
  }

  /** One past the highest offset held of a partition; undefined where none is. */
  end(partition: JournalPartition): number | undefined {
    return this.#held.of(partition).end;
  }

  /** Whether records are held of this partition of an earlier, or another cluster's, topic of the same name. */
  holdsNamesake(partition: JournalPartition): boolean {
    return this.#held.hasNamesake(partition);
  }

  /** Whether any record is held of a topic of this name, be it deleted since, or another cluster's. */
  holdsTopic(topic: string): boolean {
    return this.#held.hasTopic(topic);
  }

  /** The offsets held of a partition, sorted and disjoint, as they are now. */
  heldIntervals(partition: JournalPartition): readonly Interval[] {
    return [...this.#held.of(partition).intervals];
  }

  /**
   * Returns where each leader epoch begins in what is held of a partition, sorted by offset: an epoch
   * applies to what is held up to the start of the next. What is held before the first has an unknown epoch.
   */
  heldEpochs(partition: JournalPartition): readonly EpochStart[] {
    return [...this.#held.epochsOf(partition)];
  }

  /** Returns the leader epoch of the highest offset held, where it is known. */
  lastEpoch(partition: JournalPartition): number | undefined {
    return this.#held.lastEpochOf(partition);
  }

  /**
   * Holds nothing of a partition from `offset` on any more: its log was truncated there, and other records
   * may be appended at the same offsets. The lines stay in the files. In memory this applies at once; it resolves
   * when a checkpoint says so too, or cannot be written at the moment.
   *
   * @throws {RangeError} where it is not an offset, or appends of the partition are under way.
   * @throws {JournalClosedError} where the journal is closed or abandoned.
   */
  async truncate(partition: JournalPartition, offset: number): Promise<void> {
    this.#requireOpen();
    if (this.#queue.has(partition)) {
      throw new RangeError(
        `Cannot truncate partition ${partition.partition} of topic "${partition.topic}": it is being appended to`,
      );
    }
    const runs = this.#held.truncate(partition, offset);
    if (runs.length === 0) return;
    this.#superseded.add(partition, runs);
    this.#account?.supersede(partition, runs);
    await this.checkpoint();
  }

  /**
   * Says in which leader epoch the offsets from `start` on were appended that are held in an unknown one, up to
   * the first that is held in a known one: to be called for the highest epoch first.
   */
  establishEpoch(
    partition: JournalPartition,
    epoch: { readonly epoch: number; readonly start: number },
  ): void {
    this.#held.establish(partition, epoch);
    this.#checkpoints.hasten();
  }

  /**
   * Appends lines, and resolves when they are on the disk. Appends of one partition keep their order.
   * While nothing can be written the promise stays pending, without end; the caller's waiting is what
   * bounds the memory, so have one append a partition under way, not many.
   *
   * @throws {RangeError} where intervals or lines are not as they should be, or offsets are held
   *   already or being appended.
   * @throws {JournalReopenedError} where the files were replaced meanwhile: ask `holds` again.
   * @throws {JournalClosedError} where the journal is closed or abandoned.
   */
  async append(append: JournalAppend): Promise<void> {
    this.#requireOpen();
    this.#queue.requireNew(append, this.#held);
    const appended = this.#queue.add(append);
    this.#working ??= this.#work();
    await appended;
  }

  /** Gives up what waits to be written: those appends throw `JournalClosedError`, and so do new ones. */
  abandon(): void {
    this.#abandoned.abort();
  }

  /** Waits for the appends under way (abandons them after 10 s), writes a last checkpoint, and unlocks the folder. */
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

  /** Gets the group onto the disk, however long that takes; only abandoning ends it before. */
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
    // So that a restart need not read the closed segment.
    this.#checkpoints.hasten();
  }

  /** Reads the folder as after a start, because the files in it are not those that were written. */
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
    const forgottenOffsetCount = this.#held.countNotIn(recovered.held);
    const newId = recovered.id !== this.#id;
    this.#id = recovered.id;
    this.#held = recovered.held;
    this.#account = recovered.active.account;
    this.#upkeep = this.#upkeepOf(recovered);
    this.#upkeep.start();
    this.#displaced = undefined;
    this.#checkpoints.hasten();
    this.#onNotice({
      kind: "reopened",
      directory,
      reason,
      journalId: this.#id,
      newId,
      forgottenOffsetCount,
    });
    this.#stall.end(this.#segment.path);
    this.#queue.refuseAll(() =>
      new JournalReopenedError(`The journal's files were read again, because ${reason}`)
    );
  }

  /**
   * Writes a checkpoint as soon as no group of appends is being written. Never throws: a journal without one is
   * whole, and slower to open.
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
