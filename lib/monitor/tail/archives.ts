/**
 * Counts segments that `--compress` archived before the monitor started (`tracker.archive.NNNNNN.zst`). Segments
 * compressed later were counted while they were plain.
 */

import { join } from "node:path";
import { ArchiveDamagedError, ArchiveReader } from "../../journal/archive.ts";
import { denoStorage } from "../../journal/storage.ts";
import { messageOf } from "../../system_error.ts";
import { LINE_BYTES_MAX } from "../../limits.ts";
import { LineBuffer } from "./line_buffer.ts";
import { deliverProblem, type LineSink } from "./line_sink.ts";
import { TAIL_FILES } from "./tail_files.ts";

const ARCHIVE = /^tracker\.archive\.(\d{6,})\.zst$/;
const SEGMENT = /^tracker\.events\.(\d{6,})$/;
const CHUNK_BYTES = 2 * 1024 * 1024;

/**
 * Delivers every line of segments that exist only as archives, oldest first. An archive that cannot be read to its
 * end counts as one unreadable line. Repeats until a listing finds no new archive, because a segment may be archived
 * meanwhile.
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
    const path = join(folder, name);
    sink.begin();
    try {
      await readArchive(path, sink, signal);
    } catch (error) {
      // The tracker removed it meanwhile.
      if (error instanceof Deno.errors.NotFound) continue;
      deliverProblem(sink, `${path}: ${messageOf(error)}`);
    }
  }
}

/** Returns the names of archives without a plain segment, oldest first. */
function archivesIn(folder: string): readonly string[] {
  const names = TAIL_FILES.list(folder);
  const plain = new Set(names.map((name) => SEGMENT.exec(name)?.[1]));
  return names
    .map((name) => ({ name, number: ARCHIVE.exec(name)?.[1] }))
    .filter(({ number }) => number !== undefined && !plain.has(number))
    .sort((one, other) => Number(one.number) - Number(other.number))
    .map(({ name }) => name);
}

/** @throws {Error} after delivering what can be read, if that is not everything. */
async function readArchive(
  path: string,
  sink: LineSink,
  signal: AbortSignal | undefined,
): Promise<void> {
  const obstacle = TAIL_FILES.obstacle(path);
  if (obstacle !== undefined) throw new Error(obstacle);
  const { archive, damage } = await open(path);
  try {
    const lines = new LineBuffer({ chunkBytes: CHUNK_BYTES, lineBytesMax: LINE_BYTES_MAX });
    while (signal?.aborted !== true) {
      const count = await archive.read(lines.room(sink));
      if (count === null) break;
      lines.accept(count, sink);
    }
    if (damage !== undefined) throw damage;
    lines.finish(sink);
  } finally {
    archive.close();
  }
}

/** Opens an archive; a damaged one only up to the damage. */
async function open(
  path: string,
): Promise<{ readonly archive: ArchiveReader; readonly damage?: ArchiveDamagedError }> {
  const file = () => denoStorage.open(path, "read");
  try {
    return { archive: await ArchiveReader.open(await file()) };
  } catch (damage) {
    if (!(damage instanceof ArchiveDamagedError)) throw damage;
    return { archive: await ArchiveReader.open(await file(), { isPartial: true }), damage };
  }
}
