/**
 * Runs a benchmark by its name: `deno task bench tracker`, `deno task bench producer`, `deno task bench
 * monitor`, `deno task bench metrics`, `deno task bench search`, `deno task bench soak`.
 */

import { Argument, createCommand, runProgram } from "../lib/cli/cli.ts";

const BENCHMARKS: Readonly<Record<string, () => Promise<{ main(args: string[]): Promise<void> }>>> =
  {
    producer: () => import("./producer/bench.ts"),
    metrics: () => import("./metrics.ts"),
    monitor: () => import("./monitor.ts"),
    search: () => import("./search.ts"),
    soak: () => import("./soak.ts"),
    tracker: () => import("./tracker/bench.ts"),
  };

async function main(args: string[]): Promise<void> {
  const { processedArgs: [name], args: [, ...rest] } = createCommand({
    name: "bench",
    description: "Runs a benchmark and writes its figures to bench/RESULTS.md.",
    examples: [
      ["deno task bench producer", "compared with kafka-producer-perf-test and other clients"],
      ["deno task bench producer --help", "options of this benchmark"],
    ],
  })
    .addArgument(new Argument("<name>", "benchmark to run").choices(Object.keys(BENCHMARKS)))
    .argument("[options...]", "options of the benchmark")
    .passThroughOptions()
    .enablePositionalOptions()
    .parse(args, { from: "user" });
  await (await BENCHMARKS[name]?.())?.main(rest);
}

if (import.meta.main) await runProgram(main);
