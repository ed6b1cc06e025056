/**
 * Compares the throughput of the producer with that of other clients: same run, broker, topic settings, and records;
 * acks=all, idempotent. Prints a table and stores it in bench/RESULTS.md.
 *
 *     deno task bench producer
 *     deno task bench producer --orders 1000000 --rounds 5
 *
 * Each client runs as a separate process. Its CPU seconds include its start-up; its rate does so only if the client
 * reports no rate. The clients take turns in each round, and the table has the medians.
 */

import { join } from "node:path";
import { createCommand, integerParser, Option, OPTION_GROUPS } from "../../lib/cli/cli.ts";
import { startBrokerProcess } from "../../dev/broker_process.ts";
import { kafkaJars } from "../../dev/kafka_jars.ts";
import { freePort } from "../../dev/local_port.ts";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { printLine } from "../../lib/terminal.ts";
import { withThousands } from "../../lib/text.ts";
import { measure, type Measured } from "../measured_command.ts";
import { median, table, writeSection } from "../results.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const PARTITIONS = 3;
const PAYLOAD_COUNT = 20_000;
const PERF_TEST = "kafka-producer-perf-test, default";
const TUNING = ["batch.size=524288", "linger.ms=5", "buffer.memory=134217728"];

interface BenchOptions {
  readonly orders: number;
  readonly rounds: number;
}

interface Setting {
  readonly broker: string;
  readonly topic: string;
  readonly count: number;
  readonly payloadPath: string;
  readonly jarsDir: string;
}

/** The figures that a run reports, with latencies in milliseconds. */
interface Reported {
  readonly rate: number;
  readonly p50?: number;
  readonly p99?: number;
}

interface Contender {
  readonly name: string;
  command(setting: Setting): { readonly program: string; readonly args: readonly string[] };
  parse(output: string, seconds: number, setting: Setting): Reported;
}

type Run = Measured & Reported;

export async function main(args: string[]): Promise<void> {
  const options: BenchOptions = createCommand({
    name: "bench producer",
    description: "Fills a topic with several clients.",
    examples: [["deno task bench producer --orders 100000 --rounds 1"]],
  })
    .optionsGroup(OPTION_GROUPS.load)
    .addOption(
      new Option("--orders <n>", "records per run, rounded up to a multiple of 20,000").default(
        200_000,
      ).argParser(
        integerParser({ min: 1 }),
      ),
    )
    .addOption(
      new Option("--rounds <n>", "runs of each contender").default(3).argParser(
        integerParser({ min: 1 }),
      ),
    )
    .parse(args, { from: "user" }).opts();
  const folder = await Deno.makeTempDir({ prefix: "orderflow-bench-" });
  const broker = await startBrokerProcess({
    port: freePort(),
    dataDir: join(folder, "broker"),
    settings: { "log.segment.delete.delay.ms": "1000" },
  });
  try {
    const payloadPath = join(folder, "orders.jsonl");
    const payloadBytes = await writePayload(payloadPath);
    const setting = {
      broker: broker.address,
      count: Math.ceil(options.orders / PAYLOAD_COUNT) * PAYLOAD_COUNT,
      payloadPath,
      jarsDir: await kafkaJars(),
    };
    const runs = await measureAll(setting, options.rounds);
    const report = describe(runs, {
      ...setting,
      ...options,
      payloadBytes,
      generation: await generationRate(options.rounds),
    });
    printLine(`\n${report}`);
    await writeSection("producer", report);
  } finally {
    await broker.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

const OURS_ARGS = ["run", "--no-prompt", "-A"];

const CONTENDERS: readonly Contender[] = [
  {
    name: "orderflow, orders generated",
    command: ({ broker, topic, count }) => ({
      program: Deno.execPath(),
      args: [
        ...OURS_ARGS,
        join(PROJECT, "producer.ts"),
        ...["--broker", broker, "--topic", topic, "--rate", "max", "--count", String(count)],
        ...["--json", "--log-level", "warn"],
      ],
    }),
    parse: parseSummary,
  },
  {
    name: "orderflow, orders prepared",
    command: ({ broker, topic, count, payloadPath }) => ({
      program: Deno.execPath(),
      args: [
        ...OURS_ARGS,
        join(PROJECT, "bench", "producer", "prepared.ts"),
        ...[broker, topic, String(count), payloadPath],
      ],
    }),
    parse: parseSummary,
  },
  { name: PERF_TEST, command: perfTest([]), parse: parsePerfTest },
  { name: "kafka-producer-perf-test, tuned", command: perfTest(TUNING), parse: parsePerfTest },
  {
    name: "kcat -P",
    command: ({ broker, topic, payloadPath, count }) => ({
      program: "sh",
      args: [
        "-c",
        `for _ in $(seq ${count / PAYLOAD_COUNT}); do cat '${payloadPath}'; done | ` +
        `kcat -P -q -b ${broker} -t ${topic} -X acks=all -X enable.idempotence=true`,
      ],
    }),
    parse: (_, seconds, { count }) => ({ rate: count / seconds }),
  },
  {
    name: "@platformatic/kafka 2.12.1",
    command: ({ broker, topic, count, payloadPath }) => ({
      program: Deno.execPath(),
      args: [
        ...OURS_ARGS,
        ...["--no-config", "--no-lock", "--quiet"],
        join(PROJECT, "bench", "producer", "platformatic.ts"),
        ...[broker, topic, String(count), payloadPath],
      ],
    }),
    parse: (output) => JSON.parse(output),
  },
];

function perfTest(properties: readonly string[]): Contender["command"] {
  return ({ broker, topic, count, payloadPath, jarsDir }) => ({
    program: "java",
    args: [
      ...["-Xmx512m", "-cp", join(jarsDir, "*"), "org.apache.kafka.tools.ProducerPerformance"],
      ...["--bootstrap-server", broker, "--topic", topic],
      ...["--num-records", String(count), "--throughput", "-1", "--payload-file", payloadPath],
      ...["--command-property", "acks=all", "enable.idempotence=true", ...properties],
    ],
  });
}

function parseSummary(output: string): Reported {
  const { rate, latency_ms: latency } = JSON.parse(output);
  return { rate, p50: latency.p50, p99: latency.p99 };
}

/**
 * Parses a last line such as `200000 records sent, 33000.1 records/sec (42.5 MB/sec), ..., 12 ms 50th, ..., 99 ms 99th,
 * ...`.
 */
function parsePerfTest(output: string): Reported {
  const line = output.trimEnd().split("\n").findLast((each) => each.includes("99th")) ?? "";
  const number = (pattern: RegExp) => Number(pattern.exec(line)?.[1] ?? NaN);
  return {
    rate: number(/([\d.]+) records\/sec/),
    p50: number(/(\d+) ms 50th/),
    p99: number(/(\d+) ms 99th/),
  };
}

/** Writes orders of the shop, one per line, and returns their average size in bytes. */
async function writePayload(path: string): Promise<number> {
  const shop = createShop({ seed: 1 });
  const lines = Array.from(
    { length: PAYLOAD_COUNT },
    (_, index) => `${JSON.stringify(shop.nextOrder(Date.UTC(2026, 0, 1) + index))}\n`,
  );
  await Deno.writeTextFile(path, lines.join(""));
  return (await Deno.stat(path)).size / PAYLOAD_COUNT;
}

async function measureAll(
  setting: Omit<Setting, "topic">,
  rounds: number,
): Promise<ReadonlyMap<string, readonly Run[]>> {
  const runs = new Map<string, Run[]>(CONTENDERS.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const contender of CONTENDERS) {
      const run = await measureOnNewTopic(contender, setting);
      runs.get(contender.name)?.push(run);
      const rate = withThousands(run.rate);
      printLine(`round ${round}  ${contender.name.padEnd(36)} ${rate} records/s`);
    }
  }
  return runs;
}

/** @throws {Error} if a record is missing from the topic afterwards */
async function measureOnNewTopic(
  contender: Contender,
  setting: Omit<Setting, "topic">,
): Promise<Run> {
  const connection = { brokers: [setting.broker], clientId: "bench" };
  await using cluster = await ClusterClient.connect(connection, "probe");
  const topic = `bench-${crypto.randomUUID().slice(0, 8)}`;
  await cluster.ensureTopic(topic, { partitionCount: PARTITIONS });
  try {
    const { program, args } = contender.command({ ...setting, topic });
    const measured = await measure(program, args);
    const reported = contender.parse(measured.stdout, measured.seconds, { ...setting, topic });
    const ranges = await cluster.allOffsets(topic);
    const stored = ranges.reduce((sum, { high }) => sum + high, 0);
    if (stored !== setting.count) {
      throw new Error(`${contender.name} left ${stored} records, expected ${setting.count}`);
    }
    return { ...measured, ...reported };
  } finally {
    await cluster.deleteTopic(topic);
  }
}

async function generationRate(rounds: number): Promise<number> {
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { stdout } = await measure(Deno.execPath(), [
      ...OURS_ARGS,
      join(PROJECT, "bench", "producer", "generation.ts"),
      "300000",
    ]);
    rates.push(JSON.parse(stdout).rate);
  }
  return median(rates);
}

