#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read=. --allow-write=logs --allow-env=NODE_ENV,INIT_CWD,KAFKA_*,KAFKAJS_*
/**
 * The producer: generates realistic orders, or takes your own records, and sends them to Kafka with delivery guaranteed.
 *
 *     deno task producer                              one order every 2 s, until Ctrl-C
 *     deno task producer --rate 1000 --duration 30s   a load
 *     deno task producer --ramp 100:10s,1000:30s,0:5s --ledger logs/ledger.jsonl
 *     deno task producer --rate max --count 100000 --json
 *     deno task producer --payload-file records.jsonl --rate 500 --duration 1m --fail-if 'p99>50ms'
 */

import { EXIT_FAILURE, runProgram } from "./lib/cli/cli.ts";
import { connectionOf } from "./lib/cli/connection_options.ts";
import { loggerOf, startLog } from "./lib/log.ts";
import { concludeRun, type Conclusion } from "./lib/producer/conclusion.ts";
import { describeSummary } from "./lib/producer/display.ts";
import { openMetricsEndpoint, producerMetrics } from "./lib/producer/metrics.ts";
import { openProducer } from "./lib/producer/open.ts";
import { parseProducerOptions, type ProducerOptions } from "./lib/producer/options.ts";
import { openRecordSource } from "./lib/producer/payload/own_records.ts";
import { nounOf } from "./lib/producer/payload/payload_options.ts";
import { createAccounts, runSession } from "./lib/producer/session.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { refuseSuspensionUnderTaskRunner } from "./lib/suspend.ts";
import { isStandardOutputIncomplete, printErrorLine, printResult } from "./lib/terminal.ts";

async function main(args: string[]): Promise<number> {
  const options = parseProducerOptions(args);
  const noun = nounOf(options);
  using _suspend = refuseSuspensionUnderTaskRunner();
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: no new ${noun}s; waiting for those under way`),
    onSecond: () => printErrorLine("stopped at once: what was under way is not accounted for"),
  });
  const log = loggerOf("producer");
  let metrics = () => producerMetrics(undefined);
  await using _metrics = options.metricsPort && openMetricsEndpoint({
    address: options.metricsPort,
    metrics: () => metrics(),
    log,
  });
  const endLog = await startLog({ service: "order-producer", level: options.logLevel });
  // A module's own code runs while it is loaded, for as long as it likes.
  const source = await shutdown.orStopped(openRecordSource(options, log));
  const connection = connectionOf(options, { clientId: "orderflow-producer" });
  const opened = shutdown.requested.aborted
    ? undefined
    : await shutdown.orStopped(openProducer(options, connection));
  if (opened === undefined) { // stopped before the first order
    return announce(concludeRun({ options, accounts: createAccounts(options), source }), options);
  }
  await using _cluster = opened;
  const conclusion = await runSession({
    args,
    options,
    connection,
    opened,
    source,
    log,
    stop: shutdown.requested,
    onStart(accounts) {
      const { topic } = options;
      const { throttling } = opened;
      metrics = () => producerMetrics({ topic, accounts, throttledMs: throttling.throttledMs });
    },
  });
  const exitCode = announce(conclusion, options);
  await endLog();
  return exitCode;
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
