/**
 * The command `tracker redrive`: its options and its output.
 */

import {
  brokerOption,
  choicesParser,
  type ClusterOptions,
  type Command,
  configOption,
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  integerParser,
  jsonOption,
  logLevelOption,
  OPTION_GROUPS,
  parseTopic,
  topicOption,
} from "../cli/cli.ts";
import { connectionOf } from "../cli/connection_options.ts";
import { loggerOf, type LogLevelName, startLog } from "../log.ts";
import { listenForShutdown } from "../shutdown.ts";
import { refuseSuspensionUnderTaskRunner } from "../suspend.ts";
import { isTerminal, printErrorLine, printResult, showStatus } from "../terminal.ts";
import { withThousands } from "../text.ts";
import type { FailureReason } from "../tracker/failures.ts";
import { FAILURE_REASONS } from "../tracker/failures.ts";
import { redriveLogTopicOf } from "./redrive_log.ts";
import type { Selection } from "./redrive_selection.ts";
import { describeSummary } from "./redrive_summary.ts";
import { UsageError } from "../usage_error.ts";

/** The options of the command line. */
export interface RedriveCommandOptions extends ClusterOptions {
  readonly topic: string;
  readonly deadLetters: string;
  readonly reason?: ReadonlySet<FailureReason>;
  readonly fromTopic?: string;
  readonly partition?: number;
  readonly fromOffset?: number;
  readonly toOffset?: number;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly logLevel: LogLevelName;
}

const ANY_TOPIC = "any";

export function redriveCommand(): Command {
  return createCommand({
    name: "redrive",
    description: "Sends dead letters back to the topic, each record once, in Kafka transactions. " +
      "Exit code 1 if the topic refused a record, or if it was stopped before its end.",
    examples: [
      ["deno task tracker redrive --dry-run", "list the letters, and send nothing"],
      ["deno task tracker redrive --reason PROCESSING --reason TIMEOUT"],
      ["deno task tracker redrive --partition 2 --from-offset 100 --to-offset 199"],
    ],
  })
    .optionsGroup(OPTION_GROUPS.cluster)
    .addOption(brokerOption())
    .addOption(configOption())
    .addOption(topicOption())
    .option("--dead-letters <topic>", "topic of the dead letters", parseTopic, "orders-dlq")
    .optionsGroup(OPTION_GROUPS.selection)
    .option(
      "--reason <reason>",
      "only letters with this reason; repeat for several (default: all)",
      collectReasons(),
    )
    .option(
      "--partition <number>",
      "only letters in this partition of the dead-letter topic (default: all)",
      integerParser({ min: 0, max: 2 ** 31 - 1 }),
    )
    .option(
      "--from-offset <number>",
      "first offset, with --partition (default: the beginning)",
      integerParser({ min: 0 }),
    )
    .option(
      "--to-offset <number>",
      "last offset, inclusive, with --partition (default: the end)",
      integerParser({ min: 0 }),
    )
    .option(
      "--from-topic <topic|any>",
      "only letters of records from this topic (default: that of --topic)",
      parseTopic,
    )
    .option("--dry-run", "list the letters that would be sent, and send nothing", false)
    .optionsGroup(OPTION_GROUPS.output)
    .addOption(jsonOption())
    .addOption(logLevelOption());
}

/** @returns the exit code. */
export async function runRedrive(options: RedriveCommandOptions): Promise<number> {
  const selection = selectionOf(options);
  const endLog = await startLog({ service: "order-redrive", level: options.logLevel });
  using _suspend = refuseSuspensionUnderTaskRunner();
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: finishing the current transaction`),
    onSecond: () => printErrorLine("stopped at once: the next redrive knows what was sent"),
  });
  const { redrive } = await import("./redrive.ts"); // the tracker starts without it
  const summary = await redrive({
    connection: connectionOf(options, { clientId: "orderflow-redrive" }),
    deadLetterTopic: options.deadLetters,
    topic: options.topic,
    selection,
    isDryRun: options.dryRun,
    log: loggerOf("redrive"),
    stop: shutdown.requested,
    onProgress: ({ done, total, redriven }) => {
      if (options.json || !isTerminal()) return;
      const share = total === 0 ? 100 : Math.floor(done / total * 100);
      showStatus(`${withThousands(redriven)} letters redriven, ${share} % of the topic read`);
    },
  });
  printResult(options.json ? [JSON.stringify(summary)] : describeSummary(summary));
  await endLog();
  return summary.complete && summary.refused === 0 ? EXIT_OK : EXIT_FAILURE;
}

/** @throws {UsageError} if options contradict each other. */
function selectionOf(options: RedriveCommandOptions): Selection {
  const { topic, deadLetters, partition, fromOffset, toOffset, fromTopic = topic } = options;
  if ([deadLetters, redriveLogTopicOf(deadLetters)].includes(topic)) {
    throw new UsageError(`--topic "${topic}" holds the dead letters: expected the orders' topic`);
  }
  if (partition === undefined && (fromOffset ?? toOffset) !== undefined) {
    throw new UsageError(
      "--from-offset and --to-offset need --partition: each has its own offsets",
    );
  }
  if (fromOffset !== undefined && toOffset !== undefined && fromOffset > toOffset) {
    throw new UsageError(`--from-offset ${fromOffset} is past --to-offset ${toOffset}`);
  }
  return {
    reasons: options.reason,
    source: fromTopic === ANY_TOPIC ? undefined : fromTopic,
    place: partition === undefined ? undefined : { partition, fromOffset, toOffset },
  };
}

/** Returns a parser for an option that can be repeated and takes lists with commas. */
function collectReasons(): (text: string) => ReadonlySet<FailureReason> {
  const parse = choicesParser(FAILURE_REASONS);
  const reasons = new Set<FailureReason>();
  return (text) => {
    for (const reason of parse(text.toUpperCase())) reasons.add(reason);
    return new Set(reasons);
  };
}
