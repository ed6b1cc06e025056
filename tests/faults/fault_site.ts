/**
 * Shared by the fault tests: brokers that can be disturbed, trackers that die at a chosen moment, and a comparison of
 * topic and journals that reports differences in numbers.
 *
 * The short form of a test runs with all the others; `ORDERFLOW_FAULTS=long` selects the long one, and
 * `ORDERFLOW_SEED` the seed of its random choices.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { ConfigResourceTypes } from "kafkajs";
import { type BrokerProcess, startBrokerProcess } from "../../dev/broker_process.ts";
import { spawnBoundToUs } from "../../dev/child_process.ts";
import { onFreePorts } from "../on_free_ports.ts";
import type { Program } from "../../dev/programs.ts";
import { FaultyProxy } from "../../dev/faulty_proxy.ts";
import { Random } from "../../lib/shop/random.ts";
import type { TrackerTotals } from "../../lib/tracker/metrics.ts";
import {
  countJournalLines,
  createTopics,
  journaledRecord,
  type JournalLine,
  readTopic,
  type SeenRecord,
  type Site,
  until,
  visitJournal,
  withAdmin,
} from "../site.ts";
import { differingFields } from "../seen_record.ts";
import type { FaultyHandlerOptions } from "./faulty_handler.ts";
import { sendFullRecords } from "./full_records.ts";

export const IS_LONG = Deno.env.get("ORDERFLOW_FAULTS") === "long";
/** Generous, because the machine may be slow and busy; none of these tests is about speed unless it says so. */
export const TEST_TIMEOUT_MS = IS_LONG ? 300_000 : 120_000;

/** Trackers of these tests lose their partitions after this time, so that a test need not wait 10 s. */
export const SESSION_TIMEOUT_MS = 2_000;

const SAMPLE_COUNT = 5;
const FULL_RECORDS_MAX = 60;
const DELETE_ATTEMPTS_MAX = 50;
const SETTINGS = { "group.min.session.timeout.ms": "500" } as const;

/** Returns the value for the long or the short form. */
export function scaled<Value>({ long, short }: { long: Value; short: Value }): Value {
  return IS_LONG ? long : short;
}

/** Prints a fact about a test that passes, such as its seed or a recovery time. */
export function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`  ${text}\n`));
}

/** Returns reproducible random choices: prints the seed, which `ORDERFLOW_SEED` sets. */
export function seededChoices(): Random & { readonly seed: number } {
  const seed = Number(Deno.env.get("ORDERFLOW_SEED") ?? Math.floor(Math.random() * 2 ** 32));
  say(`ORDERFLOW_SEED=${seed}`);
  return Object.assign(new Random(seed), { seed });
}

/** Returns a random integer from `min` up to, but not including, `max`. */
export function between(random: Random, { min, max }: { min: number; max: number }): number {
  return min + Math.floor(random.unit() * (max - min));
}

/** A test's own broker, which can be killed and restarted with its data. */
export class FaultBroker implements AsyncDisposable {
  readonly port: number;
  readonly #dataDir: string;
  readonly #settings: Readonly<Record<string, string>>;
  #process: BrokerProcess;

