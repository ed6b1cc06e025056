/**
 * Requests topic metadata with Metadata v12, which includes topic ids; kafkajs supports up to v6.
 *
 * Message format: https://kafka.apache.org/protocol#The_Messages_Metadata
 */

import { Buffer } from "node:buffer";
import decoderModule from "kafkajs/src/protocol/decoder.js";
import encoderModule from "kafkajs/src/protocol/encoder.js";
import type { ClientBroker, ClientCluster } from "./client_cluster.ts";

export interface TopicMetadata {
  /** The protocol's error code; 0 means success. */
  readonly errorCode: number;
  /** The topic's id in hexadecimal; changes when the topic is deleted and recreated. */
  readonly topicId: string;
  readonly partitionCount: number;
  /** In no order. */
  readonly partitions: readonly PartitionLeader[];
  /** This user's permissions as bits (`permissions.ts`); not reported unless requested. */
  readonly operations: number;
}

export interface PartitionLeader {
  readonly partition: number;
  /** Node id; -1 if the partition has no leader. */
  readonly leaderId: number;
  /** Increases with each election. */
  readonly leaderEpoch: number;
}

export interface TopicMetadataOptions {
  /** True to request this user's permissions. Default: false. */
  readonly withOperations?: boolean;
}

interface Encoder {
  writeUVarInt(value: number): Encoder;
  writeUVarIntString(value: string): Encoder;
  writeBuffer(bytes: Buffer): Encoder;
  writeBoolean(value: boolean): Encoder;
}

interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readBoolean(): boolean;
  readUVarInt(): number;
  readUVarIntString(): string | null;
  readTaggedFields(): void;
  readBytes(byteLength: number): Buffer;
}

const METADATA_API_KEY = 3;
const TOPIC_ID_BYTES = 16;

/** Fetches a topic's metadata. An error of the topic is returned as `errorCode`. */
export async function fetchTopicMetadata(
  cluster: ClientCluster,
  topic: string,
  options: TopicMetadataOptions = {},
): Promise<TopicMetadata> {
  return metadataOf(topic, await fetchTopicsMetadata(cluster, [topic], options));
}

/** Like {@link fetchTopicMetadata}, for several topics; each has its own error code. */
export async function fetchTopicsMetadata(
  cluster: ClientCluster,
  topics: readonly string[],
  { withOperations = false }: TopicMetadataOptions = {},
): Promise<ReadonlyMap<string, TopicMetadata>> {
  if (topics.length === 0) return new Map();
  const broker = await cluster.brokerPool.findConnectedBroker();
  return await fetchTopicsMetadataFrom(broker, topics, { withOperations });
}

/** Like {@link fetchTopicMetadata}, from the given broker. */
export async function fetchTopicMetadataFrom(
  broker: ClientBroker,
  topic: string,
): Promise<TopicMetadata> {
  return metadataOf(topic, await fetchTopicsMetadataFrom(broker, [topic], {}));
}

function metadataOf(
  topic: string,
  topics: ReadonlyMap<string, TopicMetadata>,
): TopicMetadata {
  const metadata = topics.get(topic);
  if (metadata === undefined) throw new RangeError(`expected metadata of topic "${topic}"`);
  return metadata;
}

/** A Metadata response; kafkajs delays the next request by the throttle time (KIP-219). */
interface MetadataAnswer {
  readonly clientSideThrottleTime: number;
  readonly topics: ReadonlyMap<string, TopicMetadata>;
}

async function fetchTopicsMetadataFrom(
  broker: ClientBroker,
  topics: readonly string[],
  { withOperations = false }: TopicMetadataOptions,
): Promise<ReadonlyMap<string, TopicMetadata>> {
  const response = await broker.connectionPool.send({
    request: {
      apiKey: METADATA_API_KEY,
      apiVersion: 12,
      apiName: "Metadata",
      encode: () => Promise.resolve(encodeMetadataRequest(topics, withOperations)),
    },
    response: {
      decode: (payload) => Promise.resolve(decodeMetadataResponse(payload)),
      parse: (decoded) => Promise.resolve(decoded),
    },
  });
  return (response as MetadataAnswer).topics;
}

function encodeMetadataRequest(topics: readonly string[], withOperations: boolean): Encoder {
  const Encoder = encoderModule as new () => Encoder;
  const emptyTags = 0;
  const encoder = new Encoder()
    .writeUVarInt(emptyTags) // ends the request header (version 2)
    .writeUVarInt(topics.length + 1); // compact arrays count from one
  for (const topic of topics) {
    encoder
      .writeBuffer(Buffer.alloc(TOPIC_ID_BYTES))
      .writeUVarIntString(topic)
      .writeUVarInt(emptyTags);
  }
  return encoder
    .writeBoolean(false) // allow_auto_topic_creation
    .writeBoolean(withOperations) // include_topic_authorized_operations
    .writeUVarInt(emptyTags);
}

function decodeMetadataResponse(payload: unknown): MetadataAnswer {
  const Decoder = decoderModule as new (payload: unknown) => Decoder;
  const decoder = new Decoder(payload);
  decoder.readTaggedFields(); // ends the response header (version 1)
  const clientSideThrottleTime = decoder.readInt32();
  for (let count = decoder.readUVarInt() - 1; count > 0; count--) skipBroker(decoder);
  decoder.readUVarIntString(); // cluster_id
  decoder.readInt32(); // controller_id
  const topics = new Map<string, TopicMetadata>();
  for (let count = decoder.readUVarInt() - 1; count > 0; count--) {
    const errorCode = decoder.readInt16();
    const name = decoder.readUVarIntString() ?? "";
    const topicId = decoder.readBytes(TOPIC_ID_BYTES).toString("hex");
    decoder.readBoolean(); // is_internal
    const partitionCount = decoder.readUVarInt() - 1;
    const partitions = Array.from({ length: partitionCount }, () => decodePartition(decoder));
    const operations = decoder.readInt32();
    topics.set(name, { errorCode, topicId, partitionCount, partitions, operations });
    decoder.readTaggedFields();
  }
  return { clientSideThrottleTime, topics };
}

function decodePartition(decoder: Decoder): PartitionLeader {
  decoder.readInt16(); // error_code
  const partition = decoder.readInt32();
  const leaderId = decoder.readInt32();
  const leaderEpoch = decoder.readInt32();
  for (let list = 0; list < 3; list++) { // replica_nodes, isr_nodes, offline_replicas
    for (let count = decoder.readUVarInt() - 1; count > 0; count--) decoder.readInt32();
  }
  decoder.readTaggedFields();
  return { partition, leaderId, leaderEpoch };
}

function skipBroker(decoder: Decoder): void {
  decoder.readInt32(); // node_id
  decoder.readUVarIntString(); // host
  decoder.readInt32(); // port
  decoder.readUVarIntString(); // rack
  decoder.readTaggedFields();
}
