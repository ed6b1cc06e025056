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
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import requestsModule from "kafkajs/src/protocol/requests/index.js";
import { crc32c } from "../crc32c.ts";
import { giveHeadroom } from "./headroom.ts";
import type { OutgoingRecord, RecordHeader } from "../record.ts";

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

type ProducePartition = ProduceFields["topicData"][number]["partitions"][number];

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
const MAGIC = 2;
const GZIP = 1;
const TRANSACTIONAL_FLAG = 0x10;
const LENGTH_BYTES = 4;
const LENGTH_END = 12;
const CRC_AT = 17;
const CRC_END = 21;
const BATCH_HEADER_BYTES = 61;
/** A 64-bit number takes up to 10 bytes, a 32-bit one up to 5. */
const VARLONG_BYTES_MAX = 10;
const VARINT_BYTES_MAX = 5;
/** Length, attributes, two deltas, lengths of key and value, count of headers. */
const RECORD_OVERHEAD_BYTES_MAX = 1 + VARLONG_BYTES_MAX + 5 * VARINT_BYTES_MAX;

/** Before a body: room for what kafkajs writes there, of which its client id is the longest part. */
const HEADROOM_BYTES = 512;
/** Above what the fields of fixed length take, of a request, a topic or a partition, and what gzip adds to an empty text. */
const FIXED_BYTES = 64;
/** What gzip may add to a text that does not compress. */
const GZIP_GROWTH_MAX = 0.01;

const compressed = promisify(gzip);

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
  const writer = new RequestWriter(bytesMaxOf(fields));
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
      await writeBatch(writer, fields, partition);
      writer.view.setInt32(start - LENGTH_BYTES, writer.end - start);
    }
  }
  const buffer = writer.body;
  const body = { buf: buffer, buffer };
  giveHeadroom(body, HEADROOM_BYTES);
  return body;
}

async function writeBatch(
  writer: RequestWriter,
  { compression, producerId, producerEpoch, transactionalId }: ProduceFields,
  { messages, firstSequence }: ProducePartition,
): Promise<void> {
  const nowMs = Date.now();
  const timestampOf = ({ exactTimestampMs, timestampMs = nowMs }: OutgoingRecord) =>
    exactTimestampMs ?? timestampMs;
  const firstTimestamp = messages[0] === undefined ? nowMs : timestampOf(messages[0]);
  let maxTimestamp = firstTimestamp;
  const start = writer.skip(BATCH_HEADER_BYTES);
  let offsetDelta = 0;
  for (const record of messages) {
    const timestamp = timestampOf(record);
    writer.record(record, { offsetDelta, timestampDelta: difference(timestamp, firstTimestamp) });
    if (timestamp > maxTimestamp) maxTimestamp = timestamp;
    offsetDelta++;
  }
  if (compression === GZIP) {
    const recordsStart = start + BATCH_HEADER_BYTES;
    writer.replaceFrom(recordsStart, await compressed(writer.since(recordsStart)));
  }

  const { view, end } = writer;
  view.setBigInt64(start, 0n); // base offset: the broker's to give
  view.setInt32(start + 8, end - start - LENGTH_END);
  view.setInt32(start + 12, 0); // partition leader epoch: the broker's too
  view.setInt8(start + 16, MAGIC);
  view.setInt16(
    start + CRC_END,
    compression | (transactionalId === undefined ? 0 : TRANSACTIONAL_FLAG),
  );
  view.setInt32(start + 23, messages.length - 1);
  view.setBigInt64(start + 27, BigInt(firstTimestamp));
  view.setBigInt64(start + 35, BigInt(maxTimestamp));
  view.setBigInt64(start + 43, BigInt(producerId.toString()));
  view.setInt16(start + 51, producerEpoch);
  view.setInt32(start + 53, firstSequence);
  view.setInt32(start + 57, messages.length);
  view.setUint32(start + CRC_AT, crc32c(writer.since(start + CRC_END)));
}

/** Writes a request's body into one buffer, with headroom before it. */
class RequestWriter {
  readonly view: DataView;
  readonly #bytes: Buffer;
  #end = HEADROOM_BYTES;

  constructor(bytesMax: number) {
    // Not filled with zeros: every byte up to the end is written.
    this.#bytes = Buffer.allocUnsafeSlow(HEADROOM_BYTES + bytesMax);
    this.view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  get end(): number {
    return this.#end;
  }

  get body(): Buffer {
    return this.#bytes.subarray(HEADROOM_BYTES, this.#end);
  }

  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#end);
  }

