#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read --allow-write --allow-env=NODE_ENV,INIT_CWD,KAFKA_*,KAFKAJS_*
/**
 * The tracker: consumes the orders, validates them, and keeps each record once in an audit journal.
 *
 *     deno task tracker                           until Ctrl-C
 *     deno task tracker --exit-at-end --json      what is there now, then the totals
 *     deno task tracker verify                    does the journal hold every record exactly once?
 *     deno task tracker redrive --dry-run         which dead letters would go back to the topic?
 *     deno task tracker search CUST-000270        the journal's records with this text
 *     deno task tracker replay --to restored      the journal's records back on a topic, each once
 */

import { EXIT_OK, NO_TOPIC, requireOtherDeadLetters, runProgram } from "./lib/cli/cli.ts";
import { connectionOf } from "./lib/cli/connection_options.ts";
import { loggerOf } from "./lib/log.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { refuseSuspensionUnderTaskRunner } from "./lib/suspend.ts";
import { printErrorLine } from "./lib/terminal.ts";
import { TrackerDisplay } from "./lib/tracker/display.ts";
import { openHealthEndpoint } from "./lib/tracker/health_endpoint.ts";
import { Metrics } from "./lib/tracker/metrics.ts";
import { type OpenedTracker, openTracker } from "./lib/tracker/open.ts";
import { startingMetrics } from "./lib/tracker/prometheus_metrics.ts";
import {
  redriveCommand,
  type RedriveCommandOptions,
  runRedrive,
} from "./lib/resend/redrive_command.ts";
import {
  replayCommand,
  type ReplayCommandOptions,
  runReplay,
} from "./lib/resend/replay_command.ts";
import { runSearch, searchCommand, type SearchCommandOptions } from "./lib/search/command.ts";
import { reportTotals, trackCommand, type TrackOptions } from "./lib/tracker/track_command.ts";
import { runVerify, verifyCommand, type VerifyCommandOptions } from "./lib/verify/command.ts";

async function main(args: string[]): Promise<number> {
  let exitCode = EXIT_OK;
  const program = trackCommand().action(async (options: TrackOptions) => {
    exitCode = await track(options);
  });
  program.addCommand(
    verifyCommand().action(async (options: VerifyCommandOptions) => {
      exitCode = await runVerify(options);
    }),
  );
  program.addCommand(
    redriveCommand().action(async (options: RedriveCommandOptions) => {
      exitCode = await runRedrive(options);
    }),
  );
  program.addCommand(
    searchCommand().action(async (text: string | undefined, options: SearchCommandOptions) => {
      exitCode = await runSearch(text, options);
    }),
  );
  program.addCommand(
    replayCommand().action(
      async (text: string | undefined, options: ReplayCommandOptions, self) => {
        exitCode = await runReplay(text, options, self);
      },
    ),
  );
  await program.parseAsync(args, { from: "user" });
  return exitCode;
}

async function track(options: TrackOptions): Promise<number> {
  requireOtherDeadLetters(options);
  const shown = options.json || options.quiet ? undefined : options;
  const connection = connectionOf(options, { clientId: "orderflow-tracker" });
  const health: { of: Pick<OpenedTracker, "notReadyReason" | "prometheusMetrics"> } = {
    of: { notReadyReason: "starting", prometheusMetrics: () => Promise.resolve(startingMetrics()) },
  };
  // These first: during a long journal recovery the tracker must be live, not ready, and able to stop.
  using _suspend = refuseSuspensionUnderTaskRunner();
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: finishing the records in hand`),
    onSecond: () => printErrorLine("stopped at once: the next start resumes from the journal"),
  });
  await using _health = options.healthPort === undefined ? undefined : openHealthEndpoint({
    hostname: options.healthHost,
    ...options.healthPort,
    notReadyReason: () => health.of.notReadyReason,
    metrics: () => health.of.prometheusMetrics(),
    log: loggerOf("tracker"),
  });
  const opening = openTracker({
    connection,
    topic: options.topic,
    createTopics: options.createTopics,
    groupId: options.group,
    logs: options.logs,
    rotateBytes: options.rotate,
    compress: options.compress,
    keepMs: options.keep,
    from: options.from,
    deadLetterTopic: options.deadLetters === NO_TOPIC ? undefined : options.deadLetters,
    schema: options.schema,
    logLevel: options.logLevel,
    logValues: options.logValues,
    showsDeadLetters: !options.json, // with --quiet, the totals include them
  });
  // Nothing is in progress before it is open, and the next start repeats an abandoned recovery.
  await using tracker = await shutdown.orStopped(opening);
  if (tracker === undefined) {
    return reportTotals(new Metrics().totals(), { ...options, undecided: [] });
  }
  health.of = tracker;
  using display = shown && new TrackerDisplay(tracker.metrics, {
    schema: options.schema,
    hasDeadLetters: options.deadLetters !== NO_TOPIC,
    logValues: options.logValues,
  });
  tracker.onJournaledRecords = (records) => display?.show(records);
  tracker.onDeadLettered = (record, failure) => display?.showBad(record, failure);

  const { undecided } = await tracker.run({
    stop: shutdown.requested,
    exitAtEnd: options.exitAtEnd,
  });
  return reportTotals(tracker.metrics.totals(), { ...options, undecided });
}

if (import.meta.main) await runProgram(main);
