/**
 * Sends Fetch requests (version 12: Kafka 2.7 and later) through kafkajs's connections, and leaves the records as
 * bytes.
 *
 * kafkajs's own Fetch decodes at a fifth of the speed, verifies no checksum, and lets aborted records through in two
 * cases (`fetch_bytes.ts`). So both its consumers and our own reader get the bytes. kafkajs supports versions up to 11;
 * with version 12 the broker also compares the leader epoch of the last record before the fetch offset with its log, in
 * the same step as the read (KIP-320, KIP-595).
 *
 * Message format: https://kafka.apache.org/protocol#The_Messages_Fetch
 */

import decoderModule from "kafkajs/src/protocol/decoder.js";
import encoderModule from "kafkajs/src/protocol/encoder.js";
import { type ClientCluster, ISOLATION_READ_COMMITTED } from "./client_cluster.ts";
import type { AbortedTransaction } from "../protocol/committed_records.ts";
import type { EpochEnd } from "../protocol/offset_for_leader_epoch.ts";

export interface FetchPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Soft limit: a larger batch is returned whole if it is the first. */
  readonly bytesMax: number;
}

export interface FetchedPartition {
  readonly topic: string;
  readonly partition: number;
  /** The protocol's error code; 0 means success. */
  readonly errorCode: number;
  /** One past the last offset that is on all in-sync replicas. */
  readonly highWatermark: number;
  /** One past the last offset that is readable with read_committed. */
  readonly lastStableOffset: number;
  readonly abortedTransactions: readonly AbortedTransaction[];
  /** The broker to fetch from instead; -1 for this one. */
  readonly preferredReadReplica: number;
  /**
   * Set if the log was truncated: it has no record of the last fetched epoch directly before the fetch offset. Contains
   * the highest epoch in the log that is not above the last fetched one, and its end. There are no records then.
   */
  readonly divergingEpoch?: EpochEnd;
  /** Record batches, including aborted and control batches. */
  readonly records: Uint8Array;
}

export interface FetchResponse {
  /** Throttle time before the next request, in milliseconds. */
  readonly throttleMs: number;
  /** Error code of the whole request; 0 means success. */
  readonly errorCode: number;
  readonly partitions: readonly FetchedPartition[];
}

export interface FetchAnswer
  extends
    Pick<FetchedPartition, "errorCode" | "lastStableOffset" | "abortedTransactions" | "records"> {
  /** True if the broker throttles this client; the response may be empty for that reason alone. */
  readonly isThrottled: boolean;
}

const WAIT_MS_MAX = 250;
const REQUEST_TIMEOUT_MS = 10_000;
const REPLICA_ID_CONSUMER = -1;

/** Fetches from the partition's leader, once. */
export async function fetchRaw(
  cluster: ClientCluster,
  { topic, partition, offset, bytesMax }: FetchPosition,
): Promise<FetchAnswer> {
  await cluster.addMultipleTargetTopics([topic]);
  const [leader] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]));
  if (leader === undefined) throw new RangeError(`${topic}[${partition}] has no leader`);
  const broker = await cluster.findBroker({ nodeId: leader });
  const request = encodeFetchRequest({
    maxWaitTime: WAIT_MS_MAX,
    minBytes: 1,
    maxBytes: bytesMax,
    isolationLevel: ISOLATION_READ_COMMITTED,
    topics: [{
      topic,
      partitions: [{ partition, fetchOffset: String(offset), maxBytes: bytesMax }],
    }],
  });
  const call = {
    request,
    requestTimeout: REQUEST_TIMEOUT_MS,
    response: {
      decode: (payload: unknown) => Promise.resolve(decodeAnswer(payload)),
      parse: (answer: unknown) => Promise.resolve(answer),
    },
  };
  return await broker.connectionPool.send(call) as FetchAnswer;
}

interface FetchRequest {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  encode(): Promise<unknown>;
}

export interface FetchPartition {
  readonly partition: number;
  readonly fetchOffset: string;
  /** Leader epoch of the record before `fetchOffset`; if undefined, the broker does not compare. */
  readonly lastFetchedEpoch?: number | undefined;
  readonly maxBytes: number;
}

export interface FetchOptions {
  /** Limit of the wait for `minBytes`, in milliseconds. */
  readonly maxWaitTime: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly isolationLevel: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly FetchPartition[];
  }[];
}

interface Encoder {
  writeInt8(value: number): Encoder;
  writeInt32(value: number): Encoder;
  writeInt64(value: string): Encoder;
  writeUVarInt(value: number): Encoder;
  writeUVarIntString(value: string): Encoder;
}

const FETCH = { apiKey: 1, apiVersion: 12, apiName: "Fetch" } as const;
const NO_SESSION = { id: 0, epoch: -1 } as const;
const UNKNOWN = -1;
const NO_TAGS = 0;

/** Encodes a consumer's Fetch request, version 12, without a fetch session. */
export function encodeFetchRequest(options: FetchOptions): FetchRequest {
  return { ...FETCH, encode: () => Promise.resolve(encodedFetch(options)) };
}

