#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read --allow-write=.kafka,logs --allow-run --allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*
/**
 * The soak test: the pipeline under a steady load for a long time. It fails if a program's memory or open handles
 * grow, a record is lost or repeated, or the monitor does not count all records.
 *
 *     deno task soak                             ten minutes
 *     deno task soak --minutes 60 --rate 2000
 *
 * Starts a broker if none answers; uses its own topic, group, and folder.
 */

import {
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  integerParser,
  Option,
  OPTION_GROUPS,
  parseMinutes,
  parseSize,
  runProgram,
} from "../lib/cli/cli.ts";
import { listenForShutdown } from "../lib/shutdown.ts";
import { isTerminal, printErrorLine, printLine, showStatus, styled } from "../lib/terminal.ts";
import { describeProof } from "./demo/proof.ts";
import { soakSite } from "./demo/site.ts";
import { ensureBroker } from "./ensure_broker.ts";
import { MEASURES_MEMORY } from "./soak/process_usage.ts";
import { describeSoak } from "./soak/report.ts";
import { runSoak, soakHolds, type SoakMoment, type SoakResult } from "./soak/run.ts";
import { deleteTopicsAt } from "./topics.ts";
import { requireUnix } from "./unix_only.ts";

const DATA_FOLDER = ".kafka/data";
const DEFAULT_BROKER = "localhost:9092";
const PROGRESS_LINES = 20;

export interface SoakSettings {
  readonly minutes: number;
  readonly rate: number;
  readonly rotate: string;
}

async function main(args: string[]): Promise<number> {
  const settings = parseOptions(args);
  requireUnix("the soak");
  const result = await soak(settings);
  return result === undefined || soakHolds(result) ? EXIT_OK : EXIT_FAILURE;
}

/**
 * Runs a soak and prints the results.
 *
 * @returns undefined if it was stopped before it began.
 * @throws {Error} if there is no broker, or this system does not report process usage.
 */
export async function soak(
  { minutes, rate, rotate }: SoakSettings,
): Promise<SoakResult | undefined> {
  if (!MEASURES_MEMORY) {
    throw new Error(`a soak measures with ps, and there is none on ${Deno.build.os}`);
  }
  using shutdown = listenForShutdown({
    onFirst: () => printErrorLine("stopping cleanly; press again to exit immediately"),
    onSecond: () => printErrorLine("exited immediately: no proof"),
  });
  const broker = await shutdown.unlessStopped(ensureBroker({
    address: Deno.env.get("KAFKA_BROKER") || DEFAULT_BROKER,
    dataDir: DATA_FOLDER,
    log: (line) => void printLine(`broker    ${line}`),
    signal: shutdown.requested,
  }));
  if (broker === undefined) return undefined;
  try {
    if (shutdown.requested.aborted) return undefined;
    const site = soakSite(broker);
    const durationMs = minutes * 60_000;
    printLine(
      `soak      ${rate} orders a second for ${minutes} min; broker ${broker.address}, ` +
        `topic ${site.topic}, folder ${site.logs}/`,
    );
    const result = await runSoak({
      site,
      durationMs,
      rate,
      rotate,
      log: (line) => void printLine(line),
      onSample: sampleShower(durationMs),
      stop: shutdown.requested,
    });
    if (result === undefined) {
      printLine("stopped before the first order: there is nothing to prove");
      await deleteTopicsAt(site.broker, site);
      return undefined;
    }
    for (const line of describeSoak(result)) printLine(line);
    for (const line of describeProof(result.proof, site)) printLine(line);
    const holds = soakHolds(result);
    printLine(holds ? styled("The soak passed.", "green") : styled("The soak FAILED.", "red"));
    // A successful soak keeps its journal, but nothing in the cluster.
    if (holds) await deleteTopicsAt(site.broker, site);
    return result;
  } finally {
    await broker.stop();
  }
}

/** @throws {CommanderError} if the command line is invalid. */
export function parseOptions(args: string[]): SoakSettings {
  return createCommand({
    name: "soak",
    description:
      "Runs the pipeline under a steady load for a long time. Fails if a program's memory or " +
      "open handles grow, or if the proof fails.",
    examples: [
      ["deno task soak"],
      ["deno task soak --minutes 480 --rate 2000 --rotate 256MB", "a night at 2,000 orders/s"],
    ],
  })
    .optionsGroup(OPTION_GROUPS.load)
    .addOption(
      new Option("--minutes <n>", "duration in minutes; fractions are allowed").default(10)
        .argParser(parseMinutes),
    )
    .addOption(
      new Option("--rate <n>", "orders per second").default(500).argParser(
        integerParser({ min: 1 }),
      ),
    )
    .optionsGroup(OPTION_GROUPS.journal)
    .addOption(
      new Option("--rotate <size>", "size at which the tracker closes a journal segment")
        .default("16MB")
        .argParser((text) => (parseSize(text), text)),
    )
    .parse(args, { from: "user" }).opts();
}

/** Shows every sample on a terminal, otherwise only some. */
function sampleShower(durationMs: number): (moment: SoakMoment) => void {
  let nextLineMs = 0;
  return ({ elapsedMs, progress, residentMiB }) => {
    const held = Object.entries(residentMiB)
      .map(([name, mebibytes]) => `${name} ${mebibytes.toFixed(0)} MiB`).join(", ");
    const line = `${clock(elapsedMs)} of ${clock(durationMs)}  ${held}; ${progress}`;
    if (isTerminal()) return showStatus(line);
    if (elapsedMs < nextLineMs) return;
    nextLineMs = elapsedMs + durationMs / PROGRESS_LINES;
    printLine(line);
  };
}

function clock(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

if (import.meta.main) await runProgram(main);
