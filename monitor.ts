#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-env=TERM,LANG,LC_ALL,LC_CTYPE
/**
 * Shows what a tracker does, from its journal and log alone: it uses no network and writes nothing.
 *
 *     deno task monitor                                a dashboard; without a terminal, a line for each change
 *     deno task monitor --once                         the figures now; exit code 0 healthy, 1 unhealthy, 3 stale or empty
 *     deno task monitor --once --json | jq .health
 *     deno task monitor --json --interval 5s           one JSON object per line
 *     deno task monitor --html > report.html           a web page; for a finished run a report, with exit code 0 or 1
 */

import {
  createCommand,
  durationParser,
  EXIT_FAILURE,
  EXIT_OK,
  logsOption,
  Option,
  OPTION_GROUPS,
  runProgram,
} from "./lib/cli/cli.ts";
import { checkFolder, Follower } from "./lib/monitor/follow.ts";
import type { HealthStatus } from "./lib/monitor/model/health.ts";
import { outcomeOf } from "./lib/monitor/model/outcome.ts";
import { formatHtml } from "./lib/monitor/views/html_view.ts";
import { formatJson } from "./lib/monitor/views/json_view.ts";
import { showJsonLines, showTextLines } from "./lib/monitor/views/live_lines.ts";
import { formatProgress, formatText } from "./lib/monitor/views/text_view.ts";
import { openDashboard } from "./lib/monitor/screen/dashboard.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { hasPersonAtTerminal, printErrorLine, printLine, showStatus } from "./lib/terminal.ts";
import { printable } from "./lib/text.ts";
import { UsageError } from "./lib/usage_error.ts";

const PROGRESS_MS = 200;

interface MonitorOptions {
  readonly logs: string;
  readonly once?: boolean;
  readonly json?: boolean;
  readonly html?: boolean;
  readonly interval: number;
}

async function main(args: string[]): Promise<number> {
  const options = parseOptions(args);
  checkFolder(options.logs);

  using follower = new Follower(options.logs);
  return options.once || options.html
    ? await showOnce(follower, options)
    : await showUntilStopped(follower, options);
}

function parseOptions(args: string[]): MonitorOptions {
  const options = createCommand({
    name: "monitor",
    description: "Shows what a tracker does, from its journal and its log: a dashboard on a " +
      "terminal, lines elsewhere.",
    argumentAdvice: "with --html the page goes to standard output: --html > FILE",
    examples: EXAMPLES,
  })
    .optionsGroup(OPTION_GROUPS.data)
    .addOption(logsOption())
    .optionsGroup(OPTION_GROUPS.output)
    .option(
      "--once",
      "print the figures once; exit code 0 healthy, 1 unhealthy, 3 stale or no data " +
        "(default: until Ctrl-C)",
    )
    .option("--json", "print JSON: one object per line, or a single one with --once")
    .option("--html", "a self-contained page: the report of a finished run, or the figures of now")
    .addOption(
      new Option("--interval <time>", "minimum interval between lines or frames, such as 5s")
        .argParser(durationParser({ min: "100ms", max: "24h" })).default(500, "500ms"),
    )
    .parse(args, { from: "user" })
    .opts<MonitorOptions>();
  if (options.json && options.html) {
    throw new UsageError("--json and --html cannot be used together");
  }
  return options;
}

const EXAMPLES = [
  ["deno task monitor --logs /var/log/orderflow"],
  ["deno task monitor --once --json | jq .health", "healthy, unhealthy, stale, ..."],
  ["deno task monitor --json --interval 5s", "a line of JSON every 5 s, if anything changed"],
  ["deno task monitor --html > report.html"],
] as const;

const EXIT_CODES: Readonly<Record<HealthStatus, number>> = {
  healthy: 0,
  unhealthy: 1,
  stale: 3,
  counting: 3,
  no_data: 3,
};

async function showOnce(follower: Follower, { logs, ...face }: MonitorOptions): Promise<number> {
  const progress = setInterval(() => showStatus(formatProgress(follower.status())), PROGRESS_MS);
  await follower.catchUp().finally(() => clearInterval(progress));
  const snapshot = follower.snapshot();
  if (snapshot.health.state === "absent" && !isFolder(logs)) {
    printErrorLine(`there is no folder "${printable(logs)}" (--logs): the tracker makes it`);
  }
  const format = face.json ? formatJson : face.html ? formatHtml : formatText;
  const text = format(snapshot, {
    folder: logs,
    commandLine: ["monitor", ...Deno.args].join(" "),
  });
  if (!printLine(text)) return EXIT_FAILURE;
  const { isFinished, problems } = outcomeOf(snapshot);
  // A finished run is not stale: nothing more will come.
  if (face.html && isFinished) return problems.length > 0 ? EXIT_FAILURE : EXIT_OK;
  return EXIT_CODES[snapshot.health.status];
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

async function showUntilStopped(follower: Follower, options: MonitorOptions): Promise<number> {
  using shutdown = listenForShutdown({
    onFirst: () => {},
    onSecond: (signal) => printErrorLine(`${signal} again: leaving at once`),
  });
  const signal = shutdown.requested;
  if (!options.json && hasPersonAtTerminal()) {
    await openDashboard({
      follower,
      folder: options.logs,
      intervalMs: options.interval,
      signal,
      onQuit: () => shutdown.request("the user quit the dashboard"),
    });
    return 0;
  }
  const print = (line: string) => {
    if (!printLine(line)) shutdown.request("standard output cannot be written");
  };
  const show = options.json ? showJsonLines : showTextLines;
  await Promise.all([
    follower.follow(signal),
    show({ follower, intervalMs: options.interval, signal, print }),
  ]);
  return 0;
}

if (import.meta.main) await runProgram(main);