function encodedFetch(
  { maxWaitTime, minBytes, maxBytes, isolationLevel, topics }: FetchOptions,
): Encoder {
  const Encoder = encoderModule as new () => Encoder;
  const encoder = new Encoder()
    .writeUVarInt(NO_TAGS) // ends the request header (version 2)
    .writeInt32(REPLICA_ID_CONSUMER)
    .writeInt32(maxWaitTime)
    .writeInt32(minBytes)
    .writeInt32(maxBytes)
    .writeInt8(isolationLevel)
    .writeInt32(NO_SESSION.id)
    .writeInt32(NO_SESSION.epoch);
  writeCompactArray(encoder, topics, ({ topic, partitions }) => {
    encoder.writeUVarIntString(topic);
    writeCompactArray(encoder, partitions, (each) => {
      encoder
        .writeInt32(each.partition)
        .writeInt32(UNKNOWN) // current_leader_epoch
        .writeInt64(each.fetchOffset)
        .writeInt32(each.lastFetchedEpoch ?? UNKNOWN)
        .writeInt64(String(UNKNOWN)) // log_start_offset, of followers
        .writeInt32(each.maxBytes)
        .writeUVarInt(NO_TAGS);
    });
    encoder.writeUVarInt(NO_TAGS);
  });
  writeCompactArray(encoder, [], () => {}); // forgotten_topics_data
  return encoder.writeUVarIntString("").writeUVarInt(NO_TAGS); // rack_id
}

function writeCompactArray<Item>(
  encoder: Encoder,
  items: readonly Item[],
  write: (item: Item) => void,
): void {
  encoder.writeUVarInt(items.length + 1);
  for (const item of items) write(item);
}

interface Decoder {
  /** Position of the next byte. */
  offset: number;
  readInt16(): number;
  readInt32(): number;
  readInt64(): { toString(): string };
  readUVarInt(): number;
  readUVarIntString(): string | null;
  readBytes(byteLength: number): Uint8Array;
}

/** `clientSideThrottleTime` is read by kafkajs, which delays the next request by it. */
function decodeAnswer(payload: unknown): FetchAnswer & { readonly clientSideThrottleTime: number } {
  const { throttleMs, errorCode, partitions: [partition] } = decodeFetchResponse(payload);
  return {
    lastStableOffset: 0,
    abortedTransactions: [],
    records: new Uint8Array(),
    ...partition,
    errorCode: errorCode || (partition?.errorCode ?? 0),
    isThrottled: throttleMs > 0,
    clientSideThrottleTime: throttleMs,
  };
}

export function decodeFetchResponse(payload: unknown): FetchResponse {
  const Decoder = decoderModule as new (payload: unknown) => Decoder;
  const decoder = new Decoder(payload);
  readTags(decoder); // ends the response header (version 1)
  const throttleMs = decoder.readInt32();
  const errorCode = decoder.readInt16();
  decoder.readInt32(); // session_id
  const partitions: FetchedPartition[] = [];
  for (let topicCount = decoder.readUVarInt() - 1; topicCount > 0; topicCount--) {
    const topic = decoder.readUVarIntString() ?? "";
    for (let count = decoder.readUVarInt() - 1; count > 0; count--) {
      partitions.push(decodePartition(decoder, topic));
    }
    readTags(decoder);
  }
  return { throttleMs, errorCode, partitions };
}

function decodePartition(decoder: Decoder, topic: string): FetchedPartition {
  const partition = decoder.readInt32();
  const errorCode = decoder.readInt16();
  const highWatermark = readInt64(decoder);
  const lastStableOffset = readInt64(decoder);
  decoder.readInt64(); // log_start_offset
  const abortedTransactions: AbortedTransaction[] = [];
  for (let count = decoder.readUVarInt() - 1; count > 0; count--) {
    abortedTransactions.push({
      producerId: BigInt(decoder.readInt64().toString()),
      firstOffset: readInt64(decoder),
    });
    readTags(decoder);
  }
  const preferredReadReplica = decoder.readInt32();
  const byteLength = decoder.readUVarInt() - 1;
  const records = plainBytes(byteLength > 0 ? decoder.readBytes(byteLength) : null);
  let divergingEpoch: EpochEnd | undefined;
  readTags(decoder, (tag) => {
    if (tag === DIVERGING_EPOCH_TAG) {
      divergingEpoch = { epoch: decoder.readInt32(), endOffset: readInt64(decoder) };
    }
  });
  return {
    topic,
    partition,
    errorCode,
    highWatermark,
    lastStableOffset,
    abortedTransactions,
    preferredReadReplica,
    ...(divergingEpoch !== undefined && { divergingEpoch }),
    records,
  };
}

const DIVERGING_EPOCH_TAG = 0;

/**
 * Reads tagged fields; skips what `read` does not consume. kafkajs's own `readTaggedFields` gets their sizes wrong by
 * 1.
 */
function readTags(
  decoder: Decoder,
  read: (tag: number) => void = () => {},
): void {
  for (let count = decoder.readUVarInt(); count > 0; count--) {
    const tag = decoder.readUVarInt();
    const byteLength = decoder.readUVarInt();
    const end = decoder.offset + byteLength;
    read(tag);
    decoder.offset = end;
  }
}

function readInt64(decoder: Decoder): number {
  return Number(decoder.readInt64().toString());
}

/** Returns the same bytes as a plain Uint8Array, whose subarrays are the cheapest. */
function plainBytes(bytes: Uint8Array | null): Uint8Array {
  return bytes === null
    ? new Uint8Array()
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
