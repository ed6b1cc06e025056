/**
 * Reads records from bytes that arrive in steps: small records from a buffer, large fields without holding them whole.
 */

import { createHash } from "node:crypto";
import type { OmittedBytes } from "../../record.ts";
import { CorruptBatchError, Cursor } from "./cursor.ts";

/** Records up to this size are buffered whole. */
const SMALL_RECORD_BYTES_MAX = 1024 * 1024;
const VARINT_BYTES_MAX = 5;

export class SteppedBytes {
  readonly #steps: AsyncIterator<Uint8Array>;
  readonly cursor = new Cursor(new Uint8Array());

  constructor(steps: AsyncIterator<Uint8Array>) {
    this.#steps = steps;
  }

  hasRecord(): boolean {
    const length = this.#recordLength();
    return length !== undefined && length <= this.cursor.rest.length;
  }

  /** Buffers the whole next record if it is small; returns whether it is. */
  async fillSmallRecord(): Promise<boolean> {
    await this.fill(VARINT_BYTES_MAX);
    const length = this.#recordLength() ?? Infinity;
    if (length > SMALL_RECORD_BYTES_MAX) return false;
    await this.fill(length);
    return true;
  }

  /** Returns the size of the next record, including its length field; undefined if that field is not buffered yet. */
  #recordLength(): number | undefined {
    const { rest } = this.cursor;
    const peek = new Cursor(rest);
    const isThere = rest.subarray(0, VARINT_BYTES_MAX).some((byte) => byte < 0x80);
    if (!isThere) return undefined;
    const length = peek.varint();
    if (length < 0) throw new CorruptBatchError(`a record has length ${length}`);
    return rest.length - peek.rest.length + length;
  }

  /** Buffers at least `byteCount` bytes, or all that remain. */
  async fill(byteCount: number): Promise<void> {
    const steps: Uint8Array[] = [];
    let length = this.cursor.rest.length;
    while (length < byteCount) {
      const { done, value } = await this.#steps.next();
      if (done === true) break;
      steps.push(value);
      length += value.length;
    }
    if (steps.length === 0) return;
    const joined = new Uint8Array(length);
    let at = 0;
    for (const part of [this.cursor.rest, ...steps]) {
      joined.set(part, at);
      at += part.length;
    }
    this.cursor.rest = joined;
  }

  async varint(): Promise<number> {
    await this.fill(VARINT_BYTES_MAX);
    return this.cursor.varint();
  }

  /** Reads a length-prefixed field: null for length -1, size and hash if it is larger than `bytesMax`. */
  async bytes(bytesMax: number): Promise<Uint8Array | OmittedBytes | null> {
    const size = await this.varint();
    if (size < 0) return null;
    if (size > bytesMax) return await this.#omit(size);
    await this.fill(size);
    const { rest } = this.cursor;
    if (rest.length < size) throw new CorruptBatchError("a record ends past its batch");
    this.cursor.rest = rest.subarray(size);
    return rest.subarray(0, size);
  }

  async #omit(size: number): Promise<OmittedBytes> {
    const hash = createHash("sha256");
    for (let left = size; left > 0;) {
      await this.fill(1);
      const part = this.cursor.rest.subarray(0, left);
      if (part.length === 0) throw new CorruptBatchError("a record ends past its batch");
      hash.update(part);
      this.cursor.rest = this.cursor.rest.subarray(part.length);
      left -= part.length;
    }
    return { size, sha256: hash.digest("hex") };
  }
}
