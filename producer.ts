#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read=. --allow-write=logs --allow-env=NODE_ENV,INIT_CWD,KAFKA_*,KAFKAJS_*
/**
 * The producer: generates realistic orders, or takes your own records, and sends them to Kafka with delivery guaranteed.
 *
 *     deno task producer                              one order every 2 s, until Ctrl-C
 *     deno task producer --rate 1000 --duration 30s   a load
 *     deno task producer --ramp 100:10s,1000:30s,0:5s --ledger logs/ledger.jsonl
 *     deno task producer --rate max --count 100000 --json
 *     deno task producer --payload-file records.jsonl --rate 500 --duration 1m --fail-if 'p99>50ms'
 *
 * @module
 */

import { EXIT_FAILURE, runProgram } from "./lib/cli/cli.ts";
import { connectionOf } from "./lib/cli/connection_options.ts";
import { loggerOf, startLog } from "./lib/log.ts";
import { Accounts } from "./lib/producer/accounts.ts";
import { openDelivery } from "./lib/producer/cluster_delivery.ts";
import { concludeRun, type Conclusion } from "./lib/producer/conclusion.ts";
import { describeSummary, ProducerDisplay } from "./lib/producer/display.ts";
import { openProducer } from "./lib/producer/open.ts";
import { pacingOf, parseProducerOptions, type ProducerOptions } from "./lib/producer/options.ts";
import { openOutputs } from "./lib/producer/outputs.ts";
import { openRecordSource } from "./lib/producer/payload/own_records.ts";
import { nounOf } from "./lib/producer/payload/payload_options.ts";
import { PayloadError } from "./lib/producer/payload/source.ts";
import { parcelsOf } from "./lib/producer/record_choice.ts";
import { createReport } from "./lib/producer/report.ts";
import { OrderRouter } from "./lib/producer/routing.ts";
import { generateOrders } from "./lib/producer/run.ts";
import { SecondSeries } from "./lib/producer/series.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { refuseSuspensionUnderTaskRunner } from "./lib/suspend.ts";
import { isStandardOutputIncomplete, printErrorLine, printResult } from "./lib/terminal.ts";

const FLUSH_TIMEOUT_MS = 15_000;
const WINDOW_MS = 5_000;

async function main(args: string[]): Promise<number> {
  const options = parseProducerOptions(args);
  const noun = nounOf(options);
  using _suspend = refuseSuspensionUnderTaskRunner();
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: no new ${noun}s; waiting for those under way`),
    onSecond: () => printErrorLine("stopped at once: what was under way is not accounted for"),
  });
  const endLog = await startLog({ service: "order-producer", level: options.logLevel });
  const log = loggerOf("producer");
  const source = await openRecordSource(options, log);
  const connection = connectionOf(options, { clientId: "orderflow-producer" });
  const opened = await shutdown.orStopped(openProducer(options, connection));
  if (opened === undefined) { // stopped before the first order
    return announce(concludeRun({ options, accounts: createAccounts(options), source }), options);
  }
  await using _cluster = opened;
  const outputs = openOutputs(options, log);
  const router = new OrderRouter(options.key, opened.found.partitionCount);
  const nextParcel = parcelsOf(options, { source, router, opened });

  const startedAtMs = performance.now();
  const accounts = createAccounts(options, startedAtMs);
  const report = createReport({ args, options, connection, opened, accounts });
  using display = options.quiet
    ? undefined
    : new ProducerDisplay({ ...options, accounts, noun, isProgressOnly: options.json });
  const windowTimer = setInterval(() => {
    const window = accounts.closeWindow();
    display?.showWindow(window);
  }, WINDOW_MS);
  using deliveries = openDelivery({
    connection,
    options,
    opened,
    router,
    accounts,
    onReport(report) {
      accounts.settle(report);
      outputs.add(report);
      series?.add(report);
      display?.show(report);
    },
  });
  const { delivery } = deliveries;
  const series = options.series === undefined && options.report === undefined
    ? undefined
    : new SecondSeries({
      accounts,
      startedAtMs,
      inFlight: () => delivery.unsettledCount,
      onRow(row) {
        outputs.addRow(row);
        report.addRow(row);
      },
    });

  const payloadError = await generateOrders({
    nextParcel,
    pacing: pacingOf(options),
    delivery,
    accounts,
    startedAtMs,
    ...(options.startTime !== undefined && { orderTimeMs: options.startTime }),
    ...(options.count !== undefined && { count: options.count }),
    ...(options.duration !== undefined && { durationMs: options.duration }),
    bufferCount: options.buffer,
    stop: shutdown.requested,
  }).then(() => undefined, payloadErrorOf);
  const isFlushed = await delivery.flush(FLUSH_TIMEOUT_MS);
  if (!isFlushed) delivery.abandon(`no answer within ${FLUSH_TIMEOUT_MS / 1_000} s of the end`);
  clearInterval(windowTimer);
  series?.close();
  accounts.closeLastWindow();
  accounts.noteThrottled(opened.throttling.throttledMs);
  accounts.noteTopic(delivery.topicId);

  const { undeliveredPath } = outputs;
  const end = { options, accounts, source, undeliveredPath, payloadError };
  const shortfalls = [...outputs.close(accounts)];
  shortfalls.push(...outputs.writeReport(() => report.page(concludeRun({ ...end, shortfalls }))));
  if (isFlushed) await opened.producers.close();
  const exitCode = announce(concludeRun({ ...end, shortfalls }), options);
  await endLog();
  return exitCode;
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

/** A run whose records end too early is still accounted for. */
function payloadErrorOf(error: unknown): PayloadError {
  if (error instanceof PayloadError) return error;
  throw error;
}

/** Prints how the run ended, and returns its exit code. */
function announce(conclusion: Conclusion, { json }: ProducerOptions): number {
  const { result, noun, thresholdLines, problems, warnings, exitCode } = conclusion;
  printResult(
    json ? [JSON.stringify(result)] : [...describeSummary(result, noun), ...thresholdLines],
  );
  for (const line of [...(json ? thresholdLines : []), ...warnings, ...problems]) {
    printErrorLine(line);
  }
  return isStandardOutputIncomplete() ? EXIT_FAILURE : exitCode;
}

if (import.meta.main) await runProgram(main);
