/**
 * A torture schedule as data: what runs, and which faults strike when. A seed reproduces the schedule, not the
 * interleaving of the processes.
 */

import { Random } from "../../lib/shop/random.ts";

export interface TrackerSetup {
  readonly topic: "main" | "other";
  readonly rotate: boolean;
  readonly compress: boolean;
  readonly keep: boolean;
  /** True if its folder is on a small disk of its own, which a nemesis can fill. */
  readonly ownDisk: boolean;
}

export interface Setup {
  readonly nodes: 1 | 3;
  /** They are members of one group. */
  readonly trackers: readonly TrackerSetup[];
  readonly deadLetterPartitions: number;
  readonly deadLetterConfig: Readonly<Record<string, string>>;
}

/** One fault. `dice`, numbers in [0, 1), determine its random choices. */
export interface Step {
  readonly atMs: number;
  readonly nemesis: string;
  readonly dice: readonly number[];
}

export interface Schedule {
  readonly seed: number;
  readonly durationMs: number;
  readonly setup: Setup;
  readonly steps: readonly Step[];
}

/** Where a nemesis can strike; undefined means anywhere. */
export interface NemesisNeeds {
  readonly nodes?: 1 | 3;
  readonly needsRoot?: true;
}

export interface ScheduleOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly nodes?: 1 | 3 | undefined;
  readonly isRoot: boolean;
}

const DICE_PER_STEP = 4;
const FIRST_STEP_MS = 3_000;
const STEP_EVERY_MS = { min: 800, max: 6_000 } as const;
const DEAD_LETTER_CONFIGS: readonly Setup["deadLetterConfig"][] = [
  {},
  { "max.message.bytes": "3000" },
  { "cleanup.policy": "compact" },
  { "message.timestamp.type": "LogAppendTime" },
  { "message.timestamp.before.max.ms": "60000", "message.timestamp.after.max.ms": "60000" },
];

export function makeSchedule(
  { seed, minutes, nodes, isRoot }: ScheduleOptions,
  nemeses: ReadonlyMap<string, NemesisNeeds>,
): Schedule {
  const random = new Random(seed);
  const chance = (share: number) => random.unit() < share;
  const drawnNodes = chance(0.4) ? 3 : 1; // drawn in any case, so that --nodes changes nothing else
  const setup: Setup = {
    nodes: nodes ?? drawnNodes,
    trackers: Array.from({ length: 1 + Math.floor(random.unit() * 3) }, (_, index) => ({
      topic: index > 0 && chance(0.35) ? "other" : "main",
      rotate: chance(0.6),
      compress: chance(0.5),
      keep: chance(0.3),
      ownDisk: chance(0.3) && isRoot,
    })),
    deadLetterPartitions: chance(0.3) ? 1 : 3,
    deadLetterConfig: pick(DEAD_LETTER_CONFIGS, random.unit()),
  };
  const names = [...nemeses].filter(([, { nodes }]) => (nodes ?? setup.nodes) === setup.nodes)
    .map(([name]) => name).sort();
  // Few kinds of fault per schedule, so that each occurs more than once and they interact.
  const kinds = Array.from({ length: 3 + Math.floor(random.unit() * 5) }, () => {
    return pick(names, random.unit());
  });
  const steps: Step[] = [];
  const durationMs = minutes * 60_000;
  for (let atMs = FIRST_STEP_MS; atMs < durationMs;) {
    const dice = Array.from({ length: DICE_PER_STEP }, () => random.unit());
    const nemesis = pick(kinds, random.unit());
    // Without root, a seed has the same faults, except for those that need root.
    if (isRoot || !nemeses.get(nemesis)?.needsRoot) {
      steps.push({ atMs: Math.round(atMs), nemesis, dice });
    }
    atMs += STEP_EVERY_MS.min + random.unit() * (STEP_EVERY_MS.max - STEP_EVERY_MS.min);
  }
  return { seed, durationMs, setup, steps };
}

/** Returns the item chosen by a die in [0, 1). */
export function pick<Item>(items: readonly Item[], die: number): Item {
  const item = items[Math.floor(die * items.length)];
  if (item === undefined) throw new RangeError("Cannot pick from an empty list");
  return item;
}
