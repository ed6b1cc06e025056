/**
 * A scripted cluster: a few nodes on sockets, a topic, and a test's answers to produce requests. It counts the
 * records that it stores, and keeps the bytes of every batch.
 *
 * It supports what an idempotent producer and ListOffsets need, each in one version: Produce v3, ListOffsets v1,
 * Metadata v1, ApiVersions v0 to v2, InitProducerId v0.
 */

import { Buffer } from "node:buffer";
import { type NodeAnswer, type NodeRequest, ScriptedNodes } from "./scripted/nodes.ts";
import { int16, int32, int64, text, type WireReader } from "./scripted/wire.ts";

export const UNKNOWN_TOPIC_OR_PARTITION = 3;
export const NOT_LEADER_FOR_PARTITION = 6;

const API_KEYS = {
  produce: 0,
  listOffsets: 2,
  metadata: 3,
  initProducerId: 22,
} as const;
const VERSIONS = [
  [API_KEYS.produce, 3, 3],
  [API_KEYS.listOffsets, 1, 1],
  [API_KEYS.metadata, 1, 1],
  [API_KEYS.initProducerId, 0, 0],
] as const;

const EARLIEST = -2n;

export interface ProducedBatch {
  readonly nodeId: number;
  readonly partition: number;
  readonly producerId: bigint;
  readonly recordCount: number;
  /** As the log would store it. */
  readonly bytes: Uint8Array;
}

/** The node's answer about a batch; by default it is stored at the partition's end. */
export interface ProduceAnswer {
  readonly partition?: number;
  readonly errorCode?: number;
  readonly baseOffset?: number;
}

export interface ScriptedClusterOptions {
  readonly topic: string;
  /** The leader of each partition by node id, starting at 1. */
  readonly leaders: readonly number[];
  /** Called for each batch before it is stored; if it returns an answer, nothing is stored. */
  readonly onProduce?: (
    batch: ProducedBatch,
    cluster: ScriptedCluster,
  ) => Promise<ProduceAnswer | "silence" | undefined> | ProduceAnswer | "silence" | undefined;
  /** The error code of an answer about a partition's offsets; none by default. */
  readonly onListOffsets?: (partition: number) => number;
}

export class ScriptedCluster implements AsyncDisposable {
  /** May be changed while the cluster runs. */
  readonly leaders: number[];
  readonly stored: number[];
  readonly batches: ProducedBatch[] = [];
  get connectionCount(): number {
    return this.#nodes.connectionCount;
  }

  readonly #options: ScriptedClusterOptions;
  readonly #nodes: ScriptedNodes;
  #producerCount = 0n;

  constructor(options: ScriptedClusterOptions) {
    this.#options = options;
    this.leaders = [...options.leaders];
    this.stored = options.leaders.map(() => 0);
    this.#nodes = new ScriptedNodes({
      nodeCount: Math.max(...options.leaders),
      versions: VERSIONS,
      answer: (request) => this.#answer(request),
    });
  }

  get brokers(): string[] {
    return this.#nodes.brokers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#nodes[Symbol.asyncDispose]();
  }

  #answer({ apiKey, body, nodeId }: NodeRequest): Promise<NodeAnswer> | NodeAnswer {
    switch (apiKey) {
      case API_KEYS.listOffsets:
        return this.#listOffsets(body);
      case API_KEYS.metadata:
        return this.#metadata();
      case API_KEYS.initProducerId:
        return [int32(0), int16(0), int64(++this.#producerCount), int16(0)];
      case API_KEYS.produce:
        return this.#produce(body, nodeId);
      default:
        throw new RangeError(`no answer to requests of key ${apiKey} is scripted`);
    }
  }

  #metadata(): readonly Buffer[] {
    const nodes = this.#nodes.addresses.flatMap(({ host, port }, index) => [
      ...[int32(index + 1), text(host), int32(port), int16(-1)],
    ]);
    const partitions = this.leaders.flatMap((leader, partition) => [
      ...[int16(0), int32(partition), int32(leader)],
      ...[int32(1), int32(leader), int32(1), int32(leader)],
    ]);
    return [
      ...[int32(this.#nodes.addresses.length), ...nodes, int32(1), int32(1)],
      ...[int16(0), text(this.#options.topic), Buffer.from([0])],
      ...[int32(this.leaders.length), ...partitions],
    ];
  }

  #listOffsets(request: WireReader): readonly Buffer[] {
    request.skip(4); // replica id
    const { topic, partitionCount } = topicOf(request);
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

  async #produce(request: WireReader, nodeId: number): Promise<NodeAnswer> {
    request.text(); // transactional id
    request.skip(2 + 4); // acks and timeout
    const { topic, partitionCount } = topicOf(request);
    const answers: Buffer[] = [];
    for (let index = 0; index < partitionCount; index++) {
      const partition = request.int32();
      const batch = request.bytes();
      // A record batch has this layout, see lib/kafka/protocol/record_batch.ts.
      const answer = await this.#store({
        nodeId,
        partition,
        producerId: batch.readBigInt64BE(43),
        recordCount: batch.readInt32BE(57),
        bytes: Uint8Array.from(batch),
      });
      if (answer === "silence") return "silence";
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

/** Reads what precedes the partitions of the only topic in the request. */
function topicOf(
  request: WireReader,
): { readonly topic: string; readonly partitionCount: number } {
  request.skip(4); // topic count
  return { topic: request.text(), partitionCount: request.int32() };
}
