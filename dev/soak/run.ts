/**
 * Runs the pipeline under a steady load for a long time and samples its programs.
 */

import { join } from "node:path";
import { delay } from "../../lib/async.ts";
import { elapsed } from "../demo/elapsed.ts";
import { type RunningPrograms, runPipeline } from "../demo/pipeline.ts";
import { type Proof, proofHolds } from "../demo/proof.ts";
import type { DemoSite } from "../demo/site.ts";
import type { DemoView } from "../demo/view.ts";
import { type Program, startProgram } from "../programs.ts";
import {
  type Flatness,
  type GrowthBound,
  isJudgeable,
  judgeFlatness,
  type Sample,
} from "./flatness.ts";
import { usageOf } from "./process_usage.ts";

export const SOAKED = ["producer", "tracker", "monitor"] as const;
export type SoakedName = (typeof SOAKED)[number];

export interface SoakOptions {
  readonly site: DemoSite;
  readonly durationMs: number;
  readonly rate: number;
  /** Size at which a journal segment is closed, as in the tracker's option. */
  readonly rotate: string;
  /** Called with the programs' output. */
  readonly log: (line: string) => void;
  readonly onSample: (moment: SoakMoment) => void;
  /** Ends the run early but cleanly. */
  readonly stop: AbortSignal;
}

export interface SoakMoment {
  readonly elapsedMs: number;
  readonly progress: string;
  readonly residentMiB: Readonly<Record<SoakedName, number>>;
}

export interface SoakResult {
  readonly proof: Proof;
  readonly seconds: number;
  readonly samples: number;
  /** Records that the monitor had counted at the end. */
  readonly monitored: number;
  /** Empty if there are too few samples. */
  readonly figures: readonly SoakFigure[];
  /** True if a user ended it early. */
  readonly isStoppedEarly: boolean;
}

export interface SoakFigure {
  readonly program: SoakedName;
  readonly what: "memory, MiB" | "open handles";
  readonly flatness: Flatness;
  /** False for memory in a run shorter than {@link MEMORY_JUDGED_FROM_MS}. */
  readonly isJudged: boolean;
}

const SAMPLES_WANTED = 120;
const SAMPLE_INTERVAL_MS_MIN = 500;
/** How long the monitor may take to count the last record. */
const MONITOR_TIMEOUT_MS = 20_000;
const START_MS_MAX = 60_000;
const POLL_MS = 100;

/**
 * The resident memory of a garbage-collected program fluctuates by tens of MiB. A leak must stand out from that: the
 * longer the run, the smaller the leaks that show.
 */
export const MEMORY_GROWTH_BOUND: GrowthBound = { absolute: 32, share: 0.15 };
/** A program's heap is not stable in the first minutes. */
export const MEMORY_JUDGED_FROM_MS = 5 * 60_000;
/** A closed segment, its archive, and a manifest may be open during a sample. */
export const HANDLE_GROWTH_BOUND: GrowthBound = { absolute: 4, share: 0 };

/**
 * Reports whether nothing was lost, everything is flat, and the monitor counted all records. Flatness is judged only
 * with enough samples.
 */
export function soakHolds({ proof, monitored, figures, isStoppedEarly }: SoakResult): boolean {
  return proofHolds(proof) && monitored === proof.verification.journaled &&
    (figures.length > 0 || isStoppedEarly) &&
    figures.every(({ flatness, isJudged }) => flatness.isFlat || !isJudged);
}

