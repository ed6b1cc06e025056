/**
 * The environment of the `replay` tests: handwritten journals, the command as a person runs it, and the records of a
 * topic as kafkajs's consumer decodes them.
 */

import assert from "node:assert/strict";
import { Buffer, isUtf8 } from "node:buffer";
import { join } from "node:path";
import { type Program, startProgram } from "../../dev/programs.ts";
import { loggerOf } from "../../lib/log.ts";
import { replay, type ReplayOptions } from "../../lib/resend/replay.ts";
import { replayLogTopicOf } from "../../lib/resend/replay_log.ts";
import type { ReplaySummary } from "../../lib/resend/replay_summary.ts";
import { uniqueName } from "../live_broker.ts";
import {
  createSite,
  createTopics,
  type Ended,
  journaledRecord,
  type JournalLine,
  readTopic,
  type SeenRecord,
  type Site,
  withAdmin,
} from "../site.ts";

export const TOPIC_ID = "0123456789abcdef0123456789abcdef";
export const NOW_MS = Date.now();

export interface LineOptions {
  readonly topic?: string;
  readonly topicId?: string | null;
  readonly partition?: number;
  readonly offset: number;
  readonly value?: Uint8Array | string | null;
  readonly key?: Uint8Array | string | null;
  readonly headers?: readonly (readonly [string, Uint8Array | string | null])[];
  readonly timestampMs?: number | string;
  readonly epoch?: number;
  readonly more?: Readonly<Record<string, unknown>>;
}

/** Returns a journal line as the contract specifies it. */
export function line(options: LineOptions): string {
  const { topic = "orders", topicId = TOPIC_ID, partition = 0, offset, epoch } = options;
  const { value = `value ${partition}/${offset}`, key = `key ${offset % 7}` } = options;
  const { headers = [], timestampMs = NOW_MS - 60_000 + offset, more = {} } = options;
  return JSON.stringify({
    timestamp: new Date(NOW_MS).toISOString(),
    event_type: "message.received",
    kafka_topic: topic,
    kafka_partition: partition,
    kafka_offset: offset,
    ...(value === null
      ? { raw_message: "", value_null: true }
      : textOrBase64("raw_message", value)),
    message_size: value === null ? 0 : Buffer.from(value).length,
    deserialized: false,
    ...(key !== null && textOrBase64("kafka_key", key)),
    ...(headers.length > 0 && {
      kafka_headers: headers.map(([name, bytes]) => ({
        key: name,
        ...(bytes === null ? { value: null } : textOrBase64("value", bytes)),
      })),
    }),
    kafka_timestamp: timestampMs,
    ...(topicId !== null && { kafka_topic_id: topicId }),
    ...(epoch !== undefined && { kafka_leader_epoch: epoch }),
    ...more,
  });
}

function textOrBase64(name: string, value: Uint8Array | string): Record<string, string> {
  const bytes = Buffer.from(value);
  if (isUtf8(bytes)) return { [name]: bytes.toString() };
  return name === "raw_message"
    ? { raw_message: bytes.toString(), raw_message_base64: bytes.toString("base64") }
    : { [`${name}_base64`]: bytes.toString("base64") };
}

/** Returns `count` lines spread over the partitions. */
export function lines(count: number, partitions = 3, other: Partial<LineOptions> = {}): string[] {
  return Array.from({ length: count }, (_, index) =>
    line({
      partition: index % partitions,
      offset: Math.floor(index / partitions),
      timestampMs: NOW_MS - 60_000 + index,
      ...other,
    }));
}

/** Returns the same lines in the order in which a tracker writes them: in batches by partition. */
export function batched(all: readonly string[]): readonly string[] {
  const places = all.map((each) => {
    const { kafka_partition: partition, kafka_offset: offset } = JSON.parse(each);
    return { each, partition, batch: Math.floor(offset / 10) };
  });
  return places.sort((a, b) => a.batch - b.batch || a.partition - b.partition)
    .map(({ each }) => each);
}

