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
import { ActiveSegment, SegmentDisplacedError } from "./active_segment.ts";
import { FolderLock, JournalLockedError } from "./folder_lock.ts";
import type { HeldOffsets } from "./held_offsets.ts";
import type { EpochStart } from "./held_partition.ts";
import { type Interval, IntervalSet, isSamePartition, type JournalPartition } from "./intervals.ts";
import type { NoticeListener } from "./notice.ts";
import { recover, type RecoveredJournal } from "./recovery.ts";
import { fingerprint, joined } from "./segments.ts";
import { createDirectory, denoStorage, type Storage } from "./storage.ts";
import { surviveFileLimit } from "./file_limit.ts";
import { JournalUnwritableError } from "./unwritable.ts";
import { SupersededRuns } from "./superseded_runs.ts";
import { Upkeep } from "./upkeep.ts";

/** A group takes no further append beyond this; one append alone may be larger. */
const GROUP_BYTES_MAX = 32 * 1024 * 1024;
/** Up to here a group of several appends is copied together, to be written in one go. */
const COPIED_BYTES_MAX = 256 * 1024;
const RETRY_DELAY_MS_MIN = 250;
const RETRY_DELAY_MS_MAX = 5_000;
const CLOSE_TIMEOUT_MS = 10_000;
const NEWLINE = 0x0a;

export interface JournalOptions {
  /** The folder; created where it is missing. */
  readonly directory: string;
  /**
   * A segment is closed before it would grow beyond this many bytes; default: never. One append
   * larger than that has a segment of its own.
   */
  readonly rotateBytes?: number | undefined;
  /** Whether closed segments are compressed, in the background; default: no. */
  readonly compress?: boolean | undefined;
  /**
   * Closed segments older than this many milliseconds are removed; default: never. Their records are
   * held on: they are not appended again.
   */
  readonly keepMs?: number | undefined;
  /** Called at once, from within the journal's work: it should return quickly, and not throw. */
  readonly onNotice: NoticeListener;
  /** Called once, when the folder's lock is taken and before anything is read: that may take long. */
  readonly onLocked?: () => void;
  readonly storage?: Storage;
  readonly clock?: Clock;
}

/** Lines of one partition, in the order of their offsets. */
export interface JournalAppend extends JournalPartition {
  /** What is held once this is durable. May be wider than the lines: an offset that does not exist (compacted,
   * a transaction's marker) is held by saying so. Sorted or not, not empty, none held already. */
  readonly intervals: readonly Interval[];
  /**
   * The first offset of each leader epoch, sorted; empty where none is known. The first of them holds for
   * the offsets before it too.
   */
  readonly epochs: readonly EpochStart[];
  /** Whole lines, the last newline included; not to be changed until the append has resolved. */
  readonly lines: Uint8Array;
  /** Where each line ends, past its newline: the last of them ends the lines. */
  readonly lineEnds: ArrayLike<number>;
}

/** The append was not made, because the journal was closed or abandoned before. */
export class JournalClosedError extends Error {
  override readonly name = "JournalClosedError";
}

/**
 * The files were changed by another hand while the append waited, and were read again. Whether its
 * records are held now, `holds` knows: ask again, and append what is not.
 */
export class JournalReopenedError extends Error {
  override readonly name = "JournalReopenedError";
}

