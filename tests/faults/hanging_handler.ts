/** Runs a tracker with a handler that never returns, until SIGTERM. */

import { openTracker } from "../../mod.ts";
import { runProgram } from "../../lib/cli/cli.ts";
import { listenForShutdown } from "../../lib/shutdown.ts";

const [broker = "", topic = "", groupId = "", logs = ""] = Deno.args;

async function main(): Promise<void> {
  using shutdown = listenForShutdown({ onFirst: () => {}, onSecond: () => {} });
  await using tracker = await openTracker({
    connection: { brokers: [broker], clientId: "hanging-handler" },
    topic,
    groupId,
    logs,
    from: "earliest",
    deadLetterTopic: undefined,
    schema: "order",
    logLevel: "error",
    onOrder: () => new Promise(() => {}),
  });
  await tracker.run({ stop: shutdown.requested, exitAtEnd: false });
}

if (import.meta.main) await runProgram(main);
