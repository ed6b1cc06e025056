#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read --allow-write --allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*
/**
 * The tracker: consumes the orders, validates them, and keeps each record once in an audit journal.
 *
 *     deno task tracker                           until Ctrl-C
 *     deno task tracker --exit-at-end --json      what is there now, then the totals
 *     deno task tracker verify                    does the journal hold every record exactly once?
 *
 * @module
 */

import {
  brokerOption,
  type Command,
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  logLevelOption,
  logsOption,
  NO_TOPIC,
  Option,
  parseTopicOrNone,
  runProgram,
  topicOption,
} from "./lib/cli.ts";
import { ClusterClient } from "./lib/kafka/cluster.ts";
import { type LogLevelName, startLog } from "./lib/log.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { isTerminal, printErrorLine, printLine, showStatus } from "./lib/terminal.ts";
import { describeTotals, TrackerDisplay } from "./lib/tracker/display.ts";
import { openTracker } from "./lib/tracker/open.ts";
import { describeVerification } from "./lib/tracker/verify/report.ts";
import { verifyJournals } from "./lib/tracker/verify/verify.ts";

interface CommonOptions {
  readonly broker: readonly string[];
  readonly topic: string;
  readonly json: boolean;
  readonly logLevel: LogLevelName;
}

interface TrackOptions extends CommonOptions {
  readonly group: string;
  readonly logs: string;
  readonly from: "earliest" | "latest";
  readonly exitAtEnd: boolean;
  readonly deadLetters: string;
  readonly schema: "order" | "none";
  readonly quiet: boolean;
}

interface VerifyOptions extends CommonOptions {
  readonly logs: readonly string[];
}

async function main(args: string[]): Promise<number> {
  let exitCode = EXIT_OK;
  const program = trackCommand().action(async (options: TrackOptions) => {
    exitCode = await track(options);
  });
  program.addCommand(
    verifyCommand().action(async (options: VerifyOptions) => {
      exitCode = await verify(options);
    }),
  );
  await program.parseAsync(args, { from: "user" });
  return exitCode;
}

async function track(options: TrackOptions): Promise<number> {
  const shown = options.json || options.quiet ? undefined : options;
  await using tracker = await openTracker({
    connection: { brokers: options.broker, clientId: "orderflow-tracker" },
    topic: options.topic,
    groupId: options.group,
    logs: options.logs,
    from: options.from,
    deadLetterTopic: options.deadLetters === NO_TOPIC ? undefined : options.deadLetters,
    schema: options.schema,
    logLevel: options.logLevel,
  });
  using display = shown && new TrackerDisplay(tracker.metrics, { schema: options.schema });
  tracker.onJournaled = (records) => display?.show(records);
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: finishing the records in hand`),
    onSecond: () => printErrorLine("stopped at once: the next start reads on from the journal"),
  });

  await tracker.run({ stop: shutdown.requested, exitAtEnd: options.exitAtEnd });
  const totals = tracker.metrics.totals();
  if (options.json) printLine(JSON.stringify(totals));
  else for (const line of describeTotals(totals)) printLine(line);
  return EXIT_OK;
}

async function verify(options: VerifyOptions): Promise<number> {
  const endLog = await startLog({ service: "order-verify", level: options.logLevel });
  const connection = { brokers: options.broker, clientId: "orderflow-verify" };
  await using cluster = await ClusterClient.connect(connection, "probe");
  const verification = await verifyJournals({
    cluster,
    connection,
    topic: options.topic,
    directories: options.logs,
    onProgress: ({ phase, done, total }) => {
      if (!options.json && isTerminal()) showStatus(`${phase}: ${done} of ${total}`);
    },
  });
  if (options.json) printLine(JSON.stringify(verification));
  else for (const line of describeVerification(verification)) printLine(line);
  await endLog();
  return verification.ok ? EXIT_OK : EXIT_FAILURE;
}

function trackCommand(): Command {
  return createCommand({
    name: "tracker",
    description: "Consumes the orders and keeps each record once in an audit journal.",
  })
    .enablePositionalOptions()
    .addOption(brokerOption())
    .addOption(topicOption())
    .addOption(
      new Option("--group <name>", "consumer group")
        .env("KAFKA_CONSUMER_GROUP").default("order-tracker-group"),
    )
    .addOption(logsOption())
    .addOption(
      new Option("--from <where>", "where a group begins that has no committed offsets")
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
    .addOption(logLevelOption());
}

function verifyCommand(): Command {
  return createCommand({
    name: "verify",
    description: "Compares the topic with the journal: is every record there exactly once? " +
      "Exit code 1 unless it is.",
  })
    .addOption(brokerOption())
    .addOption(topicOption())
    .addOption(
      new Option("--logs <folder>", "folder of a journal; repeat it to judge several together")
        .default(["logs"], "logs").argParser(collectFolders()),
    )
    .option("--json", "print one JSON object, and nothing else on standard output", false)
    .addOption(logLevelOption());
}

/** The first folder replaces the default, each further one is added. */
function collectFolders(): (folder: string) => readonly string[] {
  const folders: string[] = [];
  return (folder) => {
    folders.push(folder);
    return [...folders];
  };
}

if (import.meta.main) await runProgram(main);
