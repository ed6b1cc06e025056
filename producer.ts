#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read=logs --allow-write=logs --allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*
/**
 * The producer: makes realistic orders and sends them to Kafka with delivery guaranteed.
 *
 *     deno task producer                              one order every 2 s, until Ctrl-C
 *     deno task producer --rate 1000 --duration 30s   a load
 *     deno task producer --rate max --count 100000 --json
 *
 * @module
 */

import {
  brokerOption,
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  integerParser,
  logLevelOption,
  Option,
  parseDuration,
  parseRate,
  runProgram,
  topicOption,
} from "./lib/cli.ts";
import { ClusterClient } from "./lib/kafka/cluster.ts";
import { keyPartitioner } from "./lib/kafka/partitioner.ts";
import { ProducerPool } from "./lib/kafka/producer.ts";
import { type LogLevelName, startLog } from "./lib/log.ts";
import { Accounts } from "./lib/producer/accounts.ts";
import { Delivery } from "./lib/producer/delivery.ts";
import { describeSummary, ProducerDisplay } from "./lib/producer/display.ts";
import { type Rate, steadyPacing } from "./lib/producer/pacing.ts";
import { type KeyKind, orderRouter } from "./lib/producer/routing.ts";
import { generateOrders } from "./lib/producer/run.ts";
import { UndeliveredFile } from "./lib/producer/undelivered.ts";
import { createShop } from "./lib/shop.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { printErrorLine, printLine } from "./lib/terminal.ts";
import { counted } from "./lib/text.ts";

const UNDELIVERED_PATH = "logs/producer.undelivered.jsonl";
const FLUSH_TIMEOUT_MS = 15_000;
const TOPIC_PARTITIONS = 3;
/** Half of what a broker takes by default (`max.message.bytes`). */
const BATCH_BYTES_MAX = 512 * 1024;
const BUFFER_COUNT = 10_000;

interface ProducerOptions {
  readonly broker: readonly string[];
  readonly topic: string;
  readonly rate: Rate;
  readonly count?: number;
  readonly duration?: number;
  readonly seed?: number;
  readonly key: KeyKind;
  readonly compression: "none" | "gzip";
  readonly json: boolean;
  readonly quiet: boolean;
  readonly logLevel: LogLevelName;
}

async function main(args: string[]): Promise<number> {
  const options = parseOptions(args);
  const endLog = await startLog({ service: "order-producer", level: options.logLevel });
  const connection = { brokers: options.broker, clientId: "orderflow-producer" };
  const { partitionCount } = await findTopic(options, connection);

  const accounts = new Accounts();
  const undelivered = new UndeliveredFile(UNDELIVERED_PATH);
  const isShown = !options.json && !options.quiet;
  using display = isShown ? new ProducerDisplay({ topic: options.topic, accounts }) : undefined;
  const producers = new ProducerPool(connection, { partitionCount });
  await producers.connect();
  const delivery = new Delivery({
    partitionCount,
    batchBytesMax: BATCH_BYTES_MAX,
    send: (partition, records) =>
      producers.send({
        topic: options.topic,
        partition,
        records,
        compression: options.compression,
      }),
    onReport: (report) => {
      accounts.settle(report);
      undelivered.add(report);
      display?.show(report);
    },
  });
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: no new orders; waiting for those under way`),
    onSecond: () => printErrorLine("stopped at once: what was under way is not accounted for"),
  });
  const shop = createShop({
    seed: options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
  });

  const startedAtMs = performance.now();
  await generateOrders({
    nextOrder: (at) => shop.nextOrder(at),
    route: orderRouter(options.key, {
      partitionCount,
      partitionOfKey: keyPartitioner(partitionCount),
    }),
    pacing: steadyPacing(options.rate),
    delivery,
    accounts,
    ...(options.count !== undefined && { count: options.count }),
    ...(options.duration !== undefined && { durationMs: options.duration }),
    bufferCount: BUFFER_COUNT,
    stop: shutdown.requested,
  });
  const isFlushed = await delivery.flush(FLUSH_TIMEOUT_MS);
  if (!isFlushed) delivery.abandon(`no answer within ${FLUSH_TIMEOUT_MS / 1_000} s of the end`);
  const summary = accounts.summary(performance.now() - startedAtMs);

  undelivered.close();
  if (isFlushed) await producers.close();
  if (options.json) printLine(JSON.stringify(summary));
  else for (const line of describeSummary(summary)) printLine(line);
  if (accounts.notAcknowledged > 0) {
    printErrorLine(
      `${counted(accounts.notAcknowledged, "order")} not acknowledged: see ${UNDELIVERED_PATH}`,
    );
  }
  await endLog();
  return accounts.notAcknowledged > 0 ? EXIT_FAILURE : EXIT_OK;
}

function parseOptions(args: string[]): ProducerOptions {
  return createCommand({
    name: "producer",
    description: "Makes realistic orders and sends them to Kafka.",
  })
    .addOption(brokerOption())
    .addOption(topicOption())
    .addOption(new Option("--rate <n|max>", "orders a second").default(0.5).argParser(parseRate))
    .addOption(
      new Option("--count <n>", "end after so many orders").argParser(integerParser({ min: 1 })),
    )
    .addOption(
      new Option("--duration <time>", "end after this time, such as 30s").argParser(parseDuration),
    )
    .addOption(
      new Option("--seed <n>", "the same seed makes the same shop").argParser(
        integerParser({ min: 0 }),
      ),
    )
    .addOption(
      new Option("--key <kind>", "what decides about an order's partition")
        .choices(["customer", "order", "none"]).default("customer"),
    )
    .addOption(new Option("--compression <codec>").choices(["none", "gzip"]).default("none"))
    .option(
      "--json",
      "print one JSON object at the end, and nothing else on standard output",
      false,
    )
    .option("--quiet", "show the summary only", false)
    .addOption(logLevelOption())
    .parse(args, { from: "user" }).opts();
}

async function findTopic(
  { topic }: ProducerOptions,
  connection: { brokers: readonly string[]; clientId: string },
): Promise<{ partitionCount: number }> {
  await using cluster = await ClusterClient.connect(connection, "probe");
  return await cluster.ensureTopic(topic, { partitionCount: TOPIC_PARTITIONS });
}

if (import.meta.main) await runProgram(main);