  private constructor(
    process: BrokerProcess,
    { dataDir, settings }: { dataDir: string; settings: Readonly<Record<string, string>> },
  ) {
    this.port = process.port;
    this.#process = process;
    this.#dataDir = dataDir;
    this.#settings = settings;
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<FaultBroker> {
    const dataDir = await Deno.makeTempDir({ prefix: "orderflow-faults-" });
    const all = { ...SETTINGS, ...settings };
    try {
      const process = await onFreePorts(
        1,
        ([port = 0]) => startBrokerProcess({ port, dataDir, quickStart: true, settings: all }),
      );
      return new FaultBroker(process, { dataDir, settings: all });
    } catch (error) {
      deleteSync(dataDir);
      throw error;
    }
  }

  get address(): string {
    return this.#process.address;
  }

  /** Returns the broker's file with a partition's first records. */
  logFileOf(topic: string, partition: number): string {
    return join(this.#dataDir, "kafka", `${topic}-${partition}`, "00000000000000000000.log");
  }

  /** Sends SIGKILL, and waits for the end. */
  async kill(): Promise<void> {
    await this.#process.kill();
  }

  /** Sends SIGTERM, and waits for the end. */
  async stop(): Promise<void> {
    await this.#process.stop();
  }

  /** Sends SIGSTOP: connections stay open, and nothing is answered, until {@link resume}. */
  pause(): void {
    Deno.kill(this.#process.pid, "SIGSTOP");
  }

  resume(): void {
    Deno.kill(this.#process.pid, "SIGCONT");
  }

  async restart(): Promise<void> {
    this.#process = await startBrokerProcess({
      port: this.port,
      dataDir: this.#dataDir,
      quickStart: true,
      settings: this.#settings,
    });
  }

  /** Ends a broker of a whole file, when nothing can be awaited any more. */
  endSync(): void {
    try {
      Deno.kill(this.#process.pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof TypeError)) throw error;
    }
    deleteSync(this.#dataDir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    deleteSync(this.#dataDir);
  }
}

/**
 * Starts a broker for the tests of one file. Call it at the top of the file: a process started outside every test is
 * not reported as a leak.
 */
export async function brokerOfFile(
  settings: Readonly<Record<string, string>> = {},
): Promise<FaultBroker> {
  const broker = await FaultBroker.start(settings);
  globalThis.addEventListener("unload", () => broker.endSync());
  return broker;
}

export async function brokerBehindProxy(): Promise<
  AsyncDisposable & { readonly proxy: FaultyProxy; readonly broker: FaultBroker }
> {
  let targetPort = 0;
  await using ends = new AsyncDisposableStack();
  const proxy = ends.use(await FaultyProxy.listen(() => targetPort));
  const broker = ends.use(await FaultBroker.start(advertising(proxy.address)));
  targetPort = broker.port;
  const whole = ends.move();
  return { proxy, broker, [Symbol.asyncDispose]: () => whole.disposeAsync() };
}

/** Returns the setting of a broker whose clients must use another address. */
function advertising(address: string): Readonly<Record<string, string>> {
  return { "advertised.listeners": `PLAINTEXT://${address}` };
}

/** A process that is being killed can still create a file while its folder is deleted. */
function deleteSync(path: string): void {
  for (let attempt = 1;; attempt++) {
    try {
      return Deno.removeSync(path, { recursive: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      if (attempt === DELETE_ATTEMPTS_MAX) throw error;
    }
  }
}

/** The moments at which a tracker can be made to die, implemented in `tracker_with_failpoints.ts`. */
export type Failpoint =
  | "before-write"
  | "torn-write"
  | "before-sync"
  | "stalled-write"
  | "before-dead-letters"
  | "after-dead-letters"
  | "before-commit"
  | "after-commit";

export interface FaultTrackerOptions {
  /** Kills itself when it reaches this point for the `count`th time. */
  readonly dieAt?: { readonly point: Failpoint; readonly count: number };
  readonly logs?: string;
  readonly exitAtEnd?: boolean;
  readonly from?: "earliest" | "latest";
  readonly deadLetters?: boolean;
  readonly sessionTimeoutMs?: number;
  /** Runs a handler that fails in every way. */
  readonly handler?: FaultyHandlerOptions;
  /** A command that runs the program, such as `prlimit`. */
  readonly wrapper?: readonly string[];
}

/**
 * Starts the tracker from a test's entry script, which adds failpoints and a short session timeout that the product
 * does not have. Dispose of it with `using`.
 */
export function startFaultTracker(
  site: Site,
  options: FaultTrackerOptions = {},
): Program & Disposable {
  const { dieAt, wrapper = [] } = options;
  const script = join(import.meta.dirname ?? ".", "tracker_with_failpoints.ts");
  const setup = {
    broker: site.broker,
    topic: site.topic,
    group: site.group,
    logs: options.logs ?? site.logs,
    from: options.from ?? "earliest",
    deadLetterTopic: options.deadLetters === false ? undefined : site.deadLetterTopic,
    exitAtEnd: options.exitAtEnd ?? false,
    sessionTimeoutMs: options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS,
    dieAt,
    handler: options.handler,
  };
  const [command = "", ...args] = [
    ...wrapper,
    Deno.execPath(),
    "run",
    "--no-prompt",
    "--allow-all",
    script,
    JSON.stringify(setup),
  ];
  const process = spawnBoundToUs(command, {
    args,
    cwd: site.folder,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const output = { stdout: "", stderr: "" };
  const collect = async (stream: "stdout" | "stderr") => {
    for await (const text of process[stream].pipeThrough(new TextDecoderStream())) {
      output[stream] += text;
    }
  };
  const ended = Promise.all([process.status, collect("stdout"), collect("stderr")]);
  const signal: Program["signal"] = (name) => {
    try {
      process.kill(name);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
  };
  return {
    pid: process.pid,
    exitCode: ended.then(([status]) => status.code),
    output,
    signal,
    [Symbol.dispose]: () => signal("SIGKILL"),
  };
}

/** Runs a tracker until everything now in the topic is journaled, and returns its totals. */
export async function trackToEnd(
  site: Site,
  options: FaultTrackerOptions = {},
): Promise<TrackerTotals> {
  using tracker = startFaultTracker(site, { ...options, exitAtEnd: true });
  const code = await withDeadline(tracker.exitCode, () => tracker.output.stderr);
  assert.equal(code, 0, tracker.output.stderr);
  return JSON.parse(tracker.output.stdout);
}

/** Sends SIGTERM, and waits for exit code 0. */
export async function stopTracker(tracker: Program): Promise<void> {
  // Before that no handler is installed, and the signal would end the process at once.
  await until(
    "it has started",
    () => /The tracker started/.test(tracker.output.stderr),
    TEST_TIMEOUT_MS,
  );
  tracker.signal("SIGTERM");
  const code = await withDeadline(tracker.exitCode, () => tracker.output.stderr);
  assert.equal(code, 0, tracker.output.stderr);
}

/** Fails with the program's output if it does not end in time. */
export async function withDeadline<Result>(
  result: Promise<Result>,
  output: () => string,
  timeoutMs: number = TEST_TIMEOUT_MS,
): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`not within ${timeoutMs / 1_000} s; output:\n${output()}`)),
    timeoutMs,
  );
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Fills the topic with the product's own producer, and adds some records that use every feature of a record. Returns
 * how many were acknowledged.
 */
export async function fill(
  site: Site,
  { count, badPercent = 0, args = [] }: {
    count: number;
    badPercent?: number;
    args?: readonly string[];
  },
): Promise<number> {
  const bad = badPercent > 0 ? ["--bad", String(badPercent)] : [];
  const fullCount = Math.min(FULL_RECORDS_MAX, Math.floor(count / 4));
  const ordersCount = count - fullCount;
  await sendFullRecords(site, { count: fullCount, firstSequence: ordersCount + 1 });
  const { code, stdout, stderr } = await site.run("producer", [
    "--count",
    String(ordersCount),
    "--rate",
    "max",
    "--json",
    ...bad,
    ...args,
  ]);
  assert.equal(code, 0, stderr);
  return fullCount + JSON.parse(stdout).acknowledged;
}

export interface LogLine {
  readonly timestamp: string;
  readonly level: string;
  readonly message: string;
  readonly error?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** Returns the tracker's technical log, without a last line that is being written. */
export function readLog(logs: string): readonly LogLine[] {
  try {
    const lines = Deno.readTextFileSync(join(logs, "tracker.log")).split("\n").slice(0, -1);
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

export function logged(logs: string, message: RegExp): readonly LogLine[] {
  return readLog(logs).filter((line) => message.test(line.message));
}

/** Returns the `mark` of each line that has one, with the line's offset. */
export function marksOf(
  lines: readonly JournalLine[],
): readonly { readonly partition: number; readonly offset: number; readonly mark: string }[] {
  return lines.filter((line) => line["mark"] !== undefined).map((line) => ({
    partition: line.kafka_partition,
    offset: line.kafka_offset,
    mark: String(line["mark"]),
  }));
}

/** Groups the journal's lines by topic id, in the order in which the ids appear. */
export function byTopicId(lines: readonly JournalLine[]): readonly (readonly JournalLine[])[] {
  return [...Map.groupBy(lines, (line) => line["kafka_topic_id"]).values()];
}

/** Asserts that the first line of each partition of a recreated topic is marked. */
export function assertMarkedAsCreatedAgain(lines: readonly JournalLine[]): void {
  const firsts = [...Map.groupBy(lines, ({ kafka_partition }) => kafka_partition).values()]
    .flatMap(([first]) => first ?? []);
  assert.equal(marksOf(firsts).length, firsts.length, "a mark on each partition's first line");
  for (const { mark } of marksOf(firsts)) assert.match(mark, /created again/);
}

/** The differences between a topic and journals, with a few examples of each. */
interface Difference {
  readonly missing: readonly string[];
  readonly duplicated: readonly string[];
  readonly changed: readonly string[];
  /** In a journal but not in the topic. */
  readonly foreign: readonly string[];
}

const NO_DIFFERENCE: Difference = { missing: [], duplicated: [], changed: [], foreign: [] };

/**
 * Asserts that topic and journal, read without the product's code, hold the same records: none missing or repeated,
 * none with another key, value, headers, or timestamp, and each partition in order. Returns the number of records.
 */
export async function assertSameRecords(site: Site, logs: string = site.logs): Promise<number> {
  const journaled: SeenRecord[] = [];
  await visitJournal(logs, (line) => journaled.push(journaledRecord(line)));
  const topic = await readTopic(site);
  assertSame(topic, journaled);
  return topic.length;
}

/** Asserts the same as {@link assertSameRecords}, with records that were read before. */
export function assertHolds(lines: readonly JournalLine[], topic: readonly SeenRecord[]): void {
  assertSame(topic, lines.map(journaledRecord));
}

/** @param journaled in the order of the lines. */
function assertSame(topic: readonly SeenRecord[], journaled: readonly SeenRecord[]): void {
  assert.deepEqual(difference(topic, journaled), NO_DIFFERENCE);
  assertInOrder(journaled);
}

export function difference(
  topic: readonly SeenRecord[],
  journaled: readonly SeenRecord[],
): Difference {
  const expected = new Map(topic.map((record) => [nameOf(record), record]));
  const seen = new Set<string>();
  const found: Record<keyof Difference, string[]> = {
    missing: [],
    duplicated: [],
    changed: [],
    foreign: [],
  };
  for (const record of journaled) {
    const name = nameOf(record);
    const original = expected.get(name);
    const changes = original === undefined ? [] : differingFields(original, record);
    if (seen.has(name)) found.duplicated.push(name);
    else if (original === undefined) found.foreign.push(name);
    else if (changes.length > 0) found.changed.push(`${name} ${changes.join(", ")}`);
    seen.add(name);
  }
  found.missing.push(...[...expected.keys()].filter((name) => !seen.has(name)));
  return {
    missing: sampleOf(found.missing),
    duplicated: sampleOf(found.duplicated),
    changed: sampleOf(found.changed),
    foreign: sampleOf(found.foreign),
  };
}

/** `partition/offset` */
export function nameOf({ partition, offset }: SeenRecord): string {
  return `${partition}/${offset}`;
}

/** Limits the output: comparing thousands of names would exceed the test's time limit. */
function sampleOf(names: readonly string[]): readonly string[] {
  if (names.length <= SAMPLE_COUNT) return names;
  return [`${names.length} in all`, ...names.slice(0, SAMPLE_COUNT), `... ${names.at(-1)}`];
}

/** Asserts that each partition is in order in a journal, whatever happened between two lines. */
function assertInOrder(journaled: readonly SeenRecord[]): void {
  const last = new Map<number, number>();
  for (const { partition, offset } of journaled) {
    assert.ok(offset > (last.get(partition) ?? -1), `${partition}/${offset} is in order`);
    last.set(partition, offset);
  }
}

/**
 * Creates a dead-letter topic with a message limit. With a small limit the brokers refuse every dead letter, because
 * its headers alone are some 400 bytes.
 */
export async function createDeadLetterTopic(site: Site, maxMessageBytes: number): Promise<void> {
  await withAdmin(site, (admin) =>
    createTopics(admin, [{
      topic: site.deadLetterTopic,
      numPartitions: 3,
      configEntries: [
        { name: "max.message.bytes", value: String(maxMessageBytes) },
        { name: "retention.ms", value: "-1" },
      ],
    }]));
}

export async function limitDeadLetters(site: Site, maxMessageBytes: number): Promise<void> {
  await withAdmin(site, (admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{
        type: ConfigResourceTypes.TOPIC,
        name: site.deadLetterTopic,
        configEntries: [{ name: "max.message.bytes", value: String(maxMessageBytes) }],
      }],
    }));
}

/** Returns the group's committed offsets by partition; retries while a coordinator is elected. */
export async function committedOffsets(site: Site): Promise<ReadonlyMap<number, number>> {
  const request = { groupId: site.group, topics: [site.topic] };
  return await withAdmin(site, async (admin) => {
    let offsets: ReadonlyMap<number, number> | undefined;
    await until("a coordinator answers", async () => {
      const [answer] = await admin.fetchOffsets(request).catch(() => []);
      offsets = answer && new Map(answer.partitions.map((it) => [it.partition, Number(it.offset)]));
      return offsets !== undefined;
    }, TEST_TIMEOUT_MS);
    return offsets ?? new Map();
  });
}

export async function topicRanges(
  site: Site,
): Promise<ReadonlyMap<number, { readonly low: number; readonly high: number }>> {
  const ranges = await withAdmin(site, (admin) => admin.fetchTopicOffsets(site.topic));
  return new Map(
    ranges.map(({ partition, low, high }) => [
      partition,
      { low: Number(low), high: Number(high) },
    ]),
  );
}

/** Asserts that the group's offset is the topic's end in each partition with records. */
export async function assertAllCommitted(site: Site): Promise<void> {
  const committed = await committedOffsets(site);
  for (const [partition, { high }] of await topicRanges(site)) {
    if (high > 0) assert.equal(committed.get(partition), high, `commit of partition ${partition}`);
  }
}

/** Polls until {@link assertAllCommitted} holds; on a timeout, reports its last failure. */
export async function untilAllCommitted(site: Site): Promise<void> {
  let last: unknown;
  const isCommitted = () =>
    assertAllCommitted(site).then(() => true, (error) => {
      last = error;
      return false;
    });
  await until("all is committed", isCommitted, TEST_TIMEOUT_MS).catch((error) => {
    throw new Error(`${error.message}; last: ${last}`);
  });
}

/** Polls until the journal has this many lines, and returns their number. */
export async function untilJournaled(site: Site, linesMin: number): Promise<number> {
  await until(
    `${linesMin} lines are journaled`,
    () => countJournalLines(site.logs) >= linesMin,
    TEST_TIMEOUT_MS,
  );
  return countJournalLines(site.logs);
}

/**
 * Asserts that each record that the journal reports as bad was dead-lettered at least once. Returns the number of
 * letters and of bad records.
 */
export async function assertAllDeadLettered(
  site: Site,
): Promise<{ readonly letters: number; readonly bad: number }> {
  const bad: string[] = [];
  await visitJournal(site.logs, (line) => {
    if (line["event_type"] !== "message.received") bad.push(nameOf(journaledRecord(line)));
  });
  return { letters: await assertDeadLettersAreOf(site, bad), bad: bad.length };
}

/**
 * Asserts that exactly these records were dead-lettered, each at least once. Returns the number of letters.
 *
 * @param expected as {@link nameOf} names them.
 */
export async function assertDeadLettersAreOf(
  site: Site,
  expected: readonly string[],
): Promise<number> {
  const letters = await deadLetterNames(site);
  const sent = new Set(letters);
  const missing = expected.filter((name) => !sent.has(name));
  assert.deepEqual(sampleOf(missing), [], "records without a dead letter");
  assert.equal(sent.size, expected.length, "dead letters of other records");
  return letters.length;
}

/** Returns the records from which the dead letters were made. */
async function deadLetterNames(site: Site): Promise<readonly string[]> {
  const ends = await withAdmin(site, (admin) => admin.fetchTopicOffsets(site.deadLetterTopic));
  const total = ends.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0);
  if (total === 0) return [];
  const names: string[] = [];
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const consumer = site.kafka.consumer({ groupId: `${site.group}-letters`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: [site.deadLetterTopic], fromBeginning: true });
  await consumer.run({
    eachMessage: ({ message: { headers } }) => {
      names.push(
        `${headers?.["__connect.errors.partition"]}/${headers?.["__connect.errors.offset"]}`,
      );
      if (names.length === total) resolve();
      return Promise.resolve();
    },
  });
  await withDeadline(done, () => `${names.length} of ${total} dead letters`);
  await consumer.disconnect();
  return names;
}
