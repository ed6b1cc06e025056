/**
 * The judge's evidence, read without any code of the product: topics with kafkajs's own consumer and decoder,
 * journals with a JSON reader, topic ids from the brokers' disks.
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import type { KafkaMessage } from "kafkajs";
import type { Acknowledged } from "./load.ts";
import type {
  Evidence,
  JournalEvidence,
  JournalLine,
  TopicEvidence,
  TopicRecord,
} from "./promises.ts";
import { Transactions } from "./transactions.ts";
import { deadLettersOf, delay, ROLES, type Stage, type TopicRole, TOPICS } from "./stage.ts";

const READ_TIMEOUT_MS = 60_000;
const ARCHIVE_HEADER_BYTES = 16;
const FETCH_WAIT_MS = 200;
/** After this many answers without a record from each node, only transaction markers are left. */
const EMPTY_FETCHES_PER_NODE = 10;

export async function gatherEvidence(
  stage: Stage,
  acknowledged: readonly Acknowledged[],
): Promise<Evidence> {
  const roles = ROLES.filter((role) => stage.trackers.some(({ topic }) => topic === role));
  const topics: TopicEvidence[] = [];
  for (const role of roles) topics.push(await topicEvidence(stage, { role, acknowledged }));
  const journals = [
    ...stage.trackers.map(({ name, logs }) => ({ ...readJournal(logs), name, isGuest: false })),
    ...stage.guests.filter(({ logs }) => exists(join(logs, "tracker.events")))
      .map(({ name, logs }) => ({ ...readJournal(logs), name, isGuest: true })),
  ];
  return { facts: stage.facts, topics, journals, acknowledged, producers: producerEvidence(stage) };
}

function producerEvidence({ producers }: Stage): Evidence["producers"] {
  return producers.map(({ cwd, summary, incarnation, sentAtMs }) => ({
    name: basename(cwd),
    accounts: summary === "" ? undefined : JSON.parse(summary),
    ledger: readLines(join(cwd, "logs", "ledger.jsonl"))
      .map((line) => ({ ...JSON.parse(line), role: "main", incarnation, sentAtMs })),
  }));
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Returns a file's complete lines; none if there is no file. */
function readLines(path: string): readonly string[] {
  return exists(path) ? Deno.readTextFileSync(path).split("\n").slice(0, -1) : [];
}

async function topicEvidence(stage: Stage, { role, acknowledged }: {
  readonly role: TopicRole;
  readonly acknowledged: readonly Acknowledged[];
}): Promise<TopicEvidence> {
  const topic = TOPICS[role];
  const deadLetters = deadLettersOf(topic);
  const records = await readTopic(stage, topic);
  const heldBack = await readHeldBack(stage, { role, acknowledged, records });
  const letters = await readTopic(stage, deadLetters);
  const run = async (args: readonly string[]) => {
    const { exitCode, output } = await stage.run("tracker", [...args, "--topic", topic, "--json"]);
    return `code ${await exitCode}: ${output.stdout.trim() || output.stderr.trim()}`;
  };
  const logs = stage.trackers.flatMap((slot) => ["--logs", slot.logs]);
  const verified = await run(["verify", ...logs]);
  const redrive = ["redrive", "--dead-letters", deadLetters];
  const redrives = [await run(redrive), await run(redrive)];
  const redriven = await readTopic(stage, topic);
  return {
    role,
    topic,
    id: topicIdOf(stage, topic),
    records,
    heldBack,
    letters,
    verified,
    redrives,
    redriven,
  };
}

/** Reads uncommitted records to the end of partitions whose last record was not among the committed ones. */
async function readHeldBack(stage: Stage, { role, acknowledged, records }: {
  readonly role: TopicRole;
  readonly acknowledged: readonly Acknowledged[];
  readonly records: readonly TopicRecord[];
}): Promise<readonly TopicRecord[]> {
  const ends = new Map<number, number>();
  for (const { partition, offset } of records) ends.set(partition, offset + 1);
  const last = acknowledged.slice(-stage.partitionCounts.main - stage.partitionCounts.other);
  const isHidden = ({ role: its, partition, offset }: Acknowledged) =>
    its === role && offset >= (ends.get(partition) ?? 0);
  if (!last.some(isHidden)) return [];
  const all = await readTopic(stage, TOPICS[role], { readUncommitted: true });
  return all.filter(({ partition, offset }) => offset >= (ends.get(partition) ?? 0));
}

/** Reads every committed record of a topic, or every record. */
async function readTopic(
  stage: Stage,
  topic: string,
  { readUncommitted = false } = {},
): Promise<readonly TopicRecord[]> {
  const records: TopicRecord[] = [];
  const transactions = new Transactions();
  const ends = new Map(
    (await stage.admin.fetchTopicOffsets(topic)).filter(({ high, low }) => high !== low)
      .map(({ partition, high }) => [partition, Number(high)]),
  );
  if (ends.size === 0) return [];
  const groupId = `judge-${crypto.randomUUID()}`;
  const retry = { retries: 30 };
  const consumer = stage.kafka.consumer({
    groupId,
    readUncommitted,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    retry,
  });
  let emptyFetches = 0;
  consumer.on(consumer.events.FETCH, () => void emptyFetches++);
  let crash = "";
  consumer.on(consumer.events.CRASH, ({ payload }) => void (crash = payload.error.message));
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch }) => {
      const { messages, partition } = batch;
      emptyFetches = 0;
      transactions.note(batch);
      for (const message of messages) {
        const offset = Number(message.offset);
        records.push({ partition, offset, ...contentOf(message) });
        // The ends are those of the committed records.
        if (offset + 1 >= (ends.get(partition) ?? 0) && !readUncommitted) ends.delete(partition);
      }
      return Promise.resolve();
    },
  });
  const deadline = performance.now() + READ_TIMEOUT_MS;
  while (ends.size > 0 && emptyFetches < EMPTY_FETCHES_PER_NODE * stage.nodes.length) {
    if (performance.now() > deadline) {
      const left = [...ends].map(([partition, end]) => `${partition} to ${end}`).join(", ");
      throw new Error(`Cannot read ${topic}, partitions ${left}; ${records.length} read ${crash}`);
    }
    await delay(50);
  }
  await consumer.disconnect();
  const shown = readUncommitted
    ? records
    : records.filter((record) => !transactions.aborted(record));
  return shown.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

