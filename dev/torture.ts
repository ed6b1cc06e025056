#!/usr/bin/env -S deno run --no-prompt --allow-all
/**
 * The torture test: random faults from a seed strike real brokers, trackers, and producers. Then everything heals,
 * and a judge that shares no code with the product compares topics and journals with each promise of
 * docs/guarantees.md.
 *
 *     deno task torture                        a random seed, one minute of faults
 *     deno task torture --seeds 20             twenty seeds, one after the other
 *     deno task torture --seed 7 --minutes 2   this seed
 *     deno task torture --schedule FILE        a schedule that was kept or shortened
 */

import {
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  integerParser,
  Option,
  OPTION_GROUPS,
  parseMinutes,
  runProgram,
} from "../lib/cli/cli.ts";
import { listenForShutdown } from "../lib/shutdown.ts";
import { printErrorLine, printLine, styled } from "../lib/terminal.ts";
import type { Judgment } from "./torture/promises.ts";
import { loadNemeses } from "./torture/nemesis.ts";
import { runSchedule } from "./torture/run.ts";
import { makeSchedule, type Schedule } from "./torture/schedule.ts";
import { shrink } from "./torture/shrink.ts";
import { requireUnix } from "./unix_only.ts";

const SHRINK_MINUTES = 15;
const RESULTS_FOLDER = "logs/torture";

interface Options {
  readonly seed?: number;
  readonly seeds: number;
  readonly minutes: number;
  readonly nodes?: 1 | 3;
  readonly schedule?: string;
  readonly shrink: boolean;
}

async function main(args: string[]): Promise<number> {
  const options = parseOptions(args);
  requireUnix("the torture");
  using shutdown = listenForShutdown({
    onFirst: () => printErrorLine("ending the faults: everything heals, then the judge decides"),
    onSecond: () => printErrorLine("stopped immediately: nothing was judged"),
  });
  const stop = shutdown.requested;
  const nemeses = await loadNemeses();
  const isRoot = Deno.build.os === "linux" && Deno.uid() === 0;
  if (!isRoot) printErrorLine("fill-disk is skipped: mounting a small disk needs root on Linux");
  let failures = 0;
  for (let index = 0; index < options.seeds && !stop.aborted; index++) {
    const seed = options.seed === undefined
      ? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0
      : options.seed + index;
    const schedule: Schedule = options.schedule === undefined
      ? makeSchedule({ ...options, seed, isRoot }, nemeses)
      : JSON.parse(await Deno.readTextFile(options.schedule));
    const folder = `${RESULTS_FOLDER}/${schedule.seed}`;
    await Deno.mkdir(folder, { recursive: true });
    await writeSchedule(`${folder}/schedule.json`, schedule);
    printLine(describe(schedule));
    const judgment = await runSchedule(schedule, { nemeses, tell: printLine, stop, keepAt: folder })
      .catch((error) => ({ violations: [`It could not be judged: ${error}`], counts: {} }));
    report(schedule, judgment);
    if (judgment.violations.length === 0) {
      await Deno.remove(folder, { recursive: true });
      continue;
    }
    failures++;
    printLine(`Repeat it: deno task torture --schedule ${folder}/schedule.json`);
    if (!options.shrink) continue;
    const deadlineMs = performance.now() + SHRINK_MINUTES * 60_000;
    const shortest = await shrink(schedule, {
      fails: async (candidate) => {
        printLine(`shrinking: ${candidate.steps.length} of ${schedule.steps.length} faults`);
        const { violations } = await runSchedule(candidate, { nemeses, tell: () => {}, stop });
        return violations.length > 0;
      },
      isOver: () => stop.aborted || performance.now() > deadlineMs,
    });
    await writeSchedule(`${folder}/shortest.json`, shortest);
    printLine(`${shortest.steps.length} faults are enough: ${folder}/shortest.json`);
  }
  return failures === 0 ? EXIT_OK : EXIT_FAILURE;
}

async function writeSchedule(path: string, schedule: Schedule): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(schedule, undefined, 1) + "\n");
}

function describe({ seed, setup, steps, durationMs }: Schedule): string {
  const kinds = [...new Set(steps.map(({ nemesis }) => nemesis))].sort().join(", ");
  const trackers = setup.trackers.map(({ topic, rotate, compress, keep }) =>
    [topic, rotate && "rotate", compress && "compress", keep && "keep"].filter(Boolean).join("+")
  );
  return styled(`seed ${seed}`, "bold") +
    `: ${setup.nodes} broker${setup.nodes > 1 ? "s" : ""}, trackers ${trackers.join(", ")}; ` +
    `${steps.length} faults in ${durationMs / 1_000} s: ${kinds}`;
}

function report({ seed }: Schedule, { violations, counts }: Judgment): void {
  const figures = Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ");
  printLine(`seed ${seed}: ${figures}`);
  for (const violation of violations) printLine(styled(`  VIOLATED  ${violation}`, "red"));
  if (violations.length === 0) printLine(styled("  every promise held", "green"));
}

function parseOptions(args: string[]): Options {
  return createCommand({
    name: "torture",
    description: "Runs the pipeline under random faults from a seed, and judges every promise.",
    examples: [
      ["deno task torture --seeds 10 --minutes 2", "ten random schedules"],
      ["deno task torture --seed 7 --nodes 3", "the schedule of seed 7, on three brokers"],
      ["deno task torture --schedule logs/torture/schedule.json", "a schedule from a file"],
    ],
  })
    .optionsGroup(OPTION_GROUPS.faults)
    .addOption(
      new Option("--seed <n>", "first seed (default: random)").argParser(integerParser({ min: 0 })),
    )
    .addOption(
      new Option("--seeds <n>", "number of seeds, one after the other").default(1)
        .argParser(integerParser({ min: 1 })),
    )
    .addOption(
      new Option("--minutes <n>", "minutes of faults per seed; fractions are allowed").default(1)
        .argParser(parseMinutes),
    )
    .addOption(
      new Option("--nodes <n>", "number of brokers (default: chosen by the seed)")
        .choices(["1", "3"]).argParser((text) => text === "3" ? 3 : 1),
    )
    .option("--schedule <file>", "run the schedule in this file instead of one from a seed")
    .option("--no-shrink", "do not search for a shorter schedule that also fails")
    .parse(args, { from: "user" }).opts();
}

if (import.meta.main) await runProgram(main);
