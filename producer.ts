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

import { EXIT_FAILURE, EXIT_OK, runProgram } from "./lib/cli/cli.ts";
import { connectionOf } from "./lib/cli/connection_options.ts";
import { reasonOf } from "./lib/kafka/errors.ts";
import { keyPartitioner } from "./lib/kafka/partitioner.ts";
import { findStoredBatch } from "./lib/kafka/stored_batch.ts";
import { loggerOf, startLog } from "./lib/log.ts";
import { Accounts } from "./lib/producer/accounts.ts";
import { BadOrders } from "./lib/producer/bad_orders.ts";
import { Delivery } from "./lib/producer/delivery.ts";
import { describeSummary, ProducerDisplay } from "./lib/producer/display.ts";
import { openProducer } from "./lib/producer/open.ts";
import { pacingOf, parseProducerOptions, type ProducerOptions } from "./lib/producer/options.ts";
import { OutageWatch } from "./lib/producer/outage_watch.ts";
import { openOutputs } from "./lib/producer/outputs.ts";
import { orderParcels } from "./lib/producer/parcels.ts";
import { orderRouter } from "./lib/producer/routing.ts";
import { generateOrders } from "./lib/producer/run.ts";
import { createShop } from "./lib/shop/shop.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { tracedSend } from "./lib/telemetry.ts";
import { printErrorLine, printResult } from "./lib/terminal.ts";
import { counted } from "./lib/text.ts";

const FLUSH_TIMEOUT_MS = 15_000;
/** Half of what a broker takes by default (`max.message.bytes`). */
const BATCH_BYTES_MAX = 512 * 1024;
const WINDOW_MS = 5_000;

async function main(args: string[]): Promise<number> {
  const options = parseProducerOptions(args);
  const { topic, seed, compression } = options;
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: no new orders; waiting for those under way`),
    onSecond: () => printErrorLine("stopped at once: what was under way is not accounted for"),
  });
  const endLog = await startLog({ service: "order-producer", level: options.logLevel });
  const connection = connectionOf(options, { clientId: "orderflow-producer" });
  const opened = await shutdown.orStopped(openProducer(options, connection));
  if (opened === undefined) {
    report(createAccounts(options), options); // stopped before the first order
    return EXIT_OK;
  }
  const { producers, partitionCount, startOffsets, messageBytesMax } = opened;
  const log = loggerOf("producer");
  const outputs = openOutputs({ ...options, log });
  const shop = createShop(options);

  const startedAtMs = performance.now();
  const accounts = createAccounts(options, startedAtMs);
  const isShown = !options.json && !options.quiet;
  using display = isShown ? new ProducerDisplay({ topic, accounts }) : undefined;
  const windowTimer = setInterval(() => {
    const window = accounts.closeWindow();
    display?.showWindow(window);
  }, WINDOW_MS);
  using outage = new OutageWatch({
    log,
    unsettledCount: () => accounts.generated - accounts.acknowledged - accounts.notAcknowledged,
  });
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
        send: (records) =>
          outage.watched(
            partition,
            () => producers.send({ topic, partition, records, compression }),
          ),
      }),
    findStored: (partition, records, search) =>
      outage.watched(
        partition,
        () => findStoredBatch(connection, { topic, partition, records, ...search }),
      ),
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
  accounts.closeLastWindow();

  const shortfalls = outputs.close(accounts);
  if (isFlushed) await producers.close();
  report(accounts, options);
  if (accounts.notAcknowledged > 0) {
    printErrorLine(
      `${
        counted(accounts.notAcknowledged, "order")
      } not acknowledged: see ${outputs.undeliveredPath}`,
    );
  }
  for (const shortfall of shortfalls) printErrorLine(shortfall);
  await endLog();
  return accounts.notAcknowledged + shortfalls.length > 0 ? EXIT_FAILURE : EXIT_OK;
}

function createAccounts(
  { seed, bad, warmup }: ProducerOptions,
  startedAtMs = performance.now(),
): Accounts {
  return new Accounts({
    seed,
    startedAtMs,
    isSpoiling: bad !== undefined,
    ...(warmup !== undefined && { warmupMs: warmup }),
  });
}

function report(accounts: Accounts, { json }: ProducerOptions): void {
  const summary = accounts.summary();
  printResult(json ? [JSON.stringify(summary)] : describeSummary(summary));
}

if (import.meta.main) await runProgram(main);