type Header = readonly [name: string, value: Uint8Array | null];

function contentOf(message: KafkaMessage): Omit<TopicRecord, "partition" | "offset"> {
  const { key, value, timestamp, headers = {} } = message;
  // kafkajs groups headers by name, so their order is compared only within a name.
  const list = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((each): Header => [name, toBytes(each)])
  );
  // kafkajs's types omit the batch information that its decoder returns.
  const { batchContext } = message as { batchContext?: { partitionLeaderEpoch: number } };
  return {
    epoch: batchContext?.partitionLeaderEpoch ?? -1,
    value: hashOf(value),
    details: detailsOf({ key, timestamp, headers: list }),
    headers: new Map(list.map(([name, bytes]) => [name, String(bytes ?? "")])),
  };
}

/** kafkajs's decoder returns null, although its types do not say so. */
function toBytes(value: Uint8Array | string | null | undefined): Uint8Array | null {
  return value === null || value === undefined ? null : Buffer.from(value);
}

function detailsOf({ key, timestamp, headers }: {
  readonly key: Uint8Array | null;
  readonly timestamp: string;
  readonly headers: readonly Header[];
}): string {
  const byName = [...Map.groupBy(headers, ([name]) => name)].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, values]) => [name, values.map(([, value]) => hashOf(value))]);
  return JSON.stringify([hashOf(key), timestamp, byName]);
}

function hashOf(bytes: Uint8Array | null): string {
  return bytes === null ? "null" : createHash("sha256").update(bytes).digest("hex");
}

/**
 * Returns the topic's id from a broker's disk, in the journal's notation. Brokers that are down may have an old one.
 */
export function topicIdOf({ nodes, facts }: Stage, topic: string): string {
  for (const { dataDir } of nodes) {
    for (const { name } of Deno.readDirSync(join(dataDir, "kafka"))) {
      if (name.replace(/-\d+$/, "") !== topic) continue;
      const text = Deno.readTextFileSync(join(dataDir, "kafka", name, "partition.metadata"));
      const [, id = ""] = /^topic_id: (.+)$/m.exec(text) ?? [];
      const hex = Buffer.from(id, "base64url").toString("hex");
      if (!facts.formerTopics.has(hex)) return hex;
    }
  }
  throw new Error(`No broker has a partition of ${topic} on its disk`);
}

