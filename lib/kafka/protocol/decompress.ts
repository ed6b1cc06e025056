/**
 * Decompresses the records of a batch in bounded steps. A few kilobytes can become hundreds of megabytes; done at once,
 * that would take the event loop for minutes, and the member its place in the group.
 *
 *     up to 4 MiB    at once, as nearly every batch
 *     beyond         about 256 KiB at a time; other work has its turn every few milliseconds
 */

import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import { createGunzip, createZstdDecompress, gunzipSync, zstdDecompressSync } from "node:zlib";
import { lz4Decompress, snappyDecompress } from "@platformatic/wasm-utils/bundled";
import { Turns } from "../../async.ts";
import { CODEC_NAMES } from "./batch_layout.ts";
import {
  decodeLz4Block,
  decodeSnappyBlock,
  LZ4_WINDOW_BYTES,
  snappyLength,
} from "./block_codecs.ts";

const AT_ONCE_BYTES_MAX = 4 * 1024 * 1024;
const STEP_BYTES = 256 * 1024;
/** Input given to a stream at a time; it works on one output step at a time, however much that becomes. */
const INPUT_BYTES = 16 * 1024;

/**
 * Returns the data where they are at most 4 MiB; undefined where {@link decompressInSteps} has to do it.
 *
 * @throws {Error} where the data are damaged, or the codec is none of Kafka's.
 */
export function decompressAtOnce(codec: number, data: Uint8Array): Uint8Array | undefined {
  switch (CODEC_NAMES[codec]) {
    case "none":
      return data.length <= AT_ONCE_BYTES_MAX ? data : undefined;
    case "gzip":
      return unlessTooLarge(() => gunzipSync(data, { maxOutputLength: AT_ONCE_BYTES_MAX }));
    case "zstd":
      return unlessTooLarge(() => zstdDecompressSync(data, { maxOutputLength: AT_ONCE_BYTES_MAX }));
    case "lz4":
      if (lz4BytesMax(data) > AT_ONCE_BYTES_MAX) return undefined;
      return unlessRefused(() => lz4Decompress(bufferOf(data)));
    case "snappy":
      if (snappyBytes(data) > AT_ONCE_BYTES_MAX) return undefined;
      return unlessRefused(() =>
        Buffer.concat([...snappyBlocks(data)].map((block) => snappyDecompress(bufferOf(block))))
      );
    default:
      throw unknownCodec(codec);
  }
}

/**
 * Decompresses step by step.
 *
 * @throws {Error} where the data are damaged, or the codec is none of Kafka's.
 */
export async function* decompressInSteps(
  codec: number,
  data: Uint8Array,
): AsyncGenerator<Uint8Array> {
  using turns = new Turns();
  for await (const step of stepsOf(codec, data)) {
    yield step;
    await turns.next();
  }
}

function stepsOf(
  codec: number,
  data: Uint8Array,
): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  switch (CODEC_NAMES[codec]) {
    case "none":
      return slicesOf(data, STEP_BYTES);
    case "gzip":
      return inputOf(data).pipe(createGunzip({ chunkSize: STEP_BYTES }));
    case "zstd":
      return inputOf(data).pipe(createZstdDecompress({ chunkSize: STEP_BYTES }));
    case "lz4":
      return lz4Steps(data);
    case "snappy":
      return snappySteps(data);
    default:
      throw unknownCodec(codec);
  }
}

function unknownCodec(codec: number): Error {
  return new Error(`the compression codec ${codec} is not known`);
}

function* slicesOf(data: Uint8Array, byteCount: number): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += byteCount) yield data.subarray(at, at + byteCount);
}

function inputOf(data: Uint8Array): Readable {
  return Readable.from(slicesOf(data, INPUT_BYTES), { highWaterMark: 1 });
}

function unlessTooLarge(decompress: () => Uint8Array): Uint8Array | undefined {
  try {
    return decompress();
  } catch (error) {
    const isTooLarge = error instanceof RangeError && "code" in error &&
      error.code === "ERR_BUFFER_TOO_LARGE";
    if (isTooLarge) return undefined;
    throw error;
  }
}

/**
 * WebAssembly is three times as fast as our own decoders, but stricter about a frame's header, and it ends in a trap that
 * says nothing: what it refuses, they decide about.
 */
