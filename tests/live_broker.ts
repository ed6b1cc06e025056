/**
 * A real broker that the tests of all files share, each with topics and groups of its own.
 *
 *     const broker = await liveBroker();
 *
 * To be awaited at the top of the file: a process that began outside every test is no leak of a test. A test that
 * kills or stops its broker, or needs other settings, starts one of its own (`faults/fault_site.ts`).
 *
 * @module
 */

import { join } from "node:path";
import { listsBroker } from "../dev/kafka_probe.ts";

/** The files of a test run, in threads of their own, share the process: its environment holds the address. */
const SHARED_BROKER = "ORDERFLOW_SHARED_BROKER";
/** One file at a time asks for the broker, so that it is started once. */
const LOCKS = join(import.meta.dirname ?? ".", "..", ".kafka");
const PROBE_TIMEOUT_MS = 5_000;
const DELETE_ATTEMPTS_MAX = 50;

export interface LiveBroker {
  /** `host:port`, or several with commas when `KAFKA_TEST_BROKER` has them. */
  readonly address: string;
}

let found: Promise<LiveBroker> | undefined;

/**
 * The broker that `KAFKA_TEST_BROKER` names, else one that is started with the first file that asks, on a free port
 * and in a temporary folder, and ended with the test run. The same one for every call.
 */
export function liveBroker(): Promise<LiveBroker> {
  return found ??= findOrStart();
}

/** A name for a topic or a group that no other test has. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${crypto.randomUUID().slice(0, 8)}`;
}

async function findOrStart(): Promise<LiveBroker> {
  const named = Deno.env.get("KAFKA_TEST_BROKER");
  if (named) return { address: named };

  await Deno.mkdir(LOCKS, { recursive: true });
  using lock = await Deno.open(join(LOCKS, "tests.lock"), { create: true, write: true });
  await lock.lock(true);
  // A test run that was started by a test has a broker of its own.
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
    detached: true, // out of Ctrl-C's reach: it ends after the tests
  }).spawn();
  program.unref();
  let output = "";
  for await (const text of program.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (output.endsWith("\n")) return output.trim();
  }
  throw new Error("the tests' broker cannot be started, its reason is above");
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
