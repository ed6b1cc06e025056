/**
 * Reads the numbers and byte fields of record batches.
 */

/** The fetched bytes cannot come from a Kafka log. */
export class CorruptBatchError extends Error {
  override readonly name = "CorruptBatchError";
}

const VARINT_BYTES_MAX = 5;
/** Four bytes of seven bits each are a number that needs no care. */
const SMALL_VARINT_BYTES = 4;
const VARLONG_BYTES_MAX = 10;

/** Reads on from byte to byte; an index past the end is a corrupt batch. */
export class Cursor {
  #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The bytes that were not read yet. */
  get rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }

  set rest(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#at = 0;
  }

  /** How many bytes were read. */
  get position(): number {
    return this.#at;
  }

  skipByte(): void {
    this.#at++;
  }

  /** Reads a zigzag varint of 64 bits: a number where it is short, else a bigint. */
  varlong(): number | bigint {
    const start = this.#at;
    let byteCount = 1;
    while ((this.#bytes[start + byteCount - 1] ?? 0) >= 0x80) byteCount++;
    if (byteCount <= SMALL_VARINT_BYTES) return this.varint();
    if (byteCount > VARLONG_BYTES_MAX) {
      throw new CorruptBatchError("a number is longer than 64 bits");
    }
    let zigzag = 0n;
    for (let index = 0; index < byteCount; index++) {
      zigzag |= BigInt((this.#bytes[start + index] ?? 0) & 0x7f) << BigInt(7 * index);
    }
    this.#at = start + byteCount;
    zigzag = BigInt.asUintN(64, zigzag);
    const value = zigzag >> 1n ^ -(zigzag & 1n);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  /** Reads a zigzag varint of 32 bits; as in Kafka, bits beyond them are dropped. */
  varint(): number {
    let zigzag = 0;
    for (let byteCount = 0; byteCount < VARINT_BYTES_MAX; byteCount++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new CorruptBatchError("a record ends past its batch");
      zigzag |= (byte & 0x7f) << 7 * byteCount;
      if (byte < 0x80) return zigzag >>> 1 ^ -(zigzag & 1);
    }
    throw new CorruptBatchError("a number is longer than 32 bits");
  }

  /** Bytes after their length; null at length -1. */
  bytes(): Uint8Array | null {
    const length = this.varint();
    if (length < 0) return null;
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) {
      throw new CorruptBatchError("a record ends past its batch");
    }
    return this.#bytes.subarray(start, this.#at);
  }
}
