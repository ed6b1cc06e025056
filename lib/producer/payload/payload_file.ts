/**
 * The records of a file, byte for byte and in its order, from its beginning again after its end.
 *
 * A file of up to 16 MiB is read once; a larger one is read in pieces, again in each round. What follows the last
 * delimiter is a record unless it is empty, so a text file may end with a newline or not. Empty records within the file
 * are kept.
 */

import { Buffer } from "node:buffer";
import { VALUE_BYTES_MAX } from "../../limits.ts";
import { inBytes } from "../../text.ts";
import { type OwnRecord, PayloadError, type RecordSource } from "./source.ts";

const WHOLE_BYTES_MAX = 16 * 1024 * 1024;
const PIECE_BYTES = 256 * 1024;
const CARRIAGE_RETURN = 0x0d;
const NOTHING = Buffer.alloc(0);

export interface PayloadFileOptions {
  readonly path: string;
  /** At least one byte. */
  readonly delimiter: Uint8Array;
  /** Files up to this size are read once. */
  readonly wholeBytesMax?: number;
}

export class PayloadFile implements RecordSource, Disposable {
  readonly #options: PayloadFileOptions;
  readonly #file: Deno.FsFile;
  readonly #isWhole: boolean;
  /** Bytes read but not yet returned, from `#at` on. Never modified, because records are parts of it. */
  #bytes: Buffer = NOTHING;
  #at = 0;
  /** Records of this round, and whether one of them has bytes. */
  #count = 0;
  #hasContent = false;

  /**
   * @throws the file system's error.
   * @throws {PayloadError} where the file is none, or has no record.
   */
  constructor(options: PayloadFileOptions) {
    const { path, wholeBytesMax = WHOLE_BYTES_MAX } = options;
    // Opening a FIFO would wait for its writer.
    if (!Deno.statSync(path).isFile) throw new PayloadError("it is not a regular file");
    this.#options = options;
    this.#file = Deno.openSync(path);
    const { size } = this.#file.statSync();
    this.#isWhole = size <= wholeBytesMax;
    if (!this.#isWhole) {
      this.#read(PIECE_BYTES);
      return;
    }
    if (size > 0) { while (this.#read(size)) { /* to its end */ } }
    this.#file.close();
    if (this.#bytes.length === 0) throw new PayloadError("it is empty");
    if (this.#isBlank()) throw new PayloadError("it has only empty records");
  }

  [Symbol.dispose](): void {
    if (!this.#isWhole) this.#file.close();
  }

  /** Returns whether the first record ends with a carriage return although records end with a newline alone. */
  get hasCarriageReturns(): boolean {
    if (!Buffer.from("\n").equals(this.#options.delimiter)) return false;
    const end = this.#bytes.indexOf("\n");
    return end > 0 && this.#bytes[end - 1] === CARRIAGE_RETURN;
  }

  next(): OwnRecord {
    for (;;) {
      const value = this.#nextOfRound();
      if (value === undefined) {
        this.#rewind();
        continue;
      }
      this.#count++;
      if (value.length > 0) this.#hasContent = true;
      return { key: null, value };
    }
  }

  /** Returns undefined at the end of the file. */
  #nextOfRound(): Uint8Array | undefined {
    const { delimiter } = this.#options;
    let from = this.#at;
    for (;;) {
      const end = this.#bytes.indexOf(delimiter, from);
      if (end >= 0) {
        const value = this.#bytes.subarray(this.#at, end);
        this.#at = end + delimiter.length;
        return value;
      }
      const restLength = this.#bytes.length - this.#at;
      if (this.#isWhole || !this.#readPiece()) {
        const value = this.#bytes.subarray(this.#at);
        this.#at = this.#bytes.length;
        return value.length === 0 ? undefined : value;
      }
      // A delimiter may lie across two pieces.
      from = Math.max(0, restLength - delimiter.length + 1);
    }
  }

  #rewind(): void {
    if (!this.#hasContent) {
      throw new PayloadError(
        this.#count === 0 ? "the file is empty now" : "the file has only empty records",
      );
    }
    this.#count = 0;
    this.#hasContent = false;
    this.#at = 0;
    if (this.#isWhole) return;
    this.#bytes = NOTHING;
    this.#file.seekSync(0, Deno.SeekMode.Start);
  }

  /** Reads on, twice as much each time for a record that does not end. */
  #readPiece(): boolean {
    const rest = this.#bytes.subarray(this.#at);
    if (rest.length > VALUE_BYTES_MAX) {
      throw new PayloadError(
        `a record is larger than ${inBytes(VALUE_BYTES_MAX)}: is the delimiter the right one?`,
      );
    }
    this.#bytes = rest;
    this.#at = 0;
    return this.#read(Math.max(PIECE_BYTES, rest.length));
  }

  #read(byteCount: number): boolean {
    const room = Buffer.allocUnsafeSlow(this.#bytes.length + byteCount);
    room.set(this.#bytes);
    const count = this.#file.readSync(room.subarray(this.#bytes.length));
    if (count === null) return false;
    this.#bytes = room.subarray(0, this.#bytes.length + count);
    return true;
  }

  #isBlank(): boolean {
    const { delimiter } = this.#options;
    let at = 0;
    while (this.#bytes.indexOf(delimiter, at) === at) at += delimiter.length;
    return at === this.#bytes.length;
  }
}
