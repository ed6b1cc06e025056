/**
 * A cluster that does what a test tells it: a few nodes on sockets, a topic, and brokers' answers to
 * produce requests. It counts what it stores, and keeps the bytes of every batch.
 *
 * It knows as much of the protocol as an idempotent producer asks for, and where partitions end, each in one
 * version: Produce v3, ListOffsets v1, Metadata v1, ApiVersions v0 to v2, InitProducerId v0.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { LOOPBACK } from "../../lib/dev/local_port.ts";

export const UNKNOWN_TOPIC_OR_PARTITION = 3;
export const NOT_LEADER_FOR_PARTITION = 6;

const API_KEYS = {
  produce: 0,
  listOffsets: 2,
  metadata: 3,
  apiVersions: 18,
  initProducerId: 22,
} as const;
const VERSIONS = [
  [API_KEYS.produce, 3, 3],
  [API_KEYS.listOffsets, 1, 1],
  [API_KEYS.metadata, 1, 1],
  [API_KEYS.apiVersions, 0, 2],
  [API_KEYS.initProducerId, 0, 0],
] as const;

/** Asked for as a timestamp. */
const EARLIEST = -2n;

/** A batch that reached a node. */
export interface ProducedBatch {
  readonly nodeId: number;
  readonly partition: number;
  readonly producerId: bigint;
  readonly recordCount: number;
  /** As the log would keep it. */
  readonly bytes: Uint8Array;
}

/** What the node says of it; that it is stored where the last one ended, if nothing else is said. */
export interface ProduceAnswer {
  readonly partition?: number;
  readonly errorCode?: number;
  readonly baseOffset?: number;
}

export interface ScriptedClusterOptions {
  readonly topic: string;
  /** The leader of each partition, by node id from 1 on. */
  readonly leaders: readonly number[];
  /** Called for each batch before it is stored; with an answer of its own nothing is. */
  readonly onProduce?: (
    batch: ProducedBatch,
    cluster: ScriptedCluster,
  ) => Promise<ProduceAnswer | "silence" | undefined> | ProduceAnswer | "silence" | undefined;
  /** The error code of an answer about a partition's offsets; none if nothing is said. */
  readonly onListOffsets?: (partition: number) => number;
}

export class ScriptedCluster implements AsyncDisposable {
  /** To be changed while it runs. */
  readonly leaders: number[];
  /** How many records each partition has. */
  readonly stored: number[];
  readonly batches: ProducedBatch[] = [];
  /** How many connections were made to it. */
  connectionCount = 0;
  readonly #options: ScriptedClusterOptions;
  readonly #listeners: readonly Deno.TcpListener[];
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #serving: Promise<void>[];
  #producerCount = 0n;

