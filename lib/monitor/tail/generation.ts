/**
 * Remembers what was read of a file's content, and tells whether a file still has that content, whatever its name.
 *
 * @module
 */

import type { TailFile } from "./tail_files.ts";

/** Bytes compared at a file's beginning. */
const HEAD_BYTES = 256;
/** Bytes compared before the position: all of a usual line, since the ends of two lines can be alike. */
const LAST_BYTES = 4096;
/** Fewer bytes do not tell two files apart: a journal's line has its time, partition and offset within these. */
export const IDENTIFYING_BYTES = 160;

/** `unclear`: too few bytes are there to say whether it was cut or is another file; there will be more, or none. */
export type Change = "none" | "cut" | "emptied" | "unclear";

export class Generation {
  /** Where the tail began to read it; 0 but for a file that was partly read under another name. */
  readonly startPosition: number;
  #position: number;
  #head: Uint8Array;
  /** The last bytes read. */
  #last: Uint8Array = new Uint8Array(0);

  /** @param head the first bytes, as far as they lie before the position. */
  constructor(position: number, head: Uint8Array) {
    this.startPosition = position;
    this.#position = position;
    this.#head = head;
  }

  /** Begins in a file at a position up to which it was read before. */
  static at(file: TailFile, position: number): Generation {
    return new Generation(position, file.peek(Math.min(position, HEAD_BYTES), 0));
  }

  /** Bytes read. */
  get position(): number {
    return this.#position;
  }

  /** The first bytes. */
  get head(): Uint8Array {
    return this.#head;
  }

  /** Counts bytes as read. */
  advance(added: Uint8Array): void {
    if (this.#position === this.#head.length && this.#position < HEAD_BYTES) {
      this.#head = joined(this.#head, added.subarray(0, HEAD_BYTES)).slice(0, HEAD_BYTES);
    }
    this.#last = added.length >= LAST_BYTES
      ? added.slice(-LAST_BYTES)
      : joined(this.#last, added).slice(-LAST_BYTES);
    this.#position += added.length;
  }

  /** Tells whether the file, `added` included, still continues what was read. */
  changeOf(file: TailFile, added: Uint8Array): Change | "shrunk" {
    const position = this.#position;
    const last = this.#last;
    const isNew = position === 0;
    // Nothing was delivered yet: then what was just read must be at the beginning still.
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

/** Returns a file's first bytes. */
export function readHead(file: TailFile): Uint8Array {
  return file.peek(HEAD_BYTES, 0);
}

export function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return commonLength(bytes, prefix) === prefix.length;
}

/** So many bytes at the beginning are the same. */
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
