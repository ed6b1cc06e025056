#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read=logs,config --allow-write=logs --allow-env=NODE_ENV,INIT_CWD,KAFKA_*,KAFKAJS_*
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
import { loggerOf, startLog } from "./lib/log.ts";
import { Accounts } from "./lib/producer/accounts.ts";
import { BadOrders } from "./lib/producer/bad_orders.ts";
import { openDelivery } from "./lib/producer/cluster_delivery.ts";
import { describeSummary, ProducerDisplay } from "./lib/producer/display.ts";
import { openMetricsEndpoint, producerMetrics } from "./lib/producer/metrics.ts";
import { openProducer } from "./lib/producer/open.ts";
import { pacingOf, parseProducerOptions, type ProducerOptions } from "./lib/producer/options.ts";
import { openOutputs } from "./lib/producer/outputs.ts";
import { orderParcels } from "./lib/producer/parcels.ts";
import { OrderRouter } from "./lib/producer/routing.ts";
import { generateOrders } from "./lib/producer/run.ts";
import { createShop } from "./lib/shop/shop.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { refuseSuspensionUnderTaskRunner } from "./lib/suspend.ts";
import { printErrorLine, printResult } from "./lib/terminal.ts";
import { counted } from "./lib/text.ts";

const FLUSH_TIMEOUT_MS = 15_000;
const WINDOW_MS = 5_000;

async function main(args: string[]): Promise<number> {
  const options = parseProducerOptions(args);
  const { topic, seed } = options;
  using _suspend = refuseSuspensionUnderTaskRunner();
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: no new orders; waiting for those under way`),
    onSecond: () => printErrorLine("stopped at once: what was under way is not accounted for"),
  });
  let metrics = () => producerMetrics(undefined);
  await using _metrics = options.metricsPort && openMetricsEndpoint({
    address: options.metricsPort,
    metrics: () => metrics(),
    log: loggerOf("producer"),
  });
  const endLog = await startLog({ service: "order-producer", level: options.logLevel });
  const connection = connectionOf(options, { clientId: "orderflow-producer" });
  const opened = await shutdown.orStopped(openProducer(options, connection));
  if (opened === undefined) {
    report(createAccounts(options), options); // stopped before the first order
    return EXIT_OK;
  }
  await using _cluster = opened;
  const log = loggerOf("producer");
  const outputs = openOutputs({ ...options, log });
  const shop = createShop(options);

  const startedAtMs = performance.now();
  const accounts = createAccounts(options, startedAtMs);
  const { throttling } = opened;
  metrics = () => producerMetrics({ topic, accounts, throttledMs: throttling.throttledMs });
  const isShown = !options.json && !options.quiet;
  using display = isShown ? new ProducerDisplay({ topic, accounts }) : undefined;
  const windowTimer = setInterval(() => {
    const window = accounts.closeWindow();
    display?.showWindow(window);
  }, WINDOW_MS);
  const router = new OrderRouter(options.key, opened.found.partitionCount);
  using deliveries = openDelivery({
    connection,
    options,
    opened,
    router,
    accounts,
    onReport(report) {
      accounts.settle(report);
      outputs.add(report);
      display?.show(report);
    },
  });
  const { delivery } = deliveries;

  await generateOrders({
    nextParcel: orderParcels({
      shop,
      route: (order) => router.route(order),
      ...(options.bad !== undefined && {
        badOrders: new BadOrders({
          percent: options.bad,
          kinds: options.badKinds,
          seed,
          oversizeBytes: opened.messageBytesMax,
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
  accounts.noteThrottled(opened.throttling.throttledMs);
  accounts.noteTopic(delivery.topicId);

  const shortfalls = outputs.close(accounts);
  if (isFlushed) await opened.producers.close();
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
  const lostCount = accounts.notAcknowledged + accounts.lostWithTopic;
  return lostCount + shortfalls.length > 0 ? EXIT_FAILURE : EXIT_OK;
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
