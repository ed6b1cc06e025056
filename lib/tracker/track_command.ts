/**
 * The command `tracker` itself: its options, and what it prints at the end.
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
  Option,
  parseTopicOrNone,
  rotateOption,
  type SegmentOptions,
  topicOption,
} from "../cli/cli.ts";
import type { LogLevelName } from "../log.ts";
import { printErrorLine, printLine } from "../terminal.ts";
import { describeTotals } from "./display.ts";
import { describeUndecided, type UndecidedRecords } from "./end_of_topic.ts";
import type { TrackerTotals } from "./metrics.ts";

/** As the command line has them. */
export interface TrackOptions extends ClusterOptions, SegmentOptions {
  readonly topic: string;
  readonly json: boolean;
  readonly logLevel: LogLevelName;
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

/** Prints the totals of a run; returns its exit code. */
export function reportTotals(
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

export function trackCommand(): Command {
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
