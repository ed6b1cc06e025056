#!/usr/bin/env -S deno run --quiet --no-prompt --allow-net --allow-read --allow-write --allow-run=java,mvn,docker,setpriv --allow-env=KAFKA_BROKER
/**
 * A Kafka broker for development: runs until Ctrl-C.
 *
 *     deno task broker
 *     deno task broker --port 9192 --data /tmp/kafka
 *     deno task broker --nodes 3
 *
 * Uses Docker Compose if a Docker engine answers, otherwise Kafka's jars on Java 17 or newer, which Maven fetches
 * once. Creates the topics `orders` and `orders-dlq`, so that the programs can be started in any order. Without
 * `--quiet`, Deno would print each permitted command that this machine lacks.
 */

import { resolve } from "node:path";
import {
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  integerParser,
  OPTION_GROUPS,
  runProgram,
} from "../lib/cli/cli.ts";
import { DEAD_LETTER_TOPIC_CONFIG } from "../lib/tracker/dead_letter_config.ts";
import { listenForShutdown, whenAborted } from "../lib/shutdown.ts";
import { printErrorLine, printLine } from "../lib/terminal.ts";
import { createTopics } from "./create_topics.ts";
import { ensureBroker, type EnsuredBroker, startNodes } from "./ensure_broker.ts";
import { showWaiting } from "./waiting.ts";

const DEFAULT_PORT = 9092;
const DEFAULT_DATA = ".kafka/data";
const PROGRAM_TOPICS = [
  { topic: "orders", partitionCount: 3 },
  { topic: "orders-dlq", partitionCount: 3, config: DEAD_LETTER_TOPIC_CONFIG },
];

async function main(args: string[]): Promise<number> {
  const { address, dataDir, nodes } = parseOptions(args);

  using shutdown = listenForShutdown({
    onFirst: (signal) => printLine(`${signal}: stopping the broker (again to exit immediately)`),
    onSecond: (signal) => printErrorLine(`${signal} again: exiting immediately`),
  });
  const signal = shutdown.requested;
  const site = { dataDir, log: (line: string) => void printLine(line), signal };
  const waiting = showWaiting();
  const broker = await shutdown.unlessStopped(
    nodes === 1
      ? ensureBroker({ ...site, address })
      : startNodes({ ...site, ports: portsOf(address, nodes) }),
  ).finally(() => waiting[Symbol.dispose]());
  if (broker === undefined) return EXIT_OK;
  if (!broker.startedHere) {
    printLine(`A Kafka broker already answers at ${broker.address}; nothing to start`);
    return EXIT_OK;
  }

  await createProgramTopics(broker);
  describe(broker, dataDir);
  const endedByItself = await Promise.race([
    broker.ended.then(() => true),
    whenAborted(signal).then(() => false),
  ]);
  await broker.stop();
  if (endedByItself && !signal.aborted) {
    printErrorLine(`error: the broker exited unexpectedly: see ${dataDir}/broker.log`);
    return EXIT_FAILURE;
  }
  printLine("the broker has stopped; its data is kept for the next start");
  return EXIT_OK;
}

/** Creates the topics. A failure is only reported, because the broker is useful without them. */
async function createProgramTopics({ address }: EnsuredBroker): Promise<void> {
  const [first = ""] = address.split(",");
  try {
    await createTopics(first, PROGRAM_TOPICS);
    printLine("the topics orders and orders-dlq exist");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    printErrorLine(`the topics orders and orders-dlq cannot be created: ${reason}`);
  }
}

/** Returns consecutive ports, starting with the address's. */
function portsOf(address: string, count: number): readonly number[] {
  const port = Number(address.split(":").at(-1));
  return Array.from({ length: count }, (_, index) => port + index);
}

function parseOptions(args: string[]): { address: string; dataDir: string; nodes: number } {
  const command = createCommand({
    name: "broker",
    description: "Runs a Kafka broker for development until Ctrl-C: with Docker Compose if an " +
      "engine answers, otherwise from Kafka's jars (Java 17 or newer, Maven).",
    examples: [
      ["deno task broker"],
      ["deno task broker --port 9192 --data .kafka/other", "a second, independent broker"],
      ["deno task broker --nodes 3", "a cluster at ports 9092 to 9094"],
    ],
  })
    .optionsGroup(OPTION_GROUPS.cluster)
    .option(
      "--port <number>",
      `port to listen on (default: that of KAFKA_BROKER, else ${DEFAULT_PORT})`,
      integerParser({ min: 1, max: 65_535 }),
    )
    .option(
      "--nodes <number>",
      "number of nodes, on consecutive ports; 3 keep every record three times, so that one can fail",
      integerParser({ min: 1, max: 5 }),
      1,
    )
    .option(
      "--data <folder>",
      "folder for the broker's data, if it runs from the jars",
      DEFAULT_DATA,
    );
  command.parse(args, { from: "user" });
  const { port, data, nodes } = command.opts<{ port?: number; data: string; nodes: number }>();
  const address = port === undefined
    ? Deno.env.get("KAFKA_BROKER") || `localhost:${DEFAULT_PORT}`
    : `localhost:${port}`;
  return { address, nodes, dataDir: resolve(nodes === 1 ? data : `${data}-${nodes}-nodes`) };
}

function describe(broker: EnsuredBroker, dataDir: string): void {
  printLine(
    broker.how === "compose"
      ? "running in Docker Compose, data in the volume kafka-data"
      : `running from Kafka's jars, data in ${dataDir}`,
  );
  printLine(`Kafka answers at ${broker.address}; Ctrl-C stops it`);
}

if (import.meta.main) await runProgram(main);
