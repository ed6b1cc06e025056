/**
 * The topic that records are replayed to: what it would do to them, and its creation.
 */

import type { ClusterClient } from "../kafka/cluster.ts";
import type { TopicDescription } from "../kafka/cluster_answers.ts";
import { RefusedError } from "../kafka/errors.ts";
import { HEADER_BYTES } from "../kafka/protocol/batch_layout.ts";
import { recordBytesMax } from "../kafka/protocol/record_size.ts";
import type { TopicReader } from "../kafka/topic_reader.ts";
import type { Hit } from "../search/query.ts";
import { counted, inBytes, withThousands } from "../text.ts";
import { DEAD_LETTER_TOPIC_CONFIG, KEEPS_OLD_RECORDS } from "../tracker/dead_letter_config.ts";
import type { Judge, Plan } from "./replay_plan.ts";
import { NO_TIMESTAMP } from "../record.ts";

/** Kafka's own default of `max.message.bytes`. */
const MESSAGE_BYTES_DEFAULT = 1_048_588;
/** Maximum overestimate of a size in bytes, plus 8 bytes per header. */
const ESTIMATE_EXCESS_BYTES = 32;
const HEADER_EXCESS_BYTES = 8;
/** For the header of a batch, and for that of `--mark`. */
const BATCH_ROOM_BYTES = 1_024;
/** Records that have lived for this part of the retention time will soon be deleted. */
const EXPIRING_SHARE = 0.9;

const TIMESTAMP_TYPE = "message.timestamp.type";

const SETTINGS = [
  TIMESTAMP_TYPE,
  "message.timestamp.before.max.ms",
  "message.timestamp.after.max.ms",
  "message.timestamp.difference.max.ms",
  "retention.ms",
  "retention.bytes",
  "cleanup.policy",
  "max.message.bytes",
];

export interface TargetCheck {
  /** Names of {@link REFUSALS} and {@link WARNINGS} that apply to each record. */
  readonly judge: Judge;
  /** Maximum size of a batch in bytes; undefined if not known. */
  readonly bytesMax: number | undefined;
  readonly settings: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
  /** What the judged records take in each partition of the topic, if its retention depends on that. */
  readonly loads: ReadonlyMap<number, Load>;
}

interface Load {
  bytes: number;
  count: number;
  /** The first record. */
  readonly example: string;
}

interface Asked {
  readonly topic: string;
  readonly keepsTimestamps: boolean;
  /** Returns the partition of the topic that a record goes to. */
  readonly partitionOf: (hit: Hit) => number;
  /** Returns whether an earlier run has sent a record: the topic cannot refuse it any more. */
  readonly isSent?: ((hit: Hit) => boolean) | undefined;
}

/** Records that the topic would refuse, by the setting responsible. */
const REFUSALS: Readonly<Record<string, string>> = {
  "max.message.bytes": "are too large for it: raise it",
  "message.timestamp.before.max.ms":
    "are too old for it: raise it, or replay with --timestamps now",
  "message.timestamp.after.max.ms":
    "are too far ahead of now for it: raise it, or replay with --timestamps now",
  "message.timestamp.difference.max.ms":
    "are too far from now for it: raise it, or replay with --timestamps now",
  "cleanup.policy": "have no key, which a compacted topic does not accept: set it to delete",
};

const WARNINGS: Readonly<Record<string, string>> = {
  "retention.ms":
    "are as old as its retention time, or nearly: they will soon be deleted; raise it",
  "no details": "are in lines without key, headers, and timestamp, which an old tracker wrote: " +
    "they are sent with no key, no headers, and the time of their receipt",
};

/** Asks for the topic's settings. A topic that is not there yet will accept every record. */
export async function checkTarget(
  cluster: ClusterClient,
  target: TopicDescription | undefined,
  asked: Asked,
): Promise<TargetCheck> {
  const warnings: string[] = [];
  let settings: ReadonlyMap<string, string> = new Map();
  try {
    if (target !== undefined) settings = await cluster.topicConfigs(target.topic, SETTINGS);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    warnings.push(`the settings of topic "${asked.topic}" are not checked: ${error.message}`);
  }
  const loads = new Map<number, Load>();
  return {
    judge: judgeOf(settings, asked, loads),
    loads,
    bytesMax: numberOf(settings, "max.message.bytes"),
    settings,
    warnings,
  };
}