function describe(
  runs: ReadonlyMap<string, readonly Run[]>,
  { count, rounds, payloadBytes, generation }: {
    count: number;
    rounds: number;
    payloadBytes: number;
    generation: number;
  },
): string {
  const middle = (name: string, value: (run: Run) => number | undefined) =>
    median((runs.get(name) ?? []).map((run) => value(run) ?? NaN));
  const perfTestRate = middle(PERF_TEST, ({ rate }) => rate);
  const shown = (value: number, digits: number) => Number.isNaN(value) ? "" : value.toFixed(digits);
  const rows = [...runs.keys()].map((name) => {
    const rate = middle(name, (run) => run.rate);
    return [
      name,
      withThousands(rate),
      shown(rate * payloadBytes / 1e6, 1),
      shown(rate / perfTestRate, 2),
      shown(middle(name, ({ p50 }) => p50), 1),
      shown(middle(name, ({ p99 }) => p99), 1),
      shown(middle(name, ({ cpuSeconds }) => cpuSeconds), 1),
      shown(middle(name, ({ peakMiB }) => peakMiB), 0),
    ];
  });
  return `## Filling a topic\n\n${withThousands(count)} orders of ${
    payloadBytes.toFixed(0)
  } bytes ` +
    `to ${PARTITIONS} partitions, acks=all, idempotent, ${rounds} rounds, medians. A latency is measured from the ` +
    `generation of an order (perf-test: from its send; @platformatic/kafka: of a batch) to its acknowledgement; kcat ` +
    `reports none, and its rate includes its start-up. Only our records have keys. Tuned means ` +
    `${TUNING.join(" ")}.\n\n` +
    table(
      [
        "",
        "records/s",
        "MB/s",
        "ratio to perf-test",
        "p50 ms",
        "p99 ms",
        "CPU seconds",
        "peak MiB",
      ],
      rows,
    ) +
    `\n\nGeneration alone, in one thread: ${
      withThousands(generation)
    } orders/s generated, serialized, and routed.`;
}
