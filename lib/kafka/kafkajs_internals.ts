/**
 * The one place that reaches below kafkajs's public interface. The client is frozen (2.2.4 is pinned and
 * no longer developed), so what is used here cannot move; each use has its reason.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import process from "node:process";
import type { Kafka } from "kafkajs";
import consumerGroupModule from "kafkajs/src/consumer/consumerGroup.js";
import connectionModule from "kafkajs/src/network/connection.js";
import encoderModule from "kafkajs/src/protocol/encoder.js";
import decoderModule from "kafkajs/src/protocol/decoder.js";
import requestQueueModule from "kafkajs/src/network/requestQueue/index.js";
import { isUnresolved } from "./errors.ts";

/** A broker as kafkajs is connected to it. */
export interface ClientBroker {
  listOffsets(question: {
    readonly isolationLevel: number;
    readonly topics: readonly {
      readonly topic: string;
      readonly partitions: readonly { readonly partition: number; readonly timestamp: number }[];
    }[];
  }): Promise<{
    readonly responses: readonly {
      readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
    }[];
  }>;
  readonly connectionPool: { send(call: ProtocolCall): Promise<unknown> };
  findGroupCoordinator(
    group: { readonly groupId: string; readonly coordinatorType: number },
  ): Promise<unknown>;
  leaveGroup(member: { readonly groupId: string; readonly memberId: string }): Promise<unknown>;
  describeGroups(
    groups: { readonly groupIds: readonly string[] },
  ): Promise<{ readonly groups: readonly DescribedGroup[] }>;
}

interface DescribedGroup {
  /** `Stable` while every member has its assignment. */
  readonly state: string;
  readonly members: readonly { readonly memberAssignment: Uint8Array }[];
}

interface ProtocolCall {
  readonly request: {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly apiName: string;
    encode(): Promise<unknown>;
  };
  readonly response: {
    decode(payload: unknown): Promise<unknown>;
    parse(decoded: unknown): Promise<unknown>;
  };
}

/** kafkajs's connections to a cluster, as its own producers and consumers use them. */
export interface ClientCluster {
  readonly brokerPool: {
    /** By node id, as the cluster named them last. */
    readonly brokers: Readonly<Record<string, unknown>>;
    findConnectedBroker(): Promise<ClientBroker>;
  };
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  refreshMetadata(): Promise<void>;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Record<string, number[]>;
  findGroupCoordinator(group: { readonly groupId: string }): Promise<ClientBroker>;
  findBroker(node: { readonly nodeId: string }): Promise<ClientBroker>;
  fetchTopicsOffset(
    topics: readonly {
      readonly topic: string;
      readonly partitions: readonly { readonly partition: number }[];
      readonly fromBeginning: boolean;
    }[],
  ): Promise<
    readonly {
      readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
    }[]
  >;
}

export const ISOLATION_READ_COMMITTED = 1;

/** Connections of our own: a consumer outside any group and a Metadata v12 request need them. */
export function createCluster(client: Kafka): ClientCluster {
  const create = Object.getOwnPropertySymbols(client)
    .find((symbol) => symbol.description === "private:Kafka:createCluster");
  if (create === undefined) throw new TypeError("expected kafkajs 2.2.4: it has no createCluster");
  const factory = Reflect.get(client, create) as (options: object) => ClientCluster;
  return factory({
    metadataMaxAge: 300_000,
    allowAutoTopicCreation: false,
    isolationLevel: ISOLATION_READ_COMMITTED,
  });
}

/** What Metadata v12 says of one topic. */
export interface TopicMetadata {
  /** 0 where all is well, else the protocol's error code. */
  readonly errorCode: number;
  /** The topic's id in hexadecimal: another one after the topic was deleted and created again. */
  readonly topicId: string;
  readonly partitionCount: number;
  /** In no order. */
  readonly partitions: readonly PartitionLeader[];
  /** What this user may do with it, as bits (`permissions.ts`); not told where it was not asked for. */
  readonly operations: number;
}

/** Who leads a partition, and since which election. */
export interface PartitionLeader {
  readonly partition: number;
  /** Node id; -1 where the partition has no leader. */
  readonly leaderId: number;
  /** Grows with each election. */
  readonly leaderEpoch: number;
}

/** What to ask about topics. */
export interface TopicMetadataOptions {
  /** Asks what this user may do with them, too. Default false. */
  readonly withOperations?: boolean;
}