function judgeOf(
  settings: ReadonlyMap<string, string>,
  { keepsTimestamps, partitionOf, isSent = () => false }: Asked,
  loads: Map<number, Load>,
): Judge {
  const setting = (name: string) => numberOf(settings, name) ?? Infinity;
  const nowMs = Date.now();
  const bytesMax = setting("max.message.bytes");
  const beforeMaxMs = setting("message.timestamp.before.max.ms");
  const afterMaxMs = setting("message.timestamp.after.max.ms");
  const differenceMaxMs = setting("message.timestamp.difference.max.ms");
  const retentionMs = setting("retention.ms");
  const policy = settings.get("cleanup.policy") ?? "";
  const isCompacted = policy.includes("compact");
  const expires = policy.includes("delete") && retentionMs >= 0;
  const hasSizeLimit = policy.includes("delete") &&
    (numberOf(settings, "retention.bytes") ?? -1) >= 0;
  const isReplacing = settings.get(TIMESTAMP_TYPE) === "LogAppendTime";
  const namesOf = (hit: Hit): readonly string[] => {
    const names: string[] = [];
    const { details } = hit.record;
    if (leastBytesOf(hit) > bytesMax) names.push("max.message.bytes");
    if (isCompacted && (details?.key ?? null) === null) names.push("cleanup.policy");
    if (details === undefined) names.push("no details");
    if (keepsTimestamps && isReplacing) names.push(TIMESTAMP_TYPE);
    const { timestampMs } = hit;
    if (!keepsTimestamps || timestampMs === NO_TIMESTAMP) return names;
    const ageMs = nowMs - timestampMs;
    if (ageMs > beforeMaxMs) names.push("message.timestamp.before.max.ms");
    if (-ageMs > afterMaxMs) names.push("message.timestamp.after.max.ms");
    if (Math.abs(ageMs) > differenceMaxMs) names.push("message.timestamp.difference.max.ms");
    if (expires && ageMs >= retentionMs * EXPIRING_SHARE) names.push("retention.ms");
    return names;
  };
  return (hit) => {
    if (hasSizeLimit) addLoad(loads, partitionOf(hit), hit);
    const names = namesOf(hit);
    return isSent(hit) ? names.filter((name) => Object.hasOwn(WARNINGS, name)) : names;
  };
}

function addLoad(loads: Map<number, Load>, partition: number, { record }: Hit): void {
  const { topic, partition: from, offset, value, details } = record;
  const load = loads.get(partition) ??
    { bytes: 0, count: 0, example: `${topic}[${from}] offset ${offset}` };
  loads.set(partition, load);
  const { key = null, headers = [] } = details ?? {};
  load.bytes += recordBytesMax({ key, value, headers }) - ESTIMATE_EXCESS_BYTES;
  load.count++;
}

/** Minimum size in bytes of a batch with only this record. */
function leastBytesOf({ record: { value, details } }: Hit): number {
  const { key = null, headers = [] } = details ?? {};
  const excess = ESTIMATE_EXCESS_BYTES + HEADER_EXCESS_BYTES * headers.length;
  return HEADER_BYTES + recordBytesMax({ key, value, headers }) - excess;
}

/** Returns what has to be said before anything is sent. @throws {RefusedError} if records would be refused, or altered. */
export function judgePlan(
  plan: Pick<Plan, "objections" | "count">,
  { settings, warnings, loads }: TargetCheck,
  { topic }: Pick<Asked, "topic">,
): readonly string[] {
  const { objections } = plan;
  const say = (words: Readonly<Record<string, string>>) =>
    [...objections].filter(([name]) => Object.hasOwn(words, name)).map(
      ([name, { count, example }]) => {
        const value = settings.get(name);
        const where = value === undefined ? "" : ` (${name}=${value})`;
        return `topic "${topic}"${where}: ${counted(count, "record")}, such as ${example}, ${
          words[name]
        }`;
      },
    );
  const refusals = say(REFUSALS);
  if (objections.has(TIMESTAMP_TYPE)) {
    refusals.unshift(
      `topic "${topic}" (message.timestamp.type=LogAppendTime) replaces the records' timestamps: ` +
        "set it to CreateTime, or replay with --timestamps now",
    );
  }
  if (refusals.length > 0) {
    throw new RefusedError(`${refusals.join("; ")}. Nothing was sent`, {
      reason: "INVALID_CONFIG",
    });
  }
  const isCompacted = settings.get("cleanup.policy")?.includes("compact");
  return [
    ...warnings,
    ...say(WARNINGS),
    ...overloadWarnings(plan, { settings, loads }, topic),
    ...(isCompacted
      ? [
        `topic "${topic}" (cleanup.policy) is compacted: it keeps only the last record of each key`,
      ]
      : []),
  ];
}

