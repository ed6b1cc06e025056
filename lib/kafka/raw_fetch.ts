/**
 * Fetch requests (version 11: Kafka 2.3 and later) through kafkajs's connections, the records left as bytes.
 *
 * kafkajs's own Fetch gives a broker 100 ms beyond the time it may wait, whatever the answer's size, and
 * decodes at a fifth of the speed.
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

export interface FetchAnswer {
  /** 0 where all is well, else the protocol's error code. */
  readonly errorCode: number;
  /** One past the last offset that a reader of committed records may read. */
  readonly lastStableOffset: number;
  readonly abortedTransactions: readonly AbortedTransaction[];
  /** The broker holds answers back, and this one may be empty for that reason alone. */
  readonly isThrottled: boolean;
  /** Record batches, aborted ones and control batches included. */
  readonly records: Uint8Array;
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
  const request = encodeRequest({
    replicaId: REPLICA_ID_CONSUMER,
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

function encodeRequest(fields: object): FetchRequest {
  return (fetchRequestModule as (fields: object) => FetchRequest)(fields);
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
  const Decoder = decoderModule as new (payload: unknown) => Decoder;
  const decoder = new Decoder(payload);
  const clientSideThrottleTime = decoder.readInt32();
  const errorCode = decoder.readInt16();
  decoder.readInt32(); // session_id
  const isThrottled = clientSideThrottleTime > 0;
  if (decoder.readInt32() !== 1) {
    return {
      errorCode,
      lastStableOffset: 0,
      abortedTransactions: [],
      isThrottled,
      clientSideThrottleTime,
      records: new Uint8Array(),
    };
  }
  decoder.readString(); // topic
  decoder.readInt32(); // count of partitions: 1, as was asked
  decoder.readInt32(); // partition
  const partitionErrorCode = decoder.readInt16();
  decoder.readInt64(); // high_watermark
  const lastStableOffset = Number(decoder.readInt64().toString());
  decoder.readInt64(); // log_start_offset
  const abortedTransactions: AbortedTransaction[] = [];
  for (let count = decoder.readInt32(); count > 0; count--) {
    abortedTransactions.push({
      producerId: BigInt(decoder.readInt64().toString()),
      firstOffset: Number(decoder.readInt64().toString()),
    });
  }
  decoder.readInt32(); // preferred_read_replica
  const byteLength = decoder.readInt32();
  return {
    errorCode: errorCode || partitionErrorCode,
    lastStableOffset,
    abortedTransactions,
    isThrottled,
    clientSideThrottleTime,
    records: plainBytes(byteLength > 0 ? decoder.readBytes(byteLength) : null),
  };
}

/** The same bytes, as the class whose views cost least. */
function plainBytes(bytes: Uint8Array | null): Uint8Array {
  return bytes === null
    ? new Uint8Array()
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
