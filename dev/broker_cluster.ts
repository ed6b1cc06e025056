/**
 * Several Kafka brokers on this machine as one cluster: each is broker and controller, and every record
 * is on all of them. One may be away and the others go on.
 *
 *     DATA/node-1/  DATA/node-2/  DATA/node-3/     each as `broker_process.ts` says
 *
 * @module
 */

import { join } from "node:path";
import { type BrokerProcess, newClusterId, startBrokerProcess } from "./broker_process.ts";
import { freePort } from "./local_port.ts";

/** Three Java processes share a machine that one would have for itself. */
const HEAP_MEGABYTES = 320;

export interface BrokerClusterOptions {
  /** Where clients connect: a port for each node. */
  readonly ports: readonly number[];
  /** Created when it is missing; the nodes' data from an earlier start is used again. */
  readonly dataDir: string;
  /** As of a broker that is alone. */
  readonly quickStart?: boolean | undefined;
  /** Called with sentences of progress. */
  readonly onProgress?: ((message: string) => void) | undefined;
  /** Ends the start, not the cluster once it runs. */
  readonly signal?: AbortSignal | undefined;
}

export interface BrokerCluster {
  /** `127.0.0.1:PORT` of every node, with commas. */
  readonly address: string;
  /** The nodes as they run now; node 1 is the first. */
  readonly nodes: readonly BrokerProcess[];
  /** Resolves when the first of the nodes that were started first has ended, by whatever hand. */
  readonly firstExit: Promise<void>;
  /** Starts a node again that has ended, on its port and its data. */
  restart(nodeId: number): Promise<void>;
  /** Ends the nodes one after the other, so that each hands over what it leads; the last two together. */
  stop(): Promise<void>;
}

/**
 * Starts the nodes and returns when each is let into the cluster.
 *
 * @throws {Error} as {@link startBrokerProcess}; none is left running then.
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

  // No node is let in before a majority runs, so they start side by side; where one fails the others
  // would wait for it in vain.
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

/** The id that the nodes' folders were formatted with, even where not all were. */
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

/** Different ports that are free, and none of `reserved`. */
export function freePorts(count: number, reserved: readonly number[] = []): readonly number[] {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = freePort();
    if (!reserved.includes(port)) ports.add(port);
  }
  return [...ports];
}