function readJournal(folder: string): Omit<JournalEvidence, "name" | "isGuest"> {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const contents = new Map<string, Uint8Array>();
  for (const name of names) {
    const [, number] = /^tracker\.(?:events|archive)\.(\d+)(?:\.zst)?$/.exec(name) ?? [];
    if (number !== undefined) contents.set(number, segmentContent(join(folder, name)));
  }
  const closed = [...contents].sort(([a], [b]) => a < b ? -1 : 1).map(([, bytes]) => bytes);
  const active = Deno.readFileSync(join(folder, "tracker.events"));
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const lines = [...closed, active].flatMap((bytes) => text.decode(bytes).split("\n"))
    .filter((line) => line !== "").map(parseLine);
  const removed = new Map<string, (readonly [number, number])[]>();
  for (const name of names.filter((each) => each.startsWith("tracker.removed."))) {
    const { body } = JSON.parse(Deno.readTextFileSync(join(folder, name)));
    for (const { topic_id, partition, held } of body.partitions) {
      const key = `${topic_id}/${partition}`;
      removed.set(key, [...removed.get(key) ?? [], ...held]);
    }
  }
  return { lines, removed, manifestFaults: manifestFaults(folder, { names, contents }) };
}

function segmentContent(path: string): Uint8Array {
  const bytes = Deno.readFileSync(path);
  if (!path.endsWith(".zst")) return bytes;
  const view = new DataView(bytes.buffer);
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + ARCHIVE_HEADER_BYTES + view.getUint32(at + 8, true);
    blocks.push(zstdDecompressSync(bytes.subarray(at + ARCHIVE_HEADER_BYTES, end)));
    at = end;
  }
  return Buffer.concat(blocks);
}

/** Returns faults in the chain of manifests, and segments that do not match their manifests. */
function manifestFaults(folder: string, { names, contents }: {
  readonly names: readonly string[];
  readonly contents: ReadonlyMap<string, Uint8Array>;
}): readonly string[] {
  const manifests = names.filter((name) => /^tracker\.(manifest|removed)\.\d+\.json$/.test(name))
    .map((name) => {
      const bytes = Deno.readFileSync(join(folder, name));
      return { name, sha256: hashOf(bytes), ...JSON.parse(new TextDecoder().decode(bytes)).body };
    }).sort((a, b) => a.chain - b.chain);
  return manifests.flatMap(({ name, previous, segment }, index) => {
    const content = contents.get(/\d+/.exec(name)?.[0] ?? "");
    const isWhole = content === undefined || hashOf(content) === segment.sha256;
    const isChained = (previous?.sha256 ?? undefined) === manifests[index - 1]?.sha256;
    return isWhole && isChained ? [] : [name];
  });
}

function parseLine(line: string): JournalLine {
  const fields = JSON.parse(line);
  const bytes = (text: string | null | undefined, base64: string | undefined) =>
    base64 !== undefined
      ? Buffer.from(base64, "base64")
      : text
      ? Buffer.from(text)
      : text === ""
      ? Buffer.alloc(0)
      : null;
  const headers = (fields.kafka_headers ?? []).map((
    header: { key: string; value?: string | null; value_base64?: string },
  ): Header => [header.key, bytes(header.value, header.value_base64)]);
  // JSON.parse would round an int64 beyond 2^53.
  const [, timestamp = ""] = /,"kafka_timestamp":"?(-?\d+)"?[,}]/.exec(line.slice(-400)) ?? [];
  const isNull = fields.value_null === true;
  return {
    topic: fields.kafka_topic,
    topicId: fields.kafka_topic_id,
    partition: fields.kafka_partition,
    offset: fields.kafka_offset,
    epoch: fields.kafka_leader_epoch,
    mark: fields.mark ?? "",
    value: hashOf(isNull ? null : bytes(fields.raw_message, fields.raw_message_base64)),
    details: detailsOf({
      key: bytes(fields.kafka_key, fields.kafka_key_base64),
      timestamp,
      headers,
    }),
    isBad: fields.event_type !== "message.received",
  };
}
