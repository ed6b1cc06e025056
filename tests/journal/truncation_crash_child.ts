/**
 * A process to be killed: appends to two partitions, each record in the epoch of its log's leader, and sometimes
 * truncates what it holds and begins the next epoch. Prints `truncating PARTITION OFFSET` before it truncates, and
 * `PARTITION START END EPOCH` after an append was acknowledged.
 *
 *     deno run --allow-read --allow-write truncation_crash_child.ts FOLDER FIRST_EPOCH
 */

import { writeSync } from "node:fs";
import type { Journal } from "../../lib/journal/journal.ts";
import { openJournal } from "../../lib/journal/open_journal.ts";
import { partition } from "./fixture.ts";
import { appendInEpoch } from "./truncated_log.ts";

const STDOUT = 1;
const APPENDS_PER_EPOCH = 15;
/** More than the records of one epoch, so that earlier epochs and closed segments are truncated too. */
const TRUNCATED_MAX = 400;

if (import.meta.main) {
  const [directory = "", firstEpoch = ""] = Deno.args;
  const journal = await openJournal({
    directory,
    rotateBytes: 200_000,
    onNotice: ({ kind }) => say(`notice ${kind}`),
  });
  say("open");
  await Promise.all([0, 1].map((number) => appendForever(journal, number, Number(firstEpoch))));
}

async function appendForever(
  journal: Journal,
  number: number,
  firstEpoch: number,
): Promise<never> {
  for (let epoch = firstEpoch;; epoch++) {
    for (let appends = 0; appends < APPENDS_PER_EPOCH; appends++) {
      const start = journal.end(partition(number)) ?? 0;
      const end = start + 1 + start % 20;
      await journal.append(appendInEpoch(number, { start, end }, epoch));
      say(`${number} ${start} ${end} ${epoch}`);
    }
    const end = journal.end(partition(number)) ?? 0;
    const offset = Math.max(0, end - 1 - epoch * 37 % TRUNCATED_MAX);
    say(`truncating ${number} ${offset}`);
    await journal.truncate(partition(number), offset);
  }
}

/** Prints without buffering, because the process may be killed at any moment. */
function say(line: string): void {
  writeSync(STDOUT, new TextEncoder().encode(line + "\n"));
}
