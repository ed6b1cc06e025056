/**
 * Follows a file that another program appends to, line by line, through everything that happens to log files.
 *
 * What was read of a file is a generation: a head, a position, and the bytes just before the position. The content
 * decides what is new, because names are unreliable:
 *
 *     append                 head and last bytes are the same, more follows    reads on
 *     rotation, recreation   the name has another inode                        drains the old file, opens the new
 *     several rotations      closed segments whose head was never read         reads them in order
 *     copy-truncate          the head is gone, a new segment begins with it    reads the copy's rest, starts again
 *     truncation             the head is gone, and no copy                     starts again at 0, counts stay
 *     cut (a writer removes  same head, but shorter, or other bytes before     takes the file's lines back, reads
 *     lines that it wrote)   the position                                      it again
 *     gone                   no such name                                      waits, keeps the open file
 *
 * Bytes are held until their newline. Bytes are delivered only after a second check that the file is still the same
 * generation. Otherwise a truncation between two reads would join halves of unrelated lines.
 */

import { join } from "node:path";
import { LINE_BYTES_MAX } from "../../limits.ts";
import { ClosedSegments } from "./closed_segments.ts";
import { type Change, Generation, IDENTIFYING_BYTES, readHead, startsWith } from "./generation.ts";
import { LineBuffer } from "./line_buffer.ts";
import { deliverProblem, type LineSink } from "./line_sink.ts";
import { TAIL_FILES, type TailFile, type TailFiles } from "./tail_files.ts";

export interface TailOptions {
  readonly folder: string;
  /** Name of the file being appended to; closed segments are called `name.<number>`. */
  readonly name: string;
  /**
   * The order in which closed segments were written: `ascending` numbers (`tracker.events.000001` is the oldest), or
   * `modified` time, for logs whose numbers shift at each rotation.
   */
  readonly segments: "ascending" | "modified";
  /** Bytes per read. Default: 1 MiB. */
  readonly chunkBytes?: number;
  /** Longer lines are cut and delivered as not whole. Default: {@link LINE_BYTES_MAX}. */
  readonly lineBytesMax?: number;
  /** File system, replaced in tests. */
  readonly files?: TailFiles;
}

/** The state of a tail, for display. Counts are since the start. */
export interface TailStatus {
  readonly name: string;
  readonly file: string | undefined;
  readonly readBytes: number;
  /** Unread bytes in the files, without those held until their newline. */
  readonly behindBytes: number;
  /** Bytes held until their newline. */
  readonly heldBytes: number;
  readonly rotationCount: number;
  readonly truncationCount: number;
  readonly cutCount: number;
}

const CHUNK_BYTES = 1024 * 1024;
/** Files remembered as read; existing ones are also remembered by name. */
const FINISHED_COUNT_MAX = 1000;
const NEWLINE = 0x0a;

interface OpenSource {
  readonly path: string;
  /** True if opened under the name being appended to; false for a closed segment. */
  readonly live: boolean;
  readonly file: TailFile;
}

/** A generation that has been read to its end. */
interface Finished {
  readonly identity: string;
  readonly head: Uint8Array;
  readonly position: number;
}

export class Tail implements Disposable {
  readonly #options: TailOptions;
  readonly #files: TailFiles;
  readonly #livePath: string;

  #source: OpenSource | undefined;
  #generation = new Generation(0, new Uint8Array(0));
  readonly #lines: LineBuffer;
  readonly #finished: Finished[] = [];
  readonly #segments: ClosedSegments;

  #readBytes = 0;
  #rotationCount = 0;
  #truncationCount = 0;
  #cutCount = 0;

