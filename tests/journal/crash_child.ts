/**
 * A process to be killed: appends to three partitions from the journal's end, as fast as it can, and prints
 * acknowledged appends (`partition end`) and the journal's notices.
 *
 *     deno run --allow-read --allow-write crash_child.ts FOLDER ROTATE_BYTES
 */

import { writeSync } from "node:fs";
import type { Journal } from "../../lib/journal/journal.ts";
import { openJournal } from "../../lib/journal/open_journal.ts";
import { appendOf, partition } from "./fixture.ts";

const STDOUT = 1;

if (import.meta.main) {
  const [directory = "", rotateBytes = ""] = Deno.args;
  const journal = await openJournal({
    directory,
    rotateBytes: Number(rotateBytes),
    onNotice: (notice) => say(`notice ${notice.kind}`),
  });
  say("open");
  await Promise.all([0, 1, 2].map((number) => appendForever(journal, number)));
}

async function appendForever(journal: Journal, number: number): Promise<never> {
  for (let start = journal.end(partition(number)) ?? 0;;) {
    const end = start + 1 + start % 40;
    await journal.append(appendOf(number, { start, end }, "x".repeat(300)));
    say(`${number} ${end}`);
    start = end;
  }
}

/** Prints without buffering, because the process may be killed at any moment. */
function say(line: string): void {
  writeSync(STDOUT, new TextEncoder().encode(line + "\n"));
}
