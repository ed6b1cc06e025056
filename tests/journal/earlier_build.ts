/**
 * Opens a journal with the code of an earlier version, appends two records to partition 0, closes it, and prints what
 * that version found.
 *
 *     deno run --no-check --allow-read --allow-write earlier_build.ts LIB_FOLDER JOURNAL_FOLDER
 */

import { appendOf, partition } from "./fixture.ts";

/** The state that an earlier version found in a folder. */
export interface EarlierFindings {
  readonly notices: readonly string[];
  /** The held intervals of partitions 0 and 1. */
  readonly held: readonly (readonly (readonly [start: number, end: number])[])[];
  /** The problems of closed segments and their manifests. */
  readonly badSegments: readonly string[];
}

if (import.meta.main) {
  const [lib = "", directory = ""] = Deno.args;
  const journalModule: typeof import("../../lib/journal/open_journal.ts") = await import(
    `${lib}/tracker/journal/journal.ts`
  );
  const checkModule: typeof import("../../lib/journal/manifest_check.ts") = await import(
    `${lib}/tracker/journal/manifest_check.ts`
  );
  const notices: string[] = [];
  const journal = await journalModule.openJournal({
    directory,
    onNotice: ({ kind }) => notices.push(kind),
  });
  const held = [0, 1].map((number) =>
    journal.heldIntervals(partition(number)).map(({ start, end }) => [start, end] as const)
  );
  const end = journal.end(partition(0)) ?? 0;
  await journal.append(appendOf(0, { start: end, end: end + 2 }));
  await journal.close();
  const { segments } = await checkModule.checkManifests(directory);
  const badSegments = segments.filter(({ ok }) => !ok).map(({ reason }) => String(reason));
  const findings: EarlierFindings = { notices, held, badSegments };
  // deno-lint-ignore no-console -- its output
  console.log(JSON.stringify(findings));
}
