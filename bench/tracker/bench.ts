/**
 * Compares how fast the tracker and similar programs drain a topic: same topic, same run, median of three rounds.
 *
 *     deno task bench tracker
 *     deno task bench tracker --orders 2000000
 */

import { join } from "node:path";
import { startBrokerProcess } from "../../dev/broker_process.ts";
import { kafkaJars } from "../../dev/kafka_jars.ts";
import { freePort } from "../../dev/local_port.ts";
import { printLine } from "../../lib/terminal.ts";
import { withThousands } from "../../lib/text.ts";
import { amountOf } from "../amount.ts";
import { measure, type Measured } from "../measured_command.ts";
import { median, table, writeSection } from "../results.ts";
import { firstByteMs, runConnect, runRsyslog } from "./sinks.ts";

const TOPIC = "bench-orders";
const ROUNDS = 3;
const DISK_BYTES = 1 << 30;
const PERMISSIONS = ["run", "--no-prompt", "-A"];

/** The measurements of one program in one round. */
export interface Drained extends Measured {
  readonly drainSeconds: number;
  readonly bytesWritten: number;
}

interface Contender {
  readonly name: string;
  /** Features of the tracker that the program lacks. */
  readonly lacks: string;
  readonly run: (round: number) => Promise<Drained>;
}

export async function main(args: string[]): Promise<void> {
  const orders = amountOf(args, {
    benchmark: "tracker",
    description: "Drains a topic with the tracker and with similar programs.",
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
    const rounds = new Map(contenders.map((contender) => [contender, [] as Drained[]]));
    for (let round = 1; round <= ROUNDS; round++) {
      for (const [{ name, run }, results] of rounds) {
        await measure("sync", []); // so that no contender waits for the writes of another
        const drained = await run(round);
        results.push(drained);
        const rate = withThousands(orders / drained.drainSeconds);
        printLine(`round ${round}  ${name.padEnd(40)} ${rate} records/s`);
      }
    }
    const report = describe(rounds, { orders, diskBytesPerSecond: await measureDisk(folder) });
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
  const runKcat = async () => {
    const file = join(folder, "kcat.out");
    const args = ["-C", "-b", broker, "-t", TOPIC, "-e", "-q"];
    const measured = await measure("kcat", args, { stdoutTo: file });
    const { size } = await Deno.stat(file);
    await Deno.remove(file);
    return { ...measured, drainSeconds: measured.seconds, bytesWritten: size };
  };
  const { bytesWritten: expectedBytes } = await runKcat();
  const runSink = async (run: typeof runConnect, name: string) => {
    const own = join(folder, name);
    await Deno.mkdir(own);
    const drained = await run({ broker, topic: TOPIC, folder: own, expectedBytes });
    await Deno.remove(own, { recursive: true });
    return drained;
  };
  const tracker = (schema: "order" | "none") => (round: number) =>
    runTracker({ broker, orders, schema, logs: join(folder, `logs-${schema}-${round}`) });
  return [
    { name: "tracker", lacks: "", run: tracker("order") },
    { name: "tracker --schema none", lacks: "validation", run: tracker("none") },
    {
      name: "Kafka Connect FileStreamSink",
      lacks: "validation, flush, exact resume, everything but the value",
      run: (round) => runSink(runConnect, `connect-${round}`),
    },
    {
      name: "rsyslog imkafka",
      lacks: "validation, flush, exact resume, everything but the value",
      run: (round) => runSink(runRsyslog, `rsyslog-${round}`),
    },
    {
      name: "kcat -C to a file",
      lacks: "validation, flush, a group, everything but the value",
      run: runKcat,
    },
    {
      name: "kafka-consumer-perf-test",
      lacks: "writing",
      run: async (round) => {
        const measured = await measure("java", [
          ...["-cp", `${jars}/*`, "org.apache.kafka.tools.ConsumerPerformance"],
          ...["--bootstrap-server", broker, "--topic", TOPIC, "--group", `perf-${round}`],
          ...["--messages", String(orders), "--timeout", "60000", "--hide-header"],
        ]);
        return { ...measured, drainSeconds: measured.seconds, bytesWritten: 0 };
      },
    },
  ];
}

async function runTracker({ broker, orders, schema, logs }: {
  readonly broker: string;
  readonly orders: number;
  readonly schema: "order" | "none";
  readonly logs: string;
}): Promise<Drained> {
  const journal = join(logs, "tracker.events");
  const running = measure(Deno.execPath(), [
    ...PERMISSIONS,
    "tracker.ts",
    ...["--broker", broker, "--topic", TOPIC, "--group", crypto.randomUUID(), "--logs", logs],
    ...["--schema", schema, "--exit-at-end", "--json", "--log-level", "warn"],
  ]);
  const startedMs = await firstByteMs(journal, running);
  const measured = await running;
  const drainSeconds = (performance.now() - startedMs) / 1_000;
  const { size } = await Deno.stat(journal);
  await Deno.remove(logs, { recursive: true });
  const { received } = JSON.parse(measured.stdout);
  if (received !== orders) throw new Error(`the tracker received ${received} of ${orders}`);
  return { ...measured, drainSeconds, bytesWritten: size };
}

/** Measures how fast `dd` writes zeros to this disk, with a flush at the end. */
async function measureDisk(folder: string): Promise<number> {
  const file = join(folder, "dd.out");
  const { seconds } = await measure("dd", [
    ...["if=/dev/zero", `of=${file}`, "bs=4M", `count=${DISK_BYTES / (4 << 20)}`],
    ...["conv=fdatasync", "status=none"],
  ]);
  await Deno.remove(file);
  return DISK_BYTES / seconds;
}

function describe(
  rounds: ReadonlyMap<Contender, readonly Drained[]>,
  { orders, diskBytesPerSecond }: {
    readonly orders: number;
    readonly diskBytesPerSecond: number;
  },
): string {
  const rateOf = (results: readonly Drained[]) =>
    orders / median(results.map(({ drainSeconds }) => drainSeconds));
  const ours = rateOf([...rounds.values()][0] ?? []);
  const figures = [...rounds].map(([{ name, lacks }, results]) => [
    name,
    withThousands(rateOf(results)),
    (ours / rateOf(results)).toFixed(2),
    (median(results.map(({ cpuSeconds }) => cpuSeconds)) / orders * 100_000).toFixed(2),
    median(results.map(({ peakMiB }) => peakMiB)).toFixed(0),
    withThousands((results[0]?.bytesWritten ?? 0) / 1e6),
    lacks,
  ]);
  const header = [
    ...["", "records/s", "tracker's rate / this", "CPU s per 100,000", "peak MiB", "MB written"],
    "lacks",
  ];
  return `## Draining a topic\n\n${
    withThousands(orders)
  } orders of about 1.35 kB on 3 partitions, ` +
    `${ROUNDS} rounds, medians. The tracker validates, journals with \`order_full\`, flushes to disk, and commits. ` +
    `The time of the tracker, Connect, and rsyslog starts with the first byte in their file. That of Connect and ` +
    `rsyslog ends with the last byte, the tracker's when it exits: it has then flushed, committed, and left its ` +
    `group. The time of the others is from start to exit. CPU seconds are those of the whole process. \`dd\` flushed ${
      withThousands(diskBytesPerSecond / 1e6)
    } MB/s to this disk in the same run.\n\n` +
    table(header, figures);
}
