#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read=logs,config --allow-write=logs --allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*
/**
 * The producer: makes realistic orders and sends them to Kafka with delivery guaranteed.
 *
 *     deno task producer                              one order every 2 s, until Ctrl-C
 *     deno task producer --rate 1000 --duration 30s   a load
 *     deno task producer --ramp 100:10s,1000:30s,0:5s --ledger logs/ledger.jsonl
 *     deno task producer --rate max --count 100000 --json
 *
 * @module
 */

import { EXIT_FAILURE, EXIT_OK, runProgram } from "./lib/cli.ts";
import type { KafkaConnection } from "./lib/kafka/client.ts";
import { ClusterClient } from "./lib/kafka/cluster.ts";
import { connectionOf } from "./lib/kafka/connection_options.ts";
import { reasonOf } from "./lib/kafka/errors.ts";
import { keyPartitioner } from "./lib/kafka/partitioner.ts";
import { ProducerPool } from "./lib/kafka/producer.ts";
import { findStoredBatch } from "./lib/kafka/stored_batch.ts";
import { startLog } from "./lib/log.ts";
import { Accounts } from "./lib/producer/accounts.ts";
import { BadOrders } from "./lib/producer/bad_orders.ts";
import { Delivery } from "./lib/producer/delivery.ts";
import { describeSummary, ProducerDisplay } from "./lib/producer/display.ts";
import { pacingOf, parseProducerOptions, type ProducerOptions } from "./lib/producer/options.ts";
import { openOutputs } from "./lib/producer/outputs.ts";
import { orderParcels } from "./lib/producer/parcels.ts";
import { orderRouter } from "./lib/producer/routing.ts";
import { generateOrders } from "./lib/producer/run.ts";
import { createShop } from "./lib/shop.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { tracedSend } from "./lib/telemetry.ts";
import { printErrorLine, printLine } from "./lib/terminal.ts";
import { counted } from "./lib/text.ts";

const FLUSH_TIMEOUT_MS = 15_000;
const TOPIC_PARTITIONS = 3;
/** Half of what a broker takes by default (`max.message.bytes`). */
const BATCH_BYTES_MAX = 512 * 1024;
const WINDOW_MS = 5_000;

async function main(args: string[]): Promise<number> {
  const options = parseProducerOptions(args);
  const { topic, seed, compression } = options;
  const endLog = await startLog({ service: "order-producer", level: options.logLevel });
  const connection = connectionOf(options, { clientId: "orderflow-producer" });
  const { partitionCount, startOffsets, messageBytesMax } = await findTopic(options, connection);
  const outputs = openOutputs(options);
  const shop = createShop(options);
  const producers = new ProducerPool(connection, {
    partitionCount,
    producerCount: options.producers,
  });
  await producers.connect();

  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: no new orders; waiting for those under way`),
    onSecond: () => printErrorLine("stopped at once: what was under way is not accounted for"),
  });
  const startedAtMs = performance.now();
  const accounts = new Accounts({
    seed,
    startedAtMs,
    isSpoiling: options.bad !== undefined,
    ...(options.warmup !== undefined && { warmupMs: options.warmup }),
  });
  const isShown = !options.json && !options.quiet;
  using display = isShown ? new ProducerDisplay({ topic, accounts }) : undefined;
  const windowTimer = setInterval(() => {
    const window = accounts.closeWindow();
    display?.showWindow(window);
  }, WINDOW_MS);
  const delivery = new Delivery({
    partitionCount,
    batchBytesMax: BATCH_BYTES_MAX,
    startOffsets,
    send: (partition, records) =>
      tracedSend({
        topic,
        partition,
        records,
        isPropagated: true,
        reasonOf,
        send: (records) => producers.send({ topic, partition, records, compression }),
      }),
    findStored: (partition, records, search) =>
      findStoredBatch(connection, { topic, partition, records, ...search }),
    onLookup: (result, recordCount) => accounts.noteLookup(result, recordCount),
    onReport: (report) => {
      accounts.settle(report);
      outputs.add(report);
      display?.show(report);
    },
  });

  await generateOrders({
    nextParcel: orderParcels({
      shop,
      route: orderRouter(options.key, {
        partitionCount,
        partitionOfKey: keyPartitioner(partitionCount),
      }),
      ...(options.bad !== undefined && {
        badOrders: new BadOrders({
          percent: options.bad,
          kinds: options.badKinds,
          seed,
          oversizeBytes: messageBytesMax,
        }),
      }),
    }),
    pacing: pacingOf(options),
    delivery,
    accounts,
    startedAtMs,
    ...(options.startTime !== undefined && { orderTimeMs: options.startTime }),
    ...(options.count !== undefined && { count: options.count }),
    ...(options.duration !== undefined && { durationMs: options.duration }),
    bufferCount: options.buffer,
    stop: shutdown.requested,
  });
  const isFlushed = await delivery.flush(FLUSH_TIMEOUT_MS);
  if (!isFlushed) delivery.abandon(`no answer within ${FLUSH_TIMEOUT_MS / 1_000} s of the end`);
  clearInterval(windowTimer);
  const summary = accounts.summary();

  outputs.close(accounts);
  if (isFlushed) await producers.close();
  if (options.json) printLine(JSON.stringify(summary));
  else for (const line of describeSummary(summary)) printLine(line);
  if (accounts.notAcknowledged > 0) {
    printErrorLine(
      `${
        counted(accounts.notAcknowledged, "order")
      } not acknowledged: see ${outputs.undeliveredPath}`,
    );
  }
  await endLog();
  return accounts.notAcknowledged > 0 ? EXIT_FAILURE : EXIT_OK;
}

interface TopicFacts {
  readonly partitionCount: number;
  /** Where each partition ends before the run. */
  readonly startOffsets: ReadonlyMap<number, number>;
  readonly messageBytesMax: number;
}

async function findTopic(
  { topic, badKinds }: ProducerOptions,
  connection: KafkaConnection,
): Promise<TopicFacts> {
  await using cluster = await ClusterClient.connect(connection, "probe");
  const { partitionCount } = await cluster.ensureTopic(topic, { partitionCount: TOPIC_PARTITIONS });
  await cluster.requirePermission("Write", topic);
  const ranges = await cluster.allOffsets(topic);
  const messageBytesMax = badKinds.includes("oversize")
    ? await cluster.topicConfig(topic, "max.message.bytes")
    : undefined;
  return {
    partitionCount,
    startOffsets: new Map(ranges.map(({ partition, high }) => [partition, high])),
    messageBytesMax: Number(messageBytesMax ?? 0),
  };
}

if (import.meta.main) await runProgram(main);
