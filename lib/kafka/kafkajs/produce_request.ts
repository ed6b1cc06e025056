/**
 * Produce requests (versions 3 to 7) written in one pass, in place of kafkajs's own encoder, which takes
 * more time than making the orders does: it copies each record five times, into buffers that it first
 * fills with zeros, and takes the checksum a byte at a time. Sequences, retries and answers stay the
 * client's.
 *
 *     body    transactional id, or null · acks i16 · timeout i32 · topics, each a name and its partitions:
 *             partition i32 · length i32 · record batch, as record_batch.ts draws it
 *
 * https://kafka.apache.org/protocol#The_Messages_Produce
 *
 * @module
 */

import { Buffer } from "node:buffer";
import requestsModule from "kafkajs/src/protocol/requests/index.js";
import { giveHeadroom } from "./headroom.ts";
import { HEADER_BYTES } from "../protocol/batch_layout.ts";
import { RequestWriter, writeBatch } from "../protocol/batch_writer.ts";
import { COMPRESSION_GROWTH_MAX } from "../protocol/compress.ts";
import type { OutgoingRecord } from "../../record.ts";
import { recordBytesMax } from "../protocol/record_size.ts";

/** What kafkajs's producer hands to a broker; ids are numbers, texts or its own Long. */
interface ProduceFields {
  readonly acks: number;
  readonly timeout?: number;
  readonly compression: number;
  readonly producerId: { toString(): string };
  readonly producerEpoch: number;
  /** Of a producer whose records are part of a transaction. */
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

/** What kafkajs wants of an encoded body. */
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
/** Before a body: room for what kafkajs writes there, of which its client id is the longest part. */
const HEADROOM_BYTES = 512;
/** Above what the fields of fixed length take, of a request, a topic or a partition. */
const FIXED_BYTES = 64;

/**
 * Has the brokers of a cluster write records of ours ({@link OutgoingRecord}, whose headers are a list) this way;
 * messages of its own kind kafkajs writes itself. They pass through the client's producer as they are.
 *
 * @param cluster of kafkajs, before it has connected.
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
 * Reports each attempt to send these messages that a broker answers with an error or not at all. kafkajs
 * repeats most of them without end, and says nothing to its caller.
 *
 * @param messages the very list that is given to the client's producer.
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

/** How long a body can be at most. */
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
