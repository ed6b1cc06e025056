/**
 * One Kafka broker as a child process: broker and controller in one Java process, its data in one folder. It runs
 * alone or as a node of a cluster (see `broker_cluster.ts`).
 *
 *     DATA/
 *       server.properties   rewritten at each start
 *       broker.log          of this start; broker.log.1 is of the previous one
 *       broker.lock         held while a broker runs on this folder
 *       kafka/              Kafka's own log folder: the records
 *       tmp/                files that Java unpacks
 */

import { join } from "node:path";
import { delay } from "../lib/async.ts";
import { classArchive, makeClassArchive } from "./class_archive.ts";
import { acquireLauncher, type Launcher, LOCKED_EXIT_CODE } from "./launcher.ts";
import { answersKafka, listsBroker } from "./kafka_probe.ts";
import { freePort, isPortFree, LOOPBACK } from "./local_port.ts";
import { kafkaJars } from "./kafka_jars.ts";

/** Recovery after SIGKILL can take much longer than the usual 2 s. */
const START_TIMEOUT_MS = 120_000;
const POLL_MS = 50;
const PROBE_TIMEOUT_MS = 1_000;
/** A broker that does not stop within this time is killed. */
const STOP_TIMEOUT_MS = 20_000;
/** Another program can take the chosen controller port before it is used. */
const START_ATTEMPTS_MAX = 3;
const STDERR_CHARS_MAX = 4_000;

export interface ClusterMembership {
  readonly nodeId: number;
  /** Cluster id, the same for all nodes; used when a node's folder is new. */
  readonly clusterId: string;
  /** Controller ports of nodes 1, 2, ... in this order; must not change while any node runs. */
  readonly controllerPorts: readonly number[];
}

export interface BrokerProcessOptions {
  readonly port: number;
  /** Created if missing; existing data is reused. */
  readonly dataDir: string;
  /** Kafka settings (`log.retention.ms`, ...) that override {@link serverSettings}. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  readonly membership?: ClusterMembership | undefined;
  /** Maximum Java heap. Default: 512. */
  readonly heapMegabytes?: number | undefined;
  /**
   * Limits compilation: starts sooner, but serves more slowly. The first such start archives Kafka's classes for all
   * later ones. For tests. Default: false.
   */
  readonly quickStart?: boolean | undefined;
  readonly onProgress?: ((message: string) => void) | undefined;
  /** Cancels the start, but does not stop a running broker. */
  readonly signal?: AbortSignal | undefined;
}

export interface BrokerProcess {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  readonly port: number;
  readonly dataDir: string;
  readonly pid: number;
  /** Resolves when the process has ended, for any reason. */
  readonly exited: Promise<Deno.CommandStatus>;
  /** Sends SIGTERM and waits for the end. Does nothing if it has ended. */
  stop(): Promise<void>;
  /** Sends SIGKILL and waits for the end: like a crash, for clients and on disk. */
  kill(): Promise<void>;
}

/**
 * Starts a broker and returns when it is usable. After `stop` or `kill`, a call with the same folder continues with
 * its records.
 *
 * The process has its own session, so Ctrl-C in a terminal does not reach it. On Linux it ends when the program that
 * started it dies.
 *
 * @throws {Error} if the port or the folder is in use, or if the broker ends before it answers, with the reason from
 * its log.
 */
export async function startBrokerProcess(options: BrokerProcessOptions): Promise<BrokerProcess> {
  const { port, dataDir, onProgress, signal } = options;
  if (!isPortFree(port)) throw new PortInUseError(port);

  const jarsDir = await kafkaJars({ onProgress, signal });
  if (options.quickStart) await makeClassArchive(jarsDir, recordClasses);
  await Deno.mkdir(dataDir, { recursive: true });
  return await startWith(options, { jarsDir });
}

