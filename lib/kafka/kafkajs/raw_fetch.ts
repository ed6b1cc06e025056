/**
 * Fetch requests (version 12: Kafka 2.7 and later) through kafkajs's connections, the records left as bytes.
 *
 * kafkajs's own Fetch decodes at a fifth of the speed, checks no checksum, and filters aborted records with
 * two holes: both its consumers and our own reader are given the bytes, as `record_batch.ts` reads them.
 * And it knows versions up to 11; version 12 has the broker compare the leader epoch of the last record
 * before the fetch offset with its own log, in the same step in which it reads (KIP-320, KIP-595).
 *
 * Message format: https://kafka.apache.org/protocol#The_Messages_Fetch
 *
 * @module
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
  /** A batch that is larger comes in whole if it is the first. */
  readonly bytesMax: number;
}

/** What a broker answers for one partition. */
export interface FetchedPartition {
  readonly topic: string;
  readonly partition: number;
  /** 0 where all is well, else the protocol's error code. */
  readonly errorCode: number;
  /** One past the last offset that is on all replicas. */
  readonly highWatermark: number;
  /** One past the last offset that a reader of committed records may read. */
  readonly lastStableOffset: number;
  readonly abortedTransactions: readonly AbortedTransaction[];
  /** The broker to ask instead of this one; -1 where this one is as good. */
  readonly preferredReadReplica: number;
  /**
   * Given where the log has no record of the last fetched epoch just before the fetch offset: the log was
   * truncated. The highest epoch in it that is not above the last fetched one, and where that ends. There
   * are no records then.
   */
  readonly divergingEpoch?: EpochEnd;
  /** Record batches, aborted ones and control batches included. */
  readonly records: Uint8Array;
}

export interface FetchResponse {
  /** How long the broker wants the next request to wait, in milliseconds. */
  readonly throttleMs: number;
  /** Of the request as a whole: 0 where all is well. */
  readonly errorCode: number;
  readonly partitions: readonly FetchedPartition[];
}

/** The answer to a request for one partition. */
export interface FetchAnswer
  extends
    Pick<FetchedPartition, "errorCode" | "lastStableOffset" | "abortedTransactions" | "records"> {
  /** The broker holds answers back, and this one may be empty for that reason alone. */
  readonly isThrottled: boolean;
}

const WAIT_MS_MAX = 250;
const REQUEST_TIMEOUT_MS = 10_000;
const REPLICA_ID_CONSUMER = -1;

/** Asks the partition's leader, once. */
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
  /** Leader epoch of the record before `fetchOffset`; left out, the broker compares nothing. */
  readonly lastFetchedEpoch?: number | undefined;
  readonly maxBytes: number;
}

export interface FetchOptions {
  /** In milliseconds: an answer of fewer than `minBytes` waits for so long. */
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

/** A consumer's Fetch request, version 12, outside any fetch session. */
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
  /** Of the next byte. */
  offset: number;
  readInt16(): number;
  readInt32(): number;
  readInt64(): { toString(): string };
  readUVarInt(): number;
  readUVarIntString(): string | null;
  readBytes(byteLength: number): Uint8Array;
}

/** `clientSideThrottleTime` is kafkajs's to read: it holds the next request back for as long. */
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

/** Decodes a Fetch response, version 12. */
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
 * Reads tagged fields; those of which `read` takes nothing are skipped. kafkajs's own `readTaggedFields` takes the
 * size of a field for one more than it is.
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

/** The same bytes, as the class whose views cost least. */
function plainBytes(bytes: Uint8Array | null): Uint8Array {
  return bytes === null
    ? new Uint8Array()
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
