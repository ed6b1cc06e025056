/**
 * Decodes LZ4 and Snappy blocks in steps, for data that is too large to decompress at once.
 *
 * Formats: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md and
 * https://github.com/google/snappy/blob/main/format_description.txt
 */

export const LZ4_WINDOW_BYTES = 64 * 1024;
const LZ4_MATCH_MIN = 4;
const LZ4_LENGTH_GOES_ON = 15;

/**
 * Decodes one LZ4 block to `output`, from `start`; matches may refer to the bytes before.
 *
 * @returns the end of the decoded data in `output`.
 * @throws {RangeError} if the block is damaged or does not fit.
 */
export function decodeLz4Block(block: Uint8Array, output: Uint8Array, start: number): number {
  let at = 0;
  let end = start;
  const lengthFrom = (nibble: number): number => {
    let length = nibble;
    if (nibble !== LZ4_LENGTH_GOES_ON) return length;
    for (;;) {
      const byte = byteAt(block, at++);
      length += byte;
      if (byte !== 255) return length;
    }
  };
  while (at < block.length) {
    const token = byteAt(block, at++);
    const literalLength = lengthFrom(token >> 4);
    const literals = block.subarray(at, at + literalLength);
    if (literals.length < literalLength) throw damaged("LZ4");
    requireRoom(output, end + literalLength, "LZ4");
    output.set(literals, end);
    at += literalLength;
    end += literalLength;
    if (at === block.length) return end;
    const offset = byteAt(block, at) | byteAt(block, at + 1) << 8;
    at += 2;
    const matchLength = lengthFrom(token & 15) + LZ4_MATCH_MIN;
    end = copyMatch(output, { end, offset, length: matchLength, format: "LZ4" });
  }
  throw damaged("LZ4");
}

/** A three-byte element of a Snappy block expands to 64 bytes at most. */
const SNAPPY_EXPANSION_MAX = 22;

/** Returns the decoded length of a Snappy block, from its header, and where the header ends. */
export function snappyLength(block: Uint8Array): { readonly length: number; readonly at: number } {
  let length = 0;
  for (let at = 0; at < 5; at++) {
    const byte = byteAt(block, at);
    length += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) {
      if (length > block.length * SNAPPY_EXPANSION_MAX) throw damaged("Snappy");
      return { length, at: at + 1 };
    }
  }
  throw damaged("Snappy");
}

/**
 * Decodes a Snappy block, about `stepBytes` at a time.
 *
 * @throws {RangeError} if the block is damaged.
 */
export function* decodeSnappyBlock(block: Uint8Array, stepBytes: number): Generator<Uint8Array> {
  const { length, at: start } = snappyLength(block);
  const output = new Uint8Array(length);
  let end = 0;
  let given = 0;
  for (let at = start; at < block.length;) {
    const tag = byteAt(block, at++);
    if ((tag & 3) === 0) {
      let literalLength = tag >> 2;
      if (literalLength >= 60) {
        const byteCount = literalLength - 59;
        literalLength = littleEndian(block, at, byteCount);
        at += byteCount;
      }
      const literals = block.subarray(at, at + literalLength + 1);
      if (literals.length <= literalLength) throw damaged("Snappy");
      requireRoom(output, end + literals.length, "Snappy");
      output.set(literals, end);
      at += literals.length;
      end += literals.length;
    } else {
      const isShort = (tag & 3) === 1;
      const byteCount = isShort ? 1 : (tag & 3) === 2 ? 2 : 4;
      const low = littleEndian(block, at, byteCount);
      at += byteCount;
      end = copyMatch(output, {
        end,
        offset: isShort ? low | (tag & 0xe0) << 3 : low,
        length: isShort ? (tag >> 2 & 7) + 4 : (tag >> 2) + 1,
        format: "Snappy",
      });
    }
    if (end - given >= stepBytes) {
      yield output.subarray(given, end);
      given = end;
    }
  }
  if (end !== length) throw damaged("Snappy");
  if (end > given) yield output.subarray(given, end);
}

/** Below this many bytes a loop is faster than a call. */
const COPIED_BY_LOOP_MAX = 32;

/** Copies a match. It may overlap its destination; then its first `offset` bytes repeat. */
function copyMatch(
  output: Uint8Array,
  { end, offset, length, format }: {
    readonly end: number;
    readonly offset: number;
    readonly length: number;
    readonly format: string;
  },
): number {
  if (offset === 0 || offset > end) throw damaged(format);
  requireRoom(output, end + length, format);
  if (length <= COPIED_BY_LOOP_MAX) {
    for (let at = end; at < end + length; at++) output[at] = output[at - offset] ?? 0;
    return end + length;
  }
  // Doubles the length each time; until the last copy, the written length is a multiple of the offset.
  for (let written = 0; written < length;) {
    const part = Math.min(written === 0 ? offset : written, length - written);
    const from = written === 0 ? end - offset : end;
    output.copyWithin(end + written, from, from + part);
    written += part;
  }
  return end + length;
}

function littleEndian(bytes: Uint8Array, at: number, byteCount: number): number {
  let number = 0;
  for (let index = 0; index < byteCount; index++) {
    number += byteAt(bytes, at + index) * 256 ** index;
  }
  return number;
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new RangeError("the compressed data is truncated");
  return byte;
}

function requireRoom(output: Uint8Array, end: number, format: string): void {
  if (end > output.length) throw damaged(format);
}

function damaged(format: string): RangeError {
  return new RangeError(`the ${format} data is damaged`);
}