  replaceFrom(start: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, start);
    this.#end = start + bytes.length;
  }

  /** Leaves room, and says where it begins. */
  skip(byteCount: number): number {
    this.#end += byteCount;
    return this.#end - byteCount;
  }

  int16(value: number): void {
    this.view.setInt16(this.skip(2), value);
  }

  int32(value: number): void {
    this.view.setInt32(this.skip(4), value);
  }

  text(text: string | null): void {
    const bytes = Buffer.from(text ?? "");
    this.int16(text === null ? -1 : bytes.length);
    this.#bytes.set(bytes, this.skip(bytes.length));
  }

  record(
    { key, value, headers }: OutgoingRecord,
    { offsetDelta, timestampDelta }: { offsetDelta: number; timestampDelta: number | bigint },
  ): void {
    const headerKeys = headers.length === 0
      ? NO_KEYS
      : headers.map((header) => Buffer.from(header.key));
    this.#varint(
      1 + varlongBytes(timestampDelta) + varintBytes(offsetDelta) + nullableBytes(key) +
        nullableBytes(value) + varintBytes(headers.length) + headerBytes(headers, headerKeys),
    );
    this.#bytes[this.#end++] = 0; // attributes: none are in use
    this.#varlong(timestampDelta);
    this.#varint(offsetDelta);
    this.#nullable(key);
    this.#nullable(value);
    this.#varint(headers.length);
    for (const [index, header] of headers.entries()) {
      this.#nullable(headerKeys[index] ?? null);
      this.#nullable(header.value);
    }
  }

  #nullable(bytes: Uint8Array | null): void {
    if (bytes === null) return this.#varint(-1);
    this.#varint(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #varlong(value: number | bigint): void {
    if (typeof value === "number") return this.#varint(value);
    let rest = BigInt.asUintN(64, value << 1n ^ value >> 63n);
    for (; rest >= 0x80n; rest >>= 7n) this.#bytes[this.#end++] = Number(rest & 0x7fn) | 0x80;
    this.#bytes[this.#end++] = Number(rest);
  }

  /** Zigzag: 0, -1, 1, -2, ... as 0, 1, 2, 3, ..., seven bits a byte, the lowest first. */
  #varint(value: number): void {
    let rest = zigzag(value);
    while (rest >= 0x80) {
      this.#bytes[this.#end++] = rest % 0x80 | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#end++] = rest;
  }
}

const NO_KEYS: readonly Buffer[] = [];

/** As a number where it is exact; a difference beyond 64 bits wraps around, and so does the sum that undoes it. */
function difference(a: number | bigint, b: number | bigint): number | bigint {
  const number = typeof a === "number" && typeof b === "number" ? a - b : NaN;
  return Number.isSafeInteger(number * 2) ? number : BigInt.asIntN(64, BigInt(a) - BigInt(b));
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function varlongBytes(value: number | bigint): number {
  if (typeof value === "number") return varintBytes(value);
  let count = 1;
  for (let rest = BigInt.asUintN(64, value << 1n ^ value >> 63n); rest >= 0x80n; rest >>= 7n) {
    count++;
  }
  return count;
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) count++;
  return count;
}

function nullableBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintBytes(bytes.length) + bytes.length;
}

function headerBytes(headers: readonly RecordHeader[], keys: readonly Buffer[]): number {
  return headers.reduce(
    (sum, { value }, index) => sum + nullableBytes(keys[index] ?? null) + nullableBytes(value),
    0,
  );
}

/** How long a body can be at most. */
function bytesMaxOf({ topicData, transactionalId = "" }: ProduceFields): number {
  let bytes = FIXED_BYTES + Buffer.byteLength(transactionalId);
  for (const { topic, partitions } of topicData) {
    bytes += FIXED_BYTES + Buffer.byteLength(topic);
    for (const { messages } of partitions) {
      let recordBytes = 0;
      for (const record of messages) recordBytes += sizeOf(record);
      bytes += FIXED_BYTES + BATCH_HEADER_BYTES + Math.ceil(recordBytes * (1 + GZIP_GROWTH_MAX));
    }
  }
  return bytes;
}

/** At most. */
function sizeOf({ key, value, headers }: OutgoingRecord): number {
  return RECORD_OVERHEAD_BYTES_MAX + (key?.length ?? 0) + (value?.length ?? 0) +
    headers.reduce(
      (sum, header) =>
        sum + 2 * VARINT_BYTES_MAX + Buffer.byteLength(header.key) + (header.value?.length ?? 0),
      0,
    );
}
