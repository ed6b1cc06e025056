/**
 * Looks up lines of a journal by offset, in one pass over its files: about 1.5 s per gigabyte.
 */

import { decodeEvent, type JournaledRecord } from "../../journal/line.ts";
import type { JournalPartition } from "../../journal/intervals.ts";
import { quickClassify } from "../../journal/line_scan.ts";
import { JournalFiles } from "../../journal/journal_files.ts";

/** A range of which the first lines are wanted. */
export interface WantedLines extends JournalPartition {
  readonly start: number;
  readonly end: number;
}

/** More than the one line that is compared, because the topic may lack some of the records. */
const LINES_PER_RANGE = 4;
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Returns the records of the first lines of each range, in offset order. If an offset has two lines, the later one is
 * used. Lines of removed segments are missing.
 *
 * @param wanted ranges; those of the same partition must not overlap.
 */
export async function findLines(
  directory: string,
  wanted: readonly WantedLines[],
): Promise<readonly (readonly JournaledRecord[])[]> {
  const found = wanted.map(() => new Map<number, JournaledRecord>());
  using files = await JournalFiles.open([directory]);
  for await (const { lines } of files.readAll()) {
    for (const { bytes } of lines) {
      if (bytes === undefined) continue;
      const line = quickClassify(bytes);
      if (line.kind !== "record") continue;
      const { partition: place, offset } = line;
      const index = wanted.findIndex((range) =>
        range.partition === place.partition && range.topicId === place.topicId &&
        range.topic === place.topic && range.start <= offset && offset < range.end
      );
      const records = found[index];
      if (records === undefined) continue;
      const isAmongFirst = records.size < LINES_PER_RANGE || offset <= Math.max(...records.keys());
      if (!isAmongFirst) continue;
      records.set(offset, decodeEvent(DECODER.decode(bytes)));
      if (records.size > LINES_PER_RANGE) records.delete(Math.max(...records.keys()));
    }
  }
  return found.map((records) => [...records.values()].toSorted((a, b) => a.offset - b.offset));
}