/** Runs a broker in its own folder, which archives the classes it has loaded to `path` when it ends. */
async function recordClasses(path: string): Promise<void> {
  const jarsDir = await kafkaJars();
  const dataDir = await Deno.makeTempDir({ prefix: "orderflow-classes-" });
  try {
    const options = { port: freePort(), dataDir, quickStart: true };
    const broker = await startWith(options, { jarsDir, recordTo: path });
    await broker.stop();
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
}

async function startWith(
  options: BrokerProcessOptions,
  java: { readonly jarsDir: string; readonly recordTo?: string },
): Promise<BrokerProcess> {
  const { port, dataDir, membership, signal } = options;
  for (let attempt = 1;; attempt++) {
    // Kafka's own lock comes too late: a second broker reads the metadata log before it takes the lock, considers
    // what the first is writing corrupt, and truncates it. The first then dies.
    const launcher = await acquireLauncher(join(dataDir, "broker.lock"));
    if (launcher === undefined) throw folderInUse(dataDir);

    const place = membership ?? aloneOn(freePort());
    const child = await launch(options, { launcher, place, ...java });
    const broker = brokerProcess(child, options);
    const start = await waitUntilReady(broker, place.nodeId, signal);
    if (start === "ready") return broker;

    if ((await broker.exited).code === LOCKED_EXIT_CODE) throw folderInUse(dataDir);
    const reason = await reasonOfEnd(dataDir, await child.stderrText);
    const isPortTaken = place.controllerPorts.some((taken) => reason.includes(`:${taken}`));
    if (isPortTaken && membership === undefined && attempt < START_ATTEMPTS_MAX) continue;
    if (reason.includes("Address already in use")) throw new PortInUseError(port);
    throw new Error(
      `Cannot start a broker on port ${port}: it ended before it answered: "${reason}" (its log: ${
        logPath(dataDir)
      })`,
    );
  }
}

function aloneOn(controllerPort: number): ClusterMembership {
  return { nodeId: 1, clusterId: newClusterId(), controllerPorts: [controllerPort] };
}

/**
 * Returns the settings of a broker whose clients and other nodes are all on this machine. Each deviation from Kafka's
 * defaults has a comment.
 */
function serverSettings(
  { port, dataDir, settings }: BrokerProcessOptions,
  { nodeId, controllerPorts }: ClusterMembership,
): Record<string, string> {
  const controllerPort = controllerPorts[nodeId - 1];
  const voters = controllerPorts.map((each, index) => `${index + 1}@${LOOPBACK}:${each}`);
  // As many replicas as nodes; one node may be down.
  const replicas = String(controllerPorts.length);
  const inSyncMin = String(Math.max(1, controllerPorts.length - 1));
  return {
    "process.roles": "broker,controller",
    "node.id": String(nodeId),
    "controller.quorum.voters": voters.join(","),
    "listeners": `PLAINTEXT://${LOOPBACK}:${port},CONTROLLER://${LOOPBACK}:${controllerPort}`,
    "advertised.listeners": `PLAINTEXT://${LOOPBACK}:${port}`,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": join(dataDir, "kafka"),

    // The programs create topics, with the partitions that they need.
    "auto.create.topics.enable": "false",

    "default.replication.factor": replicas,
    "min.insync.replicas": inSyncMin,
    "offsets.topic.replication.factor": replicas,
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": inSyncMin,
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": inSyncMin,
    // Each partition is a folder opened at the start; the default of 50 is meant for large clusters.
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "5",
    "share.coordinator.state.topic.num.partitions": "5",

    // A group's first member gets its partitions at once instead of after 3 s.
    "group.initial.rebalance.delay.ms": "0",

    // After SIGKILL, the controller considers the old process alive until its session ends, and refuses the new one:
    // by default for 9 s.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "250",

    ...settings,
  };
}

async function writeSettings(
  options: BrokerProcessOptions,
  place: ClusterMembership,
): Promise<void> {
  const { dataDir } = options;
  await Deno.mkdir(join(dataDir, "kafka"), { recursive: true });
  await Deno.mkdir(join(dataDir, "tmp"), { recursive: true });
  const lines = Object.entries(serverSettings(options, place))
    .map(([name, value]) => `${name}=${escapeProperty(value)}\n`);
  await Deno.writeTextFile(propertiesPath(dataDir), lines.join(""));
}

function escapeProperty(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** Kafka writes `meta.properties` last when formatting, so an interrupted format counts as none. */
async function isNew(dataDir: string): Promise<boolean> {
  try {
    await Deno.stat(join(dataDir, "kafka", "meta.properties"));
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

async function format(
  { dataDir, jarsDir, clusterId }: { dataDir: string; jarsDir: string; clusterId: string },
): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command("java", {
    args: [
      ...await javaArgs({ dataDir, jarsDir, quickStart: true }),
      "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
      "kafka.tools.StorageTool",
      "format",
      "--cluster-id",
      clusterId,
      "--config",
      propertiesPath(dataDir),
    ],
    stdin: "null",
    detached: true, // not reached by Ctrl-C, like the broker itself
  }).output();
  if (success) return;
  const text = new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout);
  throw new Error(
    `Cannot format the broker's folder "${dataDir}": "${reasonIn(text) ?? text.trim()}"`,
  );
}

/** Returns a random UUID in Kafka's format: 22 characters of base64url, not starting with a dash. */
export function newClusterId(): string {
  for (;;) {
    const id = crypto.getRandomValues(new Uint8Array(16)).toBase64({
      alphabet: "base64url",
      omitPadding: true,
    });
    if (!id.startsWith("-")) return id;
  }
}

async function javaArgs(
  { dataDir, jarsDir, quickStart, heapMegabytes = 512, recordTo }: {
    dataDir: string;
    jarsDir: string;
    quickStart: boolean;
    heapMegabytes?: number | undefined;
    recordTo?: string | undefined;
  },
): Promise<string[]> {
  const archive = await classArchive(jarsDir);
  return [
    `-Xmx${heapMegabytes}m`,
    "-Xms128m",
    "-Xshare:auto",
    // Leaves no file in the machine's temporary folder, even after SIGKILL.
    "-XX:-UsePerfData",
    `-Djava.io.tmpdir=${join(dataDir, "tmp")}`,
    ...(recordTo ? [`-XX:ArchiveClassesAtExit=${recordTo}`] : []),
    ...(archive ? [`-XX:SharedArchiveFile=${archive}`] : []),
    ...(quickStart ? ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] : []),
    "-classpath",
    join(jarsDir, "*"),
  ];
}

interface BrokerChild {
  readonly process: Deno.ChildProcess;
  readonly exited: Promise<Deno.CommandStatus>;
  /** The end of its stderr output; resolves when it has ended. */
  readonly stderrText: Promise<string>;
}

interface LaunchMeans {
  readonly launcher: Launcher;
  readonly jarsDir: string;
  readonly place: ClusterMembership;
  /** Where to write the archive of loaded classes. */
  readonly recordTo?: string | undefined;
}

/** Writes the settings, formats a new folder, and starts Java. Releases the lock when Java ends. */
async function launch(
  options: BrokerProcessOptions,
  { launcher, jarsDir, place, recordTo }: LaunchMeans,
): Promise<BrokerChild> {
  const { dataDir, quickStart = false, heapMegabytes } = options;
  try {
    await writeSettings(options, place);
    if (await isNew(dataDir)) await format({ dataDir, jarsDir, clusterId: place.clusterId });
    // The logger truncates its file at each start.
    await Deno.rename(logPath(dataDir), `${logPath(dataDir)}.1`).catch(ignoreNotFound);
    const process = launcher.spawn("java", [
      ...await javaArgs({ dataDir, jarsDir, quickStart, heapMegabytes, recordTo }),
      `-Dorg.slf4j.simpleLogger.logFile=${logPath(dataDir)}`,
      "-Dorg.slf4j.simpleLogger.showDateTime=true",
      "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
      "kafka.Kafka",
      propertiesPath(dataDir),
    ]);
    const exited = process.status.finally(() => launcher.release());
    return { process, exited, stderrText: endOf(process.stderr) };
  } catch (error) {
    launcher.release();
    throw error;
  }
}

function brokerProcess(
  child: BrokerChild,
  { port, dataDir }: BrokerProcessOptions,
): BrokerProcess {
  const { process } = child;
  let ended = false;
  const exited = child.exited.then((status) => {
    ended = true;
    return status;
  });

  async function end(signal: Deno.Signal): Promise<void> {
    if (!ended) sendSignal(process, signal);
    const killTimer = setTimeout(() => {
      if (!ended) sendSignal(process, "SIGKILL");
    }, STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(killTimer);
    await child.stderrText;
  }

  return {
    address: `${LOOPBACK}:${port}`,
    port,
    dataDir,
    pid: process.pid,
    exited,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
  };
}

/** Ignores a process that ends before the signal arrives. */
function sendSignal(process: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    process.kill(signal);
  } catch (error) {
    const gone = error instanceof TypeError || error instanceof Deno.errors.NotFound;
    if (!gone) throw error;
  }
}

/** @throws the reason of `signal`, or an Error at the deadline; the process has ended by then. */
async function waitUntilReady(
  broker: BrokerProcess,
  nodeId: number,
  signal: AbortSignal | undefined,
): Promise<"ready" | "ended"> {
  let ended = false;
  broker.exited.then(() => ended = true);
  const deadlineMs = Date.now() + START_TIMEOUT_MS;
  while (!ended) {
    // An answer alone is not enough: the broker answers before the controller has accepted it.
    if (await listsBroker(broker.address, PROBE_TIMEOUT_MS, nodeId)) {
      return ended ? "ended" : "ready";
    }
    if (signal?.aborted) {
      await broker.kill();
      throw signal.reason;
    }
    if (Date.now() > deadlineMs) {
      const speaks = await answersKafka(broker.address, PROBE_TIMEOUT_MS);
      await broker.kill();
      throw new Error(
        `Cannot start a broker on port ${broker.port}: after ${START_TIMEOUT_MS / 1000} s it ${
          speaks ? "answers but has not joined its cluster" : "does not answer"
        } (its log: ${logPath(broker.dataDir)})`,
      );
    }
    await delay(POLL_MS);
  }
  return "ended";
}

/** Returns why the broker ended: the first exception in its log, or its last line on stderr. */
async function reasonOfEnd(dataDir: string, stderrText: string): Promise<string> {
  const log = await Deno.readTextFile(logPath(dataDir)).catch(ignoreNotFound) ?? "";
  return reasonIn(log) ?? reasonIn(stderrText) ?? (stderrText.trim() || "no reason given");
}

function reasonIn(text: string): string | undefined {
  return /^(?:Exception in thread "[^"]*" |Caused by: )?[\w.$]+(?:Exception|Error): (.+)$/m
    .exec(text)?.[1];
}

/** Reads a stream to its end, so that the writer is never blocked, and returns the last part. */
async function endOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    text = (text + part).slice(-STDERR_CHARS_MAX);
  }
  return text;
}

/** Another program listens on the port, or on another one that the broker needs. */
export class PortInUseError extends Error {
  override readonly name = "PortInUseError";

  constructor(port: number) {
    super(`port ${port} is in use by another program: choose another with --port`);
  }
}

function folderInUse(dataDir: string): Error {
  return new Error(
    `Cannot start a broker on the folder "${dataDir}": another broker uses it, stop that one or choose another folder with --data`,
  );
}

function propertiesPath(dataDir: string): string {
  return join(dataDir, "server.properties");
}

function logPath(dataDir: string): string {
  return join(dataDir, "broker.log");
}

function ignoreNotFound(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
