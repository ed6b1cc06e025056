/**
 * How fast the tracker drains a topic, beside `kcat` (which writes the raw values) and Kafka's own
 * consumer-perf-test (which writes nothing): same topic, same run, three rounds, the median of each.
 *
 *     deno task bench tracker
 *     deno task bench tracker --orders 2000000
 *
 * @module
 */

import { join } from "node:path";
import { startBrokerProcess } from "../dev/broker_process.ts";
import { kafkaJars } from "../dev/kafka_jars.ts";
import { freePort } from "../dev/local_port.ts";
import { printLine } from "../lib/terminal.ts";
import { withThousands } from "../lib/text.ts";
import { amountOf } from "./amount.ts";
import { measure, type Measured } from "./measured_command.ts";
import { median, table, writeSection } from "./results.ts";

const TOPIC = "bench-orders";
const ROUNDS = 3;
const PERMISSIONS = ["run", "--no-prompt", "-A"];

interface Contender {
  readonly name: string;
  readonly run: (round: number) => Promise<Measured & { readonly drainSeconds: number }>;
}

export async function main(args: string[]): Promise<void> {
  const orders = amountOf(args, {
    benchmark: "tracker",
    description: "Drains a topic in three ways.",
    option: "orders",
    meaning: "records in the topic",
    initial: 500_000,
    min: 1_000,
  });
  const folder = await Deno.makeTempDir({ prefix: "orderflow-bench-" });
  const broker = await startBrokerProcess({ port: freePort(), dataDir: join(folder, "broker") });
  try {
    printLine(`filling ${TOPIC} with ${withThousands(orders)} orders`);
    await fill(broker.address, orders);
    const contenders = await contendersOf({ broker: broker.address, folder, orders });
    const results = new Map(
      contenders.map(({ name }) => [name, [] as (Measured & { drainSeconds: number })[]]),
    );
    for (let round = 1; round <= ROUNDS; round++) {
      for (const { name, run } of contenders) {
        const measured = await run(round);
        results.get(name)?.push(measured);
        printLine(
          `round ${round}  ${name.padEnd(30)} ${
            withThousands(orders / measured.drainSeconds)
          } records/s`,
        );
      }
    }
    const report = describe(results, orders);
    printLine(`\n${report}`);
    await writeSection("tracker", report);
  } finally {
    await broker.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

async function fill(broker: string, orders: number): Promise<void> {
  await measure(Deno.execPath(), [
    ...PERMISSIONS,
    "producer.ts",
    ...["--broker", broker, "--topic", TOPIC, "--count", String(orders), "--rate", "max", "--json"],
  ]);
}

async function contendersOf(
  { broker, folder, orders }: { broker: string; folder: string; orders: number },
): Promise<readonly Contender[]> {
  const jars = await kafkaJars();
  const wallClock = (measured: Measured) => ({ ...measured, drainSeconds: measured.seconds });
  return [
    {
      name: "tracker",
      run: async (round) => {
        const logs = join(folder, `logs-${round}`);
        const measured = await measure(Deno.execPath(), [
          ...PERMISSIONS,
          "tracker.ts",
          ...["--broker", broker, "--topic", TOPIC, "--group", `bench-${round}`, "--logs", logs],
          ...["--exit-at-end", "--json", "--log-level", "warn"],
        ]);
        await Deno.remove(logs, { recursive: true });
        const { received, seconds } = JSON.parse(measured.stdout);
        if (received !== orders) throw new Error(`the tracker received ${received} of ${orders}`);
        return { ...measured, drainSeconds: seconds };
      },
    },
    {
      name: "kcat -C to a file, raw",
      run: async () => {
        const file = join(folder, "kcat.out");
        const measured = await measure("kcat", ["-C", "-b", broker, "-t", TOPIC, "-e", "-q"], {
          stdoutTo: file,
        });
        await Deno.remove(file);
        return wallClock(measured);
      },
    },
    {
      name: "kafka-consumer-perf-test, nothing written",
      run: async (round) =>
        wallClock(
          await measure("java", [
            ...["-cp", `${jars}/*`, "org.apache.kafka.tools.ConsumerPerformance"],
            ...["--bootstrap-server", broker, "--topic", TOPIC, "--group", `perf-${round}`],
            ...["--messages", String(orders), "--timeout", "60000", "--hide-header"],
          ]),
        ),
    },
  ];
}

function describe(
  results: ReadonlyMap<string, readonly (Measured & { readonly drainSeconds: number })[]>,
  orders: number,
): string {
  const rates = new Map([...results].map(([name, rounds]) => [
    name,
    orders / median(rounds.map(({ drainSeconds }) => drainSeconds)),
  ]));
  const ours = rates.get("tracker") ?? NaN;
  const rows = [...results].map(([name, rounds]) => [
    name,
    withThousands(rates.get(name) ?? NaN),
    (ours / (rates.get(name) ?? NaN)).toFixed(2),
    median(rounds.map(({ cpuSeconds }) => cpuSeconds)).toFixed(1),
    median(rounds.map(({ peakMiB }) => peakMiB)).toFixed(0),
  ]);
  return `## Draining a topic\n\n${
    withThousands(orders)
  } orders of about 1.35 kB on 3 partitions, ` +
    `${ROUNDS} rounds, medians. The tracker validates, journals with \`order_full\`, flushes to the disk and ` +
    `commits; its time is that of its own totals, joining the group included, the others' that of the process.\n\n` +
    table(["", "records/s", "tracker's rate to it", "CPU seconds", "peak MiB"], rows);
}
