/**
 * Reads and writes the primitive types of Kafka's protocol, for scripted clusters.
 *
 * https://kafka.apache.org/protocol#protocol_types
 */

import { Buffer } from "node:buffer";

export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Skips the bytes and returns their position. */
  skip(byteCount: number): number {
    this.#at += byteCount;
    return this.#at - byteCount;
  }

  int8(): number {
    return this.#bytes.readInt8(this.skip(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.skip(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.skip(4));
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.skip(8));
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.#bytes.readUInt8(this.skip(1));
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  /** Returns "" for null. */
  text(): string {
    return this.nullableText() ?? "";
  }

  nullableText(): string | null {
    const length = this.int16();
    return length < 0 ? null : this.#text(length);
  }

  /** Reads a compact string (KIP-482); returns "" for null. */
  compactText(): string {
    return this.#text(Math.max(0, this.uvarint() - 1));
  }

  #text(byteCount: number): string {
    const start = this.skip(byteCount);
    return this.#bytes.toString("utf8", start, start + byteCount);
  }

  bytes(): Buffer {
    const length = Math.max(0, this.int32());
    const start = this.skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** Returns [] for null. */
  array<Item>(item: () => Item): Item[] {
    return this.#items(this.int32(), item);
  }

  /** Reads a compact array (KIP-482); returns [] for null. */
  compactArray<Item>(item: () => Item): Item[] {
    return this.#items(this.uvarint() - 1, item);
  }

  #items<Item>(count: number, item: () => Item): Item[] {
    return Array.from({ length: Math.max(0, count) }, item);
  }
}

export function int8(value: number): Buffer {
  const bytes = Buffer.alloc(1);
  bytes.writeInt8(value);
  return bytes;
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export function int64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

export function uvarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push(rest % 0x80 + 0x80);
  return Buffer.from([...bytes, rest]);
}

/** Encodes a zigzag varint, exact up to 2^52. */
export function varint(value: number): Buffer {
  return uvarint(value < 0 ? -2 * value - 1 : 2 * value);
}

export function text(value: string | null): Buffer {
  return value === null
    ? int16(-1)
    : Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}

export function compactText(value: string | null): Buffer {
  return value === null
    ? uvarint(0)
    : Buffer.concat([uvarint(Buffer.byteLength(value) + 1), Buffer.from(value)]);
}

export function bytes(value: Uint8Array): Buffer {
  return Buffer.concat([int32(value.length), value]);
}

export function compactBytes(value: Uint8Array): Buffer {
  return Buffer.concat([uvarint(value.length + 1), value]);
}

export function array<Item>(
  items: readonly Item[],
  encode: (item: Item) => readonly Buffer[],
): Buffer {
  return Buffer.concat([int32(items.length), ...items.flatMap(encode)]);
}

export function compactArray<Item>(
  items: readonly Item[],
  encode: (item: Item) => readonly Buffer[],
): Buffer {
  return Buffer.concat([uvarint(items.length + 1), ...items.flatMap(encode)]);
}

/** No tagged fields, which ends each structure of a flexible version (KIP-482). */
export const NO_TAGS = Buffer.from([0]);
