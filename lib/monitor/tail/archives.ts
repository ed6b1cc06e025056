/**
 * Counts what a tracker with `--compress` has put away before the monitor came: closed segments as
 * `tracker.archive.NNNNNN.zst`. Those that are compressed later were counted while they were plain.
 *
 * @module
 */

import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { LINE_BYTES_MAX } from "../../limits.ts";
import { LineBuffer } from "./line_buffer.ts";
import type { LineSink } from "./line_sink.ts";
import { TAIL_FILES, type TailFile } from "./tail_files.ts";

const ARCHIVE = /^tracker\.archive\.(\d{6,})\.zst$/;
const SEGMENT = /^tracker\.events\.(\d{6,})$/;
const MAGIC = 0x184d2a50;
const HEADER_BYTES = 16;
const BLOCK_BYTES_MAX = 1024 * 1024;
const ENCODER = new TextEncoder();

/**
 * Hands over every line of segments that are there as archives only, oldest first. One that cannot be read is one
 * unreadable line. Returns when a look at the folder finds no other: a segment may become an archive meanwhile.
 */
export async function readArchives(
  folder: string,
  sink: LineSink,
  signal?: AbortSignal,
): Promise<void> {
  const done = new Set<string>();
  while (signal?.aborted !== true) {
    const name = archivesIn(folder).find((each) => !done.has(each));
    if (name === undefined) return;
    done.add(name);
    await readArchive(join(folder, name), sink);
  }
}

/** Names of the archives whose segment is not there beside them, oldest first. */
function archivesIn(folder: string): readonly string[] {
  const names = TAIL_FILES.list(folder);
  const plain = new Set(names.map((name) => SEGMENT.exec(name)?.[1]));
  return names
    .map((name) => ({ name, number: ARCHIVE.exec(name)?.[1] }))
    .filter(({ number }) => number !== undefined && !plain.has(number))
    .sort((one, other) => Number(one.number) - Number(other.number))
    .map(({ name }) => name);
}

async function readArchive(path: string, sink: LineSink): Promise<void> {
  sink.begin();
  const file = TAIL_FILES.open(path);
  if (file === undefined) return;
  try {
    await readLines(file, sink);
  } catch (error) {
    const line = ENCODER.encode(`${path}: ${error instanceof Error ? error.message : error}`);
    sink.line(line, 0, line.length, true);
    sink.settle();
  } finally {
    file.close();
  }
}

async function readLines(file: TailFile, sink: LineSink): Promise<void> {
  const lines = new LineBuffer({ chunkBytes: 2 * BLOCK_BYTES_MAX, lineBytesMax: LINE_BYTES_MAX });
  for await (const block of blocksOf(file)) {
    for (let rest = block; rest.length > 0;) {
      const room = lines.room(sink);
      const part = rest.subarray(0, room.length);
      room.set(part);
      lines.accept(part.length, sink);
      rest = rest.subarray(part.length);
    }
  }
  lines.finish(sink);
}

/**
 * The blocks of an archive, unpacked. Each is a zstd frame of its own, and before it a skippable frame that says how
 * long it is, packed and not: `50 2A 4D 18 | 08 00 00 00 | u32 | u32`, little-endian.
 *
 * @throws {Error} naming the byte where it is not what the tracker wrote.
 */
async function* blocksOf(file: TailFile): AsyncGenerator<Uint8Array> {
  const size = file.size();
  for (let at = 0; at < size;) {
    const damaged = new Error(`the archive is damaged at byte ${at}`);
    const header = new DataView(file.peek(HEADER_BYTES, at).buffer);
    if (size - at < HEADER_BYTES || header.getUint32(0, true) !== MAGIC) throw damaged;
    const frameBytes = header.getUint32(8, true);
    const blockBytes = header.getUint32(12, true);
    at += HEADER_BYTES;
    if (frameBytes > size - at || blockBytes > BLOCK_BYTES_MAX) throw damaged;
    const frame = new Uint8Array(frameBytes);
    for (let read = 0; read < frameBytes;) {
      const count = await file.read(frame.subarray(read), at + read);
      if (count === 0) throw damaged;
      read += count;
    }
    yield zstdDecompressSync(frame, { maxOutputLength: blockBytes });
    at += frameBytes;
  }
}
