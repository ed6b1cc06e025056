/**
 * A closed segment, compressed: `tracker.archive.000001.zst`. Blocks of up to 1 MiB are each a zstd frame with a
 * checksum. A skippable frame before each block holds its lengths:
 *
 *     50 2A 4D 18 | 08 00 00 00 | u32 length of the frame | u32 length of the block | zstd frame | ...
 *     (numbers are little-endian)
 *
 * `zstd -dc` reads the whole as one file. The lengths allow reading from any position, a block at a time. The
 * stream decoder of `node:zlib` cannot be used (Deno 2.9): it accepts a truncated frame as complete, and throws
 * errors that cannot be caught.
 */

import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { joined } from "./segments.ts";
import { type ReadableFile, readRange } from "./storage.ts";

/** Compressing or decompressing a block takes about 2 ms, during which nothing else runs. */
export const BLOCK_BYTES = 1024 * 1024;

const MAGIC = 0x184d2a50;
const HEADER_BYTES = 16;
const LENGTHS_BYTES = 8;
/** 500 MB/s and a ninth of the size for orders; level 9 saves another third but takes five times as long. */
const LEVEL = 3;

const CHUNK_BYTES_MIN = 64;

/** The archive was damaged after it was written. */
export class ArchiveDamagedError extends Error {
  override readonly name = "ArchiveDamagedError";
}

/** Compresses a block of a segment, 1 to `BLOCK_BYTES` bytes, with its header. */
export function packBlock(block: Uint8Array): Uint8Array {
  const frame = zstdCompressSync(block, {
    params: {
      [constants.ZSTD_c_compressionLevel]: LEVEL,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  header.setUint32(0, MAGIC, true);
  header.setUint32(4, LENGTHS_BYTES, true);
  header.setUint32(8, frame.length, true);
  header.setUint32(12, block.length, true);
  return joined(new Uint8Array(header.buffer), frame);
}

interface Block {
  /** Position in the segment. */
  readonly start: number;
  readonly end: number;
  readonly frameStart: number;
  readonly frameEnd: number;
}

/** Reads an archive as if it were the segment. */
export class ArchiveReader implements ReadableFile {
  readonly #file: ReadableFile;
  readonly #blocks: readonly Block[];
  /** The byte at which the chain of lengths breaks; undefined if it reaches the end of the file. */
  readonly damagedAt: number | undefined;
  #position = 0;
  #unpacked: { readonly block: Block; readonly bytes: Uint8Array } | undefined;

  private constructor(file: ReadableFile, blocks: readonly Block[], damagedAt?: number) {
    this.#file = file;
    this.#blocks = blocks;
    this.damagedAt = damagedAt;
  }

  /**
   * Reads the length of every block (50 ms per GB). The file is closed with the reader, or if this throws.
   *
   * @param isPartial to read as far as the lengths lead, instead of throwing.
   * @throws {ArchiveDamagedError} if the lengths do not lead to the end of the file.
   */
  static async open(
    file: ReadableFile,
    { isPartial = false }: { readonly isPartial?: boolean } = {},
  ): Promise<ArchiveReader> {
    try {
      const { bytes } = await file.stat();
      const blocks: Block[] = [];
      for (let at = 0; at < bytes;) {
        const block = await readHeader(file, at, blocks.at(-1)?.end ?? 0);
        if (block === undefined || block.frameEnd > bytes) {
          if (isPartial) return new ArchiveReader(file, blocks, at);
          throw new ArchiveDamagedError(`the archive is damaged at byte ${at}`);
        }
        blocks.push(block);
        at = block.frameEnd;
      }
      return new ArchiveReader(file, blocks);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.#blocks.at(-1)?.end ?? 0;
  }

  seek(position: number): Promise<void> {
    this.#position = position;
    return Promise.resolve();
  }

  /** @throws {ArchiveDamagedError} if the block's checksum does not match. */
  async read(into: Uint8Array): Promise<number | null> {
    const block = this.#blockAt(this.#position);
    if (block === undefined) return null;
    const bytes = await this.#unpack(block);
    const from = this.#position - block.start;
    const part = bytes.subarray(from, from + into.length);
    into.set(part);
    this.#position += part.length;
    return part.length;
  }

  async stat(): Promise<{ readonly bytes: number; readonly identity: string }> {
    return { bytes: this.bytes, identity: (await this.#file.stat()).identity };
  }

  close(): void {
    this.#file.close();
  }

  #blockAt(position: number): Block | undefined {
    if (position >= this.bytes) return undefined;
    const { block } = this.#unpacked ?? {};
    if (block !== undefined && position >= block.start && position < block.end) return block;
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#blocks[middle]?.end ?? Infinity) > position) high = middle;
      else low = middle + 1;
    }
    return this.#blocks[low];
  }

  async #unpack(block: Block): Promise<Uint8Array> {
    if (this.#unpacked?.block === block) return this.#unpacked.bytes;
    const frame = await readRange(this.#file, { start: block.frameStart, end: block.frameEnd });
    const bytes = unpackFrame(frame, block);
    const last = this.#unpacked?.bytes;
    this.#unpacked = { block, bytes };
    if (last !== undefined) release(last);
    return bytes;
  }
}

/**
 * Frees memory at once: the garbage collector would let 64 MB of blocks accumulate. Leaves Node's pool of small
 * buffers alone.
 */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength > buffer.byteLength / 2) buffer.transfer(0);
}

function unpackFrame(frame: Uint8Array, { start, end, frameStart, frameEnd }: Block): Uint8Array {
  let bytes: Uint8Array | undefined;
  let cause: unknown;
  // Node decompresses a frame that lacks its last bytes, the checksum, without an error.
  if (frame.length === frameEnd - frameStart) {
    try {
      // One chunk: chunks of the default 16 KiB would have to be concatenated.
      const options = {
        maxOutputLength: end - start,
        chunkSize: Math.max(end - start + 1, CHUNK_BYTES_MIN),
      };
      bytes = zstdDecompressSync(frame, options);
    } catch (error) {
      cause = error;
    }
  }
  if (bytes?.length !== end - start) {
    throw new ArchiveDamagedError(`the archive is damaged at byte ${frameStart}`, { cause });
  }
  return bytes;
}

/** Returns undefined if there is no header. */
async function readHeader(
  file: ReadableFile,
  at: number,
  start: number,
): Promise<Block | undefined> {
  const bytes = await readRange(file, { start: at, end: at + HEADER_BYTES });
  if (bytes.length < HEADER_BYTES) return undefined;
  const header = new DataView(bytes.buffer, bytes.byteOffset);
  const blockBytes = header.getUint32(12, true);
  const isHeader = header.getUint32(0, true) === MAGIC &&
    header.getUint32(4, true) === LENGTHS_BYTES && blockBytes > 0 && blockBytes <= BLOCK_BYTES;
  if (!isHeader) return undefined;
  const frameStart = at + HEADER_BYTES;
  const frameEnd = frameStart + header.getUint32(8, true);
  return { start, end: start + blockBytes, frameStart, frameEnd };
}
