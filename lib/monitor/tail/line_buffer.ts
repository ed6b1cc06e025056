/**
 * Buffers bytes until their newline arrives, and delivers whole lines.
 */

import type { LineSink } from "./line_sink.ts";

const NEWLINE = 0x0a;
/** Bytes delivered of a line longer than the bound. */
const BEGINNING_BYTES_MAX = 64 * 1024;

export class LineBuffer {
  readonly #chunkBytes: number;
  readonly #lineBytesMax: number;
  /** `#bytes[0]` to `#bytes[#heldBytes - 1]` wait for their newline. */
  #bytes: Uint8Array<ArrayBuffer>;
  #heldBytes = 0;
  /** True in a line longer than the bound, after its beginning was delivered: skip to its end. */
  #isSkipping = false;

  /** @param lineBytesMax longer lines are cut and delivered as not whole. */
  constructor(
    { chunkBytes, lineBytesMax }: { readonly chunkBytes: number; readonly lineBytesMax: number },
  ) {
    this.#chunkBytes = chunkBytes;
    this.#lineBytesMax = lineBytesMax;
    this.#bytes = new Uint8Array(chunkBytes);
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  clear(): void {
    this.#heldBytes = 0;
    this.#isSkipping = false;
  }

  /** Returns where to read to: after the held bytes, in a buffer that grows for a long line and shrinks after it. */
  room(sink: LineSink): Uint8Array<ArrayBuffer> {
    if (this.#heldBytes >= this.#lineBytesMax && !this.#isSkipping) {
      sink.line(this.#bytes, 0, Math.min(this.#heldBytes, BEGINNING_BYTES_MAX), false);
      sink.settle();
      this.#isSkipping = true;
    }
    if (this.#isSkipping) this.#heldBytes = 0;

    // Doubles only when nearly full, so that a long line in many small pieces is copied only a few times.
    const roomy = Math.max(
      this.#chunkBytes,
      Math.min(this.#heldBytes * 2, this.#lineBytesMax + this.#chunkBytes),
    );
    const { length } = this.#bytes;
    if (length < this.#heldBytes + this.#chunkBytes / 2 || length > roomy * 4) {
      const bytes = new Uint8Array(roomy);
      bytes.set(this.#bytes.subarray(0, this.#heldBytes));
      this.#bytes = bytes;
    }
    return this.#bytes.subarray(this.#heldBytes);
  }

  /** Delivers the lines that end within the bytes just read into {@link room}, and holds the rest. */
  accept(byteCount: number, sink: LineSink): void {
    const end = this.#heldBytes + byteCount;
    const bytes = this.#bytes.subarray(0, end);
    let lineStart = 0;
    let newline = bytes.indexOf(NEWLINE, this.#heldBytes);
    while (newline !== -1) {
      if (this.#isSkipping) this.#isSkipping = false;
      else sink.line(bytes, lineStart, newline, true);
      lineStart = newline + 1;
      newline = bytes.indexOf(NEWLINE, lineStart);
    }
    sink.settle();
    if (lineStart > 0) bytes.copyWithin(0, lineStart, end);
    this.#heldBytes = end - lineStart;
  }

  /** Delivers held bytes as a line without a newline: no more will come. */
  finish(sink: LineSink): void {
    if (this.#heldBytes > 0) {
      if (!this.#isSkipping) sink.line(this.#bytes, 0, this.#heldBytes, false);
      sink.settle();
    }
    this.clear();
  }
}
