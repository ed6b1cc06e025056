/**
 * The environment of one test on a live broker: its own topic, dead-letter topic, group, and folder. The programs run
 * there as processes, and the results are read without the product's code.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { type ITopicConfig, Kafka, logLevel } from "kafkajs";
import { install } from "../lib/kafka/kafkajs/install.ts";
import { type Program, type ProgramName, startProgram } from "../dev/programs.ts";
import { headersByPlace, orderedHeaders } from "./header_order.ts";
import { liveBroker, uniqueName } from "./live_broker.ts";
import { journaledRecord, type JournalLine, type SeenRecord, seenRecord } from "./seen_record.ts";

export { journaledRecord, type JournalLine, type SeenRecord } from "./seen_record.ts";

const DEADLINE_MS = 60_000;
const POLL_MS = 50;
const NEWLINE = 0x0a;
const COUNTED_BYTES_AT_A_TIME = 1 << 20;

export interface Site extends AsyncDisposable {
  readonly broker: string;
  readonly topic: string;
  readonly deadLetterTopic: string;
  readonly group: string;
  readonly folder: string;
  readonly logs: string;
  readonly kafka: Kafka;
  /** Starts a program with this site's broker and topics; it is killed when the site is disposed of. */
  start(name: ProgramName, args?: readonly string[]): Promise<Program>;
  run(name: ProgramName, args?: readonly string[]): Promise<Ended>;
  createTopicAgain(): Promise<void>;
  journal(logs?: string): Promise<readonly JournalLine[]>;
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SiteOptions {
  readonly partitions?: number;
  /** `host:port`; defaults to the shared broker of the tests. */
  readonly broker?: string;
  /** A site whose topic, group, and `--logs` folder names are used here too; the folder is deleted with this one. */
  readonly namesakeOf?: Site;
  /** Another address of the broker, for the programs. */
  readonly programs?: string;
  /** The environment variables of the programs. */
  readonly env?: Readonly<Record<string, string>>;
}

export async function createSite(
  { partitions = 3, broker, namesakeOf, programs: programsBroker, env = {} }: SiteOptions = {},
): Promise<Site> {
  const address = broker ?? (await liveBroker()).address;
  const topic = namesakeOf?.topic ?? uniqueName("orders");
  const folder = await Deno.makeTempDir({ prefix: "orderflow-test-" });
  const logs = namesakeOf?.logs ?? join(folder, "logs");
  const kafka = new Kafka({ brokers: address.split(","), logLevel: logLevel.NOTHING });
  install(kafka);
  const site = {
    broker: address,
    topic,
    deadLetterTopic: `${topic}-dlq`,
    group: namesakeOf?.group ?? uniqueName("group"),
    folder,
    logs,
    kafka,
  };
  const programs: Program[] = [];
  if (partitions > 0) await createTopic(site, partitions);

  const start: Site["start"] = async (name, args = []) => {
    const own = args[0] === "verify" ? args.slice(1) : args;
    const usual = usualArgs(name, { ...site, broker: programsBroker ?? address }, args);
    const program = await startProgram(name, [...usual, ...own], { cwd: folder, env });
    programs.push(program);
    return program;
  };
  return {
    ...site,
    start,
    async run(name, args) {
      const { exitCode, output } = await start(name, args);
      const code = await exitCode;
      return { code, ...output };
    },
    createTopicAgain: () => createTopicAgain(site, partitions),
    journal: (from = logs) => readJournal(from),
    async [Symbol.asyncDispose]() {
      for (const program of programs) program.signal("SIGKILL");
      await Promise.all(programs.map(({ exitCode }) => exitCode));
      await deleteTopics(site, [topic, site.deadLetterTopic]);
      await Deno.remove(folder, { recursive: true });
    },
  };
}

function usualArgs(
  name: ProgramName,
  { broker, topic, group, logs, deadLetterTopic }: Pick<
    Site,
    "broker" | "topic" | "group" | "logs" | "deadLetterTopic"
  >,
  args: readonly string[],
): readonly string[] {
  const cluster = ["--broker", broker, "--topic", topic];
  switch (name) {
    case "producer":
      return cluster;
    case "tracker":
      if (args[0] === "verify") {
        return ["verify", ...cluster, ...(args.includes("--logs") ? [] : ["--logs", logs])];
      }
      return [...cluster, "--group", group, "--logs", logs, "--dead-letters", deadLetterTopic];
    default:
      return [];
  }
}