  constructor(options: ScriptedClusterOptions) {
    this.#options = options;
    this.leaders = [...options.leaders];
    this.stored = options.leaders.map(() => 0);
    const nodeCount = Math.max(...options.leaders);
    this.#listeners = Array.from(
      { length: nodeCount },
      () => Deno.listen({ hostname: LOOPBACK, port: 0 }),
    );
    this.#serving = this.#listeners.map((listener, index) => this.#serve(listener, index + 1));
  }

  get brokers(): string[] {
    return this.#listeners.map(({ addr: { port } }) => `${LOOPBACK}:${port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    for (const connection of this.#connections) connection.close();
    await Promise.allSettled(this.#serving);
  }

  async #serve(listener: Deno.TcpListener, nodeId: number): Promise<void> {
    for await (const connection of listener) {
      this.#connections.add(connection);
      this.connectionCount++;
      this.#serving.push(
        this.#talk(connection, nodeId).finally(() => this.#connections.delete(connection)),
      );
    }
  }

  async #talk(connection: Deno.TcpConn, nodeId: number): Promise<void> {
    let waiting = Buffer.alloc(0);
    for await (const chunk of connection.readable) {
      waiting = Buffer.concat([waiting, chunk]);
      while (waiting.length >= 4 && waiting.length >= 4 + waiting.readInt32BE()) {
        const end = 4 + waiting.readInt32BE();
        const answer = await this.#answer(new RequestReader(waiting.subarray(4, end)), nodeId);
        waiting = waiting.subarray(end);
        if (answer !== undefined) await connection.write(answer);
      }
    }
  }

  async #answer(request: RequestReader, nodeId: number): Promise<Uint8Array | undefined> {
    const apiKey = request.int16();
    const version = request.int16();
    const correlationId = request.int32();
    request.text(); // client id
    const body = await this.#bodyOf(apiKey, { version, request, nodeId });
    if (body === undefined) return undefined;
    const payload = Buffer.concat([int32(correlationId), ...body]);
    return Buffer.concat([int32(payload.length), payload]);
  }

  #bodyOf(
    apiKey: number,
    { version, request, nodeId }: { version: number; request: RequestReader; nodeId: number },
  ): Promise<readonly Buffer[] | undefined> | readonly Buffer[] {
    switch (apiKey) {
      case API_KEYS.apiVersions: {
        const list = VERSIONS.flatMap((each) => each.map(int16));
        return [int16(0), int32(VERSIONS.length), ...list, ...(version > 0 ? [int32(0)] : [])];
      }
      case API_KEYS.listOffsets:
        return this.#listOffsets(request);
      case API_KEYS.metadata:
        return this.#metadata();
      case API_KEYS.initProducerId:
        return [int32(0), int16(0), int64(++this.#producerCount), int16(0)];
      case API_KEYS.produce:
        return this.#produce(request, nodeId);
      default:
        throw new RangeError(`no answer to requests of key ${apiKey} is scripted`);
    }
  }

  #metadata(): readonly Buffer[] {
    const nodes = this.#listeners.flatMap(({ addr: { port } }, index) => [
      ...[int32(index + 1), text(LOOPBACK), int32(port), int16(-1)],
    ]);
    const partitions = this.leaders.flatMap((leader, partition) => [
      ...[int16(0), int32(partition), int32(leader)],
      ...[int32(1), int32(leader), int32(1), int32(leader)],
    ]);
    return [
      ...[int32(this.#listeners.length), ...nodes, int32(1), int32(1)],
      ...[int16(0), text(this.#options.topic), Buffer.from([0])],
      ...[int32(this.leaders.length), ...partitions],
    ];
  }

  #listOffsets(request: RequestReader): readonly Buffer[] {
    request.skip(4); // replica id
    const { topic, partitionCount } = request.topic();
    const answers: Buffer[] = [];
    for (let index = 0; index < partitionCount; index++) {
      const partition = request.int32();
      const isLow = request.int64() === EARLIEST;
      const errorCode = this.#options.onListOffsets?.(partition) ?? 0;
      const offset = isLow ? 0 : this.stored[partition] ?? 0;
      answers.push(int32(partition), int16(errorCode), int64(-1n), int64(BigInt(offset)));
    }
    return [int32(1), text(topic), int32(partitionCount), ...answers];
  }

  async #produce(request: RequestReader, nodeId: number): Promise<readonly Buffer[] | undefined> {
    request.text(); // transactional id
    request.skip(2 + 4); // acks and timeout
    const { topic, partitionCount } = request.topic();
    const answers: Buffer[] = [];
    for (let index = 0; index < partitionCount; index++) {
      const partition = request.int32();
      const batch = request.bytes();
      // As lib/kafka/record_batch.ts draws it.
      const answer = await this.#store({
        nodeId,
        partition,
        producerId: batch.readBigInt64BE(43),
        recordCount: batch.readInt32BE(57),
        bytes: Uint8Array.from(batch),
      });
      if (answer === "silence") return undefined;
      const { partition: named = partition, errorCode = 0, baseOffset = -1 } = answer;
      answers.push(int32(named), int16(errorCode), int64(BigInt(baseOffset)), int64(-1n));
    }
    return [int32(1), text(topic), int32(partitionCount), ...answers, int32(0)];
  }

  async #store(batch: ProducedBatch): Promise<ProduceAnswer | "silence"> {
    this.batches.push(batch);
    const answer = await this.#options.onProduce?.(batch, this);
    if (answer !== undefined) return answer;
    const { nodeId, partition, recordCount } = batch;
    if (this.leaders[partition] !== nodeId) return { errorCode: NOT_LEADER_FOR_PARTITION };
    const baseOffset = this.stored[partition] ?? 0;
    this.stored[partition] = baseOffset + recordCount;
    return { baseOffset };
  }
}

class RequestReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(byteCount: number): number {
    this.#at += byteCount;
    return this.#at - byteCount;
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.skip(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.skip(4));
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.skip(8));
  }

  /** Empty where it is null. */
  text(): string {
    const length = Math.max(0, this.int16());
    const start = this.skip(length);
    return this.#bytes.toString("utf8", start, start + length);
  }

  /** What stands before the partitions of the one topic that is asked about. */
  topic(): { readonly topic: string; readonly partitionCount: number } {
    this.skip(4); // how many topics
    return { topic: this.text(), partitionCount: this.int32() };
  }

  bytes(): Buffer {
    const length = this.int32();
    const start = this.skip(length);
    return this.#bytes.subarray(start, start + length);
  }
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}
