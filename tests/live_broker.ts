/**
 * A real broker that the tests of all files share, each with its own topics and groups.
 *
 *     const broker = await liveBroker();
 *
 * Await it at the top of the file: a process started outside every test is not reported as a leak. A test that kills
 * or stops its broker, or needs other settings, starts its own (`faults/fault_site.ts`).
 */

import { join } from "node:path";
import { listsBroker } from "../dev/kafka_probe.ts";

/**
 * The variable that holds the broker's address: the files of a test run are threads of one process, and share its
 * environment.
 */
const SHARED_BROKER = "ORDERFLOW_SHARED_BROKER";
/** The folder of the lock that lets one file at a time ask for the broker, so that it is started only once. */
const LOCKS = join(import.meta.dirname ?? ".", "..", ".kafka");
const PROBE_TIMEOUT_MS = 5_000;
const DELETE_ATTEMPTS_MAX = 50;

export interface LiveBroker {
  /** `host:port`, or a comma-separated list if `KAFKA_TEST_BROKER` has one. */
  readonly address: string;
}

let found: Promise<LiveBroker> | undefined;

/**
 * Returns the broker that `KAFKA_TEST_BROKER` names. Otherwise the first call starts one on a free port with a
 * temporary folder, and it ends with the test run. Every call returns the same broker.
 */
export function liveBroker(): Promise<LiveBroker> {
  return found ??= findOrStart();
}

/** Returns a topic or group name that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${crypto.randomUUID().slice(0, 8)}`;
}

async function findOrStart(): Promise<LiveBroker> {
  const named = Deno.env.get("KAFKA_TEST_BROKER");
  if (named) return { address: named };

  await Deno.mkdir(LOCKS, { recursive: true });
  using lock = await Deno.open(join(LOCKS, "tests.lock"), { create: true, write: true });
  await lock.lock(true);
  // A test run that was started by a test gets its own broker.
  const [pid, shared] = (Deno.env.get(SHARED_BROKER) ?? "").split(" ");
  if (shared && pid === String(Deno.pid) && await listsBroker(shared, PROBE_TIMEOUT_MS)) {
    return { address: shared };
  }
  const address = await startShared();
  Deno.env.set(SHARED_BROKER, `${Deno.pid} ${address}`);
  return { address };
}

async function startShared(): Promise<string> {
  const script = join(import.meta.dirname ?? ".", "shared_broker.ts");
  const program = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--no-prompt", "--allow-all", script],
    stdin: "null",
    stdout: "piped",
    detached: true, // not reached by Ctrl-C: the broker ends after the tests
  }).spawn();
  program.unref();
  let output = "";
  for await (const text of program.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (output.endsWith("\n")) return output.trim();
  }
  throw new Error("cannot start the tests' broker, see the reason above");
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
