/**
 * Fetch requests (version 11: Kafka 2.3 and later) through kafkajs's connections, the records left as bytes.
 *
 * kafkajs's own Fetch decodes at a fifth of the speed, checks no checksum, and filters aborted records with
 * two holes: both its consumers and our own reader are given the bytes, as `record_batch.ts` reads them.
 *
 * Message format: https://kafka.apache.org/protocol#The_Messages_Fetch
 *
 * @module
 */

import decoderModule from "kafkajs/src/protocol/decoder.js";
import fetchRequestModule from "kafkajs/src/protocol/requests/fetch/v11/request.js";
import { type ClientCluster, ISOLATION_READ_COMMITTED } from "./kafkajs_internals.ts";

export interface FetchPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** A batch that is larger comes in whole if it is the first. */
  readonly bytesMax: number;
}

/** Records of a producer whose transaction was aborted, from `firstOffset` to the transaction's end marker. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
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

/** A consumer's Fetch request, version 11, outside any fetch session. */
export function encodeFetchRequest(options: FetchOptions): FetchRequest {
  return (fetchRequestModule as (fields: object) => FetchRequest)({
    replicaId: REPLICA_ID_CONSUMER,
    ...options,
  });
}

interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readInt64(): { toString(): string };
  readString(): string | null;
  readBytes(byteLength?: number): Uint8Array | null;
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

/** Decodes a Fetch response, version 11. */
export function decodeFetchResponse(payload: unknown): FetchResponse {
  const Decoder = decoderModule as new (payload: unknown) => Decoder;
  const decoder = new Decoder(payload);
  const throttleMs = decoder.readInt32();
  const errorCode = decoder.readInt16();
  decoder.readInt32(); // session_id
  const partitions: FetchedPartition[] = [];
  for (let topicCount = decoder.readInt32(); topicCount > 0; topicCount--) {
    const topic = decoder.readString() ?? "";
    for (let count = decoder.readInt32(); count > 0; count--) {
      partitions.push(decodePartition(decoder, topic));
    }
  }
  return { throttleMs, errorCode, partitions };
}

function decodePartition(decoder: Decoder, topic: string): FetchedPartition {
  const partition = decoder.readInt32();
  const errorCode = decoder.readInt16();
  const highWatermark = Number(decoder.readInt64().toString());
  const lastStableOffset = Number(decoder.readInt64().toString());
  decoder.readInt64(); // log_start_offset
  const abortedTransactions: AbortedTransaction[] = [];
  for (let count = decoder.readInt32(); count > 0; count--) {
    abortedTransactions.push({
      producerId: BigInt(decoder.readInt64().toString()),
      firstOffset: Number(decoder.readInt64().toString()),
    });
  }
  const preferredReadReplica = decoder.readInt32();
  const byteLength = decoder.readInt32();
  return {
    topic,
    partition,
    errorCode,
    highWatermark,
    lastStableOffset,
    abortedTransactions,
    preferredReadReplica,
    records: plainBytes(byteLength > 0 ? decoder.readBytes(byteLength) : null),
  };
}

/** The same bytes, as the class whose views cost least. */
function plainBytes(bytes: Uint8Array | null): Uint8Array {
  return bytes === null
    ? new Uint8Array()
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
