/**
 * Runs the tracker's own parts, assembled as in `tracker.ts`, with two additions for tests: it dies by SIGKILL at a
 * chosen moment, and its session timeout is short. The product has no hook for either.
 *
 *     deno run --allow-all tracker_with_failpoints.ts '{"broker":"127.0.0.1:9092","topic":"orders", ...}'
 */

import { Kafka } from "kafkajs";
import consumerGroupModule from "kafkajs/src/consumer/consumerGroup.js";
import { EXIT_OK, runProgram } from "../../lib/cli/cli.ts";
import { listenForShutdown } from "../../lib/shutdown.ts";
import { printErrorLine, printLine } from "../../lib/terminal.ts";
import { DeadLetters } from "../../lib/tracker/dead_letters.ts";
import { Journal } from "../../lib/journal/journal.ts";
import { denoStorage, type StoredFile } from "../../lib/journal/storage.ts";
import { openTracker } from "../../lib/tracker/open.ts";
import type { Failpoint } from "./fault_site.ts";
import { faultyHandler, type FaultyHandlerOptions, HANDLER_POLICY } from "./faulty_handler.ts";

interface Setup {
  readonly broker: string;
  readonly topic: string;
  readonly group: string;
  readonly logs: string;
  readonly from: "earliest" | "latest";
  readonly deadLetterTopic?: string;
  readonly exitAtEnd: boolean;
  readonly sessionTimeoutMs: number;
  readonly dieAt?: { readonly point: Failpoint; readonly count: number };
  readonly handler?: FaultyHandlerOptions;
}

interface ConsumerGroup {
  commitOffsets(offsets: unknown): Promise<void>;
}

const HEARTBEATS_A_SESSION = 5;
/** Long enough for a commit that does not wait for the disk to reach the broker. */
const STALL_MS = 1_500;

async function main(args: string[]): Promise<number> {
  const setup: Setup = JSON.parse(args[0] ?? "");
  shortenSession(setup.sessionTimeoutMs);
  if (setup.dieAt !== undefined) addFailpoints(setup.dieAt);

  await using tracker = await openTracker({
    connection: { brokers: setup.broker.split(","), clientId: "orderflow-fault-tracker" },
    topic: setup.topic,
    groupId: setup.group,
    logs: setup.logs,
    from: setup.from,
    deadLetterTopic: setup.deadLetterTopic,
    schema: "order",
    logLevel: "info",
    ...(setup.handler !== undefined &&
      { onOrder: faultyHandler(setup.handler), retryPolicy: HANDLER_POLICY }),
  });
  using shutdown = listenForShutdown({
    onFirst: (signal) => printErrorLine(`${signal}: finishing the records in hand`),
    onSecond: () => printErrorLine("stopped at once"),
  });
  await tracker.run({ stop: shutdown.requested, exitAtEnd: setup.exitAtEnd });
  printLine(JSON.stringify(tracker.metrics.totals()));
  return EXIT_OK;
}

/** Replaces only these two settings; all other settings of the consumer are the product's. */
function shortenSession(sessionTimeoutMs: number): void {
  const { prototype } = Kafka;
  const { consumer } = prototype;
  prototype.consumer = function (this: Kafka, config = { groupId: "" }) {
    return consumer.call(this, {
      ...config,
      sessionTimeout: sessionTimeoutMs,
      heartbeatInterval: Math.floor(sessionTimeoutMs / HEARTBEATS_A_SESSION),
    });
  };
}

function addFailpoints({ point: chosen, count }: { point: Failpoint; count: number }): void {
  let passes = 0;
  const isDue = (point: Failpoint) => point === chosen && ++passes === count;
  const pass = (point: Failpoint) => {
    if (isDue(point)) die(point);
  };

  const { append } = Journal.prototype;
  Journal.prototype.append = function (this: Journal, ...args) {
    pass("before-write");
    return append.apply(this, args);
  };

  const { open } = denoStorage;
  denoStorage.open = async (path, mode) => {
    const file = await open(path, mode);
    return path.endsWith("/tracker.events") && mode !== "read" ? dyingFile(file, isDue) : file;
  };

  const { send } = DeadLetters.prototype;
  DeadLetters.prototype.send = async function (this: DeadLetters, ...args) {
    pass("before-dead-letters");
    const isSent = await send.apply(this, args);
    pass("after-dead-letters");
    return isSent;
  };

  const { prototype: group } = consumerGroupModule as { prototype: ConsumerGroup };
  const { commitOffsets } = group;
  group.commitOffsets = async function (this: ConsumerGroup, offsets) {
    pass("before-commit");
    await commitOffsets.call(this, offsets);
    pass("after-commit");
  };
}

/**
 * Wraps the journal's file so that the process dies in the middle of a write, in a slow write, or between write and
 * sync.
 */
function dyingFile(file: StoredFile, isDue: (point: Failpoint) => boolean): StoredFile {
  return {
    read: (into) => file.read(into),
    async write(bytes) {
      if (isDue("torn-write")) {
        await file.write(bytes.subarray(0, Math.ceil(bytes.length / 2)));
        die("torn-write");
      }
      if (isDue("stalled-write")) {
        await new Promise((resolve) => setTimeout(resolve, STALL_MS));
        die("stalled-write");
      }
      return await file.write(bytes);
    },
    seek: (position) => file.seek(position),
    truncate: (bytes) => file.truncate(bytes),
    async syncData() {
      if (isDue("before-sync")) die("before-sync");
      await file.syncData();
    },
    stat: () => file.stat(),
    tryLock: () => file.tryLock(),
    close: () => file.close(),
  };
}

function die(point: Failpoint): void {
  printErrorLine(`dies at ${point}`);
  Deno.kill(Deno.pid, "SIGKILL");
}

if (import.meta.main) await runProgram(main);
