/**
 * Keeps a read model up to date with a tracker's files.
 */

import { join } from "node:path";
import { readArchives } from "./tail/archives.ts";
import { FolderWatch } from "./tail/folder_watch.ts";
import { readLatestLines } from "./tail/latest_lines.ts";
import type { Query } from "./model/found_records.ts";
import { JournalSearch } from "./search.ts";
import type { LineSink } from "./tail/line_sink.ts";
import { ReadModel, type Snapshot } from "./model/read_model.ts";
import { Tail, type TailStatus } from "./tail/tail.ts";
import { TAIL_FILES, UnreadableError } from "./tail/tail_files.ts";
import { readStatus } from "./tail/status_reading.ts";

const JOURNAL_NAME = "tracker.events";
const LOG_NAME = "tracker.log";

export class Follower implements Disposable {
  readonly #folder: string;
  readonly #model = new ReadModel();
  readonly #journal: Tail;
  readonly #log: Tail;
  /** Running searches, and finished ones that still take appended lines. */
  readonly #searches = new Set<JournalSearch>();
  readonly #sink: LineSink = {
    begin: () => this.#model.journal.begin(),
    rewind: () => this.#model.journal.rewind(),
    settle: () => this.#model.journal.settle(),
    line: (bytes, start, end, whole) => {
      this.#model.journal.line(bytes, start, end, whole);
      for (const search of this.#searches) search.noteAppended(bytes.subarray(start, end));
    },
  };
  #hasCounted = false;
  /** Why the log cannot be read; undefined if it can, or does not exist. */
  #logProblem: string | undefined;

  /** @param folder that holds, or will hold, `tracker.events` and `tracker.log`. */
  constructor(folder: string) {
    this.#folder = folder;
    this.#journal = new Tail({ folder, name: JOURNAL_NAME, segments: "ascending" });
    this.#log = new Tail({ folder, name: LOG_NAME, segments: "modified" });
  }

  /**
   * Reads everything available. An unreadable log only becomes a reason in the verdict, because the figures come from
   * the journal.
   *
   * @throws {UnreadableError} if the folder or the journal exists and cannot be read.
   */
  async catchUp(signal?: AbortSignal): Promise<void> {
    this.#model.tick(Date.now());
    if (!this.#hasCounted) {
      this.#hasCounted = true;
      await this.#countFirst(signal);
    }
    await this.#journal.catchUp(this.#sink, signal);
    await this.#readLog(signal);
  }

  async #readLog(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#log.catchUp(this.#model.log, signal);
      this.#logProblem = undefined;
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      this.#logProblem = error.message;
    }
  }

  /** Searches the whole journal, until the search is ended with {@link endSearch}. */
  search(query: Query): JournalSearch {
    const search = new JournalSearch(query);
    // Added first, so that no line is missed in between.
    this.#searches.add(search);
    // If the folder cannot be read, following it fails with that error.
    search.run(this.#folder).catch(() => {});
    return search;
  }

  endSearch(search: JournalSearch): void {
    search[Symbol.dispose]();
    this.#searches.delete(search);
  }

  /**
   * Reads the latest lines first, which show the current state at once; the totals follow once everything is counted.
   */
  async #countFirst(signal: AbortSignal | undefined): Promise<void> {
    readLatestLines(join(this.#folder, JOURNAL_NAME), this.#model.latest);
    await this.#readLog(signal);
    await readArchives(this.#folder, this.#model.journal, signal);
    // The tail lists the folder at once, so no segment can become an archive in between.
    await this.#journal.catchUp(this.#sink, signal);
    this.#model.forgetLatest();
  }

  async follow(signal: AbortSignal): Promise<void> {
    using watch = new FolderWatch(this.#folder);
    while (!signal.aborted) {
      await this.catchUp(signal);
      await watch.changed(signal);
    }
  }

  status(): TailStatus {
    return this.#journal.status();
  }

  /** Returns the current state; while files are being read, only what was read so far. */
  snapshot(): Snapshot {
    const nowMs = Date.now();
    return this.#model.snapshot({
      nowMs,
      status: readStatus(this.#folder, nowMs),
      journalFile: this.#journal.status(),
      logFile: this.#log.status(),
      logProblem: this.#logProblem,
    });
  }

  [Symbol.dispose](): void {
    for (const search of this.#searches) search[Symbol.dispose]();
    this.#journal[Symbol.dispose]();
    this.#log[Symbol.dispose]();
  }
}

/** @throws {UnreadableError} if the folder exists but cannot be listed, or the name is a file's. */
export function checkFolder(folder: string): void {
  if (TAIL_FILES.stat(folder) !== undefined) {
    throw new UnreadableError(folder, new Error("it is a file; expected the tracker's folder"));
  }
  TAIL_FILES.list(folder);
}
