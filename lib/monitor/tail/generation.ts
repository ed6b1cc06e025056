/**
 * Remembers what was read of a file, and tells whether a file still has that content, whatever its name.
 */

import type { TailFile } from "./tail_files.ts";

const HEAD_BYTES = 256;
/** Bytes compared before the position. They cover a typical line, since the ends of two lines can be equal. */
const LAST_BYTES = 4096;
/** Fewer bytes do not distinguish two files. A journal line has its time, partition, and offset within these. */
export const IDENTIFYING_BYTES = 160;

/** `unclear`: too few bytes to tell a cut from another file; there will be more, or none. */
export type Change = "none" | "cut" | "emptied" | "unclear";

export class Generation {
  /** Where reading began; not 0 only if a part was read under another name. */
  readonly startPosition: number;
  #position: number;
  #head: Uint8Array;
  #last: Uint8Array = new Uint8Array(0);

  /** @param head the first bytes, up to the position. */
  constructor(position: number, head: Uint8Array) {
    this.startPosition = position;
    this.#position = position;
    this.#head = head;
  }

  /** Starts in a file at a position up to which it was read before. */
  static at(file: TailFile, position: number): Generation {
    return new Generation(position, file.peek(Math.min(position, HEAD_BYTES), 0));
  }

  get position(): number {
    return this.#position;
  }

  get head(): Uint8Array {
    return this.#head;
  }

  advance(added: Uint8Array): void {
    if (this.#position === this.#head.length && this.#position < HEAD_BYTES) {
      this.#head = joined(this.#head, added.subarray(0, HEAD_BYTES)).slice(0, HEAD_BYTES);
    }
    this.#last = added.length >= LAST_BYTES
      ? added.slice(-LAST_BYTES)
      : joined(this.#last, added).slice(-LAST_BYTES);
    this.#position += added.length;
  }

  /** Returns whether the file, including `added`, still continues what was read. */
  changeOf(file: TailFile, added: Uint8Array): Change | "shrunk" {
    const position = this.#position;
    const last = this.#last;
    const isNew = position === 0;
    // Nothing was delivered yet, so the bytes just read must still be at the beginning.
    const head = isNew ? added.subarray(0, HEAD_BYTES) : this.#head;
    const size = file.size();
    const headNow = file.peek(head.length, 0);
    if (headNow.length === 0 && head.length > 0) return "emptied";
    const sameLength = commonLength(head, headNow);
    if (isNew) return sameLength < head.length || size < added.length ? "emptied" : "none";
    if (sameLength < Math.min(head.length, IDENTIFYING_BYTES)) {
      return sameLength === headNow.length ? "unclear" : "emptied";
    }
    if (sameLength < head.length || size < position) return "cut";
    const lastNow = file.peek(last.length, position - last.length);
    if (lastNow.length < last.length || !startsWith(lastNow, last)) return "cut";
    return size < position + added.length ? "shrunk" : "none";
  }
}

export function readHead(file: TailFile): Uint8Array {
  return file.peek(HEAD_BYTES, 0);
}

export function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return commonLength(bytes, prefix) === prefix.length;
}

function commonLength(one: Uint8Array, other: Uint8Array): number {
  const length = Math.min(one.length, other.length);
  let index = 0;
  while (index < length && one[index] === other[index]) index++;
  return index;
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(one.length + other.length);
  bytes.set(one);
  bytes.set(other, one.length);
  return bytes;
}