/**
 * Opens the journal of a folder, or begins one: takes the folder's lock, and repairs what the last
 * run left. Reads what was written after the last checkpoint (32 MB or so at most, 0.2 s); without a
 * good checkpoint it reads everything (5 s a GB) but the closed segments that have manifests.
 *
 * @throws {JournalLockedError} where another tracker has the folder.
 * @throws {JournalUnwritableError} where the folder or a file in it cannot be written.
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { directory, rotateBytes, storage = denoStorage } = options;
  const onNotice = guarded(options.onNotice);
  if (rotateBytes !== undefined && !(Number.isSafeInteger(rotateBytes) && rotateBytes > 0)) {
    throw new RangeError(`Cannot rotate at ${rotateBytes} bytes: expected a whole number above 0`);
  }
  if (options.keepMs !== undefined && !(options.keepMs > 0)) {
    throw new RangeError(`Cannot keep segments for ${options.keepMs} ms: expected more than 0`);
  }
  let lock: FolderLock | undefined;
  const forgetFileLimit = surviveFileLimit();
  try {
    await createDirectory(storage, directory);
    lock = await FolderLock.take(storage, directory);
    options.onLocked?.();
    const recovered = await recover({ storage, directory, onNotice });
    const segment = await openSegment({ storage, directory, rotateBytes, recovered });
    const journal = new Journal({ ...options, onNotice }, { lock, recovered, segment });
    await journal.begin();
    return journal;
  } catch (error) {
    lock?.release();
    throw error instanceof JournalLockedError
      ? error
      : new JournalUnwritableError(directory, error);
  } finally {
    forgetFileLimit();
  }
}

function openSegment(
  { storage, directory, rotateBytes, recovered: { active } }: {
    readonly storage: Storage;
    readonly directory: string;
    readonly rotateBytes: number | undefined;
    readonly recovered: RecoveredJournal;
  },
): Promise<ActiveSegment> {
  const { number, bytes, edges } = active;
  const isHashed = rotateBytes !== undefined;
  return ActiveSegment.open({ storage, directory, number, bytes, edges, isHashed });
}

interface Waiting {
  readonly append: JournalAppend;
  resolve(): void;
  reject(error: Error): void;
}

/** A journal that is open; `openJournal` makes it. */
export class Journal {
  readonly directory: string;
  readonly #options: Pick<JournalOptions, "rotateBytes" | "compress" | "keepMs">;
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