type Admin = ReturnType<Site["kafka"]["admin"]>;

export async function withAdmin<Result>(
  { kafka }: Pick<Site, "kafka">,
  work: (admin: Admin) => Promise<Result>,
): Promise<Result> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

async function createTopic(
  site: Pick<Site, "kafka" | "topic">,
  numPartitions: number,
): Promise<void> {
  await withAdmin(site, (admin) => createTopics(admin, [{ topic: site.topic, numPartitions }]));
}

/**
 * Creates topics, and waits until every partition has a leader that accepts requests. If one of several partitions in
 * a request is not there yet, kafkajs sends the whole request again, and its records are stored twice. kafkajs's own
 * wait can fail for a new topic if the broker that it asks has not heard of it. Other brokers of a cluster may still
 * not know the topic afterwards: query them with {@link whenKnown}.
 */
export async function createTopics(admin: Admin, topics: ITopicConfig[]): Promise<void> {
  // kafkajs first asks about the topics that this client has used before.
  await whenKnown("earlier topics", () => admin.createTopics({ topics, waitForLeaders: false }));
  for (const { topic, numPartitions } of topics) {
    await until(`every partition of ${topic} has a leader`, async () => {
      const metadata = await admin.fetchTopicMetadata({ topics: [topic] }).catch(() => undefined);
      const partitions = metadata?.topics[0]?.partitions ?? [];
      return partitions.length === (numPartitions ?? 1) &&
        partitions.every(({ leader }) => leader >= 0);
    });
    await until(`every leader of ${topic} accepts requests`, async () => {
      const offsets = await admin.fetchTopicOffsets(topic).catch(() => []);
      return offsets.length === (numPartitions ?? 1);
    });
  }
}

/** Repeats a query until the broker that kafkajs happens to choose knows the topic or group. */
export async function whenKnown<Answer>(what: string, ask: () => Promise<Answer>): Promise<Answer> {
  let answer: Answer | undefined;
  await until(`a broker knows ${what}`, async () => {
    try {
      answer = await ask();
      return true;
    } catch (error) {
      if ((error as { type?: string }).type === "UNKNOWN_TOPIC_OR_PARTITION") return false;
      throw error;
    }
  });
  assert.ok(answer !== undefined);
  return answer;
}

async function createTopicAgain(
  site: Pick<Site, "kafka" | "topic">,
  numPartitions: number,
): Promise<void> {
  const { topic } = site;
  await withAdmin(site, async (admin) => {
    const isThere = async () => (await admin.listTopics()).includes(topic);
    await admin.deleteTopics({ topics: [topic] });
    await until("the topic is gone", async () => !await isThere());
    await createTopics(admin, [{ topic, numPartitions }]);
  });
}

async function deleteTopics(
  site: Pick<Site, "kafka">,
  topics: readonly string[],
): Promise<void> {
  try {
    await withAdmin(site, async (admin) => {
      const existing = await admin.listTopics();
      await admin.deleteTopics({ topics: topics.filter((topic) => existing.includes(topic)) });
    });
  } catch {
    // The test may have killed its own broker.
  }
}

/** Reports whether a tool that a test compares with is installed; otherwise the test is skipped. */
export async function hasCommand(name: string, versionFlag: string): Promise<boolean> {
  try {
    const command = new Deno.Command(name, { args: [versionFlag], stdout: "null", stderr: "null" });
    return (await command.output()).success;
  } catch {
    return false;
  }
}

export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = DEADLINE_MS,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs / 1_000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Returns all segments of a journal in order; an incomplete last line fails the test. */
export async function readJournal(logs: string): Promise<readonly JournalLine[]> {
  const lines: JournalLine[] = [];
  await visitJournal(logs, (line) => lines.push(line));
  return lines;
}

/**
 * Reads a journal like {@link readJournal}, but line by line: a journal of some hundred thousand orders does not fit
 * in one string.
 */
