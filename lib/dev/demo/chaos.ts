/**
 * The demo's troubles: a broker of its own behind a line of its own, and a seeded schedule of what happens to them.
 *
 *     producer, tracker <-> proxy (the broker advertises its address) <-> broker
 *
 * @module
 */

import { Random } from "../../shop/random.ts";
import { type BrokerProcess, startBrokerProcess } from "../broker_process.ts";
import type { EnsuredBroker } from "../ensure_broker.ts";
import { FaultyProxy } from "../faulty_proxy.ts";
import { freePort, LOOPBACK } from "../local_port.ts";
import { elapsed } from "./elapsed.ts";

/** What can be done to the demo. */
export interface ChaosStage {
  /** As any broker of the demo; its address is the proxy's. */
  readonly broker: EnsuredBroker;
  readonly proxy: FaultyProxy;
  /** SIGKILL, and waits for the end. */
  killBroker(): Promise<void>;
  startBroker(): Promise<void>;
}

export interface Troubles {
  readonly stage: ChaosStage;
  readonly seed: number;
  /** SIGKILL to the tracker, and a new one on the same folder. */
  readonly restartTracker: () => Promise<void>;
  /** Told what happens, as it happens. */
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

interface Trouble {
  readonly name: string;
  readonly make: (troubles: Troubles, random: Random) => Promise<void>;
}

const CALM_MS_MIN = 3_000;
const CALM_MS_MAX = 5_000;
const CUT_MS_MIN = 2_000;
const CUT_MS_MAX = 4_000;

const TROUBLES: readonly Trouble[] = [
  {
    name: "the tracker is killed (SIGKILL) and started again",
    make: ({ restartTracker }) => restartTracker(),
  },
  {
    name: "the broker is killed (SIGKILL) and started again",
    async make({ stage, signal }) {
      await stage.killBroker();
      await elapsed(1_000, signal);
      await stage.startBroker();
    },
  },
  {
    name: "the network is cut: every connection is reset, none is let through",
    async make({ stage, signal }, random) {
      stage.proxy.setMode({ kind: "refuse" });
      stage.proxy.resetAll();
      await elapsed(between(random, CUT_MS_MIN, CUT_MS_MAX), signal);
      stage.proxy.setMode({ kind: "pass" });
    },
  },
  {
    name: "the network swallows everything: connections stay, and nothing comes through",
    async make({ stage, signal }, random) {
      stage.proxy.setMode({ kind: "black-hole" });
      await elapsed(between(random, CUT_MS_MIN, CUT_MS_MAX), signal);
      stage.proxy.setMode({ kind: "pass" });
    },
  },
];

/** Starts a broker from Kafka's jars, whoever else answers: what is killed here is nobody's. */
export async function startChaosStage(
  { dataDir, log, signal }: {
    readonly dataDir: string;
    readonly log: (line: string) => void;
    readonly signal: AbortSignal;
  },
): Promise<ChaosStage> {
  const port = freePort();
  const proxy = await FaultyProxy.listen(() => port);
  const start = (stop?: AbortSignal) =>
    startBrokerProcess({
      port,
      dataDir,
      settings: { "advertised.listeners": `PLAINTEXT://${proxy.address}` },
      quickStart: true,
      onProgress: log,
      signal: stop,
    });
  let process: BrokerProcess;
  try {
    process = await start(signal);
  } catch (error) {
    await proxy[Symbol.asyncDispose]();
    throw error;
  }
  return {
    broker: {
      address: `${LOOPBACK}:${proxy.port}`,
      startedHere: true,
      how: "jars",
      ended: new Promise(() => {}),
      async stop() {
        await process.stop();
        await proxy[Symbol.asyncDispose]();
      },
    },
    proxy,
    killBroker: () => process.kill(),
    async startBroker() {
      process = await start();
    },
  };
}

/** Makes each trouble once, in an order and at times that the seed decides; ends early when it is told to. */
export async function makeTroubles(troubles: Troubles): Promise<void> {
  const { seed, say, signal } = troubles;
  const random = new Random(seed);
  const order = TROUBLES.map((trouble) => ({ trouble, at: random.unit() }))
    .sort((one, other) => one.at - other.at);
  for (const [index, { trouble }] of order.entries()) {
    await elapsed(between(random, CALM_MS_MIN, CALM_MS_MAX), signal);
    if (signal.aborted) return;
    say(`${index + 1} of ${order.length}: ${trouble.name}`);
    await trouble.make(troubles, random);
    say(`${index + 1} of ${order.length}: over`);
  }
  await elapsed(CALM_MS_MIN, signal);
}

function between(random: Random, min: number, max: number): number {
  return min + random.unit() * (max - min);
}
