#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read --allow-write=.kafka,logs --allow-run --allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*,TERM,LANG,LC_ALL,LC_CTYPE
/**
 * The demo: a broker, the tracker, and the producer, then proof that nothing was lost between them.
 *
 *     deno task demo
 *     deno task demo --orders 300 --rate 100 --bad 10
 *     deno task demo --chaos                     kills the broker and the tracker, cuts the network
 *
 * Starts a broker if none answers. On an existing broker, it uses its own topics, group, and folder, and deletes the
 * topics if the proof holds.
 */

import {
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  integerParser,
  Option,
  OPTION_GROUPS,
  parsePercent,
  parseRate,
  runProgram,
} from "../lib/cli/cli.ts";
import { listenForShutdown } from "../lib/shutdown.ts";
import { hasPersonAtTerminal, printErrorLine, printLine, styled } from "../lib/terminal.ts";
import { type ChaosStage, injectFaults, startChaosStage } from "./demo/chaos.ts";
import { describeProof, proofHolds } from "./demo/proof.ts";
import { runPipeline } from "./demo/pipeline.ts";
import { chaosSite, type DemoSite, demoSite } from "./demo/site.ts";
import { openView } from "./demo/view.ts";
import { ensureBroker, type EnsureBrokerOptions, type EnsuredBroker } from "./ensure_broker.ts";
import { deleteTopicsAt } from "./topics.ts";
import { requireUnix } from "./unix_only.ts";
import { showWaiting } from "./waiting.ts";

const CHAOS_DATA_FOLDER = ".kafka/chaos";
const DATA_FOLDER = ".kafka/data";
const DEFAULT_BROKER = "localhost:9092";

/** On a terminal: half a minute at a rate that people can follow. */
const WATCHED = { orders: 300, rate: 10 } as const;
/** Short when not on a terminal. */
const UNWATCHED = { orders: 200, rate: 50 } as const;
const BAD_PERCENT = 4;

interface DemoOptions {
  readonly orders: number;
  readonly rate: number | "max";
  readonly bad: number;
  readonly chaos?: boolean;
  readonly seed?: number;
}

async function main(args: string[]): Promise<number> {
  const { orders, rate, bad, chaos, seed = randomSeed() } = parseOptions(args);
  requireUnix("the demo");
  using shutdown = listenForShutdown({
    onFirst: announceStop,
    onSecond: () => printErrorLine("exited immediately: no proof"),
  });

  const start = {
    log: (line: string) => void printLine(styled(`broker    ${line}`, "dim")),
    signal: shutdown.requested,
  };
  const waiting = showWaiting("broker    ");
  const opened = await shutdown.unlessStopped(chaos ? startChaos(start) : findBroker(start))
    .finally(() => waiting[Symbol.dispose]());
  if (opened === undefined) return EXIT_OK;
  const { broker, stage } = opened;
  try {
    if (shutdown.requested.aborted) return EXIT_OK;
    const site = chaos ? chaosSite(broker) : demoSite(broker);
    await using cleanup = new AsyncDisposableStack();
    // On an existing broker, the demo deletes its topics, unless the proof fails: then they are evidence.
    if (!broker.startedHere) cleanup.defer(() => deleteTopics(site));
    printLine(
      `broker    ${broker.address}, topic ${site.topic}, group ${site.group}, folder ${site.logs}/`,
    );
    const view = openView({
      site,
      stop: shutdown.requested,
      onQuit: () => {
        if (shutdown.requested.aborted) return;
        shutdown.request("the user quit");
        announceStop();
      },
    });
    if (stage) view.line(`chaos     repeat with --seed ${seed}`);
    const proof = await runPipeline({
      site,
      orders: stage ? undefined : orders,
      rate,
      bad,
      view,
      stop: shutdown.requested,
      ...(stage && {
        meanwhile: ({ killTracker, startTracker, untilFlowing }) =>
          injectFaults({
            stage,
            seed,
            killTracker,
            startTracker,
            untilFlowing,
            say: view.chaos,
            signal: shutdown.requested,
          }),
      }),
    }).finally(() => view.close());
    if (proof === undefined) {
      printLine("stopped before the first order: there is nothing to prove");
      return EXIT_OK;
    }
    for (const line of describeProof(proof, site)) printLine(line);
    if (proofHolds(proof)) return EXIT_OK;
    cleanup.move();
    return EXIT_FAILURE;
  } finally {
    await broker.stop();
  }
}

async function deleteTopics(site: DemoSite): Promise<void> {
  const names = `${site.topic} and ${site.deadLetterTopic}`;
  try {
    await deleteTopicsAt(site.broker, site);
    printLine(`the topics ${names} were deleted again; the journal stays in ${site.logs}/`);
  } catch (error) {
    printErrorLine(
      `the topics ${names} cannot be deleted: ${error instanceof Error ? error.message : error}`,
    );
  }
}

interface Opened {
  readonly broker: EnsuredBroker;
  readonly stage?: ChaosStage;
}

type StartOptions = Pick<EnsureBrokerOptions, "log"> & { readonly signal: AbortSignal };

async function startChaos(start: StartOptions): Promise<Opened> {
  const stage = await startChaosStage({ ...start, dataDir: CHAOS_DATA_FOLDER });
  return { broker: stage.broker, stage };
}

async function findBroker(start: StartOptions): Promise<Opened> {
  const address = Deno.env.get("KAFKA_BROKER") ?? DEFAULT_BROKER;
  return { broker: await ensureBroker({ ...start, address, dataDir: DATA_FOLDER }) };
}

function randomSeed(): number {
  return Math.floor(Math.random() * 1_000_000);
}

function announceStop(): void {
  printErrorLine("stopping cleanly; press again to exit immediately");
}

function parseOptions(args: string[]): DemoOptions {
  const isChaos = args.includes("--chaos");
  const defaults = hasPersonAtTerminal() && !isChaos ? WATCHED : UNWATCHED;
  return createCommand({
    name: "demo",
    description: "Runs broker, tracker, and producer, then proves that nothing was lost.",
    examples: [
      ["deno task demo", "about a minute, with a dashboard on a terminal"],
      ["deno task demo --orders 2000 --rate 200 --bad 10", "faster, with more dead letters"],
      ["deno task demo --chaos", "the broker and the tracker are killed meanwhile"],
    ],
  })
    .optionsGroup(OPTION_GROUPS.load)
    .addOption(
      new Option("--orders <n>", "number of orders")
        .default(defaults.orders, "300 on a terminal, 200 elsewhere")
        .argParser(integerParser({ min: 1 })),
    )
    .addOption(
      new Option("--rate <n|max>", "orders per second")
        .default(defaults.rate, "10 on a terminal, 50 elsewhere").argParser(parseRate),
    )
    .optionsGroup(OPTION_GROUPS.data)
    .addOption(
      new Option("--bad <percent>", "percentage of orders to corrupt; 0 for none")
        .default(BAD_PERCENT).argParser((text) => /^0+$/.test(text) ? 0 : parsePercent(text)),
    )
    .optionsGroup(OPTION_GROUPS.faults)
    .addOption(
      new Option(
        "--chaos",
        "kill the broker and the tracker, and cut the network; the run ends when that is over",
      ).conflicts("orders"),
    )
    .addOption(
      new Option("--seed <n>", "determines order and times of the faults (default: random)")
        .argParser(integerParser({ min: 0 })),
    )
    .parse(args, { from: "user" }).opts();
}

if (import.meta.main) await runProgram(main);
