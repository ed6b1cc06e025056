/**
 * The demo's faults: its own broker behind a proxy, and a seeded schedule.
 *
 *     producer, tracker <-> proxy (the broker advertises its address) <-> broker
 */

import { Random } from "../../lib/shop/random.ts";
import { type BrokerProcess, startBrokerProcess } from "../broker_process.ts";
import type { EnsuredBroker } from "../ensure_broker.ts";
import { FaultyProxy } from "../faulty_proxy.ts";
import { freePort, LOOPBACK } from "../local_port.ts";
import { elapsed } from "./elapsed.ts";

export interface ChaosStage {
  /** Like any broker of the demo; its address is the proxy's. */
  readonly broker: EnsuredBroker;
  readonly proxy: FaultyProxy;
  /** Sends SIGKILL and waits for the end. */
  killBroker(): Promise<void>;
  startBroker(): Promise<void>;
}

export interface FaultInjection {
  readonly stage: ChaosStage;
  readonly seed: number;
  /** Sends SIGKILL and waits for the end. */
  readonly killTracker: () => Promise<void>;
  readonly startTracker: () => Promise<void>;
  /** Resolves when orders are being sent and journaled: a fault during start-up would only make the programs exit. */
  readonly untilFlowing: () => Promise<void>;
  readonly say: (news: ChaosNews) => void;
  readonly signal: AbortSignal;
}

/** One line of text. The dashboard has room for about a hundred characters. */
export interface ChaosNews {
  readonly text: string;
  /** True while something is broken. */
  readonly isBroken: boolean;
}

interface Fault {
  /** The fault and its visible effect. */
  readonly during: string;
  /** Why nothing is lost. */
  readonly after: string;
  readonly inject: (injection: FaultInjection, random: Random) => Promise<void>;
}

/** Time to read why nothing was lost. */
const CALM_MS_MIN = 4_000;
const CALM_MS_MAX = 6_000;
/** How long a program stays dead, so that people can see it. */
const DEAD_MS = 2_500;
const CUT_MS_MIN = 2_000;
const CUT_MS_MAX = 4_000;

const FAULTS: readonly Fault[] = [
  {
    during: "the tracker is killed (SIGKILL): orders wait in the topic, and nothing is journaled",
    after: "a new tracker reads the journal, continues from there, and appends nothing twice",
    async inject({ killTracker, startTracker, signal }) {
      await killTracker();
      await elapsed(DEAD_MS, signal);
      await startTracker();
    },
  },
  {
    during: "the broker is killed (SIGKILL): the producer keeps its orders, the tracker waits",
    after: "the broker kept what it acknowledged; the rest is sent again, in order",
    async inject({ stage, signal }) {
      await stage.killBroker();
      await elapsed(DEAD_MS, signal);
      await stage.startBroker();
    },
  },
  {
    during: "the network is cut: every connection is reset, and none is let through",
    after: "a batch whose answer was lost is sent again, and the broker stores it once",
    async inject({ stage, signal }, random) {
      stage.proxy.setMode({ kind: "refuse" });
      stage.proxy.resetAll();
      await elapsed(between(random, CUT_MS_MIN, CUT_MS_MAX), signal);
      stage.proxy.setMode({ kind: "pass" });
    },
  },
  {
    during: "the network drops everything: connections stay open, but nothing gets through",
    after: "no order counts as stored, and no offset as committed, before its answer arrives",
    async inject({ stage, signal }, random) {
      stage.proxy.setMode({ kind: "black-hole" });
      await elapsed(between(random, CUT_MS_MIN, CUT_MS_MAX), signal);
      stage.proxy.setMode({ kind: "pass" });
    },
  },
];

/** Starts a broker from Kafka's jars even if another one answers, because it will be killed. */
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

/** Injects each fault once, in an order and at times chosen by the seed. Ends early when stopped. */
export async function injectFaults(injection: FaultInjection): Promise<void> {
  const { seed, say, signal, untilFlowing } = injection;
  const random = new Random(seed);
  const order = FAULTS.map((fault) => ({ fault, at: random.unit() }))
    .sort((one, other) => one.at - other.at);
  say({
    text: `${order.length} faults while orders flow, then the proof`,
    isBroken: false,
  });
  for (const [index, { fault }] of order.entries()) {
    await untilFlowing();
    await elapsed(between(random, CALM_MS_MIN, CALM_MS_MAX), signal);
    if (signal.aborted) return;
    const number = `${index + 1} of ${order.length}`;
    say({ text: `${number}: ${fault.during}`, isBroken: true });
    await fault.inject(injection, random);
    say({ text: `${number} over: ${fault.after}`, isBroken: false });
  }
  await untilFlowing();
  await elapsed(CALM_MS_MIN, signal);
}

function between(random: Random, min: number, max: number): number {
  return min + random.unit() * (max - min);
}
