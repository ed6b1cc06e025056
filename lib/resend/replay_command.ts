/**
 * The command `tracker replay`: its options and its output.
 */

import { InvalidArgumentError } from "commander";
import { createHash } from "node:crypto";
import {
  brokerOption,
  type ClusterOptions,
  type Command,
  configOption,
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  integerParser,
  jsonOption,
  logLevelOption,
  Option,
  OPTION_GROUPS,
  parseRate,
  parseTopic,
  quietOption,
} from "../cli/cli.ts";
import { connectionOf } from "../cli/connection_options.ts";
import { loggerOf, type LogLevelName, startLog } from "../log.ts";
import {
  addSelectionOptions,
  queryOf,
  type SelectionOptions,
} from "../search/selection_options.ts";
import { listenForShutdown } from "../shutdown.ts";
import { printErrorLine, printResult, showStatus } from "../terminal.ts";
import { inBytes, printable, withThousands } from "../text.ts";
import { UsageError } from "../usage_error.ts";
import type { ReplayProgress } from "./replay.ts";
import { MapFile } from "./replay_map.ts";
import type { Manner } from "./replay_record.ts";
import { describeReplay } from "./replay_summary.ts";

/** The options of the command line. */
export interface ReplayCommandOptions extends ClusterOptions, SelectionOptions {
  readonly to: string;
  readonly createTopics: boolean;
  readonly partitionCount?: number;
  readonly fromSearch?: string;
  readonly partitions: Manner["partitions"];
  readonly timestamps: Manner["timestamps"];
  readonly mark: boolean;
  readonly rate: number | "max";
  readonly append: boolean;
  readonly dryRun: boolean;
  readonly map?: string;
  readonly groups: readonly string[];
  readonly json: boolean;
  readonly quiet: boolean;
  readonly logLevel: LogLevelName;
}

const PARTITION_COUNT_MAX = 10_000;
const STATUS_INTERVAL_MS = 100;
const PROGRESS_INTERVAL_MS = 5_000;
const AGE = /^\d+(\.\d+)?[smhdw]$/;
/** The selection's options as typed, because they identify the request. */
const SELECTION = [
  ...["orderId", "customer", "key", "header", "topic", "partition", "offset"],
  ...["since", "until", "failed", "reason", "where"],
] as const;

/** The selection's options as they were typed, by name. */
const typedOptions = new WeakMap<Command, Map<string, string[]>>();

export function replayCommand(): Command {
  const command = createCommand({
    name: "replay",
    description:
      "Puts journaled records back on a topic, each once, in Kafka transactions, and proves it: the " +
      "topic is read back and compared with the journal. Run it again after a crash. Exit code 1 " +
      "unless the topic holds what was asked for.",
    examples: [
      ["deno task tracker replay --to orders-restored --create-topics --dry-run"],
      ["deno task tracker replay --to orders-restored --create-topics"],
      ["deno task tracker search --failed | deno task tracker replay --from-search - --to retry"],
    ],
  })
    .argument("[text]", "text in the value, key, headers, or failure; upper and lower case differ")
    .optionsGroup(OPTION_GROUPS.cluster)
    .addOption(brokerOption())
    .addOption(configOption())
    .addOption(
      new Option("--to <topic>", "topic to put the records on")
        .argParser(parseTopic).makeOptionMandatory(),
    )
    .option(
      "--create-topics",
      "create the topic where it does not exist, with as many partitions as the records' topic had, " +
        "and settings that keep the records (default: an error)",
      false,
    )
    .option(
      "--partition-count <n>",
      "number of partitions with --create-topics (default: as many as the records' topic had)",
      integerParser({ min: 1, max: PARTITION_COUNT_MAX }),
    );
  addSelectionOptions(command)
    .option(
      "--from-search <file|->",
      "replay the journal lines in this file, or on standard input, instead of --logs",
    )
    .optionsGroup(OPTION_GROUPS.delivery)
    .addOption(
      new Option("--partitions <how>", "same: each record's old partition; key: chosen by its key")
        .choices(["same", "key"]).default("same"),
    )
    .addOption(
      new Option("--timestamps <how>", "keep: the records' timestamps; now: the time of the replay")
        .choices(["keep", "now"]).default("keep"),
    )
    .option("--mark", "add a header with each record's old place", false)
    .option("--rate <n|max>", "records a second", parseRate, "max")
    .option("--append", "accept a topic that holds other records; they are not compared", false)
    .option("--dry-run", "say what would be sent, and send nothing", false)
    .addOption(
      new Option("--groups <name,...>", "groups whose committed offsets move along to the topic")
        .default([], "none").argParser(parseGroups),
    )
    .optionsGroup(OPTION_GROUPS.output)
    .option("--map <file>", "write old and new offsets to this file, one range per line")
    .addOption(jsonOption())
    .addOption(quietOption())
    .addOption(logLevelOption());
  return noteTyped(command);
}

