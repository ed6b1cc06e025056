/**
 * A rotating log file: `tracker.log`, and older `tracker.log.1` (the newest) to `tracker.log.5`. All are only
 * accessible to their owner.
 */

const LOG_BYTES_MAX = 16 * 1024 * 1024;
const ROTATED_COUNT_MAX = 5;
const MODE = 0o600;
const ENCODER = new TextEncoder();

export class LogFile {
  readonly #path: string;
  readonly #bytesMax: number;
  /** Undefined between a failure and the next line. */
  #file: Deno.FsFile | undefined;
  #bytes = 0;
  #isTorn = false;

  /** @throws the file system's error. */
  constructor(path: string, { bytesMax = LOG_BYTES_MAX }: { readonly bytesMax?: number } = {}) {
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#open();
  }

  /**
   * Appends a line, which must include its newline, and flushes it to disk.
   *
   * @throws the file system's error; the next call tries again.
   */
  append(line: string): void {
    let bytes: Uint8Array = ENCODER.encode(this.#isTorn ? `\n${line}` : line);
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#bytesMax) this.#rotate();
    const file = this.#file ?? this.#open();
    try {
      while (bytes.length > 0) {
        const count = file.writeSync(bytes);
        bytes = bytes.subarray(count);
        this.#bytes += count;
        this.#isTorn = bytes.length > 0;
      }
      file.syncDataSync();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #open(): Deno.FsFile {
    const file = Deno.openSync(this.#path, { create: true, append: true, mode: MODE });
    this.#bytes = file.statSync().size;
    return this.#file = file;
  }

  /** Rotates the files. If the file cannot be renamed, it keeps growing, so that no line is lost. */
  #rotate(): void {
    this.close();
    for (let index = ROTATED_COUNT_MAX - 1; index > 0; index--) {
      rename(`${this.#path}.${index}`, `${this.#path}.${index + 1}`);
    }
    if (rename(this.#path, `${this.#path}.1`)) this.#isTorn = false;
  }
}

/** Returns whether the file was renamed. */
function rename(from: string, to: string): boolean {
  try {
    Deno.renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}
