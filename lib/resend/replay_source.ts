/**
 * The lines that a replay reads: journals, or the lines that a search printed. Both are read several times, as they
 * were when they were opened.
 */

import { join } from "node:path";
import { readForeknowledge } from "../journal/foreknowledge.ts";
import { JournalFiles } from "../journal/journal_files.ts";
import { distinct, requireJournals } from "../journal/segment_listing.ts";
import { activePath } from "../journal/segments.ts";
import { denoStorage } from "../journal/storage.ts";
import { messageOf, systemReasonOf } from "../system_error.ts";
import { parseStatus, STATUS_BYTES_MAX, STATUS_NAME } from "../tracker_status.ts";
import { UsageError } from "../usage_error.ts";

export type SourceOptions =
  | { readonly directories: readonly string[]; readonly searchFile?: undefined }
  /** A file with lines of a journal, or `-` for standard input. */
  | { readonly searchFile: string };

const STANDARD_INPUT = "-";
const NEWLINE = 0x0a;

interface Origin {
  /** Shown instead of the path of the copy that is read. */
  readonly label?: string;
  readonly directories: readonly string[];
  readonly problems: Set<string>;
}

export class ReplaySource implements Disposable {
  readonly files: JournalFiles;
  readonly #origin: Origin;

  private constructor(files: JournalFiles, origin: Origin) {
    this.files = files;
    this.#origin = origin;
  }

  /**
   * Opens the lines as they are now; what is appended later is not read.
   *
   * @throws {Error} if a folder holds no journal; {UsageError} if the file cannot be read.
   */
  static async open(options: SourceOptions): Promise<ReplaySource> {
    const problems = new Set<string>();
    if (options.searchFile !== undefined) {
      const label = options.searchFile === STANDARD_INPUT ? "standard input" : options.searchFile;
      const files = await openCopy(options.searchFile);
      return new ReplaySource(files, { label, directories: [], problems });
    }
    const directories = await distinct(options.directories);
    await requireJournals(directories);
    const known = new Map(
      await Promise.all(
        directories.map(async (directory) =>
          [directory, await readForeknowledge(denoStorage, directory, {})] as const
        ),
      ),
    );
    const onUnreadable = (path: string, reason: string) =>
      void problems.add(`Cannot read all of "${path}": ${reason}`);
    for (const { missing } of known.values()) {
      for (const path of missing) onUnreadable(path, "the segment is missing");
    }
    const files = await JournalFiles.open(directories, {
      onUnreadable: (path, { message }) => onUnreadable(path, message),
      foreknow: (segment) => ({ ...known.get(segment.directory)?.of(segment), isWanted: true }),
    });
    return new ReplaySource(files, { directories, problems });
  }

  [Symbol.dispose](): void {
    this.files[Symbol.dispose]();
  }

  /** Files and lines that could not be read, each once. */
  get problems(): readonly string[] {
    return [...this.#origin.problems];
  }

  noteUnreadable(position: number, error: unknown): void {
    const { path, byte } = this.files.placeOf(position);
    const { label = path, problems } = this.#origin;
    problems.add(`Cannot read the line at byte ${byte} of "${label}": ${messageOf(error)}`);
  }

  /** Returns how many partitions the topic has at least, by the status files of the journals' trackers. */
  async partitionCountOf(topics: ReadonlySet<string>): Promise<number> {
    let count = 0;
    for (const directory of this.#origin.directories) {
      try {
        const path = join(directory, STATUS_NAME);
        if ((await Deno.stat(path)).size > STATUS_BYTES_MAX) continue;
        const status = parseStatus(await Deno.readTextFile(path));
        if (status === undefined || !topics.has(status.topic)) continue;
        const partitions = status.partitions.map(({ partition }) => partition);
        count = Math.max(count, ...[...partitions, ...status.unassigned ?? []].map((p) => p + 1));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return count;
  }
}

/** Copies the lines to a file of our own, which has no name any more when this returns: a pipe is read only once. */
async function openCopy(path: string): Promise<JournalFiles> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-replay-" });
  try {
    using from = await openInput(path);
    using to = await Deno.open(activePath(folder), { write: true, createNew: true, mode: 0o600 });
    let last = NEWLINE;
    for await (const bytes of from.readable) {
      last = bytes.at(-1) ?? last;
      for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await to.write(rest));
    }
    if (last !== NEWLINE) await to.write(new Uint8Array([NEWLINE]));
    return await JournalFiles.open([folder]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function openInput(
  path: string,
): Promise<Disposable & { readonly readable: ReadableStream<Uint8Array<ArrayBuffer>> }> {
  if (path === STANDARD_INPUT) return { readable: Deno.stdin.readable, [Symbol.dispose]: () => {} };
  try {
    const file = await Deno.open(path);
    // The stream closes the file at its end.
    return { readable: file.readable, [Symbol.dispose]: () => {} };
  } catch (error) {
    throw new UsageError(`--from-search: cannot read ${path}: ${systemReasonOf(error)}`, {
      cause: error,
    });
  }
}
