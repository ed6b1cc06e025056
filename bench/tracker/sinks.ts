/**
 * Programs that write a topic to a file and do not end by themselves: Kafka Connect's FileStreamSink and rsyslog's
 * imkafka.
 */

import { join } from "node:path";
import { kafkaJars } from "../../dev/kafka_jars.ts";
import { freePort } from "../../dev/local_port.ts";
import { parseMeasured, timeArgs } from "../measured_command.ts";
import type { Drained } from "./bench.ts";

const CONNECT_POM = join(import.meta.dirname ?? ".", "pom.xml");
const POLL_MS = 20;
const TIMEOUT_MS = 300_000;

export interface SinkRun {
  readonly broker: string;
  readonly topic: string;
  /** An empty folder for settings, offsets, and the file. */
  readonly folder: string;
  /** The final size of the output file. */
  readonly expectedBytes: number;
}

/** Runs Kafka Connect's FileStreamSink in a standalone worker, which commits every 10 s and never flushes to disk. */
export async function runConnect(
  { broker, topic, folder, expectedBytes }: SinkRun,
): Promise<Drained> {
  const jars = await kafkaJars({ pom: CONNECT_POM });
  const output = join(folder, "connect.out");
  const worker = join(folder, "worker.properties");
  const sink = join(folder, "sink.properties");
  const converter = "org.apache.kafka.connect.storage.StringConverter";
  await Deno.writeTextFile(
    worker,
    `bootstrap.servers=${broker}
key.converter=${converter}
value.converter=${converter}
offset.storage.file.filename=${join(folder, "connect.offsets")}
offset.flush.interval.ms=10000
listeners=http://127.0.0.1:${freePort()}
plugin.discovery=service_load
consumer.auto.offset.reset=earliest
`,
  );
  await Deno.writeTextFile(
    sink,
    `name=${crypto.randomUUID()}
connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector
tasks.max=1
topics=${topic}
file=${output}
`,
  );
  return await drainTo(output, expectedBytes, [
    ...["java", "-Xmx1g", "-cp", `${jars}/*`, "org.apache.kafka.connect.cli.ConnectStandalone"],
    ...[worker, sink],
  ]);
}

/** Runs rsyslog with one imkafka input and one omfile action, which never flushes to disk. */
export async function runRsyslog(
  { broker, topic, folder, expectedBytes }: SinkRun,
): Promise<Drained> {
  const output = join(folder, "rsyslog.out");
  const config = join(folder, "rsyslog.conf");
  await Deno.writeTextFile(
    config,
    `global(workDirectory="${folder}" maxMessageSize="64k")
module(load="imkafka")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="out") { action(type="omfile" file="${output}" template="raw") }
input(type="imkafka" topic="${topic}" broker="${broker}" consumergroup="${crypto.randomUUID()}"
      ruleset="out" confParam=["auto.offset.reset=earliest"])
`,
  );
  return await drainTo(output, expectedBytes, [
    ...["rsyslogd", "-n", "-f", config, "-i", join(folder, "rsyslog.pid")],
  ]);
}

/**
 * Returns the time of `performance.now()` at which a file's first byte was seen.
 *
 * @throws {Error} if `running` ends before that, with its error if it failed
 */
export async function firstByteMs(path: string, running: Promise<unknown>): Promise<number> {
  let isRunning = true;
  running.then(() => isRunning = false, () => isRunning = false);
  while (isRunning) {
    const { size } = await Deno.stat(path).catch(() => ({ size: 0 }));
    if (size > 0) return performance.now() - POLL_MS / 2;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await running;
  throw new Error(`${path} stayed empty`);
}

/** Ends the program once its output is complete. Measures from the file's first byte to its last, without the start-up. */
async function drainTo(
  output: string,
  expectedBytes: number,
  command: readonly string[],
): Promise<Drained> {
  const program = new Deno.Command("/usr/bin/time", {
    args: timeArgs(command),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const errorText = new Response(program.stderr).text();
  const deadline = performance.now() + TIMEOUT_MS;
  let startedMs: number | undefined;
  for (;;) {
    const { size } = await Deno.stat(output).catch(() => ({ size: 0 }));
    if (size > 0) startedMs ??= performance.now() - POLL_MS / 2;
    if (size >= expectedBytes) break;
    if (performance.now() > deadline) {
      await endChild(program.pid);
      throw new Error(`${command[0]} wrote ${size} of ${expectedBytes} bytes: ${await errorText}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const drainSeconds = (performance.now() - (startedMs ?? NaN)) / 1_000;
  await endChild(program.pid);
  await program.status;
  await Deno.remove(output);
  return {
    ...parseMeasured(await errorText),
    stdout: "",
    drainSeconds,
    bytesWritten: expectedBytes,
  };
}

/** Signals the measured program directly, because GNU time does not forward signals. */
async function endChild(pid: number): Promise<void> {
  await new Deno.Command("pkill", { args: ["-TERM", "-P", String(pid)] }).output();
}
