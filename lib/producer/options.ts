/**
 * The producer's command line.
 */

import {
  brokerOption,
  choicesParser,
  type ClusterOptions,
  configOption,
  createCommand,
  integerParser,
  jsonOption,
  listParser,
  logLevelOption,
  Option,
  OPTION_GROUPS,
  parseDuration,
  parsePercent,
  parseRamp,
  parseRate,
  parseTime,
  quietOption,
  topicOption,
} from "../cli/cli.ts";
import { type ListenAddress, parseListenAddress } from "../cli/listen_address.ts";
import { CODEC_NAMES } from "../kafka/protocol/batch_layout.ts";
import type { Compression } from "../kafka/protocol/compress.ts";
import type { LogLevelName } from "../log.ts";
import { COUNTRY_CODES, type CountryCode } from "../shop/shop.ts";
import { BAD_KINDS, type BadKind, DEFAULT_BAD_KINDS } from "./bad_orders.ts";
import { type Pacing, rampPacing, type Rate, type Stage, steadyPacing } from "./pacing.ts";
import type { RecordHeader } from "../record.ts";
import type { PayloadOptions } from "./payload/own_records.ts";
import { addPayloadOptions, requireOneSource } from "./payload/payload_options.ts";
import type { KeyKind } from "./routing.ts";
import { parseThreshold, type Threshold } from "./thresholds.ts";
import { UsageError } from "../usage_error.ts";

const BUFFER_COUNT = 10_000;
const BUFFER_COUNT_MAX = 1_000_000;
const CUSTOMERS_MAX = 1_000_000;
const PRODUCTS_MAX = 100_000;
/** More connections than this bring nothing: one already keeps a core busy. */
const PRODUCERS = 3;
const PRODUCERS_MAX = 64;

export interface ProducerOptions extends ClusterOptions, PayloadOptions {
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
  readonly compression: Compression;
  readonly buffer: number;
  readonly producers: number;
  readonly ledger?: string;
  readonly hdr?: string;
  readonly series?: string;
  readonly report?: string;
  readonly headers: readonly RecordHeader[];
  readonly failIf: readonly Threshold[];
  readonly metricsPort?: ListenAddress;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly logLevel: LogLevelName;
}