/** @returns undefined if it was stopped before the first order. */
export async function runSoak(options: SoakOptions): Promise<SoakResult | undefined> {
  const { site, rate, rotate, log, stop } = options;
  const series = new SampleSeries();
  let progress = "";
  let monitor: Watching | undefined;
  let startedMs = performance.now();
  let seconds = 0;
  const view: DemoView = {
    showsRecords: true,
    line: log,
    progress: (text) => progress = text,
    chaos: ({ text }) => log(text),
    lookedAt: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  try {
    const proof = await runPipeline({
      site,
      orders: undefined,
      rate,
      view,
      trackerArgs: ["--rotate", rotate, "--compress"],
      stop,
      async meanwhile({ producer, tracker }: RunningPrograms) {
        monitor = await startMonitor(site.logs, log);
        const programs = { producer, tracker, monitor: monitor.program };
        // Files that a program opens at its start are not a leak, however long the start takes.
        await untilJournaling(
          site.logs,
          AbortSignal.any([stop, AbortSignal.timeout(START_MS_MAX)]),
        );
        startedMs = performance.now();
        await sampleAll(programs, { ...options, series, startedMs, progress: () => progress });
        seconds = (performance.now() - startedMs) / 1000;
      },
    });
    if (proof === undefined) return undefined;
    const monitored = await monitor?.until(proof.verification.journaled) ?? 0;
    return {
      proof,
      seconds,
      samples: series.length,
      monitored,
      figures: series.figures(seconds * 1000),
      isStoppedEarly: stop.aborted,
    };
  } finally {
    monitor?.program.signal("SIGTERM");
    await monitor?.program.exitCode;
  }
}

interface Watching {
  readonly program: Program;
  /** Returns how many records the monitor has counted, once it reaches `count` or at a timeout. */
  until(count: number): Promise<number>;
}

async function startMonitor(logs: string, log: (line: string) => void): Promise<Watching> {
  let received = 0;
  const program = await startProgram("monitor", [
    ...["--logs", logs, "--json", "--interval", "2s"],
  ], {
    onLine(line, stream) {
      if (stream === "stdout") received = (JSON.parse(line) as { received: number }).received;
      else log(`monitor   ${line}`);
    },
  });
  return {
    program,
    async until(count) {
      const deadline = Date.now() + MONITOR_TIMEOUT_MS;
      while (received !== count && Date.now() < deadline) {
        await delay(POLL_MS);
      }
      return received;
    },
  };
}

/** Resolves when the tracker has journaled something, or at the signal. */
async function untilJournaling(logs: string, signal: AbortSignal): Promise<void> {
  const hasLines = () =>
    Deno.stat(join(logs, "tracker.events")).then(({ size }) => size > 0, () => false);
  while (!signal.aborted && !await hasLines()) await delay(POLL_MS, signal);
}

/** Samples until the time is over, or a program has ended; the proof then gives the reason. */
async function sampleAll(
  programs: Readonly<Record<SoakedName, Program>>,
  { series, startedMs, durationMs, progress, onSample, stop }:
    & Pick<SoakOptions, "durationMs" | "onSample" | "stop">
    & {
      readonly series: SampleSeries;
      readonly startedMs: number;
      readonly progress: () => string;
    },
): Promise<void> {
  const intervalMs = Math.max(SAMPLE_INTERVAL_MS_MIN, durationMs / SAMPLES_WANTED);
  while (!stop.aborted) {
    const elapsedMs = performance.now() - startedMs;
    if (elapsedMs >= durationMs) return;
    const residentMiB = { producer: 0, tracker: 0, monitor: 0 };
    for (const name of SOAKED) {
      const usage = await usageOf(programs[name].pid);
      if (usage === undefined) return;
      residentMiB[name] = usage.residentMiB;
      series.add(name, { elapsedMs, ...usage });
    }
    onSample({ elapsedMs, progress: progress(), residentMiB });
    await elapsed(intervalMs, stop);
  }
}

class SampleSeries {
  readonly #memory = new Map<SoakedName, Sample[]>(SOAKED.map((name) => [name, []]));
  readonly #handles = new Map<SoakedName, Sample[]>(SOAKED.map((name) => [name, []]));

  get length(): number {
    return this.#memory.get("monitor")?.length ?? 0;
  }

  add(
    name: SoakedName,
    { elapsedMs, residentMiB, handles }: {
      readonly elapsedMs: number;
      readonly residentMiB: number;
      readonly handles: number | undefined;
    },
  ): void {
    this.#memory.get(name)?.push({ elapsedMs, value: residentMiB });
    if (handles !== undefined) this.#handles.get(name)?.push({ elapsedMs, value: handles });
  }

  figures(elapsedMs: number): readonly SoakFigure[] {
    return SOAKED.flatMap((program) => {
      const memory = this.#memory.get(program) ?? [];
      const handles = this.#handles.get(program) ?? [];
      if (!isJudgeable(memory)) return [];
      return [
        {
          program,
          what: "memory, MiB" as const,
          flatness: judgeFlatness(memory, MEMORY_GROWTH_BOUND),
          isJudged: elapsedMs >= MEMORY_JUDGED_FROM_MS,
        },
        ...(handles.length === 0 ? [] : [{
          program,
          what: "open handles" as const,
          flatness: judgeFlatness(handles, HANDLE_GROWTH_BOUND),
          isJudged: true,
        }]),
      ];
    });
  }
}
