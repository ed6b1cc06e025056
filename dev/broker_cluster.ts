/**
 * Runs several Kafka brokers on this machine as one cluster. Each is broker and controller and stores every record,
 * so one can be down while the others continue.
 *
 *     DATA/node-1/  DATA/node-2/  DATA/node-3/     each as in `broker_process.ts`
 */

import { join } from "node:path";
import { type BrokerProcess, newClusterId, startBrokerProcess } from "./broker_process.ts";
import { freePort } from "./local_port.ts";

/** Less than for a single broker, because three Java processes share the machine. */
const HEAP_MEGABYTES = 320;

export interface BrokerClusterOptions {
  /** Client ports, one per node. */
  readonly ports: readonly number[];
  readonly dataDir: string;
  readonly quickStart?: boolean | undefined;
  readonly onProgress?: ((message: string) => void) | undefined;
  /** Cancels the start, but does not stop a running cluster. */
  readonly signal?: AbortSignal | undefined;
}

export interface BrokerCluster {
  /** `127.0.0.1:PORT` of every node, separated by commas. */
  readonly address: string;
  /** The current processes; node 1 is the first. */
  readonly nodes: readonly BrokerProcess[];
  /** Resolves when any of the initially started processes ends, for any reason. */
  readonly firstExit: Promise<void>;
  /** Restarts a node that has ended, on its port and its data. */
  restart(nodeId: number): Promise<void>;
  /** Stops the nodes one after the other, so that each hands over its leadership; the last two together. */
  stop(): Promise<void>;
}

/**
 * Starts the nodes and returns once each has joined the cluster.
 *
 * @throws {Error} like {@link startBrokerProcess}; no node is left running then.
 */
export async function startBrokerCluster(options: BrokerClusterOptions): Promise<BrokerCluster> {
  const { ports, dataDir, onProgress } = options;
  const clusterId = await knownClusterId(options) ?? newClusterId();
  const controllerPorts = freePorts(ports.length, ports);
  const failure = new AbortController();
  const signals = [failure.signal, ...(options.signal ? [options.signal] : [])];

  function start(nodeId: number, signal?: AbortSignal): Promise<BrokerProcess> {
    const port = ports[nodeId - 1];
    if (port === undefined) {
      throw new RangeError(`no node ${nodeId} in a cluster of ${ports.length}`);
    }
    return startBrokerProcess({
      port,
      dataDir: nodeFolder(dataDir, nodeId),
      membership: { nodeId, clusterId, controllerPorts },
      heapMegabytes: HEAP_MEGABYTES,
      quickStart: options.quickStart,
      onProgress: nodeId === 1 ? onProgress : undefined,
      signal,
    });
  }

  // Nodes can join only once a majority runs, so they start in parallel. If one fails, the others would wait in vain.
  const starts = ports.map(async (_, index) => {
    try {
      return await start(index + 1, AbortSignal.any(signals));
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  });
  const results = await Promise.allSettled(starts);
  const nodes = results.flatMap((each) => each.status === "fulfilled" ? [each.value] : []);
  if (nodes.length < ports.length) {
    await Promise.all(nodes.map((node) => node.kill()));
    throw failure.signal.reason;
  }

  return {
    address: nodes.map(({ address }) => address).join(","),
    nodes,
    firstExit: Promise.race(nodes.map(({ exited }) => exited)).then(() => {}),
    async restart(nodeId) {
      nodes[nodeId - 1] = await start(nodeId);
    },
    async stop() {
      for (const node of nodes.slice(2).reverse()) await node.stop();
      await Promise.all(nodes.slice(0, 2).map((node) => node.stop()));
    },
  };
}

/** Returns the id that the nodes' folders were formatted with, even if not all were. */
async function knownClusterId(
  { ports, dataDir }: BrokerClusterOptions,
): Promise<string | undefined> {
  for (let nodeId = 1; nodeId <= ports.length; nodeId++) {
    const path = join(nodeFolder(dataDir, nodeId), "kafka", "meta.properties");
    try {
      const id = /^cluster\.id=(.+)$/m.exec(await Deno.readTextFile(path))?.[1];
      if (id !== undefined) return id;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

function nodeFolder(dataDir: string, nodeId: number): string {
  return join(dataDir, `node-${nodeId}`);
}

/** Returns different free ports, excluding `reserved`. */
export function freePorts(count: number, reserved: readonly number[] = []): readonly number[] {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = freePort();
    if (!reserved.includes(port)) ports.add(port);
  }
  return [...ports];
}