/** @throws {UsageError} and commander's own errors, at once for what can be told from the command line. */
export function parseProducerOptions(args: readonly string[]): ProducerOptions {
  const command = createCommand({
    name: "producer",
    description:
      "Generates realistic orders, or takes your own records, sends them to Kafka, and " +
      "accounts for every one.",
    examples: EXAMPLES,
  });
  command
    .optionsGroup(OPTION_GROUPS.cluster)
    .addOption(brokerOption())
    .addOption(configOption())
    .addOption(topicOption())
    .optionsGroup(OPTION_GROUPS.load)
    .option(
      "--rate <n|max>",
      "orders per second; max sends as fast as the cluster accepts them",
      parseRate,
      0.5,
    )
    .addOption(
      new Option(
        "--ramp <rate:time,...>",
        "stages in place of --rate: orders per second to reach in a straight line, and the time " +
          "that takes, from 0 on, such as 100:10s,1000:30s,0:5s; the run ends with the last stage",
      ).argParser(parseRamp).conflicts("rate"),
    )
    .option(
      "--count <n>",
      "stop after this many orders (default: no limit)",
      integerParser({ min: 1 }),
    )
    .option(
      "--duration <time>",
      "stop after this time, such as 30s or 2m (default: no limit)",
      parseDuration,
    )
    .option(
      "--warmup <time>",
      "report the latencies of this first part of the run separately (default: no warm-up)",
      parseDuration,
    )
    .optionsGroup(OPTION_GROUPS.data)
    .option(
      "--seed <n>",
      "the same seed generates the same shop and orders (default: random)",
      integerParser({ min: 0 }),
    )
    .option(
      "--start-time <time>",
      "timestamp of the first order, in ISO 8601; with --seed, a run can be repeated byte for " +
        "byte (default: now)",
      parseTime,
    )
    .option(
      "--customers <n>",
      "number of customers of the shop",
      integerParser({ min: 1, max: CUSTOMERS_MAX }),
      1_000,
    )
    .option(
      "--products <n>",
      "number of products of the shop",
      integerParser({ min: 1, max: PRODUCTS_MAX }),
      500,
    )
    .addOption(
      new Option(
        "--countries <code,...>",
        "countries where customers live, which set currency and tax: " + COUNTRY_CODES.join(", "),
      ).default(["FR"], "FR").argParser(choicesParser(COUNTRY_CODES)),
    )
    .option(
      "--bad <percent>",
      "percentage of orders to corrupt on purpose (default: none)",
      parsePercent,
    )
    .addOption(
      new Option("--bad-kinds <kind,...>", `ways to corrupt them: ${BAD_KINDS.join(", ")}`)
        .default(DEFAULT_BAD_KINDS, "all but oversize").argParser(choicesParser(BAD_KINDS)),
    );
  addPayloadOptions(command.optionsGroup(OPTION_GROUPS.payload))
    .optionsGroup(OPTION_GROUPS.delivery)
    .addOption(
      new Option("--key <kind>", "record key, which determines the partition")
        .choices(["customer", "order", "none"]).default("customer"),
    )
    .addOption(
      new Option("--compression <codec>", "compression of record batches")
        .choices(CODEC_NAMES).default("none"),
    )
    .option(
      "--buffer <n>",
      "maximum orders waiting to be sent; generation pauses when the buffer is full",
      integerParser({ min: 1, max: BUFFER_COUNT_MAX }),
      BUFFER_COUNT,
    )
    .option(
      "--producers <n>",
      "number of Kafka producers, which share the partitions",
      integerParser({ min: 1, max: PRODUCERS_MAX }),
      PRODUCERS,
    )
    .optionsGroup(OPTION_GROUPS.output)
    .option(
      "--ledger <file>",
      "write a line for each acknowledged order to this file below logs/ (default: none)",
    )
    .option(
      "--hdr <file>",
      "write the latencies as an HdrHistogram (.hgrm, in milliseconds) to this file below logs/ " +
        "(default: none)",
    )
    .option(
      "--series <file>",
      "write a row of CSV for each second of the run to this file below logs/ (default: none)",
    )
    .option(
      "--report <file>",
      "write a self-contained page about the run to this file below logs/ (default: none)",
    )
    .addOption(
      new Option(
        "--fail-if <condition>",
        "exit with 3 if the run crosses this threshold, such as 'p99>200ms', 'rate<900/s', or " +
          "'failed>0'; repeat it for several",
      ).default([], "none").argParser(listParser(parseThreshold)),
    )
    .option(
      "--metrics-port <[host:]port>",
      "serve GET /metrics for Prometheus on this port of 127.0.0.1, or of the host (default: off)",
      parseListenAddress,
    )
    .addOption(jsonOption())
    .addOption(quietOption())
    .addOption(logLevelOption())
    .parse([...args], { from: "user" });
  const { header: headers, ...options } = command.opts<
    Omit<ProducerOptions, "seed" | "headers"> & {
      readonly seed?: number;
      readonly header: readonly RecordHeader[];
    }
  >();
  requireOneSource(command);
  if (options.bad === undefined && command.getOptionValueSource("badKinds") === "cli") {
    throw new UsageError("--bad-kinds without --bad: give the percentage with --bad PERCENT");
  }
  return { ...options, headers, seed: options.seed ?? randomSeed() };
}

const EXAMPLES = [
  ["deno task producer", "one order every 2 s, until Ctrl-C"],
  ["deno task producer --rate 1000 --duration 60s --warmup 5s", "measure latencies under a load"],
  ["deno task producer --ramp 100:10s,1000:30s,0:5s", "up to 1,000 orders/s and down again"],
  ["deno task producer --rate 200 --bad 5 --bad-kinds wrong-total,invalid-utf8"],
  ["deno task producer --payload-file records.jsonl --key-field customer.id --rate 500"],
  ["deno task producer --rate 1000 --duration 60s --fail-if 'p99>50ms' --report logs/run.html"],
  ["deno task producer --seed 7 --start-time 2026-01-31T08:00:00Z --rate 100 --count 5000"],
] as const;

/** The plan that the options ask for. */
export function pacingOf({ rate, ramp }: Pick<ProducerOptions, "rate" | "ramp">): Pacing {
  return ramp === undefined ? steadyPacing(rate) : rampPacing(ramp);
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}
