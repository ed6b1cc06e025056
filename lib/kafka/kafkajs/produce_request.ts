/**
 * Encodes Produce requests (versions 3 to 7) in one pass. kafkajs's own encoder takes more time than generating the
 * orders: it copies each record five times, into zero-filled buffers, and computes the checksum byte by byte. kafkajs
 * still handles sequences, retries, and responses.
 *
 *     body    transactional id, or null · acks i16 · timeout i32 · topics, each a name and its partitions:
 *             partition i32 · length i32 · record batch (see batch_layout.ts)
 *
 * https://kafka.apache.org/protocol#The_Messages_Produce
 */

import { Buffer } from "node:buffer";
import requestsModule from "kafkajs/src/protocol/requests/index.js";
import { giveHeadroom } from "./headroom.ts";
import { HEADER_BYTES } from "../protocol/batch_layout.ts";
import { RequestWriter, writeBatch } from "../protocol/batch_writer.ts";
import { COMPRESSION_GROWTH_MAX } from "../protocol/compress.ts";
import type { OutgoingRecord } from "../../record.ts";
import { recordBytesMax } from "../protocol/record_size.ts";

/** The fields that kafkajs's producer passes to a broker; ids are numbers, strings, or Longs. */
interface ProduceFields {
  readonly acks: number;
  readonly timeout?: number;
  readonly compression: number;
  readonly producerId: { toString(): string };
  readonly producerEpoch: number;
  readonly transactionalId?: string;
  readonly topicData: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly firstSequence: number;
      readonly messages: readonly OutgoingRecord[];
    }[];
  }[];
}

interface EncodedBody {
  readonly buf: Buffer;
  readonly buffer: Buffer;
}

interface ProduceCall {
  readonly request: { encode(): Promise<EncodedBody> };
}

interface Broker {
  lookupRequest(apiKey: number, definition: unknown): (fields: ProduceFields) => ProduceCall;
  produce(fields: ProduceFields): Promise<unknown>;
}

interface BrokerPool {
  createBroker(options: object): Broker;
}

const PRODUCE_API_KEY = 0;
const TIMEOUT_MS = 30_000;
const LENGTH_BYTES = 4;
/** Room before the body for kafkajs's request header, of which the client id is the longest part. */
const HEADROOM_BYTES = 512;
/** Above what the fields of fixed length take, of a request, a topic or a partition. */
const FIXED_BYTES = 64;

/**
 * Makes the brokers of a cluster encode our records ({@link OutgoingRecord}, whose headers are an array) in this way.
 * kafkajs encodes its own kind of messages itself. The producer passes both through unchanged.
 *
 * @param cluster a kafkajs cluster that has not connected yet.
 */
export function encodeProduceRequests(cluster: object): void {
  const { brokerPool } = cluster as { readonly brokerPool: BrokerPool };
  const { createBroker } = brokerPool;
  brokerPool.createBroker = (options) => {
    const broker = createBroker(options);
    encodeRequestsOf(broker);
    return broker;
  };
}

function encodeRequestsOf(broker: Broker): void {
  const { requests } = requestsModule as { requests: { readonly Produce: unknown } };
  const sendRequest = Object.getOwnPropertySymbols(Object.getPrototypeOf(broker))
    .find((symbol) => symbol.description === "private:Broker:sendRequest");
  if (sendRequest === undefined) throw new TypeError("expected kafkajs 2.2.4: no sendRequest");
  const { produce } = broker;
  broker.produce = async (fields) => {
    if (!isOurs(fields)) return await produce.call(broker, fields);
    const call = broker.lookupRequest(PRODUCE_API_KEY, requests.Produce)(fields);
    const request = { ...call.request, encode: () => encodeBody(fields) };
    const send = Reflect.get(broker, sendRequest) as (call: object) => Promise<unknown>;
    try {
      return await send.call(broker, { ...call, request });
    } catch (error) {
      noteFailedAttempt(fields, error);
      throw error;
    }
  };
}

const ATTEMPT_LISTENERS = new WeakMap<object, (error: unknown) => void>();

/**
 * Reports each failed attempt to send these messages. kafkajs retries most of them forever without telling its caller.
 *
 * @param messages the same array object that is passed to the client's producer.
 */
export function onFailedAttempt(messages: object, listener: (error: unknown) => void): void {
  ATTEMPT_LISTENERS.set(messages, listener);
}

function noteFailedAttempt({ topicData }: ProduceFields, error: unknown): void {
  for (const { partitions } of topicData) {
    for (const { messages } of partitions) ATTEMPT_LISTENERS.get(messages)?.(error);
  }
}

function isOurs({ topicData }: ProduceFields): boolean {
  return Array.isArray(topicData[0]?.partitions[0]?.messages[0]?.headers);
}

async function encodeBody(fields: ProduceFields): Promise<EncodedBody> {
  const { topicData, acks, timeout = TIMEOUT_MS, transactionalId } = fields;
  const writer = new RequestWriter(HEADROOM_BYTES, bytesMaxOf(fields));
  writer.text(transactionalId ?? null);
  writer.int16(acks);
  writer.int32(timeout);
  writer.int32(topicData.length);
  for (const { topic, partitions } of topicData) {
    writer.text(topic);
    writer.int32(partitions.length);
    for (const partition of partitions) {
      writer.int32(partition.partition);
      const start = writer.skip(LENGTH_BYTES) + LENGTH_BYTES;
      await writeBatch(writer, {
        ...fields,
        producerId: BigInt(fields.producerId.toString()),
        isTransactional: transactionalId !== undefined,
        firstSequence: partition.firstSequence,
        records: partition.messages,
      });
      writer.view.setInt32(start - LENGTH_BYTES, writer.end - start);
    }
  }
  const buffer = writer.body;
  const body = { buf: buffer, buffer };
  giveHeadroom(body, HEADROOM_BYTES);
  return body;
}

/** Returns an upper bound for the length of a body. */
function bytesMaxOf({ topicData, transactionalId = "" }: ProduceFields): number {
  let bytes = FIXED_BYTES + Buffer.byteLength(transactionalId);
  for (const { topic, partitions } of topicData) {
    bytes += FIXED_BYTES + Buffer.byteLength(topic);
    for (const { messages } of partitions) {
      let recordBytes = 0;
      for (const record of messages) recordBytes += recordBytesMax(record);
      bytes += FIXED_BYTES + HEADER_BYTES + COMPRESSION_GROWTH_MAX.bytes +
        Math.ceil(recordBytes * (1 + COMPRESSION_GROWTH_MAX.share));
    }
  }
  return bytes;
}