export interface ReplaySite extends AsyncDisposable {
  readonly site: Site;
  /** The target topic, which does not exist at first. */
  readonly to: string;
  /** Writes a journal and returns its folder. */
  write(lines: readonly string[], name?: string): Promise<string>;
  create(partitions: number, config?: Readonly<Record<string, string>>): Promise<void>;
  delete(): Promise<void>;
  /** Deletes the records of these partitions, all of them or up to an offset. */
  deleteRecords(partitions: readonly number[], offset?: number): Promise<void>;
  start(args: readonly string[]): Promise<Program>;
  run(args: readonly string[]): Promise<Ended>;
  /** Runs a replay that must exit with this code, and returns its summary. */
  replay(args: readonly string[], code?: number): Promise<ReplaySummary>;
  /** Like {@link ReplaySite.replay}, but in this process. */
  call(logs: string | readonly string[], options?: Partial<ReplayOptions>): Promise<ReplaySummary>;
  read(): Promise<readonly SeenRecord[]>;
}

/** Notices printed before the first send, in this process. */
export const warnings: string[] = [];

export async function createReplaySite(broker?: string): Promise<ReplaySite> {
  const site = await createSite({ partitions: 0, ...(broker !== undefined && { broker }) });
  const to = uniqueName("restored");
  const start = async (args: readonly string[]) =>
    await startProgram("tracker", ["replay", "--broker", site.broker, "--to", to, ...args], {
      cwd: site.folder,
    });
  const run = async (args: readonly string[]): Promise<Ended> => {
    const { exitCode, output } = await start(args);
    return { code: await exitCode, ...output };
  };
  return {
    site,
    to,
    deleteRecords: (partitions, offset = -1) =>
      withAdmin(site, async (admin) => {
        await admin.fetchTopicOffsets(to); // waits until the leaders are known
        await admin.deleteTopicRecords({
          topic: to,
          partitions: partitions.map((partition) => ({ partition, offset: String(offset) })),
        });
      }),
    start,
    run,
    async write(all, name = "logs") {
      const folder = join(site.folder, name);
      await Deno.mkdir(folder, { recursive: true });
      await Deno.writeTextFile(
        join(folder, "tracker.events"),
        all.map((each) => `${each}\n`).join(""),
      );
      return folder;
    },
    create: (numPartitions, config = {}) =>
      withAdmin(site, (admin) =>
        createTopics(admin, [{
          topic: to,
          numPartitions,
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        }])),
    delete: () => withAdmin(site, (admin) => admin.deleteTopics({ topics: [to] })),
    async replay(args, code = 0) {
      const ended = await run([...args, "--json"]);
      assert.equal(ended.code, code, `${ended.stderr}\n${ended.stdout}`);
      assert.equal(ended.stdout.trimEnd().split("\n").length, 1);
      return JSON.parse(ended.stdout);
    },
    async call(logs, options = {}) {
      const { summary } = await replay({
        connection: { brokers: site.broker.split(","), clientId: "orderflow-test" },
        topic: to,
        source: { directories: [logs].flat() },
        query: {},
        selection: "all",
        isMoving: false,
        manner: { partitions: "same", timestamps: "keep", mark: false },
        create: {},
        append: false,
        isDryRun: false,
        groups: [],
        log: loggerOf("test"),
        onWarning: (warning) => void warnings.push(warning),
        ...options,
      });
      return summary;
    },
    read: () => readTopic({ kafka: site.kafka, topic: to }),
    async [Symbol.asyncDispose]() {
      await withAdmin(site, async (admin) => {
        const existing = await admin.listTopics();
        const topics = [to, replayLogTopicOf(to)].filter((topic) => existing.includes(topic));
        await admin.deleteTopics({ topics });
      }).catch(() => {});
      await site[Symbol.asyncDispose]();
    },
  };
}

/** Returns the contents of the lines without offsets, by partition in line order. */
export function contentsOf(all: readonly string[]): readonly unknown[] {
  return contents(all.map((each) => journaledRecord(JSON.parse(each) as JournalLine)));
}

/** Returns the records by partition, in order, without offsets. */
export function contents(records: readonly SeenRecord[]): readonly unknown[] {
  return records.map(({ offset: _, ...rest }, index) => ({ rest, index }))
    .sort((a, b) => a.rest.partition - b.rest.partition || a.index - b.index)
    .map(({ rest }) => rest);
}
