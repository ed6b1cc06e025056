/**
 * Codecs that kafkajs lacks: it has gzip built in, and crashes on a batch compressed otherwise. Records are
 * read with all four; what we send is gzip or not compressed.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { lz4Decompress, snappyDecompress } from "@platformatic/wasm-utils/bundled";
import { CompressionCodecs, CompressionTypes } from "kafkajs";

/** Java's producer wraps Snappy in blocks of its own (xerial): a header, then length and block in turn. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
const LENGTH_BYTES = 4;

const decompressZstd = promisify(zstdDecompress);

/** Makes kafkajs, and our own reader, which asks its registry, read snappy, lz4 and zstd. */
export function registerCodecs(): void {
  register(CompressionTypes.Snappy, (bytes) => Promise.resolve(decompressSnappy(bytes)));
  register(CompressionTypes.LZ4, (bytes) => Promise.resolve(Buffer.from(lz4Decompress(bytes))));
  register(CompressionTypes.ZSTD, (bytes) => decompressZstd(bytes));
}

function register(
  type: Exclude<CompressionTypes, CompressionTypes.None>,
  decompress: (bytes: Buffer) => Promise<Buffer>,
): void {
  CompressionCodecs[type] = () => ({
    decompress,
    compress: () => Promise.reject(new TypeError("only gzip and none are sent")),
  });
}

function decompressSnappy(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) {
    return Buffer.from(snappyDecompress(bytes));
  }
  const blocks: Buffer[] = [];
  for (let at = XERIAL_HEADER_BYTES; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    at += LENGTH_BYTES;
    blocks.push(Buffer.from(snappyDecompress(bytes.subarray(at, at + length))));
    at += length;
  }
  return Buffer.concat(blocks);
}
