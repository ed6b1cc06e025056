/**
 * Finds a shorter schedule that still fails, by delta debugging (Zeller and Hildebrandt 2002): leaves out halves of
 * the faults, then quarters, and so on. A schedule does not reproduce the interleaving, so a shorter one counts as
 * failing if one of three runs fails.
 */

import type { Schedule } from "./schedule.ts";

const RUNS_PER_CANDIDATE = 3;

export async function shrink(
  schedule: Schedule,
  { fails, isOver }: {
    readonly fails: (candidate: Schedule) => Promise<boolean>;
    /** Called before each run; returns true to end the search. */
    readonly isOver: () => boolean;
  },
): Promise<Schedule> {
  let shortest = schedule;
  for (let parts = 2; parts <= shortest.steps.length;) {
    const size = Math.ceil(shortest.steps.length / parts);
    let shorter: Schedule | undefined;
    for (let part = 0; part < parts && shorter === undefined; part++) {
      const candidate = { ...shortest, steps: shortest.steps.toSpliced(part * size, size) };
      for (let run = 0; run < RUNS_PER_CANDIDATE && shorter === undefined; run++) {
        if (isOver()) return shortest;
        if (await fails(candidate)) shorter = candidate;
      }
    }
    parts = shorter === undefined ? parts * 2 : Math.max(2, parts - 1);
    shortest = shorter ?? shortest;
  }
  return shortest;
}
