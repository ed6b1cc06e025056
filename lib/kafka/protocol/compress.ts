/**
 * Compresses the records of a batch, in the framing that Kafka's own clients write.
 *
 *     gzip, zstd   one stream (node:zlib, on a thread of its own)
 *     lz4          one LZ4 frame of independent blocks: the Java client reads no others
 *     snappy       blocks of 32 KiB behind a header, as snappy-java writes them (the "xerial" framing)
 */

import { Buffer } from "node:buffer";
import { promisify } from "node:util";
import { gzip, zstdCompress } from "node:zlib";
import { CODEC_NAMES } from "./batch_layout.ts";

/** How the records of a batch are compressed. */
export type Compression = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/** Added to data that does not compress, at most: for each byte, and once. zstd, lz4, and snappy add less than gzip. */
export const COMPRESSION_GROWTH_MAX = { share: 0.01, bytes: 64 } as const;

/** As snappy-java has it: magic, version, and lowest compatible version. */
const XERIAL_HEADER = Buffer.from([
  ...[0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00],
  ...[0, 0, 0, 1, 0, 0, 0, 1],
]);
const XERIAL_BLOCK_BYTES = 32 * 1024;
const LENGTH_BYTES = 4;

const gzipped = promisify(gzip);
const zstdCompressed = promisify(zstdCompress);

/**
 * Compresses data of at least one byte.
 *
 * @param code the codec's place in {@link CODEC_NAMES}, other than that of `none`.
 * @throws {RangeError} where the code is none of Kafka's.
 */
export async function compress(code: number, data: Uint8Array): Promise<Uint8Array> {
  switch (CODEC_NAMES[code]) {
    case "gzip":
      return await gzipped(data);
    case "zstd":
      return await zstdCompressed(data);
    case "lz4": {
      const { lz4Compress } = await blockCodecs();
      return lz4Compress(bufferOf(data));
    }
    case "snappy":
      return await snappyCompressed(data);
    default:
      throw new RangeError(`the compression codec ${code} is not known`);
  }
}

/** Loads the codecs of lz4 and snappy, which most runs do without. */
function blockCodecs() {
  return import("@platformatic/wasm-utils/bundled");
}

async function snappyCompressed(data: Uint8Array): Promise<Uint8Array> {
  const { snappyCompress } = await blockCodecs();
  const parts: Uint8Array[] = [XERIAL_HEADER];
  for (let at = 0; at < data.length; at += XERIAL_BLOCK_BYTES) {
    const block = snappyCompress(bufferOf(data.subarray(at, at + XERIAL_BLOCK_BYTES)));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