  readonly #queue: Waiting[] = [];
  #group: Waiting[] = [];
  #working: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #stall: { readonly sinceMs: number; reason: string } | undefined;
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
    this.#onNotice = onNotice;
    this.#storage = storage;
    this.#clock = clock;
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
      isIdle: () => this.#working === undefined && this.#stall === undefined,
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
    return this.#stall?.reason;
  }

  /** Whether the record is on the disk. */
  holds(record: JournalPartition & { readonly offset: number }): boolean {
    return this.#held.of(record).has(record.offset);
  }

  /** One past the highest offset held of a partition; undefined where none is. */
  end(partition: JournalPartition): number | undefined {
    return this.#held.of(partition).end;
  }

  /**
   * Whether records are held of this partition of another topic that has the same name: the topic was created
   * again, or this is another cluster.
   */
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

  /** Returns the leader epoch of the highest offset held; undefined where it is not known, or nothing is held. */
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
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new RangeError(
        `Cannot truncate at offset ${offset}: expected a whole number, not below 0`,
      );
    }
    if (this.#underWay(partition).length > 0) {
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
  append(append: JournalAppend): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#requireOpen();
      this.#requireAppend(append);
      this.#queue.push({ append, resolve, reject });
      this.#working ??= this.#work();
    });
  }

  /** Gives up what waits to be written: those appends throw `JournalClosedError`, and so do new ones. */
  abandon(): void {
    this.#abandoned.abort();
  }

  /**
   * Waits for the appends under way, writes a last checkpoint, and gives the folder free. What cannot be
   * written within the time (default 10 s) is abandoned.
   */
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
    while (this.#queue.length > 0) {
      this.#group = this.#takeGroup();
      await this.#writeGroup();
      if (this.#stall === undefined) this.#checkpoints.writeIfDue();
    }
    this.#working = undefined;
  }

  #takeGroup(): Waiting[] {
    const bytesMax = Math.min(GROUP_BYTES_MAX, this.#options.rotateBytes ?? Infinity);
    let bytes = 0;
    let count = 0;
    for (const { append } of this.#queue) {
      bytes += append.lines.length;
      if (count > 0 && bytes > bytesMax) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /** Gets the group onto the disk, however long that takes; only abandoning ends it before. */
  async #writeGroup(): Promise<void> {
    let delayMs = RETRY_DELAY_MS_MIN;
    while (!this.#abandoned.signal.aborted) {
      try {
        return await this.#tryGroupOrReopen();
      } catch (error) {
        this.#noteStalled(error);
        await this.#clock.sleep(delayMs, this.#abandoned.signal);
        delayMs = Math.min(delayMs * 2, RETRY_DELAY_MS_MAX);
      }
    }
    this.#refuseAll(() => new JournalClosedError("Cannot append to the journal: it was abandoned"));
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
    const parts = this.#group.map(({ append }) => append.lines).filter(({ length }) => length > 0);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (bytes > 0) {
      const { rotateBytes = Infinity } = this.#options;
      if (this.#segment.bytes > 0 && this.#segment.bytes + bytes > rotateBytes) {
        await this.#rotate();
      }
      const together = parts.length > 1 && bytes <= COPIED_BYTES_MAX;
      await this.#segment.append(together ? [joined(...parts)] : parts);
    }
    this.#checkpoints.noteAppended(bytes);
    for (const { append } of this.#group) this.#hold(append);
    this.#noteRecovered();
    // Whoever waits may append again at once, and must not find its last append still under way.
    for (const { resolve } of this.#group.splice(0)) resolve();
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
    const { rotateBytes } = this.#options;
    this.#segment = await openSegment({ storage, directory, rotateBytes, recovered });
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
    this.#noteRecovered();
    this.#refuseAll(() =>
      new JournalReopenedError(`The journal's files were read again, because ${reason}`)
    );
  }

  #refuseAll(errorOf: () => Error): void {
    const refused = [...this.#group.splice(0), ...this.#queue.splice(0)];
    for (const { reject } of refused) reject(errorOf());
  }

  #noteStalled(error: unknown): void {
    const reason = String(error);
    if (this.#stall?.reason === reason) return;
    if (this.#stall === undefined) this.#stall = { sinceMs: this.#clock.now(), reason };
    else this.#stall.reason = reason;
    const waiting = [...this.#group, ...this.#queue];
    this.#checkpoints.postpone();
    this.#onNotice({
      kind: "stalled",
      path: this.#segment.path,
      error,
      waitingLineCount: waiting.reduce((sum, { append }) => sum + append.lineEnds.length, 0),
      waitingBytes: waiting.reduce((sum, { append }) => sum + append.lines.length, 0),
    });
  }

  #noteRecovered(): void {
    if (this.#stall === undefined) return;
    const stalledMs = this.#clock.now() - this.#stall.sinceMs;
    this.#stall = undefined;
    this.#onNotice({ kind: "recovered", path: this.#segment.path, stalledMs });
  }

  /**
   * Writes a checkpoint as soon as no group of appends is being written. Never throws: a journal without one is
   * whole, and slower to open.
   */
  checkpoint(): Promise<void> {
    if (this.#stall === undefined) return this.#checkpoints.request();
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

  #underWay(partition: JournalPartition): readonly JournalAppend[] {
    return [...this.#group, ...this.#queue].flatMap(({ append }) =>
      isSamePartition(append, partition) ? [append] : []
    );
  }

  #requireAppend({ intervals, epochs, lines, lineEnds, ...partition }: JournalAppend): void {
    if (!areWholeLines(lines, lineEnds)) {
      throw new RangeError(
        `Cannot append ${lines.length} bytes as ${lineEnds.length} lines: expected each to end with a newline, and the last to end the bytes`,
      );
    }
    if (epochs.some(({ start }, index) => start <= (epochs[index - 1]?.start ?? -1))) {
      throw new RangeError("Cannot append: expected each epoch to start above the one before");
    }
    const own = new IntervalSet();
    for (const append of this.#underWay(partition)) {
      for (const interval of append.intervals) own.add(interval);
    }
    for (const interval of intervals) {
      if (own.overlaps(interval) || this.#held.of(partition).overlaps(interval)) {
        throw new RangeError(
          `Cannot append offsets ${interval.start} to ${interval.end} of partition ${partition.partition} ` +
            `of topic "${partition.topic}": the journal holds some of them, or is about to`,
        );
      }
      own.add(interval);
    }
  }
}

function areWholeLines(bytes: Uint8Array, ends: ArrayLike<number>): boolean {
  let start = 0;
  for (let index = 0; index < ends.length; index++) {
    const end = ends[index] ?? 0;
    if (end <= start || bytes[end - 1] !== NEWLINE) return false;
    start = end;
  }
  return start === bytes.length;
}

/** A listener that throws must not look like a disk that fails, nor go unseen. */
function guarded(onNotice: NoticeListener): NoticeListener {
  return (notice) => {
    try {
      onNotice(notice);
    } catch (error) {
      reportError(error);
    }
  };
}