interface Encoder {
  writeUVarInt(value: number): Encoder;
  writeUVarIntString(value: string): Encoder;
  writeBuffer(bytes: Buffer): Encoder;
  writeBoolean(value: boolean): Encoder;
}

/** As kafkajs joins what it writes. */
interface Joined {
  buf: Buffer;
  offset: number;
  writeEncoder(value: { readonly buffer: Buffer }): Joined;
}

const HEADROOMS = new WeakMap<object, number>();

/**
 * Lets kafkajs put the head of a request, and then its length, before a body in the body's own memory. By
 * itself it copies a body twice, each time into a buffer of up to twice its size that it first fills with
 * zeros: of half a megabyte that is a twentieth of what an order costs.
 *
 * @param byteCount how much of the memory before the body's first byte is free.
 */
export function giveHeadroom(body: { readonly buffer: Buffer }, byteCount: number): void {
  HEADROOMS.set(body, byteCount);
}

/** Makes {@link giveHeadroom} work. */
export function joinInPlace(): void {
  const { prototype } = encoderModule as { prototype: Joined };
  const { writeEncoder } = prototype;
  prototype.writeEncoder = function (this: Joined, value) {
    const headroom = HEADROOMS.get(value) ?? 0;
    if (headroom < this.offset || headroom === 0) return writeEncoder.call(this, value);
    const { buffer: body } = value;
    const joined = Buffer.from(
      body.buffer,
      body.byteOffset - this.offset,
      this.offset + body.byteLength,
    );
    this.buf.copy(joined, 0, 0, this.offset);
    HEADROOMS.set(this, headroom - this.offset);
    this.buf = joined;
    this.offset = joined.byteLength;
    return this;
  };
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

/**
 * Asks for a topic by Metadata v12, the version that tells topic ids; kafkajs itself knows up to v6.
 *
 * Message format: https://kafka.apache.org/protocol#The_Messages_Metadata
 */
export async function fetchTopicMetadata(
  cluster: ClientCluster,
  topic: string,
  options: TopicMetadataOptions = {},
): Promise<TopicMetadata> {
  return metadataOf(topic, await fetchTopicsMetadata(cluster, [topic], options));
}

/** As {@link fetchTopicMetadata}, for several topics: an error of one of them says nothing about the others. */
export async function fetchTopicsMetadata(
  cluster: ClientCluster,
  topics: readonly string[],
  { withOperations = false }: TopicMetadataOptions = {},
): Promise<ReadonlyMap<string, TopicMetadata>> {
  if (topics.length === 0) return new Map();
  const broker = await cluster.brokerPool.findConnectedBroker();
  return await fetchTopicsMetadataFrom(broker, topics, { withOperations });
}

/** As {@link fetchTopicMetadata}, from one broker. */
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

/** What a broker answers; kafkajs holds the next request back for the throttle time (KIP-219). */
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

const COORDINATOR_TYPES = { group: 0, transaction: 1 } as const;

/**
 * Asks any broker who coordinates a group or a transactional id, and throws what it answers where it does not say:
 * kafkajs's own `findGroupCoordinator` throws the answer away, and "not allowed" looks like "not yet", 16 s later.
 */
export async function askForCoordinator(
  cluster: ClientCluster,
  { of, name }: { readonly of: keyof typeof COORDINATOR_TYPES; readonly name: string },
): Promise<void> {
  const broker = await cluster.brokerPool.findConnectedBroker();
  await broker.findGroupCoordinator({ groupId: name, coordinatorType: COORDINATOR_TYPES[of] });
}

interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  throttleCheckTimeoutId: unknown;
  checkPendingRequests(): void;
}

const PENDING_CHECK_MS = 10;

/**
 * Cures a timer of kafkajs that fires every millisecond on an idle connection and, being set to a
 * negative delay, makes the runtime print a TimeoutNegativeWarning (kafkajs #1704, #1556, #1751): it is
 * set only while requests wait, and never below zero.
 */
export function cureIdleTimer(): void {
  const { prototype } = requestQueueModule as { prototype: RequestQueue };
  Object.assign(prototype, {
    scheduleCheckPendingRequests(this: RequestQueue): void {
      if (this.throttleCheckTimeoutId || this.pending.length === 0) return;
      const throttledForMs = this.throttledUntil - Date.now();
      this.throttleCheckTimeoutId = setTimeout(() => {
        this.throttleCheckTimeoutId = null;
        this.checkPendingRequests();
      }, throttledForMs > 0 ? throttledForMs : PENDING_CHECK_MS);
    },
  });
}

