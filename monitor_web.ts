#!/usr/bin/env -S deno run --no-prompt --allow-net=127.0.0.1 --allow-read
/**
 * The monitor as a live page, from a tracker's files: no writing, and no network but the port that it serves.
 *
 *     deno task monitor:web                            http://127.0.0.1:8080/
 *     deno task monitor:web --logs DIR --serve 127.0.0.1:9000
 */

import { createCommand, logsOption, Option, OPTION_GROUPS, runProgram } from "./lib/cli/cli.ts";
import { type ListenAddress, parseListenAddress } from "./lib/cli/listen_address.ts";
import { checkFolder, Follower } from "./lib/monitor/follow.ts";
import { serveMonitor } from "./lib/monitor/web/server.ts";
import { linesAt } from "./lib/search/lines_at.ts";
import { listenForShutdown } from "./lib/shutdown.ts";
import { messageOf } from "./lib/system_error.ts";
import { printErrorLine, printLine } from "./lib/terminal.ts";

const LOOPBACK = "127.0.0.1";

interface WebOptions {
  readonly logs: string;
  readonly serve: ListenAddress;
}

async function main(args: string[]): Promise<void> {
  const { logs, serve } = parseOptions(args);
  checkFolder(logs);
  // The permission is for the address, so a name for it would not be covered.
  const { hostname = LOOPBACK, port } = serve;
  const address = { hostname: hostname === "localhost" ? LOOPBACK : hostname, port };
  const where = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;

  using shutdown = listenForShutdown({
    onFirst: () => {},
    onSecond: (signal) => printErrorLine(`${signal} again: leaving at once`),
  });
  using follower = new Follower(logs);
  await using _server = openServer({ follower, logs, address, where });
  printLine(`The monitor of ${logs} is at http://${where}/ (Ctrl-C ends it)`);
  await follower.follow(shutdown.requested);
}

function parseOptions(args: string[]): WebOptions {
  return createCommand({
    name: "monitor:web",
    description: "Serves the monitor as a live page, from the tracker's journal and log.",
    examples: EXAMPLES,
  })
    .optionsGroup(OPTION_GROUPS.data)
    .addOption(logsOption())
    .optionsGroup(OPTION_GROUPS.output)
    .addOption(
      new Option("--serve <[host:]port>", "address to serve the page on")
        .argParser(parseListenAddress).default(
          { hostname: LOOPBACK, port: 8080 },
          "127.0.0.1:8080",
        ),
    )
    .parse(args, { from: "user" })
    .opts<WebOptions>();
}

const EXAMPLES = [
  ["deno task monitor:web --logs /var/log/orderflow"],
  ["deno task monitor:web --serve 9000", "another port of this machine"],
] as const;

function openServer(
  { follower, logs, address, where }: {
    readonly follower: Follower;
    readonly logs: string;
    readonly address: Required<ListenAddress>;
    readonly where: string;
  },
): AsyncDisposable {
  try {
    return serveMonitor({
      ...address,
      folder: logs,
      follower,
      linesAt: (place, signal) => linesAt(logs, place, signal),
      onFailure: (error) =>
        printErrorLine(`${where} accepts no connections, will retry: ${messageOf(error)}`),
      onRecovery: () => printErrorLine(`${where} accepts connections again`),
    });
  } catch (error) {
    throw new Error(
      error instanceof Deno.errors.NotCapable
        ? `cannot serve the page at ${where}: this task may listen on ${LOOPBACK} only, because ` +
          "whoever reaches the page can read every record. To serve it there all the same: " +
          `deno run --no-prompt --allow-net=${where} --allow-read monitor_web.ts --logs ${
            quoted(logs)
          } --serve ${where}`
        : `cannot serve the page at ${where} (${messageOf(error)}): name another port with --serve`,
      { cause: error },
    );
  }
}

/** As a shell takes it. */
function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

if (import.meta.main) await runProgram(main);
