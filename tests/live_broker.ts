/**
 * A real broker for the tests of one file.
 *
 *     const broker = await liveBroker();
 *
 * To be awaited at the top of the file: a process that began outside every test is no leak of a test.
 *
 * @module
 */

import { startBrokerProcess } from "../dev/broker_process.ts";
import { onFreePorts } from "./on_free_ports.ts";

const DELETE_ATTEMPTS_MAX = 50;

export interface LiveBroker {
  /** `host:port`, or several with commas when `KAFKA_TEST_BROKER` has them. */
  readonly address: string;
  /** True for a broker of this file alone; one named by `KAFKA_TEST_BROKER` must not be disturbed. */
  readonly ownBroker: boolean;
}

let started: Promise<LiveBroker> | undefined;

/**
 * The broker that `KAFKA_TEST_BROKER` names, else one that is started for this file, on a free port and
 * in a temporary folder, and ended with it. The same one for every call.
 */
export function liveBroker(): Promise<LiveBroker> {
  return started ??= startForThisFile();
}

/** A name for a topic or a group that no other test has. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${crypto.randomUUID().slice(0, 8)}`;
}

async function startForThisFile(): Promise<LiveBroker> {
  const address = Deno.env.get("KAFKA_TEST_BROKER");
  if (address) return { address, ownBroker: false };

  const dataDir = await Deno.makeTempDir({ prefix: "orderflow-broker-" });
  try {
    const broker = await onFreePorts(
      1,
      ([port = 0]) => startBrokerProcess({ port, dataDir, quickStart: true }),
    );
    // At unload nothing can be awaited.
    globalThis.addEventListener("unload", () => {
      killSync(broker.pid);
      deleteSync(dataDir);
    });
    return { address: broker.address, ownBroker: true };
  } catch (error) {
    deleteSync(dataDir);
    throw error;
  }
}

export function killSync(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof TypeError)) throw error;
  }
}

/** A process that is being killed can still create a file while its folder is deleted. */
export function deleteSync(path: string): void {
  for (let attempt = 1;; attempt++) {
    try {
      return Deno.removeSync(path, { recursive: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      if (attempt === DELETE_ATTEMPTS_MAX) throw error;
    }
  }
}