/** kafkajs's membership of a group. */
export interface GroupMember {
  /** Sends a heartbeat unless the last one is younger than `interval` milliseconds. */
  heartbeat(options: { readonly interval: number }): Promise<void>;
}

interface ConsumerGroup extends GroupMember {
  readonly cluster: object;
  /** Another one after each join. */
  readonly offsetManager: object | null;
  joinAndSync(): Promise<void>;
  heartbeat(options: { readonly interval: number }): Promise<void>;
  commitOffsets(offsets: { readonly topics: readonly TopicCommits[] }): Promise<void>;
}

/** Offsets of a topic to commit. */
export interface TopicCommits {
  readonly topic: string;
  readonly partitions: readonly {
    readonly partition: number;
    readonly offset: string;
    readonly metadata: string;
  }[];
}

const JOIN_HOOKS = new WeakMap<object, (member: GroupMember) => Promise<void>>();
const JOINING = new WeakMap<ConsumerGroup, Promise<void>>();
const GROUPS = new WeakMap<object, ConsumerGroup>();
const REJOIN_REQUESTS = new WeakSet<object>();

/**
 * Has a function awaited each time before a consumer joins its group, again or for the first time: the
 * revoke hook that kafkajs lacks (#28). The member has its partitions until the function is done.
 *
 * @param cluster that of the consumer, as its partition assigner is given it.
 */
export function beforeJoining(
  cluster: object,
  hook: (member: GroupMember) => Promise<void>,
): void {
  JOIN_HOOKS.set(cluster, hook);
}

/**
 * Has a consumer join its group again at its next heartbeat, with the work in hand finished first. Where it is the
 * group's leader, the coordinator then has every member join again, and partitions are assigned anew.
 *
 * @param cluster that of the consumer, as its partition assigner is given it.
 */
export function requestRejoin(cluster: object): void {
  REJOIN_REQUESTS.add(cluster);
}

/**
 * Returns a function that commits as the member that a consumer is now. It throws once the consumer has joined again:
 * kafkajs's own `consumer.commitOffsets` tries again without end, and then commits as the member of another
 * generation what may be another member's partitions.
 *
 * @param cluster that of the consumer, as its partition assigner is given it.
 */
export function committerOf(
  cluster: object,
): (topics: readonly TopicCommits[]) => Promise<void> {
  const group = GROUPS.get(cluster);
  const offsetManager = group?.offsetManager;
  return async (topics) => {
    if (group === undefined || group.offsetManager !== offsetManager) {
      throw rebalanceInProgress("this member has joined its group again");
    }
    await group.commitOffsets({ topics });
  };
}

/** As a coordinator says it, so that kafkajs acts on it: all fetches end, and the consumer joins again. */
function rebalanceInProgress(message: string): Error {
  return Object.assign(new Error(message), { type: "REBALANCE_IN_PROGRESS" });
}

/**
 * Makes {@link beforeJoining}, {@link requestRejoin} and {@link committerOf} work, and has joins that begin while
 * one is under way share it. By itself kafkajs joins once per broker where several fetches notice the same change:
 * the coordinator answers only the last of these requests, and the other fetches stand still until theirs time out.
 */
export function addJoinHook(): void {
  const { prototype } = consumerGroupModule as { prototype: ConsumerGroup };
  const { joinAndSync, heartbeat } = prototype;
  const join = async (group: ConsumerGroup) => {
    await JOIN_HOOKS.get(group.cluster)?.(group);
    REJOIN_REQUESTS.delete(group.cluster);
    GROUPS.set(group.cluster, group);
    await joinAndSync.call(group);
  };
  prototype.joinAndSync = function (this: ConsumerGroup): Promise<void> {
    const joining = JOINING.get(this) ?? join(this).finally(() => JOINING.delete(this));
    JOINING.set(this, joining);
    return joining;
  };
  prototype.heartbeat = async function (this: ConsumerGroup, options): Promise<void> {
    if (REJOIN_REQUESTS.delete(this.cluster)) {
      throw rebalanceInProgress("the group's assignment is out of date");
    }
    await heartbeat.call(this, options);
  };
}

