/**
 * The producer's command line.
 *
 * @module
 */

import {
  brokerOption,
  choicesParser,
  type ClusterOptions,
  configOption,
  createCommand,
  integerParser,
  logLevelOption,
  Option,
  parseCompression,
  parseDuration,
  parsePercent,
  parseRamp,
  parseRate,
  parseTime,
  topicOption,
} from "../cli/cli.ts";
import type { LogLevelName } from "../log.ts";
import { COUNTRY_CODES, type CountryCode } from "../shop/shop.ts";
import { BAD_KINDS, type BadKind, DEFAULT_BAD_KINDS } from "./bad_orders.ts";
import { type Pacing, rampPacing, type Rate, type Stage, steadyPacing } from "./pacing.ts";
import type { KeyKind } from "./routing.ts";
import { UsageError } from "../usage_error.ts";

const BUFFER_COUNT = 10_000;
const BUFFER_COUNT_MAX = 1_000_000;
const CUSTOMERS_MAX = 1_000_000;
const PRODUCTS_MAX = 100_000;
/** More connections than this bring nothing: one already keeps a core busy. */
const PRODUCERS = 3;
const PRODUCERS_MAX = 64;

export interface ProducerOptions extends ClusterOptions {
  readonly topic: string;
  readonly rate: Rate;
  readonly ramp?: readonly Stage[];
  readonly count?: number;
  readonly duration?: number;
  readonly warmup?: number;
  readonly seed: number;
  readonly startTime?: number;
  readonly customers: number;
  readonly products: number;
  readonly countries: readonly CountryCode[];
  readonly bad?: number;
  readonly badKinds: readonly BadKind[];
  readonly key: KeyKind;
  readonly compression: "none" | "gzip";
  readonly buffer: number;
  readonly producers: number;
  readonly ledger?: string;
  readonly hdr?: string;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly logLevel: LogLevelName;
}

/** @throws {UsageError} and commander's own errors, at once for what can be told from the command line. */
export function parseProducerOptions(args: readonly string[]): ProducerOptions {
  const command = createCommand({
    name: "producer",
    description: "Makes realistic orders and sends them to Kafka.",
  })
    .addOption(brokerOption())
    .addOption(configOption())
    .addOption(topicOption())
    .addOption(new Option("--rate <n|max>", "orders a second").default(0.5).argParser(parseRate))
    .addOption(
      new Option(
        "--ramp <rate:time,...>",
        "rates to reach in a straight line, from 0 on, such as 100:10s,1000:30s,0:5s; ends with the last",
      ).argParser(parseRamp).conflicts("rate"),
    )
    .addOption(
      new Option("--count <n>", "end after so many orders").argParser(integerParser({ min: 1 })),
    )
    .addOption(
      new Option("--duration <time>", "end after this time, such as 30s").argParser(parseDuration),
    )
    .addOption(
      new Option("--warmup <time>", "keep the latencies of this first time apart")
        .argParser(parseDuration),
    )
    .addOption(
      new Option("--seed <n>", "the same seed makes the same shop and orders (default: random)")
        .argParser(integerParser({ min: 0 })),
    )
    .addOption(
      new Option(
        "--start-time <time>",
        "the orders' own time at the start: with --seed, the same run again byte for byte",
      ).argParser(parseTime),
    )
    .addOption(
      new Option("--customers <n>", "how many customers the shop has").default(1_000)
        .argParser(integerParser({ min: 1, max: CUSTOMERS_MAX })),
    )
    .addOption(
      new Option("--products <n>", "how many products it has").default(500)
        .argParser(integerParser({ min: 1, max: PRODUCTS_MAX })),
    )
    .addOption(
      new Option(
        "--countries <code,...>",
        `where customers live, with currency and tax: ${COUNTRY_CODES.join(", ")}`,
      ).default(["FR"], "FR").argParser(choicesParser(COUNTRY_CODES)),
    )
    .addOption(
      new Option("--bad <percent>", "spoil so many of a hundred orders on purpose")
        .argParser(parsePercent),
    )
    .addOption(
      new Option("--bad-kinds <kind,...>", `how to spoil them: ${BAD_KINDS.join(", ")}`)
        .default(DEFAULT_BAD_KINDS, "all but oversize").argParser(choicesParser(BAD_KINDS)),
    )
    .addOption(
      new Option("--key <kind>", "what decides about an order's partition")
        .choices(["customer", "order", "none"]).default("customer"),
    )
    .addOption(
      new Option("--compression <codec>", "none or gzip").argParser(parseCompression)
        .default("none"),
    )
    .addOption(
      new Option("--buffer <n>", "orders that may wait; past it none are made until some arrived")
        .default(BUFFER_COUNT).argParser(integerParser({ min: 1, max: BUFFER_COUNT_MAX })),
    )
    .addOption(
      new Option("--producers <n>", "connections to send by, each with partitions of its own")
        .default(PRODUCERS).argParser(integerParser({ min: 1, max: PRODUCERS_MAX })),
    )
    .option("--ledger <file>", "write a line for each acknowledged order, below logs/")
    .option("--hdr <file>", "write the latencies as an HdrHistogram (.hgrm), below logs/")
    .option(
      "--json",
      "print one JSON object at the end, and nothing else on standard output",
      false,
    )
    .option("--quiet", "show the summary only", false)
    .addOption(logLevelOption())
    .addHelpText("after", EXAMPLES)
    .parse([...args], { from: "user" });
  const options = command.opts<Omit<ProducerOptions, "seed"> & { readonly seed?: number }>();
  if (options.bad === undefined && command.getOptionValueSource("badKinds") === "cli") {
    throw new UsageError("--bad-kinds without --bad: say how many of a hundred with --bad PERCENT");
  }
  return { ...options, seed: options.seed ?? randomSeed() };
}

const EXAMPLES = `
Examples:
  producer                                              one order every 2 s, until Ctrl-C
  producer --rate 1000 --duration 60s --warmup 5s       a load, its latencies measured
  producer --ramp 100:10s,1000:30s,0:5s                 up to 1,000 a second and down again
  producer --rate 200 --bad 5 --bad-kinds wrong-total,invalid-utf8
  producer --seed 7 --start-time 2026-01-31T08:00:00Z --rate 100 --count 5000`;

/** The plan that the options ask for. */
export function pacingOf({ rate, ramp }: Pick<ProducerOptions, "rate" | "ramp">): Pacing {
  return ramp === undefined ? steadyPacing(rate) : rampPacing(ramp);
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}