/** A partition keeps its newest records, so those of other programs do not count. */
function overloadWarnings(
  { count }: Pick<Plan, "count">,
  { settings, loads }: Pick<TargetCheck, "settings" | "loads">,
  topic: string,
): readonly string[] {
  const name = "retention.bytes";
  const bytesMax = numberOf(settings, name) ?? Infinity;
  // Lines that are left out, such as those of a second journal with the same records, were judged, too.
  const judgedCount = [...loads.values()].reduce((sum, load) => sum + load.count, 0);
  const over = [...loads].map(([partition, { bytes, example }]) => ({
    ...{ partition, example },
    bytes: Math.round(bytes * count / judgedCount),
  })).filter(({ bytes }) => bytes > bytesMax);
  const [first] = over;
  if (first === undefined) return [];
  const others = over.length === 1
    ? ""
    : `, and ${counted(over.length - 1, "other partition")} too`;
  return [
    `topic "${topic}" (${name}=${bytesMax}): partition ${first.partition} gets ` +
    `${inBytes(first.bytes)}, more than it keeps${others}; the oldest records, such as ` +
    `${first.example}, will soon be deleted; raise it`,
  ];
}

/** @throws {RefusedError} if records belong to a partition that is not there. */
export function requirePartitions(
  { partitions }: Plan,
  { topic, partitionCount, keepsPartitions }: {
    readonly topic: string;
    readonly partitionCount: number;
    readonly keepsPartitions: boolean;
  },
): void {
  const needed = 1 + Math.max(...Array.from(partitions.values(), (each) => each.source.partition));
  if (!keepsPartitions || needed <= partitionCount) return;
  throw new RefusedError(
    `topic "${topic}" has ${counted(partitionCount, "partition")}, and there are records of ` +
      `partition ${needed - 1}: it needs ${withThousands(needed)}; --partitions key spreads the ` +
      "records by their keys. Nothing was sent",
    { reason: "INVALID_PARTITIONS" },
  );
}

/** Returns the settings of a new target: nothing of the records is refused, altered, or deleted. */
export function newTargetConfig(
  { bytesMax }: Pick<Plan, "bytesMax">,
  { keepsTimestamps }: Pick<Asked, "keepsTimestamps">,
): Readonly<Record<string, string>> {
  return {
    "cleanup.policy": "delete",
    "retention.bytes": "-1",
    ...KEEPS_OLD_RECORDS,
    ...(keepsTimestamps &&
      { ...DEAD_LETTER_TOPIC_CONFIG, "message.timestamp.type": "CreateTime" }),
    ...(bytesMax > MESSAGE_BYTES_DEFAULT / 2 &&
      {
        "max.message.bytes": String(Math.max(MESSAGE_BYTES_DEFAULT, bytesMax + BATCH_ROOM_BYTES)),
      }),
  };
}

/** Returns whether the topic has no committed record, whatever its offsets are. */
export async function isEmpty(
  { cluster, reader, topic }: {
    readonly cluster: ClusterClient;
    readonly reader: TopicReader;
    readonly topic: string;
  },
): Promise<boolean> {
  for (const { partition, low, high } of await cluster.allOffsets(topic)) {
    for await (const records of reader.read({ topic, partition, start: low, end: high })) {
      if (records.length > 0) return false;
    }
  }
  return true;
}

function numberOf(settings: ReadonlyMap<string, string>, name: string): number | undefined {
  const value = settings.get(name);
  return value === undefined || value === "" ? undefined : Number(value);
}
