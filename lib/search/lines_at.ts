/**
 * Reads one record's lines out of a journal.
 */

import { JournalSearch } from "./search.ts";

/**
 * Returns the lines of a record, oldest first: several if its log was truncated and written again. Opens only the segments
 * that can hold it; returns what was found so far once the signal is aborted.
 */
export async function linesAt(
  directory: string,
  { topic, partition, offset }: {
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
  },
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  using search = await JournalSearch.open({
    directories: [directory],
    query: { topic, partition, offsets: { from: offset, to: offset } },
    signal,
    onProblem: () => {},
  });
  const lines: Uint8Array[] = [];
  for await (const hits of search.run()) lines.push(...hits.map(({ line }) => line.slice()));
  return lines;
}
