/**
 * A program that stops in order 200 ms after it is asked to. The scenario determines which signals it sends to itself
 * and when, which is exact even on a loaded machine.
 */

import { listenForShutdown } from "../lib/shutdown.ts";
import { printLine } from "../lib/terminal.ts";

const SCENARIOS: Readonly<Record<string, readonly (readonly [atMs: number, Deno.Signal])[]>> = {
  "one": [[0, "SIGINT"]],
  "three at once": [[0, "SIGINT"], [0, "SIGINT"], [3, "SIGINT"]],
  "SIGINT, then SIGTERM": [[0, "SIGINT"], [100, "SIGTERM"]],
  "SIGTERM, then SIGINT": [[0, "SIGTERM"], [100, "SIGINT"]],
  "all three": [[0, "SIGHUP"], [1, "SIGTERM"], [2, "SIGINT"]],
  "again after 0.9 s": [[0, "SIGINT"], [900, "SIGINT"]],
  "again after 1.2 s": [[0, "SIGINT"], [1_200, "SIGINT"]],
  "another one after 1.2 s": [[0, "SIGINT"], [1_200, "SIGTERM"]],
  "repeats, then again": [[0, "SIGINT"], [900, "SIGINT"], [1_200, "SIGTERM"]],
  "terminal closed": [[0, "SIGHUP"]],
  "terminal closed meanwhile": [[0, "SIGINT"], [1_200, "SIGHUP"]],
};
const [scenario = "", stopMs = "200"] = Deno.args;
const STALL_MS = 1_500;

const stop = Promise.withResolvers<void>();
{
  using shutdown = listenForShutdown({
    onFirst(signal) {
      printLine(`stopping: ${signal}`);
      if (scenario === "stalled after the first") {
        Deno.kill(Deno.pid, "SIGINT");
        const startMs = performance.now();
        while (performance.now() - startMs < STALL_MS);
      }
      setTimeout(stop.resolve, Number(stopMs));
    },
    onSecond: (signal) => printLine(`forced: ${signal}`),
  });
  if (scenario === "from inside, then a signal") {
    shutdown.request("the person left");
    setTimeout(stop.resolve, Number(stopMs));
  }
  for (const [atMs, signal] of SCENARIOS[scenario] ?? [[0, "SIGINT"]]) {
    setTimeout(() => Deno.kill(Deno.pid, signal), atMs);
  }
  await stop.promise;
  printLine(`stopped: ${shutdown.requested.reason}`);
}
if (scenario === "again after the end") {
  Deno.kill(Deno.pid, "SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 100));
}
Deno.exit(0);
