#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read --allow-write --allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*
/**
 * The tracker: consumes the orders, validates them, and keeps each record once in an audit journal.
 *
 *     deno task tracker                           until Ctrl-C
 *     deno task tracker --exit-at-end --json      what is there now, then the totals
 *     deno task tracker verify                    does the journal hold every record exactly once?
 *     deno task tracker redrive --dry-run         which dead letters would go back to the topic?
 *
 * @module
 */

import {
  brokerOption,
  type ClusterOptions,
  type Command,
  compressOption,
  configOption,
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  integerParser,
  keepOption,
  logLevelOption,
  logsOption,
  NO_TOPIC,
  Option,
  parseTopicOrNone,
  requireOtherDeadLetters,
  rotateOption,
  runProgram,
  type SegmentOptions,
  topicOption,
} from "./lib/cli.ts";
import { connectionOf } from "./lib/kafka/connection_options.ts";
import type { LogLevelName } from "./lib/log.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { printErrorLine, printLine } from "./lib/terminal.ts";
import { describeTotals, TrackerDisplay } from "./lib/tracker/display.ts";
import { describeUndecided, type UndecidedRecords } from "./lib/tracker/end_of_topic.ts";
import { openHealthEndpoint } from "./lib/tracker/health_endpoint.ts";
import { Metrics, type TrackerTotals } from "./lib/tracker/metrics.ts";
import { type OpenedTracker, openTracker } from "./lib/tracker/open.ts";
import {
  redriveCommand,
  type RedriveCommandOptions,
  runRedrive,
} from "./lib/tracker/redrive/command.ts";
import {
  runVerify,
  verifyCommand,
  type VerifyCommandOptions,
} from "./lib/tracker/verify/command.ts";

interface CommonOptions extends ClusterOptions {
  readonly topic: string;
  readonly json: boolean;
  readonly logLevel: LogLevelName;
}

interface TrackOptions extends CommonOptions, SegmentOptions {
  readonly group: string;
  readonly logs: string;
  readonly from: "earliest" | "latest";
  readonly exitAtEnd: boolean;
  readonly deadLetters: string;
  readonly schema: "order" | "none";
  readonly quiet: boolean;
  readonly healthPort?: number;
  readonly healthHost: string;
}

async function main(args: string[]): Promise<number> {
  let exitCode = EXIT_OK;
  const program = trackCommand().action(async (options: TrackOptions) => {
    exitCode = await track(options);
  });
  program.addCommand(
    verifyCommand().action(async (options: VerifyCommandOptions) => {
      exitCode = await runVerify(options);
    }),
  );
  program.addCommand(
    redriveCommand().action(async (options: RedriveCommandOptions) => {
      exitCode = await runRedrive(options);
    }),
  );
  await program.parseAsync(args, { from: "user" });
  return exitCode;
}

async function track(options: TrackOptions): Promise<number> {
  requireOtherDeadLetters(options);
  const shown = options.json || options.quiet ? undefined : options;
  const connection = connectionOf(options, { clientId: "orderflow-tracker" });
  const health: { of: Pick<OpenedTracker, "notReadyReason"> } = {
    of: { notReadyReason: "starting" },
  };
  // Both before the rest: a long recovery of the journal is alive, not ready, and can be stopped.
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: finishing the records in hand`),
    onSecond: () => printErrorLine("stopped at once: the next start reads on from the journal"),
  });
  await using _health = options.healthPort === undefined ? undefined : openHealthEndpoint({
    hostname: options.healthHost,
    port: options.healthPort,
    notReadyReason: () => health.of.notReadyReason,
  });
  const opening = openTracker({
    connection,
    topic: options.topic,
    groupId: options.group,
    logs: options.logs,
    rotateBytes: options.rotate,
    compress: options.compress,
    keepMs: options.keep,
    from: options.from,
    deadLetterTopic: options.deadLetters === NO_TOPIC ? undefined : options.deadLetters,
    schema: options.schema,
    logLevel: options.logLevel,
  });
  // Nothing is under way before it is open, and a recovery that is abandoned is taken up again by the next start.
  await using tracker = await shutdown.orStopped(opening);
  if (tracker === undefined) {
    return reportTotals(new Metrics().totals(), { ...options, undecided: [] });
  }
  health.of = tracker;
  using display = shown && new TrackerDisplay(tracker.metrics, { schema: options.schema });
  tracker.onJournaled = (records) => display?.show(records);

  const { undecided } = await tracker.run({
    stop: shutdown.requested,
    exitAtEnd: options.exitAtEnd,
  });
  return reportTotals(tracker.metrics.totals(), { ...options, undecided });
}

/** @returns the exit code. */
function reportTotals(
  totals: TrackerTotals,
  { json, topic, undecided }: Pick<TrackOptions, "json" | "topic"> & {
    readonly undecided: readonly UndecidedRecords[];
  },
): number {
  const undecidedCount = undecided.reduce((sum, { recordCount }) => sum + recordCount, 0);
  if (json) printLine(JSON.stringify({ ...totals, undecided: undecidedCount }));
  else for (const line of describeTotals(totals)) printLine(line);
  if (undecidedCount === 0) return EXIT_OK;
  printErrorLine(describeUndecided(topic, undecided));
  return EXIT_FAILURE;
}

function trackCommand(): Command {
  return createCommand({
    name: "tracker",
    description: "Consumes the orders and keeps each record once in an audit journal.",
  })
    .enablePositionalOptions()
    .addOption(brokerOption())
    .addOption(configOption())
    .addOption(topicOption())
    .addOption(
      new Option("--group <name>", "consumer group")
        .env("KAFKA_CONSUMER_GROUP").default("order-tracker-group"),
    )
    .addOption(logsOption())
    .addOption(rotateOption())
    .addOption(compressOption())
    .addOption(keepOption())
    .addOption(
      new Option(
        "--from <where>",
        "where a new group begins: one that has committed nothing of the topic",
      )
        .choices(["earliest", "latest"]).default("earliest"),
    )
    .option("--exit-at-end", "end when all is journaled that is in the topic at the start", false)
    .addOption(
      new Option("--schema <kind>", "what the topic holds; none only journals it")
        .choices(["order", "none"]).default("order"),
    )
    .addOption(
      new Option("--dead-letters <topic|none>", "topic for the records that cannot be processed")
        .default("orders-dlq").argParser(parseTopicOrNone),
    )
    .option(
      "--json",
      "print one JSON object at the end, and nothing else on standard output",
      false,
    )
    .option("--quiet", "show the totals only", false)
    .addOption(
      new Option("--health-port <port>", "answer GET /live and GET /ready there, to any host")
        .argParser(integerParser({ min: 1, max: 65_535 })),
    )
    .addOption(
      new Option("--health-host <address>", "answer them at this address of the machine only")
        .default("0.0.0.0"),
    )
    .addOption(logLevelOption());
}

if (import.meta.main) await runProgram(main);