/** @returns the exit code. */
export async function runReplay(
  text: string | undefined,
  options: ReplayCommandOptions,
  command: Command,
): Promise<number> {
  const { partitions, timestamps, mark, fromSearch, rate, createTopics, partitionCount } = options;
  const query = queryOf(text, options);
  if (partitionCount !== undefined && !createTopics) {
    throw new UsageError("--partition-count needs --create-topics: an existing topic has its own");
  }
  const manner: Manner = { partitions, timestamps, mark };
  const typed = typedOptions.get(command) ?? new Map<string, string[]>();
  const map = options.map === undefined || options.dryRun
    ? undefined
    : await MapFile.open(options.map);
  const endLog = await startLog({ service: "order-replay", level: options.logLevel });
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: finishing the current transaction`),
    onSecond: () => printErrorLine("stopped immediately: run it again for the rest"),
  });
  try {
    const { replay } = await import("./replay.ts"); // the tracker starts without it
    const { summary, progress } = await replay({
      connection: connectionOf(options, { clientId: "orderflow-replay" }),
      topic: options.to,
      source: fromSearch === undefined ? { directories: options.logs } : { searchFile: fromSearch },
      query,
      selection: digestOf({
        text,
        typed: [...typed].sort(),
        manner,
        isSearch: fromSearch !== undefined,
      }),
      isMoving: AGE.test(typed.get("since")?.at(-1) ?? ""),
      manner,
      create: createTopics ? { partitionCount } : undefined,
      append: options.append,
      isDryRun: options.dryRun,
      groups: options.groups,
      rate: rate === "max" ? undefined : rate,
      log: loggerOf("replay"),
      stop: shutdown.requested,
      onWarning: (warning) => printErrorLine(`WARN ${printable(warning)}`),
      ...(!options.quiet && { onProgress: progressPrinter() }),
    });
    const { topic, topic_id: topicId } = summary;
    await map?.write(progress, { topic, topicId });
    printResult(
      options.json
        ? [JSON.stringify({ ...summary, map: map === undefined ? null : options.map })]
        : describeReplay(summary),
    );
    return summary.ok ? EXIT_OK : EXIT_FAILURE;
  } finally {
    await map?.abandon();
    await endLog();
  }
}

/** Remembers the selection's options as they are typed. */
function noteTyped(command: Command): Command {
  const typed = new Map<string, string[]>();
  typedOptions.set(command, typed);
  for (const option of command.options) {
    const name = option.attributeName();
    if (!SELECTION.some((each) => each === name)) continue;
    command.on(`option:${option.name()}`, (value: string | null) => {
      typed.set(name, [...typed.get(name) ?? [], value ?? ""]);
    });
  }
  return command;
}

function digestOf(asked: object): string {
  return createHash("sha256").update(JSON.stringify(asked)).digest("hex");
}

function parseGroups(text: string): readonly string[] {
  const groups = new Set(text.split(",").map((name) => name.trim()));
  if (groups.has("")) throw new InvalidArgumentError("expected names, separated by commas");
  return [...groups];
}

/** Shows how far the replay is, on standard error. */
function progressPrinter(): (progress: ReplayProgress) => void {
  const isStatus = Deno.stderr.isTerminal();
  let shownMs = performance.now();
  return ({ phase, done, total }) => {
    const nowMs = performance.now();
    if (nowMs - shownMs < (isStatus ? STATUS_INTERVAL_MS : PROGRESS_INTERVAL_MS)) return;
    shownMs = nowMs;
    const line = `replay: ${describeProgress({ phase, done, total })}`;
    if (isStatus) showStatus(line, Deno.stderr);
    else printErrorLine(line);
  };
}

function describeProgress({ phase, done, total }: ReplayProgress): string {
  switch (phase) {
    case "journal":
      return `${inBytes(done)} of ${inBytes(total)} of the journal read`;
    case "sending":
      return `${withThousands(done)} of ${withThousands(total)} records sent`;
    case "proof":
      return `${withThousands(done)} of ${withThousands(total)} offsets of the topic read back`;
  }
}