interface Connection {
  readonly host: string;
  /** Of `process.hrtime`: seconds and nanoseconds; null before the first time. */
  readonly authenticatedAt: readonly [number, number] | null;
  /** Milliseconds, as a Long; 0 for a session without end. */
  readonly sessionLifetime: { toString(): string };
  connectionStatus: string;
  socket: { destroy(): void } | undefined;
  chunks: Uint8Array[];
  bytesBuffered: number;
  bytesNeeded: number;
  readonly requestQueue: { destroy(): void };
  isConnected(): boolean;
  connect(): Promise<boolean>;
  rejectRequests(error: Error): void;
  send(call: ProtocolCall): Promise<unknown>;
}

const UNRESOLVED_HOSTS = new Set<string>();

/** Host names that the name service did not know since the last call: kafkajs goes on to the next in silence. */
export function takeUnresolvedHosts(): readonly string[] {
  const hosts = [...UNRESOLVED_HOSTS];
  UNRESOLVED_HOSTS.clear();
  return hosts;
}

const LENGTH_BYTES = 4;
const DISCONNECTED = "disconnected";

/**
 * Cures three ways in which a kafkajs connection hangs for ever (behind kafkajs #1163, #659, #660):
 *
 * - the half of an answer that came before a connection was lost is taken for the beginning of the next
 *   connection's first answer, and from there on nothing can be read: each connection begins empty, and the
 *   socket before it is destroyed, lest it bring more;
 * - two requests that find no connection each make one, and what both sockets bring is taken for one
 *   stream: they share the attempt;
 * - a request that timed out leaves its connection in use, though it may lead nowhere: a firewall between
 *   may have forgotten it, and then nothing tells either end. It is closed, as the Java client does.
 */
export function cureConnections(): void {
  const { prototype } = connectionModule as { prototype: Connection };
  const { connect, send } = prototype;
  const connecting = new WeakMap<Connection, Promise<boolean>>();
  prototype.connect = function (this: Connection): Promise<boolean> {
    const underWay = connecting.get(this);
    if (underWay !== undefined || this.isConnected()) return underWay ?? Promise.resolve(true);
    this.socket?.destroy();
    this.chunks = [];
    this.bytesBuffered = 0;
    this.bytesNeeded = LENGTH_BYTES;
    const attempt = connect.call(this).catch((error) => {
      if (isUnresolved(error)) UNRESOLVED_HOSTS.add(this.host);
      throw error;
    }).finally(() => connecting.delete(this));
    connecting.set(this, attempt);
    return attempt;
  };
  prototype.send = async function (this: Connection, call: ProtocolCall): Promise<unknown> {
    try {
      return await send.call(this, call);
    } catch (error) {
      if (error instanceof Error && error.name === "KafkaJSRequestTimeoutError") {
        close(this, error);
      }
      throw error;
    }
  };
}

/**
 * The requests that wait for an answer are rejected, and so tried again on a new connection. All at once:
 * kafkajs's own `disconnect` waits first, and then ends whatever socket there is, which may be the next.
 */
function close(connection: Connection, reason: Error): void {
  if (!connection.isConnected()) return;
  connection.connectionStatus = DISCONNECTED;
  connection.requestQueue.destroy();
  connection.socket?.destroy();
  connection.rejectRequests(reason);
}

/** Of a session's lifetime, after which it is renewed; Java's clients do it at 85 to 95 %. */
const RENEWAL_SHARE = 0.85;

/**
 * Has the sessions of SASL connections (`connections.max.reauth.ms`, or a token's lifetime) renewed when most of
 * their time is over. kafkajs does it 10 s before their end: with a lifetime of 10 s or less before each request,
 * and a broker that is asked twice within a second answers ILLEGAL_SASL_STATE.
 */
export function renewSessionsInTime(): void {
  const { prototype } = connectionModule as { prototype: Connection };
  const isRenewalDue = Object.getOwnPropertySymbols(prototype)
    .find(({ description }) => description === "private:Connection:shouldReauthenticate");
  if (isRenewalDue === undefined) {
    throw new TypeError("expected kafkajs 2.2.4: no reauthentication");
  }
  Object.assign(prototype, {
    [isRenewalDue](this: Connection): boolean {
      const lifetimeMs = Number(this.sessionLifetime);
      if (lifetimeMs === 0 || this.authenticatedAt === null) return lifetimeMs > 0;
      const [seconds, nanoseconds] = process.hrtime([...this.authenticatedAt]);
      return seconds * 1_000 + nanoseconds / 1_000_000 >= lifetimeMs * RENEWAL_SHARE;
    },
  });
}