  constructor(options: TailOptions) {
    this.#options = options;
    this.#files = options.files ?? TAIL_FILES;
    this.#segments = new ClosedSegments({ ...options, files: this.#files });
    this.#livePath = join(options.folder, options.name);
    this.#lines = new LineBuffer({
      chunkBytes: options.chunkBytes ?? CHUNK_BYTES,
      lineBytesMax: options.lineBytesMax ?? LINE_BYTES_MAX,
    });
  }

  /**
   * Delivers all available whole lines, closed segments first, and returns at the end of the last file.
   *
   * @throws {Error} if a file cannot be read (permissions, input or output error); a missing one is not an error.
   */
  async catchUp(sink: LineSink, signal?: AbortSignal): Promise<void> {
    while (!isAborted(signal)) {
      if (this.#source === undefined && !this.#openNext(sink)) return;
      const source = this.#source;
      if (source === undefined) return;

      const change = await this.#drain(source, sink, signal);
      if (isAborted(signal)) return;
      if (change === "unclear" && this.#isLive(source)) return;
      if (change === "cut") {
        this.#readAgain(sink);
      } else if (change === "emptied" || change === "unclear") {
        if (this.#generation.position > 0) this.#truncationCount++;
        this.#leave(source, sink);
      } else if (!source.live) {
        this.#leave(source, sink);
      } else if (!(await this.#followName(source, sink, signal))) {
        return;
      }
    }
  }

  /** Returns the current state, with file sizes from the file system; cheap enough for each redraw. */
  status(): TailStatus {
    return {
      name: this.#options.name,
      file: this.#source?.path,
      readBytes: this.#readBytes,
      behindBytes: this.#behindBytes(),
      heldBytes: this.#lines.heldBytes,
      rotationCount: this.#rotationCount,
      truncationCount: this.#truncationCount,
      cutCount: this.#cutCount,
    };
  }

  [Symbol.dispose](): void {
    this.#source?.file.close();
    this.#source = undefined;
  }

  // --- which file ---------------------------------------------------------------------------------

  /**
   * Called at the end of the live file: checks whether its name still refers to it. Returns whether there is more to
   * read.
   */
  async #followName(
    source: OpenSource,
    sink: LineSink,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const identity = this.#files.stat(this.#livePath)?.identity;
    // Gone: its writer may be about to create it, or still be writing to the renamed one. Keep both options open.
    if (identity === undefined) return false;
    if (identity === source.file.identity) {
      if (this.#generation.position > 0 || !this.#hasUnreadSegment()) return false;
      this.#leave(source, sink);
      return true;
    }

    // The name has moved on, so its writer has left the old file, which is now complete. Draining it before this
    // check would lose lines written in between.
    const change = await this.#drain(source, sink, signal);
    if (change === "cut") this.#readAgain(sink);
    if (change !== "none" || isAborted(signal)) return true;

    if (!this.#adoptReplacement(source)) {
      this.#rotationCount++;
      this.#leave(source, sink);
    }
    return true;
  }

  /** Returns whether the file may still grow. */
  #isLive(source: OpenSource): boolean {
    if (!source.live) return false;
    const identity = this.#files.stat(this.#livePath)?.identity;
    return identity === undefined || identity === source.file.identity;
  }

  /** Continues in a replacement file with the same beginning (from an editor, a restore): it is the same generation. */
  #adoptReplacement(source: OpenSource): boolean {
    const file = this.#files.open(this.#livePath);
    if (file === undefined) return false;
    const { head } = this.#generation;
    if (head.length < IDENTIFYING_BYTES || !startsWith(readHead(file), head)) {
      file.close();
      return false;
    }
    source.file.close();
    this.#source = { path: this.#livePath, live: true, file };
    return true;
  }

  /** Closes a file that is read completely, after checking for a copy that has more. */
  #leave(source: OpenSource, sink: LineSink): void {
    const { head, position } = this.#generation;
    const size = source.file.size();
    const { identity } = source.file;
    source.file.close();
    this.#source = undefined;

    const copy = this.#findContinuation();
    if (copy !== undefined) {
      this.#source = copy;
      return;
    }
    this.#lines.finish(sink);
    this.#finished.push({ identity, head, position });
    if (this.#finished.length > FINISHED_COUNT_MAX) this.#finished.shift();
    if (!source.live) this.#segments.markRead(source.path, { identity, size });
  }

  /**
   * Returns a closed segment that begins like the current generation and is longer: the copy made just before a
   * truncation, with lines not read yet.
   */
  #findContinuation(): OpenSource | undefined {
    const { head, position } = this.#generation;
    // If no line was delivered yet, any file with the same first bytes is as good as the copy.
    if (head.length < IDENTIFYING_BYTES && this.#lines.heldBytes < position) return undefined;
    for (const path of this.#segments.unreadPaths()) {
      const file = this.#files.stat(path)?.isRegular ? this.#files.open(path) : undefined;
      if (file === undefined) continue;
      if (file.size() > position && startsWith(readHead(file), head)) {
        return { path, live: false, file };
      }
      file.close();
    }
    return undefined;
  }

  /** Opens the oldest file with unread lines, or the live one. Returns false if there is none. */
  #openNext(sink: LineSink): boolean {
    for (const path of this.#segments.unreadPaths()) {
      if (this.#openUnread(path, sink)) return true;
    }
    const file = this.#files.open(this.#livePath);
    if (file === undefined) return false;
    const known = this.#finishedAs(file);
    // A known beginning with more bytes: this file was copied, and the original is not truncated yet.
    this.#begin(sink, file, Math.min(known?.position ?? 0, file.size()));
    this.#source = { path: this.#livePath, live: true, file };
    return true;
  }

  #openUnread(path: string, sink: LineSink): boolean {
    const obstacle = this.#files.obstacle(path);
    if (obstacle !== undefined) {
      deliverProblem(sink, `${path}: ${obstacle}`);
      this.#segments.markRead(path);
      return false;
    }
    const file = this.#files.open(path);
    // A segment may be removed between listing and opening; then there is nothing to read.
    if (file === undefined) return false;
    const known = this.#finishedAs(file);
    const position = known?.position ?? 0;
    if (file.size() <= position) {
      this.#segments.markRead(path, { identity: file.identity, size: file.size() });
      file.close();
      return false;
    }
    this.#begin(sink, file, position);
    this.#source = { path, live: false, file };
    return true;
  }

  #begin(sink: LineSink, file: TailFile, position: number): void {
    this.#generation = Generation.at(file, position);
    this.#lines.clear();
    sink.begin();
  }

  #readAgain(sink: LineSink): void {
    this.#cutCount++;
    const { startPosition, head } = this.#generation;
    this.#generation = new Generation(startPosition, head.subarray(0, startPosition));
    this.#lines.clear();
    sink.rewind();
  }

  #finishedAs(file: TailFile): Finished | undefined {
    const head = readHead(file);
    return this.#finished.findLast((finished) =>
      (finished.head.length >= IDENTIFYING_BYTES || finished.identity === file.identity) &&
      startsWith(head, finished.head)
    );
  }

  /**
   * Called before the first bytes of a live file count, and while it is empty. Race: 1. we list the segments and open
   * the live file; 2. its lines are rotated or copied away; 3. we read what came after them. The new segment reveals
   * it.
   */
  #hasUnreadSegment(): boolean {
    return this.#segments.unreadPaths().length > 0;
  }

  #behindBytes(): number {
    const source = this.#source;
    const ownBytes = source === undefined
      ? 0
      : Math.max(0, source.file.size() - this.#generation.position);
    const liveState = this.#files.stat(this.#livePath);
    // While the name refers to the open file, a segment next to it is a copy, or was read.
    if (source?.live === true && liveState?.identity === source.file.identity) return ownBytes;

    const sizes = new Map<string, number>();
    if (liveState !== undefined) sizes.set(liveState.identity, liveState.size);
    for (const path of this.#segments.unreadPaths()) {
      const state = this.#files.stat(path);
      if (state !== undefined) sizes.set(state.identity, state.size);
    }
    if (source !== undefined) sizes.delete(source.file.identity);
    return sizes.values().reduce((sum, size) => sum + size, ownBytes);
  }

  // --- what is in it ------------------------------------------------------------------------------

  /** Reads and delivers to the end of the file, or until it turns out to be another one. */
  async #drain(
    source: OpenSource,
    sink: LineSink,
    signal: AbortSignal | undefined,
  ): Promise<Change> {
    while (!isAborted(signal)) {
      const room = this.#lines.room(sink);
      const byteCount = await source.file.read(room, this.#generation.position);
      const added = room.subarray(0, byteCount);
      const change = this.#generation.changeOf(source.file, added);
      // The bytes just read are gone, but those delivered before are still there: check again.
      if (change === "shrunk") continue;
      if (change !== "none") return change;
      if (byteCount === 0) return "none";
      if (source.live && this.#generation.position === 0) {
        // Too few bytes to recognize the file, and no line: they are read again with those that follow.
        if (byteCount < IDENTIFYING_BYTES && !added.includes(NEWLINE)) return "none";
        if (this.#hasUnreadSegment()) return "emptied";
      }
      this.#generation.advance(added);
      this.#readBytes += byteCount;
      this.#lines.accept(byteCount, sink);
    }
    return "none";
  }
}

/** A function, because the compiler does not know that the signal can change during an await. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
