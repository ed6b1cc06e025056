/**
 * The real parts that a torture run acts on: brokers, trackers, two topics, and their dead letters. A nemesis can use
 * only this stage.
 */

import { join } from "node:path";
import process from "node:process";
import { type Admin, ConfigResourceTypes, Kafka, logLevel } from "kafkajs";
import { type BrokerProcess, newClusterId, startBrokerProcess } from "../broker_process.ts";
import { freePorts } from "../broker_cluster.ts";
import { FaultyProxy } from "../faulty_proxy.ts";
import { freePort } from "../local_port.ts";
import { type Program, type ProgramName, startProgram } from "../programs.ts";
import { administer, createTopic, entriesOf } from "./administer.ts";
import type { Facts } from "./promises.ts";
import type { Setup, TrackerSetup } from "./schedule.ts";

// The judge reads with unmodified kafkajs, whose timers make the runtime print a warning.
process.removeAllListeners("warning");

export const GROUP = "torture";
export const TOPICS = { main: "torture-main", other: "torture-other" } as const;
export type TopicRole = keyof typeof TOPICS;
export const ROLES: readonly TopicRole[] = ["main", "other"];
const PARTITIONS = 3;
const OWN_DISK_BYTES = 256 * 1024 * 1024;
const STOP_TIMEOUT_MS = 30_000;
const RESTART_MS = 1_000;
const POLL_MS = 100;
const ANY_TIMESTAMP = String(2n ** 63n - 1n);
const BROKER_SETTINGS = {
  "min.insync.replicas": "1",
  "replica.lag.time.max.ms": "2000",
  "transaction.state.log.min.isr": "1",
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
};
export const TOPIC_CONFIG: Readonly<Record<string, string>> = {
  "message.timestamp.before.max.ms": ANY_TIMESTAMP,
  "message.timestamp.after.max.ms": ANY_TIMESTAMP,
  // Old timestamps would cause segments to be deleted during a run.
  "retention.ms": "-1",
};

export interface Node {
  readonly id: number;
  readonly dataDir: string;
  process: BrokerProcess | undefined;
}

/** A tracker's folder and options; its program is started and stopped repeatedly. */
export interface TrackerSlot {
  readonly name: string;
  readonly setup: TrackerSetup;
  readonly group: string;
  readonly logs: string;
  readonly healthPort: number;
  /** The topic it subscribes to from its next start on. */
  topic: TopicRole;
  program: Program | undefined;
  /** True while we end it; a program that ends by itself is a violation. */
  isEnding: boolean;
}

export interface ProducerRun {
  readonly cwd: string;
  /** Incarnation of the topic at its start. */
  readonly incarnation: number;
  readonly sentAtMs: number;
  /** Empty if it was killed. */
  readonly summary: string;
}

type StageOptions = Pick<Stage, "setup" | "tell" | "healing">;

