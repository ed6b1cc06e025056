/**
 * Searches a whole journal while it is being followed: backward from its end, a piece at a time, plus the lines that
 * are appended meanwhile.
 */

import { type Found, FoundRecords, type Query } from "./model/found_records.ts";
import { linesBackward } from "./tail/backward_lines.ts";

export class JournalSearch implements Disposable {
  readonly query: Query;
  readonly #records: FoundRecords;
  #readBytes = 0;
  #totalBytes = 0;
  #progress: Found["progress"] = "searching";
  #isEnded = false;

  constructor(query: Query) {
    this.query = query;
    this.#records = new FoundRecords(query);
  }

  noteAppended(line: Uint8Array): void {
    if (!this.#isEnded) this.#records.noteNewer(line);
  }

  /** Searches the existing files, newest lines first, until done or disposed. */
  async run(folder: string): Promise<void> {
    for await (const { lines, readBytes, totalBytes } of linesBackward(folder)) {
      if (this.#isEnded) return;
      this.#readBytes = readBytes;
      this.#totalBytes = totalBytes;
      for (const line of lines) {
        if (this.#records.isFull) {
          this.#progress = "limited";
          return;
        }
        this.#records.noteOlder(line);
      }
      // Keys and redraws come first.
      await new Promise((resolve) => setTimeout(resolve));
    }
    this.#progress = "complete";
  }

  get found(): Found {
    return {
      query: this.query,
      events: this.#records.events,
      readBytes: this.#readBytes,
      totalBytes: this.#totalBytes,
      progress: this.#progress,
    };
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
  }
}
