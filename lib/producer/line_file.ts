/**
 * A file of lines next to the topic, which must never stop the run: what cannot be written, as on a full disk,
 * waits in memory and is tried again, up to a bound. A file that ends incomplete still ends with a whole line.
 */

const RETRY_INTERVAL_MS = 1_000;
const NEWLINE = 0x0a;
const ENCODER = new TextEncoder();
/** Maximum bytes that wait in memory while the file cannot be written; further lines are dropped and counted. */
const WAITING_CHARS_MAX = 64 * 1024 * 1024;

export interface LineFileOptions {
  /** Opens the file for appending; called again after it has failed. */
  readonly open: () => Deno.FsFile;
  /** Lines are collected up to this many characters, or for a second; 0 writes each line at once. */
  readonly collectedCharsMax: number;
  /** Called when writing begins to fail. */
  readonly onFailure: (error: unknown) => void;
  /** Called when it succeeds again. */
  readonly onRecovery: () => void;
}

/** Why a file is incomplete at its end. */
export interface Shortfall {
  /** Lines that it lacks; 0 if all were written and only the flush to the disk failed. */
  readonly lineCount: number;
  readonly error: unknown;
}

export class LineFile {
  readonly #options: LineFileOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #file: Deno.FsFile | undefined;
  #collected = "";
  /** The chunk being written, and how much of it is. */
  #chunk: Uint8Array = new Uint8Array();
  #chunkWritten = 0;
  #leftOutCount = 0;
  #error: unknown;

  constructor(options: LineFileOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#write(), RETRY_INTERVAL_MS);
  }

  /** Opens the file now, and not with the first line. @throws the file system's error. */
  open(): void {
    this.#file ??= this.#options.open();
  }

  /** Adds a line without its newline. Never throws. */
  addLine(line: string): void {
    const { collectedCharsMax } = this.#options;
    const waiting = this.#collected.length + this.#chunk.length - this.#chunkWritten;
    if (waiting + line.length >= WAITING_CHARS_MAX) {
      this.#leftOutCount++;
      return;
    }
    this.#collected += `${line}\n`;
    if (this.#error === undefined && this.#collected.length >= collectedCharsMax) this.#write();
  }

  /** Writes what waits and flushes it to the disk; returns what is missing, if anything is. Never throws. */
  close(): Shortfall | undefined {
    clearInterval(this.#timer);
    this.#write();
    try {
      this.#cutTornLine();
      this.#file?.syncDataSync();
    } catch (error) {
      this.#error ??= error;
    }
    this.#file?.close();
    this.#file = undefined;
    const lineCount = this.#leftOutCount + this.#waitingLineCount();
    if (lineCount === 0 && this.#error === undefined) return undefined;
    return { lineCount, error: this.#error };
  }

  #write(): void {
    try {
      while (this.#hasWaiting()) {
        const file = this.#file ??= this.#options.open();
        this.#chunkWritten += file.writeSync(this.#chunk.subarray(this.#chunkWritten));
      }
    } catch (error) {
      if (this.#error === undefined) this.#options.onFailure(error);
      this.#error = error;
      return;
    }
    if (this.#error === undefined) return;
    this.#options.onRecovery();
    // What was left out stays the reason why the file is incomplete.
    if (this.#leftOutCount === 0) this.#error = undefined;
  }

  #hasWaiting(): boolean {
    if (this.#chunkWritten === this.#chunk.length) {
      this.#chunk = ENCODER.encode(this.#collected);
      this.#chunkWritten = 0;
      this.#collected = "";
    }
    return this.#chunk.length > 0;
  }

  /** Removes the beginning of a line whose end could not be written, unless another process has appended since. */
  #cutTornLine(): void {
    if (this.#chunkWritten === 0 || this.#chunkWritten === this.#chunk.length) return;
    const wholeBytes = this.#chunk.lastIndexOf(NEWLINE, this.#chunkWritten - 1) + 1;
    const tornBytes = this.#chunkWritten - wholeBytes;
    const file = this.#file;
    if (tornBytes === 0 || file === undefined) return;
    const { size } = file.statSync();
    const tail = new Uint8Array(tornBytes);
    file.seekSync(size - tornBytes, Deno.SeekMode.Start);
    file.readSync(tail);
    const torn = this.#chunk.subarray(wholeBytes, this.#chunkWritten);
    if (tail.every((byte, index) => byte === torn[index])) file.truncateSync(size - tornBytes);
  }

  #waitingLineCount(): number {
    let count = 0;
    for (const byte of this.#chunk.subarray(this.#chunkWritten)) if (byte === NEWLINE) count++;
    for (const character of this.#collected) if (character === "\n") count++;
    return count;
  }
}
