/**
 * The command `tracker verify`: its options and its output.
 */

import {
  brokerOption,
  type ClusterOptions,
  type Command,
  configOption,
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  jsonOption,
  listParser,
  logLevelOption,
  Option,
  OPTION_GROUPS,
  topicOption,
} from "../cli/cli.ts";
import { ClusterClient } from "../kafka/cluster.ts";
import { connectionOf } from "../cli/connection_options.ts";
import { type LogLevelName, startLog } from "../log.ts";
import { isTerminal, printResult } from "../terminal.ts";
import { checkLedger } from "./ledger_check.ts";
import { progressReporter } from "./progress.ts";
import { describeLedger, describeVerification } from "./report.ts";

export interface VerifyCommandOptions extends ClusterOptions {
  readonly topic: string;
  readonly logs: readonly string[];
  readonly ledger?: string;
  readonly json: boolean;
  readonly logLevel: LogLevelName;
}

export function verifyCommand(): Command {
  return createCommand({
    name: "verify",
    description: "Verifies that the journal holds every record of the topic exactly once. " +
      "Exit code 1 if it does not.",
    examples: [
      ["deno task tracker verify"],
      ["deno task tracker verify --logs logs/a --logs logs/b", "the journals of two trackers"],
      [
        "deno task tracker verify --ledger logs/ledger.jsonl",
        "also checks what the producer had acknowledged",
      ],
    ],
  })
    .optionsGroup(OPTION_GROUPS.cluster)
    .addOption(brokerOption())
    .addOption(configOption())
    .addOption(topicOption())
    .optionsGroup(OPTION_GROUPS.journal)
    .addOption(
      new Option("--logs <folder>", "folder of a journal; repeat to judge several together")
        .default(["logs"], "logs").argParser(listParser(String)),
    )
    .option(
      "--ledger <file>",
      "ledger of a producer, whose records must all be in the topic (default: none)",
    )
    .optionsGroup(OPTION_GROUPS.output)
    .addOption(jsonOption())
    .addOption(logLevelOption());
}

export async function runVerify(options: VerifyCommandOptions): Promise<number> {
  const { topic, ledger: path, json } = options;
  const endLog = await startLog({ service: "order-verify", level: options.logLevel });
  const connection = connectionOf(options, { clientId: "orderflow-verify" });
  await using cluster = await ClusterClient.connect(connection, "probe");
  await cluster.requireTopic(topic);
  await cluster.requirePermission("Read", topic);
  const { verifyJournals } = await import("./verify.ts"); // the tracker starts without it
  const verification = await verifyJournals({
    cluster,
    connection,
    topic,
    directories: options.logs,
    onProgress: progressReporter({ isStatus: !json && isTerminal() }),
  });
  const ledger = path === undefined
    ? undefined
    : await checkLedger({ cluster, connection, topic, path });
  const ok = verification.ok && (ledger?.ok ?? true);
  if (json) {
    printResult([
      JSON.stringify(ledger === undefined ? verification : { ...verification, ledger, ok }),
    ]);
  } else {
    printResult([
      ...(ledger === undefined ? [] : [describeLedger(ledger)]),
      ...describeVerification(verification),
    ]);
  }
  await endLog();
  return ok ? EXIT_OK : EXIT_FAILURE;
}