export async function visitJournal(
  logs: string,
  visit: (line: JournalLine) => void,
): Promise<void> {
  const names = [...Deno.readDirSync(logs)].map(({ name }) => name)
    .filter((name) => name.startsWith("tracker.events"));
  const closed = names.filter((name) => name !== "tracker.events").sort();
  for (const name of [...closed, ...names.filter((each) => each === "tracker.events")]) {
    const file = await Deno.open(join(logs, name));
    let rest = "";
    for await (const text of file.readable.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) visit(JSON.parse(line));
    }
    assert.equal(rest, "", `${name} ends with a complete line`);
  }
}

/** The line count of a journal, up to the end of its last complete line. */
interface CountedLines {
  readonly ino: number | null;
  readonly end: number;
  readonly lines: number;
}

const counted = new Map<string, CountedLines>();

/**
 * Counts the complete lines of a journal that is being written. Reads only what was added since the last call: tests
 * call this twenty times a second on journals of hundreds of megabytes.
 */
export function countJournalLines(logs: string): number {
  const path = join(logs, "tracker.events");
  try {
    using file = Deno.openSync(path);
    const { ino, size } = file.statSync();
    const known = counted.get(path);
    const isLonger = known !== undefined && known.ino === ino && known.end <= size;
    let { end, lines } = isLonger ? known : { end: 0, lines: 0 };
    let position = file.seekSync(end, Deno.SeekMode.Start);
    const buffer = new Uint8Array(COUNTED_BYTES_AT_A_TIME);
    for (let count = file.readSync(buffer); count !== null; count = file.readSync(buffer)) {
      const part = buffer.subarray(0, count);
      for (let at = part.indexOf(NEWLINE); at !== -1; at = part.indexOf(NEWLINE, at + 1)) {
        lines++;
        end = position + at + 1;
      }
      position += count;
    }
    counted.set(path, { ino, end, lines });
    return lines;
  } catch {
    return 0;
  }
}

/** Returns every committed record of a topic as decoded by kafkajs's own consumer, in a new group. */
export async function readTopic(
  { kafka, topic }: Pick<Site, "kafka" | "topic">,
): Promise<readonly SeenRecord[]> {
  const admin = kafka.admin();
  await admin.connect();
  const ends = (await admin.fetchTopicOffsets(topic)).filter(({ low, high }) =>
    Number(high) > Number(low)
  );
  const records: SeenRecord[] = [];
  const positions = new Map<number, number>();
  const groupId = uniqueName("reader");
  using _ordered = headersByPlace();
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, allowAutoTopicCreation: false });
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    positions.set(payload.partition, Number(payload.lastOffset) + 1);
  });
  if (ends.length > 0) {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: ({ batch }) => {
        for (const { offset, key, value, headers, timestamp } of batch.messages) {
          records.push(seenRecord({
            partition: batch.partition,
            offset: Number(offset),
            key,
            value,
            headers: orderedHeaders(headers),
            timestampMs: timestamp,
          }));
        }
        return Promise.resolve();
      },
    });
    await until(
      `all of ${topic} is read`,
      () => ends.every(({ partition, high }) => (positions.get(partition) ?? 0) >= Number(high)),
    );
    await consumer.disconnect();
    await admin.deleteGroups([groupId]);
  }
  await admin.disconnect();
  return sorted(records);
}

export function journaledRecords(lines: readonly JournalLine[]): readonly SeenRecord[] {
  return sorted(lines.map(journaledRecord));
}

function sorted(records: readonly SeenRecord[]): readonly SeenRecord[] {
  return [...records].sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/**
 * Asserts that topic and journal hold the same records, each once, with the same key, value, headers, and timestamp,
 * and that the journal keeps each partition's order. Uses none of the product's code.
 */
export async function assertJournalIsTopic(
  site: Site,
  logs?: string,
): Promise<readonly SeenRecord[]> {
  const lines = await site.journal(logs);
  const topic = await readTopic(site);
  assert.deepEqual(journaledRecords(lines), topic);
  const last = new Map<number, number>();
  for (const { kafka_partition: partition, kafka_offset: offset } of lines) {
    assert.ok(
      offset > (last.get(partition) ?? -1),
      `partition ${partition} is in order at ${offset}`,
    );
    last.set(partition, offset);
  }
  return topic;
}