function unlessRefused(decompress: () => Uint8Array): Uint8Array | undefined {
  try {
    return decompress();
  } catch {
    return undefined;
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Java's producer wraps Snappy in blocks of its own (xerial): a header, then length and block in turn. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;

function* snappyBlocks(data: Uint8Array): Generator<Uint8Array> {
  if (!XERIAL_MAGIC.equals(data.subarray(0, XERIAL_MAGIC.length))) return yield data;
  const view = viewOf(data);
  for (let at = XERIAL_HEADER_BYTES; at < data.length;) {
    const start = at + 4;
    at = start + view.getUint32(at);
    if (at > data.length) throw new RangeError("the Snappy data end too early");
    yield data.subarray(start, at);
  }
}

function snappyBytes(data: Uint8Array): number {
  let bytes = 0;
  for (const block of snappyBlocks(data)) bytes += snappyLength(block).length;
  return bytes;
}

function* snappySteps(data: Uint8Array): Generator<Uint8Array> {
  for (const block of snappyBlocks(data)) yield* decodeSnappyBlock(block, STEP_BYTES);
}

const LZ4_MAGIC = 0x184d2204;
const LZ4_BLOCKS_ARE_INDEPENDENT = 0x20;
const LZ4_HAS_BLOCK_CHECKSUMS = 0x10;
const LZ4_HAS_CONTENT_SIZE = 0x08;
const LZ4_HAS_CONTENT_CHECKSUM = 0x04;
const LZ4_HAS_DICTIONARY = 0x01;
const LZ4_BLOCK_IS_PLAIN = 0x80000000;

interface Lz4Block {
  readonly bytes: Uint8Array;
  readonly isPlain: boolean;
  readonly isIndependent: boolean;
  /** How large it can become. */
  readonly bytesMax: number;
}

/**
 * The blocks of LZ4 frames. Checksums are left alone: the batch has one of its own.
 *
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
function* lz4Blocks(data: Uint8Array): Generator<Lz4Block> {
  const view = viewOf(data);
  for (let at = 0; at < data.length;) {
    if (view.getUint32(at, true) !== LZ4_MAGIC) throw new RangeError("the LZ4 data are damaged");
    const flags = view.getUint8(at + 4);
    const bytesMax = 2 ** (8 + 2 * (view.getUint8(at + 5) >> 4 & 7));
    at += 7 + ((flags & LZ4_HAS_CONTENT_SIZE) === 0 ? 0 : 8) +
      ((flags & LZ4_HAS_DICTIONARY) === 0 ? 0 : 4);
    for (;;) {
      const size = view.getUint32(at, true);
      at += 4;
      if (size === 0) break;
      const end = at + size % LZ4_BLOCK_IS_PLAIN;
      if (end > data.length) throw new RangeError("the LZ4 data end too early");
      yield {
        bytes: data.subarray(at, end),
        isPlain: size >= LZ4_BLOCK_IS_PLAIN,
        isIndependent: (flags & LZ4_BLOCKS_ARE_INDEPENDENT) !== 0,
        bytesMax,
      };
      at = end + ((flags & LZ4_HAS_BLOCK_CHECKSUMS) === 0 ? 0 : 4);
    }
    if ((flags & LZ4_HAS_CONTENT_CHECKSUM) !== 0) at += 4;
  }
}

function lz4BytesMax(data: Uint8Array): number {
  let bytes = 0;
  for (const block of lz4Blocks(data)) bytes += block.isPlain ? block.bytes.length : block.bytesMax;
  return bytes;
}

/** Behind a window of what came before, since the blocks of some producers refer to it. */
function* lz4Steps(data: Uint8Array): Generator<Uint8Array> {
  let output = new Uint8Array();
  let windowEnd = 0;
  for (const { bytes, isPlain, isIndependent, bytesMax } of lz4Blocks(data)) {
    if (output.length < LZ4_WINDOW_BYTES + bytesMax) {
      const larger = new Uint8Array(LZ4_WINDOW_BYTES + bytesMax);
      larger.set(output.subarray(0, windowEnd));
      output = larger;
    }
    const start = isIndependent ? 0 : windowEnd;
    let end = start + bytes.length;
    if (isPlain) output.set(bytes, start);
    else end = decodeLz4Block(bytes, output, start);
    yield* slicesOf(output.slice(start, end), STEP_BYTES);
    output.copyWithin(0, Math.max(0, end - LZ4_WINDOW_BYTES), end);
    windowEnd = Math.min(end, LZ4_WINDOW_BYTES);
  }
}

function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