export class Stage implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "orderflow-torture-" });
  readonly setup: Setup;
  readonly nodes: Node[] = [];
  readonly trackers: TrackerSlot[] = [];
  /** Members of other groups, which are added and removed. */
  readonly guests: TrackerSlot[] = [];
  readonly producers: ProducerRun[] = [];
  /** Bypasses the proxy. */
  readonly kafka: Kafka;
  readonly admin: Admin;
  /** All programs reach a single broker through it; nodes of a cluster are reached directly. */
  readonly proxy: FaultyProxy | undefined;
  readonly tell: (line: string) => void;
  /** Aborted when the faults end and everything heals. */
  readonly healing: AbortSignal;
  readonly partitionCounts: Record<TopicRole, number> = { main: PARTITIONS, other: PARTITIONS };
  /** Effects of the faults that the judge must know. */
  readonly facts: Facts;
  readonly #ports: readonly number[];
  readonly #controllerPorts: readonly number[];
  readonly #directPort: number;
  readonly #clusterId = newClusterId();
  readonly #turns = new Map<string, Promise<void>>();

  private constructor({ setup, tell, healing }: StageOptions, proxy: FaultyProxy | undefined) {
    this.setup = setup;
    this.tell = tell;
    this.healing = healing;
    this.proxy = proxy;
    this.facts = {
      incarnations: { main: 0, other: 0 },
      formerTopics: new Map(),
      truncatedUntilMs: new Map(),
      groupWasReset: false,
      lettersWereDeleted: false,
      lettersAreCompacted: setup.deadLetterConfig["cleanup.policy"] === "compact",
      memberCount: setup.trackers.length,
      violations: [],
    };
    const ports = freePorts(2 * setup.nodes + 1);
    this.#ports = ports.slice(0, setup.nodes);
    this.#controllerPorts = ports.slice(setup.nodes, 2 * setup.nodes);
    this.#directPort = ports.at(-1) ?? 0;
    const directPorts = proxy === undefined ? this.#ports : [this.#directPort];
    this.kafka = new Kafka({
      brokers: directPorts.map((port) => `127.0.0.1:${port}`),
      logLevel: logLevel.NOTHING,
      connectionTimeout: 2_000,
      requestTimeout: 5_000,
      retry: { initialRetryTime: 100, maxRetryTime: 500, retries: 3 },
    });
    this.admin = this.kafka.admin();
  }

  static async open(options: StageOptions): Promise<Stage> {
    const { setup } = options;
    let port = 0;
    const proxy = setup.nodes === 1 ? await FaultyProxy.listen(() => port) : undefined;
    const stage = new Stage(options, proxy);
    port = stage.#ports[0] ?? 0;
    try {
      for (let id = 1; id <= setup.nodes; id++) {
        const dataDir = join(stage.folder, `node-${id}`);
        stage.nodes.push({ id, dataDir, process: undefined });
      }
      await Promise.all(stage.nodes.map((node) => stage.startNode(node)));
      await stage.admin.connect();
      for (const role of ROLES) await stage.createTopic(role);
      for (const role of ROLES) await stage.createDeadLetterTopic(role);
      for (const tracker of setup.trackers) {
        stage.trackers.push(await stage.addSlot(`tracker-${stage.trackers.length + 1}`, tracker));
      }
      for (const slot of stage.trackers) await stage.startTracker(slot);
      // Faults that strike before anything is journaled find little.
      for (const slot of stage.trackers) while (!await answers(slot, "ready")) await delay(POLL_MS);
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  get deadLetterConfig(): Readonly<Record<string, string>> {
    return { "retention.ms": "-1", ...this.setup.deadLetterConfig };
  }

  get address(): string {
    return this.proxy?.address ?? this.#ports.map((port) => `127.0.0.1:${port}`).join(",");
  }

  async startNode(node: Node): Promise<void> {
    node.process = await startBrokerProcess({
      port: this.#ports[node.id - 1] ?? 0,
      dataDir: node.dataDir,
      quickStart: true,
      heapMegabytes: 320,
      settings: { ...BROKER_SETTINGS, ...this.#listeners() },
      membership: {
        nodeId: node.id,
        clusterId: this.#clusterId,
        controllerPorts: this.#controllerPorts,
      },
    });
  }

  /** Behind a proxy, the broker has a second listener for everything that the proxy must not disturb. */
  #listeners(): Readonly<Record<string, string>> {
    if (this.proxy === undefined) return {};
    const local = (name: string, port = 0) => `${name}://127.0.0.1:${port}`;
    const direct = local("DIRECT", this.#directPort);
    const controller = local("CONTROLLER", this.#controllerPorts[0]);
    return {
      "listeners": [local("PLAINTEXT", this.#ports[0]), direct, controller].join(","),
      "advertised.listeners": `PLAINTEXT://${this.proxy.address},${direct}`,
      "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
      "inter.broker.listener.name": "DIRECT",
    };
  }

  /** Does nothing if it exists. */
  async createTopic(role: TopicRole): Promise<void> {
    // Each partition is on two of three nodes; the third keeps the quorum while both are disturbed.
    const replicationFactor = Math.min(2, this.setup.nodes);
    const topic = { topic: TOPICS[role], numPartitions: PARTITIONS, replicationFactor };
    const { topics: [found] } = await administer(this.kafka, async (admin) => {
      await createTopic(admin, topic, TOPIC_CONFIG);
      return await admin.fetchTopicMetadata({ topics: [topic.topic] });
    });
    this.partitionCounts[role] = found?.partitions.length ?? PARTITIONS;
  }

  async createDeadLetterTopic(role: TopicRole): Promise<void> {
    const topic = deadLettersOf(TOPICS[role]);
    const { deadLetterPartitions: numPartitions } = this.setup;
    await administer(
      this.kafka,
      (admin) => createTopic(admin, { topic, numPartitions }, this.deadLetterConfig),
    );
  }

  /** Does nothing if there is none. */
  async deleteTopic(topic: string): Promise<void> {
    await administer(this.kafka, async (admin) => {
      const names = await admin.listTopics();
      if (names.includes(topic)) await admin.deleteTopics({ topics: [topic] });
    });
  }

  async configure(name: string, config: Readonly<Record<string, string>>): Promise<void> {
    const resource = { type: ConfigResourceTypes.TOPIC, name, configEntries: entriesOf(config) };
    await administer(
      this.kafka,
      (admin) => admin.alterConfigs({ validateOnly: false, resources: [resource] }),
    );
  }

  async addSlot(name: string, setup: TrackerSetup, group = GROUP): Promise<TrackerSlot> {
    const disk = join(this.folder, name);
    await Deno.mkdir(disk);
    if (setup.ownDisk) {
      await command("mount", "-t", "tmpfs", "-o", `size=${OWN_DISK_BYTES}`, "tmpfs", disk);
    }
    const logs = join(disk, "logs");
    return {
      ...{ name, setup, group, logs, topic: setup.topic },
      ...{ healthPort: freePort(), program: undefined, isEnding: false },
    };
  }

  async startTracker(slot: TrackerSlot): Promise<void> {
    const { setup: { rotate, compress, keep }, group, logs, healthPort } = slot;
    const topic = TOPICS[slot.topic];
    slot.program = await this.run("tracker", [
      ...["--topic", topic, "--dead-letters", deadLettersOf(topic), "--group", group],
      ...["--logs", logs, "--health-port", String(healthPort), "--quiet"],
      ...(rotate ? ["--rotate", "64kB"] : []),
      ...(rotate && compress ? ["--compress"] : []),
      ...(rotate && keep ? ["--keep", "20s"] : []),
    ]);
    slot.isEnding = false;
    const { output, exitCode } = slot.program;
    const startCount = startCountOf(slot);
    exitCode.then(async (code) => {
      slot.program = undefined;
      if (slot.isEnding) return;
      if (startCountOf(slot) > startCount) return this.#reportEnd(slot, code, output.stderr);
      // It gives up if no broker answers at the start, and must then be restarted.
      this.tell(`${slot.name} could not start: ${output.stderr.trim().slice(0, 80)}`);
      await delay(RESTART_MS);
      if (!slot.isEnding && slot.program === undefined) await this.startTracker(slot);
    });
  }

  /** Starts a program of the project that connects to this stage's brokers. */
  async run(name: ProgramName, args: readonly string[], cwd = this.folder): Promise<Program> {
    return await startProgram(name, [...args, "--broker", this.address], { cwd });
  }

  async killTracker(slot: TrackerSlot): Promise<void> {
    slot.isEnding = true;
    slot.program?.signal("SIGKILL");
    await slot.program?.exitCode;
  }

  /** Sends SIGTERM and waits; a tracker that ends late or with an error is a violation. */
  async stopTracker(slot: TrackerSlot): Promise<void> {
    const { program } = slot;
    slot.isEnding = true;
    if (program === undefined) return;
    // Before the program listens for signals, SIGTERM ends it like any process.
    const isListening = await answers(slot, "live");
    program.signal("SIGTERM");
    const code = await Promise.race([program.exitCode, delay(STOP_TIMEOUT_MS)]);
    await this.killTracker(slot);
    if (code !== 0 && isListening) this.#reportEnd(slot, code, program.output.stderr);
  }

  #reportEnd({ name }: TrackerSlot, code: number | undefined, stderr: string): void {
    const how = code === undefined
      ? `not within ${STOP_TIMEOUT_MS / 1_000} s`
      : `with code ${code}`;
    const said = stderr.trim().split("\n").slice(-3).join(" | ");
    this.facts.violations.push(`A tracker ends only when told to: ${name} ended ${how}: ${said}`);
  }

  /**
   * Runs `work` after all other work on this target, because faults of one target must not overlap. Skips work that
   * has not begun when everything heals.
   */
  async exclusively(target: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(target) ?? Promise.resolve()).catch(() => {})
      .then(() => this.healing.aborted ? undefined : work());
    this.#turns.set(target, turn);
    await turn;
  }

  /** Waits for `ms`, or until everything heals. */
  async wait(ms: number): Promise<void> {
    const deadline = performance.now() + ms;
    while (performance.now() < deadline && !this.healing.aborted) await delay(POLL_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const slots = [...this.trackers, ...this.guests];
    await Promise.all(slots.map((slot) => this.killTracker(slot)));
    await this.admin.disconnect().catch(() => {});
    await Promise.all(this.nodes.map(({ process }) => process?.kill()));
    await this.proxy?.[Symbol.asyncDispose]();
    for (const { setup, logs } of slots) {
      if (setup.ownDisk) await command("umount", join(logs, ".."));
    }
    await Deno.remove(this.folder, { recursive: true });
  }
}

export function deadLettersOf(topic: string): string {
  return `${topic}-dlq`;
}

export function delay(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}

/** Returns how often a tracker has started, according to its log. */
function startCountOf({ logs }: TrackerSlot): number {
  try {
    return Deno.readTextFileSync(join(logs, "tracker.log")).split("The tracker started").length;
  } catch {
    return 0;
  }
}

/** Queries a tracker's health endpoint; no answer within a second counts as no. */
export async function answers({ healthPort }: TrackerSlot, what: "live" | "ready") {
  try {
    const signal = AbortSignal.timeout(1_000);
    const response = await fetch(`http://127.0.0.1:${healthPort}/${what}`, { signal });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** Sends a signal to a broker that may have ended. */
export function signal({ process }: Node, name: Deno.Signal): void {
  try {
    if (process !== undefined) Deno.kill(process.pid, name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof TypeError)) throw error;
  }
}

async function command(name: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(name, { args }).output();
  if (!success) throw new Error(`${name}: ${new TextDecoder().decode(stderr)}`);
}
