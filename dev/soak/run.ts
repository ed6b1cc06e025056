/**
 * The pipeline under a steady load for a long time, its programs sampled meanwhile.
 *
 * @module
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
  /** Size at which a segment of the journal is closed, as the tracker's option has it. */
  readonly rotate: string;
  /** Takes what the programs have to say. */
  readonly log: (line: string) => void;
  /** Told at each sample. */
  readonly onSample: (moment: SoakMoment) => void;
  /** Ends the run early, in order. */
  readonly stop: AbortSignal;
}

export interface SoakMoment {
  readonly elapsedMs: number;
  /** How many orders there are, in words. */
  readonly progress: string;
  readonly residentMiB: Readonly<Record<SoakedName, number>>;
}

export interface SoakResult {
  readonly proof: Proof;
  readonly seconds: number;
  readonly samples: number;
  /** Records that the monitor had counted in the end. */
  readonly monitored: number;
  /** None where there are too few samples. */
  readonly figures: readonly SoakFigure[];
  /** Whether a person ended it before its time. */
  readonly isStoppedEarly: boolean;
}

export interface SoakFigure {
  readonly program: SoakedName;
  readonly what: "memory, MiB" | "open handles";
  readonly flatness: Flatness;
  /** False for memory in a run that is shorter than {@link MEMORY_JUDGED_FROM_MS}. */
  readonly isJudged: boolean;
}

const SAMPLES_WANTED = 120;
const SAMPLE_INTERVAL_MS_MIN = 500;
/** How long the monitor may take to have counted the last record. */
const MONITOR_TIMEOUT_MS = 20_000;
const START_MS_MAX = 60_000;
const POLL_MS = 100;

/**
 * Resident memory goes up and down by itself, by tens of MiB in a program with a garbage collector. What a
 * leak adds in a run has to stand out from that: the longer the run, the smaller the leak that shows.
 */
export const MEMORY_GROWTH_BOUND: GrowthBound = { absolute: 32, share: 0.15 };
/** In the first minutes the heap of a program still finds its size. */
export const MEMORY_JUDGED_FROM_MS = 5 * 60_000;
/** A closed segment, its archive and a manifest may be open at the moment of a sample. */
export const HANDLE_GROWTH_BOUND: GrowthBound = { absolute: 4, share: 0 };

/** Nothing lost, everything flat, and the monitor has counted all. Flat counts as far as there are samples. */
export function soakHolds({ proof, monitored, figures, isStoppedEarly }: SoakResult): boolean {
  return proofHolds(proof) && monitored === proof.verification.journaled &&
    (figures.length > 0 || isStoppedEarly) &&
    figures.every(({ flatness, isJudged }) => flatness.isFlat || !isJudged);
}

/** @returns undefined where it was stopped before the first order. */
export async function runSoak(options: SoakOptions): Promise<SoakResult | undefined> {
  const { site, rate, rotate, log, stop } = options;
  const series = new SeriesBook();
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
        // What a program opens as it starts is no leak, however long the start takes.
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
  /** How many records the monitor has counted, once it is so many or the time is over. */
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

/** Samples until the time is over, or a program has ended: the proof says why. */
async function sampleAll(
  programs: Readonly<Record<SoakedName, Program>>,
  { series, startedMs, durationMs, progress, onSample, stop }:
    & Pick<SoakOptions, "durationMs" | "onSample" | "stop">
    & {
      readonly series: SeriesBook;
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

class SeriesBook {
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
