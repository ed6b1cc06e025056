/**
 * Provides a broker for development: an existing one, or one started here.
 */

import { startBrokerCluster } from "./broker_cluster.ts";
import { PortInUseError, startBrokerProcess } from "./broker_process.ts";
import { composeAnswers, startComposeBroker } from "./compose_broker.ts";
import { hasMaven, JAVA_VERSION_MIN, javaVersion } from "./java.ts";
import { answersKafka } from "./kafka_probe.ts";
import { isLocal, isPortFree, parseAddress } from "./local_port.ts";
import { requireUnix } from "./unix_only.ts";

const PROBE_TIMEOUT_MS = 10_000;

export interface EnsureBrokerOptions {
  /** `host:port`, or several separated by commas, as in `KAFKA_BROKER`: the first counts. */
  readonly address: string;
  /** Data folder of a broker that runs from its jars. */
  readonly dataDir: string;
  readonly log: (message: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface EnsuredBroker {
  readonly address: string;
  /** False for an existing broker, which `stop` does not stop. */
  readonly startedHere: boolean;
  readonly how: "running" | "compose" | "jars";
  /** Resolves when a broker from its jars ends by itself; never resolves for others. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Uses the broker at the address if one answers. Otherwise, if the address is on this machine, starts one there: with
 * Docker Compose if an engine answers, or from Kafka's jars with Java 17 or newer.
 *
 * @throws {SyntaxError} if the address is not `host:port`.
 * @throws {Error} if there is no broker and none can be started, with advice.
 */
export async function ensureBroker(
  { address: addresses, dataDir, log, signal }: EnsureBrokerOptions,
): Promise<EnsuredBroker> {
  const address = addresses.split(",")[0]?.trim() ?? "";
  const { hostname, port } = parseAddress(address);
  const never = new Promise<void>(() => {});

  if (await answersKafka(address, PROBE_TIMEOUT_MS)) {
    return { address, startedHere: false, how: "running", ended: never, stop: async () => {} };
  }
  if (!isLocal(hostname)) {
    throw new Error(
      `No Kafka broker answers at ${address}, and one can only be started at localhost: start that broker, or set KAFKA_BROKER to a running one`,
    );
  }
  if (!isPortFree(port)) throw new PortInUseError(port);

  if (await composeAnswers()) {
    log(`no Kafka broker answers at ${address}: starting one with Docker Compose`);
    const broker = await startComposeBroker({ port, signal });
    return { address, startedHere: true, how: "compose", ended: never, stop: broker.stop };
  }
  await requireJava(`No Kafka broker answers at ${address}, no Docker engine answers`);
  log(`no Kafka broker answers at ${address}: starting one from Kafka's jars`);
  const broker = await startBrokerProcess({ port, dataDir, signal, onProgress: log });
  return {
    address,
    startedHere: true,
    how: "jars",
    ended: broker.exited.then(() => {}),
    stop: broker.stop,
  };
}

/**
 * Starts a cluster of several nodes from Kafka's jars. It counts as ended when all nodes have ended; if one is
 * killed, the others continue.
 *
 * @throws {Error} if something listens at one of the ports, or there is no Java.
 */
export async function startNodes(
  { ports, dataDir, log, signal }: {
    readonly ports: readonly number[];
    readonly dataDir: string;
    readonly log: (line: string) => void;
    readonly signal: AbortSignal;
  },
): Promise<EnsuredBroker> {
  await requireJava("several nodes run from Kafka's jars");
  log(`starting ${ports.length} nodes from Kafka's jars, at the ports ${ports.join(", ")}`);
  const cluster = await startBrokerCluster({ ports, dataDir, signal, onProgress: log });
  return {
    address: cluster.address,
    startedHere: true,
    how: "jars",
    ended: Promise.all(cluster.nodes.map(({ exited }) => exited)).then(() => {}),
    stop: cluster.stop,
  };
}

/** @throws {Error} naming what to install, if a broker cannot run from its jars. */
async function requireJava(why: string): Promise<void> {
  requireUnix("a broker from Kafka's jars");
  const version = await javaVersion();
  if (version !== undefined && version >= JAVA_VERSION_MIN && await hasMaven()) return;

  const found = version === undefined || version >= JAVA_VERSION_MIN
    ? `and Java ${JAVA_VERSION_MIN} or newer with Maven was not found`
    : `and the Java on PATH is version ${version}, too old for Kafka`;
  throw new Error(
    `${why}, ${found}: install Docker, or Java ${JAVA_VERSION_MIN} and Maven, or set KAFKA_BROKER to an existing broker`,
  );
}
