/**
 * Reads a tracker's journal from another program: every record, including those in closed and compressed segments.
 * Needs no Kafka, and a tracker may keep writing meanwhile.
 */

import { decodeEvent, type JournaledRecord } from "./line.ts";
import { JournalFiles } from "./journal_files.ts";

/** Options of {@link readJournal}. */
export interface ReadJournalOptions {
  /** Called for a line that holds no record, with its file and byte. If undefined, such a line ends the reading. */
  readonly onUnreadable?: (error: SyntaxError) => void;
}

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads the records of a journal in the order in which they were received. Skips what is appended after the start,
 * and an incomplete last line.
 *
 * Reads half a megabyte at a time, whatever the size of the journal.
 *
 * @param folder that the tracker has as `--logs`.
 * @throws {Error} if the folder holds no journal, or an archive is damaged.
 * @throws {SyntaxError} for a line that holds no record, unless `onUnreadable` handles it.
 */
export async function* readJournal(
  folder: string,
  { onUnreadable = refuse }: ReadJournalOptions = {},
): AsyncGenerator<JournaledRecord, void, void> {
  using files = await JournalFiles.open([folder]);
  for await (const { lines } of files.readAll()) {
    for (const { bytes, start } of lines) {
      const record = decoded(bytes);
      if (!(record instanceof Error)) yield record;
      else {
        const { path, byte } = files.placeOf(start);
        onUnreadable(
          new SyntaxError(
            `Cannot read the record at byte ${byte} of "${path}": ${record.message}`,
            {
              cause: record,
            },
          ),
        );
      }
    }
  }
}

function decoded(line: Uint8Array | undefined): JournaledRecord | Error {
  if (line === undefined) return new RangeError("the line is longer than a record can be");
  try {
    return decodeEvent(DECODER.decode(line));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return error;
    throw error;
  }
}

function refuse(error: SyntaxError): never {
  throw error;
}
