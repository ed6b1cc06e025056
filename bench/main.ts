/**
 * Runs a benchmark by its name: `deno task bench tracker`, `deno task bench producer`, `deno task bench
 * monitor`, `deno task bench soak`.
 *
 * @module
 */

import { runProgram } from "../lib/cli/cli.ts";
import { UsageError } from "../lib/usage_error.ts";

const BENCHMARKS: Readonly<Record<string, () => Promise<{ main(args: string[]): Promise<void> }>>> =
  {
    producer: () => import("./producer/bench.ts"),
    monitor: () => import("./monitor.ts"),
    soak: () => import("./soak.ts"),
    tracker: () => import("./tracker.ts"),
  };

async function main([name = "", ...args]: string[]): Promise<void> {
  const benchmark = BENCHMARKS[name];
  if (benchmark === undefined) {
    throw new UsageError(
      `no benchmark "${name}": expected one of ${Object.keys(BENCHMARKS).join(", ")}`,
    );
  }
  await (await benchmark()).main(args);
}

if (import.meta.main) await runProgram(main);
