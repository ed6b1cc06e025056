/**
 * Searches journals, oldest record first, while trackers may be writing to them.
 */

import { readForeknowledge } from "../journal/foreknowledge.ts";
import { JournalFiles, type JournalLines } from "../journal/journal_files.ts";
import { quickClassify } from "../journal/line_scan.ts";
import { distinct, requireJournals } from "../journal/segment_listing.ts";
import { denoStorage } from "../journal/storage.ts";
import { messageOf } from "../system_error.ts";
import { Prefilter } from "./prefilter.ts";
import { type Hit, isInRange, matches, parseLine, type Query } from "./query.ts";

export interface SearchOptions {
  readonly directories: readonly string[];
  readonly query: Query;
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal;
  /** Called once for each thing that cannot be read; the search continues. */
  readonly onProblem: (problem: string) => void;
}

export class JournalSearch implements Disposable {
  readonly #options: SearchOptions;
  readonly #prefilter: Prefilter | undefined;
  readonly #hasRange: boolean;
  readonly #files: JournalFiles[] = [];
  readonly #skipped = new Set<string>();
  readonly #problems = new Set<string>();
  #found = 0;
  #searchedBytes = 0;
  #isComplete = false;

  private constructor(options: SearchOptions) {
    const { topic, partition, offsets, times } = options.query;
    this.#options = options;
    this.#prefilter = Prefilter.of(options.query);
    this.#hasRange = [topic, partition, offsets, times].some((each) => each !== undefined);
  }

  /** Opens the journals as they are now; later appends are not searched. */
  static async open(options: SearchOptions): Promise<JournalSearch> {
    const search = new JournalSearch(options);
    for (const directory of await distinct(options.directories)) {
      try {
        search.#files.push(await search.#open(directory));
      } catch (error) {
        search.noteProblem(messageOf(error));
      }
    }
    return search;
  }

  get found(): number {
    return this.#found;
  }

  get searchedBytes(): number {
    return this.#searchedBytes;
  }

  /** Excludes skipped segments. */
  get totalBytes(): number {
    return this.#files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Segments that cannot hold a match, according to their manifests. */
  get skippedCount(): number {
    return this.#skipped.size;
  }

  get problems(): readonly string[] {
    return [...this.#problems];
  }

  /** True if everything readable was searched. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  [Symbol.dispose](): void {
    for (const files of this.#files) files[Symbol.dispose]();
  }

  /** Yields the hits of one piece of the journal at a time, often none. They are valid until the next are requested. */
  async *run(): AsyncGenerator<readonly Hit[], void, void> {
    const { limit = Infinity, signal } = this.#options;
    let startBytes = 0;
    for (const files of this.#files) {
      for await (const piece of files.readAll()) {
        if (signal?.aborted) return;
        const hits = this.#hitsIn(files, piece, limit - this.#found);
        this.#found += hits.length;
        this.#searchedBytes = startBytes + piece.end;
        yield hits;
        if (this.#found >= limit) return;
      }
      startBytes += files.bytes;
      this.#searchedBytes = startBytes;
    }
    this.#isComplete = signal?.aborted !== true;
  }

  async #open(directory: string): Promise<JournalFiles> {
    const { query } = this.#options;
    await requireJournals([directory]);
    const foreknown = await readForeknowledge(denoStorage, directory, query);
    for (const path of foreknown.missing) this.#noteFile(path, "the segment is missing");
    return await JournalFiles.open([directory], {
      onUnreadable: (path, error) => this.#noteFile(path, messageOf(error)),
      foreknow: (segment) => {
        const known = foreknown.of(segment);
        if (!known.isWanted) this.#skipped.add(segment.path);
        return known;
      },
    });
  }

  #hitsIn(
    files: JournalFiles,
    { lines, bytes, end }: JournalLines,
    countMax: number,
  ): readonly Hit[] {
    const hits: Hit[] = [];
    const visit = (line: Uint8Array | undefined, position: number): boolean => {
      const hit = this.#hitOf(line, () => files.placeOf(position));
      if (hit !== undefined) hits.push(hit);
      return hits.length < countMax;
    };
    if (bytes !== undefined && this.#prefilter !== undefined) {
      const start = end - bytes.length - bytes.byteOffset;
      this.#prefilter.visit(bytes, (line) => visit(line, start + line.byteOffset));
    } else {
      for (const line of lines) if (!visit(line.bytes, line.start)) break;
    }
    return hits;
  }

  #hitOf(
    line: Uint8Array | undefined,
    place: () => { readonly path: string; readonly byte: number },
  ): Hit | undefined {
    const { query } = this.#options;
    if (line !== undefined && this.#hasRange) {
      const glance = quickClassify(line);
      if (glance.kind === "record" && !isInRange(query, { ...glance, ...glance.partition })) return;
    }
    try {
      if (line === undefined) throw new SyntaxError("it is longer than any record, or truncated");
      const hit = parseLine(line);
      return matches(query, hit) ? hit : undefined;
    } catch (error) {
      const { path, byte } = place();
      this.noteProblem(`Cannot read the line at byte ${byte} of "${path}": ${messageOf(error)}`);
      return undefined;
    }
  }

  #noteFile(path: string, reason: string): void {
    this.noteProblem(`Cannot read all of "${path}": ${reason}`);
  }

  /** Reports a problem, unless it was reported before. */
  noteProblem(problem: string): void {
    if (this.#problems.has(problem)) return;
    this.#problems.add(problem);
    this.#options.onProblem(problem);
  }
}
