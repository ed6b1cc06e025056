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
import brokerModule from "kafkajs/src/broker/index.js";
import requestsModule from "kafkajs/src/protocol/requests/index.js";
import { crc32c } from "./crc32c.ts";
import type { OutgoingRecord, RecordHeader } from "./record.ts";

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

const PRODUCE_API_KEY = 0;
const TIMEOUT_MS = 30_000;
const MAGIC = 2;
const GZIP = 1;
const TRANSACTIONAL_FLAG = 0x10;
const LENGTH_END = 12;
const CRC_AT = 17;
const CRC_END = 21;
const BATCH_HEADER_BYTES = 61;
/** A 64-bit number takes up to 10 bytes, a 32-bit one up to 5. */
const VARLONG_BYTES_MAX = 10;
const VARINT_BYTES_MAX = 5;
/** Length, attributes, two deltas, lengths of key and value, count of headers. */
const RECORD_OVERHEAD_BYTES_MAX = 1 + VARLONG_BYTES_MAX + 5 * VARINT_BYTES_MAX;

const compressed = promisify(gzip);

/**
 * Has kafkajs write records of ours ({@link OutgoingRecord}, whose headers are a list) this way; messages
 * of its own kind it writes itself. They pass through the client's producer as they are.
 */
export function installProduceEncoding(): void {
  const { prototype } = brokerModule as { prototype: Broker };
  const { requests } = requestsModule as { requests: { readonly Produce: unknown } };
  const sendRequest = Object.getOwnPropertySymbols(prototype)
    .find((symbol) => symbol.description === "private:Broker:sendRequest");
  if (sendRequest === undefined) throw new TypeError("expected kafkajs 2.2.4: no sendRequest");
  const { produce } = prototype;
  prototype.produce = async function (fields) {
    if (!isOurs(fields)) return await produce.call(this, fields);
    const call = this.lookupRequest(PRODUCE_API_KEY, requests.Produce)(fields);
    const request = { ...call.request, encode: () => encodeBody(fields) };
    const send = Reflect.get(this, sendRequest) as (call: object) => Promise<unknown>;
    return await send.call(this, { ...call, request });
  };
}

function isOurs({ topicData }: ProduceFields): boolean {
  return Array.isArray(topicData[0]?.partitions[0]?.messages[0]?.headers);
}

async function encodeBody(fields: ProduceFields): Promise<EncodedBody> {
  const { topicData, acks, timeout = TIMEOUT_MS, transactionalId } = fields;
  const id = Buffer.from(transactionalId ?? "");
  const parts: Uint8Array[] = [
    bytesOf(2, (view) => view.setInt16(0, transactionalId === undefined ? -1 : id.length)),
    id,
    bytesOf(10, (view) => {
      view.setInt16(0, acks);
      view.setInt32(2, timeout);
      view.setInt32(6, topicData.length);
    }),
  ];
  for (const { topic, partitions } of topicData) {
    const name = Buffer.from(topic);
    parts.push(bytesOf(2, (view) => view.setInt16(0, name.length)), name);
    parts.push(bytesOf(4, (view) => view.setInt32(0, partitions.length)));
    for (const partition of partitions) {
      const batch = await encodeBatch(fields, partition);
      parts.push(bytesOf(8, (view) => {
        view.setInt32(0, partition.partition);
        view.setInt32(4, batch.length);
      }));
      parts.push(batch);
    }
  }
  const buffer = Buffer.concat(parts);
  return { buf: buffer, buffer };
}

function bytesOf(length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(new DataView(bytes.buffer));
  return bytes;
}

async function encodeBatch(
  { compression, producerId, producerEpoch, transactionalId }: ProduceFields,
  { messages, firstSequence }: ProducePartition,
): Promise<Uint8Array> {
  const nowMs = Date.now();
  const timestamps = messages.map(({ timestampMs }) => timestampMs ?? nowMs);
  const firstTimestamp = timestamps[0] ?? nowMs;
  const writer = new RecordWriter(messages);
  for (const [index, record] of messages.entries()) {
    writer.write(record, {
      offsetDelta: index,
      timestampDelta: (timestamps[index] ?? nowMs) - firstTimestamp,
    });
  }

  const batch = compression === GZIP
    ? withHeaderSpace(await compressed(writer.records))
    : writer.batch;
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  view.setBigInt64(0, 0n); // base offset: the broker's to give
  view.setInt32(8, batch.length - LENGTH_END);
  view.setInt32(12, 0); // partition leader epoch: the broker's too
  view.setInt8(16, MAGIC);
  view.setInt16(CRC_END, compression | (transactionalId === undefined ? 0 : TRANSACTIONAL_FLAG));
  view.setInt32(23, messages.length - 1);
  view.setBigInt64(27, BigInt(firstTimestamp));
  view.setBigInt64(35, BigInt(timestamps.reduce((max, each) => Math.max(max, each))));
  view.setBigInt64(43, BigInt(producerId.toString()));
  view.setInt16(51, producerEpoch);
  view.setInt32(53, firstSequence);
  view.setInt32(57, messages.length);
  view.setUint32(CRC_AT, crc32c(batch.subarray(CRC_END)));
  return batch;
}

function withHeaderSpace(records: Uint8Array): Uint8Array {
  const batch = new Uint8Array(BATCH_HEADER_BYTES + records.length);
  batch.set(records, BATCH_HEADER_BYTES);
  return batch;
}

/** Writes records one behind the other, with room for the batch's header before the first. */
class RecordWriter {
  readonly #bytes: Uint8Array;
  #end = BATCH_HEADER_BYTES;

  constructor(records: readonly OutgoingRecord[]) {
    const bytesMax = records.reduce((sum, record) => sum + sizeOf(record), BATCH_HEADER_BYTES);
    // Not filled with zeros: every byte up to the end is written.
    this.#bytes = Buffer.allocUnsafeSlow(bytesMax);
  }

  get batch(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  get records(): Uint8Array {
    return this.#bytes.subarray(BATCH_HEADER_BYTES, this.#end);
  }

  write(
    { key, value, headers }: OutgoingRecord,
    { offsetDelta, timestampDelta }: { offsetDelta: number; timestampDelta: number },
  ): void {
    const headerKeys = headers.length === 0
      ? NO_KEYS
      : headers.map((header) => Buffer.from(header.key));
    this.#varint(
      1 + varintBytes(timestampDelta) + varintBytes(offsetDelta) + nullableBytes(key) +
        nullableBytes(value) + varintBytes(headers.length) + headerBytes(headers, headerKeys),
    );
    this.#bytes[this.#end++] = 0; // attributes: none are in use
    this.#varint(timestampDelta);
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

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
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

/** At most. */
function sizeOf({ key, value, headers }: OutgoingRecord): number {
  return RECORD_OVERHEAD_BYTES_MAX + (key?.length ?? 0) + (value?.length ?? 0) +
    headers.reduce(
      (sum, header) =>
        sum + 2 * VARINT_BYTES_MAX + Buffer.byteLength(header.key) + (header.value?.length ?? 0),
      0,
    );
}
