/**
 * Defines the `tracker` command and prints its totals.
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
  jsonOption,
  keepOption,
  logLevelOption,
  logsOption,
  Option,
  OPTION_GROUPS,
  parseTopicOrNone,
  quietOption,
  rotateOption,
  type SegmentOptions,
  topicOption,
} from "../cli/cli.ts";
import { type ListenAddress, parseListenAddress } from "../cli/listen_address.ts";
import type { LogLevelName } from "../log.ts";
import { printErrorLine, printResult } from "../terminal.ts";
import { describeTotals } from "./display.ts";
import { describeUndecided, type UndecidedRecords } from "./end_of_topic.ts";
import type { TrackerTotals } from "./metrics.ts";

export interface TrackOptions extends ClusterOptions, SegmentOptions {
  readonly topic: string;
  readonly createTopics: boolean;
  readonly json: boolean;
  readonly logLevel: LogLevelName;
  readonly group: string;
  readonly logs: string;
  readonly from: "earliest" | "latest";
  readonly exitAtEnd: boolean;
  readonly deadLetters: string;
  readonly schema: "order" | "none";
  readonly quiet: boolean;
  readonly logValues: boolean;
  readonly healthPort?: ListenAddress;
  readonly healthHost: string;
}

export function reportTotals(
  totals: TrackerTotals,
  { json, topic, undecided }: Pick<TrackOptions, "json" | "topic"> & {
    readonly undecided: readonly UndecidedRecords[];
  },
): number {
  const undecidedCount = undecided.reduce((sum, { recordCount }) => sum + recordCount, 0);
  printResult(
    json ? [JSON.stringify({ ...totals, undecided: undecidedCount })] : describeTotals(totals),
  );
  if (undecidedCount === 0) return EXIT_OK;
  printErrorLine(describeUndecided(topic, undecided));
  return EXIT_FAILURE;
}

export function trackCommand(): Command {
  return createCommand({
    name: "tracker",
    description: "Consumes the orders and keeps each record once in an audit journal.",
    examples: EXAMPLES,
  })
    .enablePositionalOptions()
    .optionsGroup(OPTION_GROUPS.cluster)
    .addOption(brokerOption())
    .addOption(configOption())
    .addOption(topicOption())
    .option(
      "--create-topics",
      "create the topic with three partitions if it does not exist (default: fail)",
      false,
    )
    .addOption(
      new Option("--group <name>", "consumer group")
        .env("KAFKA_CONSUMER_GROUP").default("order-tracker-group"),
    )
    .addOption(
      new Option(
        "--from <where>",
        "where a group without committed offsets starts to read",
      )
        .choices(["earliest", "latest"]).default("earliest"),
    )
    .option(
      "--exit-at-end",
      "exit when everything that was in the topic at the start is journaled",
      false,
    )
    .optionsGroup(OPTION_GROUPS.data)
    .addOption(
      new Option("--schema <kind>", "what the topic holds; none journals records without checks")
        .choices(["order", "none"]).default("order"),
    )
    .addOption(
      new Option(
        "--dead-letters <topic|none>",
        "topic that receives the records that cannot be processed",
      )
        .default("orders-dlq").argParser(parseTopicOrNone),
    )
    .optionsGroup(OPTION_GROUPS.journal)
    .addOption(logsOption())
    .addOption(rotateOption())
    .addOption(compressOption())
    .addOption(keepOption())
    .optionsGroup(OPTION_GROUPS.output)
    .addOption(jsonOption())
    .addOption(quietOption())
    .addOption(
      new Option(
        "--health-port <[host:]port>",
        "serve GET /live, /ready, and /metrics on this port (default: off)",
      )
        .argParser(parseListenAddress),
    )
    .addOption(
      new Option(
        "--health-host <address>",
        "address to listen on if --health-port has none",
      )
        .default("127.0.0.1"),
    )
    .option(
      "--log-values",
      "quote values of bad records in log lines, which may contain personal data",
      false,
    )
    .addOption(logLevelOption());
}

const EXAMPLES = [
  ["deno task tracker", "journal orders until Ctrl-C"],
  ["deno task tracker --exit-at-end --json", "journal what is in the topic, then print the totals"],
  ["deno task tracker --rotate 256MB --compress --keep 30d", "bound the disk space of the journal"],
  ["deno task tracker --group audit --logs logs/audit", "a second, independent journal"],
] as const;
