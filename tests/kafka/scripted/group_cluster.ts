/**
 * A scripted cluster for a member of a consumer group. By default it behaves as Kafka does; each answer can be
 * replaced, delayed, or withheld:
 *
 *     await using cluster = new ScriptedGroupCluster({ topics: { orders: 2 } });
 *     cluster.topic("orders").partition(0).append(["one", "two"]);   // a record batch of two records
 *     cluster.script.offsetCommit = async ({ offsets }) => {         // called for each request
 *       await gate;                                                  // delays the answer
 *       return { errorCode: ERROR.notCoordinator };                  // replaces it; undefined: the default
 *     };
 *     cluster.rebalance();                                           // reported by the next heartbeat
 *     cluster.requests.offsetCommit.at(-1)?.offsets                  // what was requested
 *     cluster.committed.get("orders")?.get(0)                        // what the group has committed
 *
 * It has one member of the code under test; others can be simulated (`otherMembers`, `assignment`). An unknown API or
 * version is added with `extend`.
 *
 * It supports FindCoordinator v1, JoinGroup v5, SyncGroup v3, Heartbeat v3, LeaveGroup v2, OffsetFetch v4,
 * OffsetCommit v5, DescribeGroups v1, ListOffsets v1 and v2, Metadata v1 and v12, Fetch v12, OffsetForLeaderEpoch v3,
 * ApiVersions v0 to v2.
 */

import { Buffer } from "node:buffer";
import type { EpochEnd } from "../../../lib/kafka/protocol/offset_for_leader_epoch.ts";
import { type Assigned, assignmentOf, subscriptionTo } from "./group_protocol.ts";
import {
  readDescribeGroups,
  readEpochQuestions,
  readFetch,
  readFindCoordinator,
  readHeartbeat,
  readJoinGroup,
  readLeaveGroup,
  readListOffsets,
  readOffsetCommit,
  readOffsetFetch,
  readSyncGroup,
} from "./group_requests.ts";
import {
  type ApiName,
  type AskedPartition,
  type CommittedNote,
  ERROR,
  type MemberRequest,
  type Requests,
  type Script,
  type ScriptedAnswer,
  type SimulatedMember,
} from "./group_script.ts";
import { encodeMetadata, encodeMetadata12, readMetadataTopics } from "./metadata.ts";
import { type NodeAnswer, type NodeRequest, ScriptedNodes } from "./nodes.ts";
import {
  boundsOf,
  epochError,
  fetchError,
  leaderError,
  type ScriptedPartition,
  ScriptedTopic,
} from "./topic.ts";
import {
  array,
  bytes,
  compactArray,
  compactBytes,
  compactText,
  int16,
  int32,
  int64,
  NO_TAGS,
  text,
  uvarint,
} from "./wire.ts";

export { ERROR } from "./group_script.ts";

/** The API keys, each with the lowest and the highest version that the nodes advertise. */
const API = {
  fetch: [1, 4, 11], // the product's own request uses version 12
  listOffsets: [2, 1, 2],
  metadata: [3, 1, 1], // here too
  offsetCommit: [8, 2, 5],
  offsetFetch: [9, 1, 4],
  findCoordinator: [10, 0, 1],
  joinGroup: [11, 0, 5],
  heartbeat: [12, 0, 3],
  leaveGroup: [13, 0, 2],
  syncGroup: [14, 0, 3],
  describeGroups: [15, 1, 1],
  offsetForLeaderEpoch: [23, 3, 3],
} as const;
const FETCH_VERSION = 12;
const METADATA_VERSION_WITH_TOPIC_IDS = 12;
/** The leader's id if the member under test does not lead. */
const OTHER_LEADER = "another-member";
const EARLIEST = -2n;
/** The delay of a fetch that finds nothing, whatever it allows: seeks and stops wait for it. */
const FETCH_WAIT_MS = 10;
const NO_OFFSET = -1;
const NO_EPOCH = -1;
const NO_PREFERRED_REPLICA = -1;

/** Uses real time, even under a test's clock. */
const { setTimeout } = globalThis;

export interface ScriptedGroupClusterOptions {
  readonly topics: Readonly<Record<string, number>>;
  readonly nodeCount?: number;
}

export class ScriptedGroupCluster implements AsyncDisposable {
  /** The answers of the test, which can be changed at any time. */
  readonly script: Script = {};
  /** The requests by API, in order. */
  readonly requests: { readonly [Name in ApiName]: Requests[Name][] } = {
    describeGroups: [],
    fetch: [],
    findCoordinator: [],
    heartbeat: [],
    joinGroup: [],
    leaveGroup: [],
    listOffsets: [],
    metadata: [],
    offsetCommit: [],
    offsetFetch: [],
    offsetForLeaderEpoch: [],
    syncGroup: [],
  };
  readonly topics: Map<string, ScriptedTopic>;
  readonly committed = new Map<string, Map<number, CommittedNote>>();
  coordinator = 1;
  throttleMs = 0;
  /** Other members that the leader is told about. */
  otherMembers: readonly SimulatedMember[] = [];
  /** The member's assignment by topic, instead of what it would assign itself as the leader. */
  assignment: Assigned | undefined;
  /** The member's assignment as the leader, by member id and topic. */
  assigned: ReadonlyMap<string, Assigned> = new Map();
  generation = 0;
  #memberId: string | undefined;
  #memberCount = 0;
  #isRebalancing = false;
  #protocolName = "";
  readonly #nodes: ScriptedNodes;
  readonly #answers = new Map<number, (request: NodeRequest) => Promise<NodeAnswer>>([
    [API.fetch[0], (request) => this.#fetch(request)],
    [API.listOffsets[0], (request) => this.#listOffsets(request)],
    [API.metadata[0], (request) => this.#metadata(request)],
    [API.offsetCommit[0], (request) => this.#offsetCommit(request)],
    [API.offsetFetch[0], (request) => this.#offsetFetch(request)],
    [API.findCoordinator[0], (request) => this.#findCoordinator(request)],
    [API.joinGroup[0], (request) => this.#joinGroup(request)],
    [API.heartbeat[0], (request) => this.#heartbeat(request)],
    [API.leaveGroup[0], (request) => this.#leaveGroup(request)],
    [API.syncGroup[0], (request) => this.#syncGroup(request)],
    [API.describeGroups[0], (request) => this.#describeGroups(request)],
    [API.offsetForLeaderEpoch[0], (request) => this.#offsetForLeaderEpoch(request)],
  ]);
  readonly #extensions = new Map<string, (request: NodeRequest) => Promise<NodeAnswer>>();

  constructor({ topics, nodeCount = 1 }: ScriptedGroupClusterOptions) {
    this.topics = new Map(
      Object.entries(topics).map(([name, count]) => [name, new ScriptedTopic(name, count)]),
    );
    this.#nodes = new ScriptedNodes({
      nodeCount,
      versions: Object.values(API),
      answer: (request) => this.#answer(request),
    });
  }

  get brokers(): string[] {
    return this.#nodes.brokers;
  }

  /** The id of the member under test; undefined until it has joined. */
  get memberId(): string | undefined {
    return this.#memberId;
  }

  /** @throws {RangeError} if there is no such topic. */
  topic(name: string): ScriptedTopic {
    const topic = this.topics.get(name);
    if (topic === undefined) throw new RangeError(`there is no topic "${name}"`);
    return topic;
  }

  /** Starts a rebalance: heartbeats are answered with REBALANCE_IN_PROGRESS until the member rejoins. */
  rebalance(): void {
    this.#isRebalancing = true;
  }

  /** Removes the member from the group, as after its session timeout: it is answered UNKNOWN_MEMBER_ID. */
  evict(): void {
    this.#memberId = undefined;
    this.generation++;
  }

  hangUp(): void {
    this.#nodes.hangUp();
  }

  /** Answers requests of another API or version, or replaces a default answer. */
  extend(
    { apiKey, version }: { readonly apiKey: number; readonly version: number },
    answer: (request: NodeRequest) => Promise<NodeAnswer>,
  ): void {
    this.#extensions.set(`${apiKey}/${version}`, answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#nodes[Symbol.asyncDispose]();
  }

  async #answer(request: NodeRequest): Promise<NodeAnswer> {
    const { apiKey, version } = request;
    const extension = this.#extensions.get(`${apiKey}/${version}`);
    if (extension !== undefined) return await extension(request);
    const answer = this.#answers.get(apiKey);
    if (answer !== undefined) return await answer(request);
    throw new RangeError(`no answer to requests of key ${apiKey}, version ${version}`);
  }

  async #ask<Name extends ApiName>(name: Name, request: Requests[Name]): Promise<ScriptedAnswer> {
    const asked: Requests[Name][] = this.requests[name];
    asked.push(request);
    return await this.script[name]?.(request);
  }

  async #findCoordinator({ nodeId, body }: NodeRequest): Promise<NodeAnswer> {
    const told = await this.#ask("findCoordinator", { nodeId, ...readFindCoordinator(body) });
    if (typeof told === "string") return told;
    const { host, port } = this.#nodes.addresses[this.coordinator - 1] ?? { host: "", port: -1 };
    return [
      ...[int32(this.throttleMs), int16(told?.errorCode ?? ERROR.none), text(null)],
      ...[int32(this.coordinator), text(host), int32(port)],
    ];
  }

  async #joinGroup({ nodeId, body }: NodeRequest): Promise<NodeAnswer> {
    const request = readJoinGroup(body);
    const told = await this.#ask("joinGroup", { nodeId, ...request });
    if (typeof told === "string") return told;
    const { memberId, protocols: [protocol] } = request;
    const isNew = memberId === "";
    const usual = isNew || memberId === this.#memberId ? ERROR.none : ERROR.unknownMember;
    const errorCode = told?.errorCode ?? usual;
    if (errorCode !== ERROR.none || protocol === undefined) {
      const nothing = [int32(-1), text(""), text(""), text(memberId), int32(0)];
      return [int32(this.throttleMs), int16(errorCode), ...nothing];
    }
    this.#isRebalancing = false;
    this.#protocolName = protocol.name;
    this.generation++;
    this.#memberId = isNew ? `member-${++this.#memberCount}` : memberId;
    const others = this.otherMembers.map(({ memberId, topics }) => ({
      memberId,
      metadata: subscriptionTo(topics),
    }));
    const members = [{ memberId: this.#memberId, metadata: protocol.metadata }, ...others];
    const isLeader = this.assignment === undefined;
    return [
      ...[int32(this.throttleMs), int16(ERROR.none), int32(this.generation), text(protocol.name)],
      ...[text(isLeader ? this.#memberId : OTHER_LEADER), text(this.#memberId)],
      array(
        isLeader ? members : [],
        ({ memberId, metadata }) => [text(memberId), text(null), bytes(metadata)],
      ),
    ];
  }

  async #syncGroup({ nodeId, body }: NodeRequest): Promise<NodeAnswer> {
    const request = readSyncGroup(body);
    const told = await this.#ask("syncGroup", { nodeId, ...request });
    if (typeof told === "string") return told;
    const errorCode = told?.errorCode ?? this.#membershipError(request);
    if (errorCode === ERROR.none) this.assigned = request.assigned;
    const own = this.assignment ?? request.assigned.get(request.memberId) ?? {};
    const assignment = errorCode === ERROR.none ? assignmentOf(own) : Buffer.alloc(0);
    return [int32(this.throttleMs), int16(errorCode), bytes(assignment)];
  }

  async #heartbeat({ nodeId, body }: NodeRequest): Promise<NodeAnswer> {
    const request = readHeartbeat(body);
    const told = await this.#ask("heartbeat", { nodeId, ...request });
    if (typeof told === "string") return told;
    return [int32(this.throttleMs), int16(told?.errorCode ?? this.#membershipError(request))];
  }

  #membershipError({ generation, memberId }: MemberRequest): number {
    if (memberId !== this.#memberId) return ERROR.unknownMember;
    if (generation !== this.generation) return ERROR.illegalGeneration;
    return this.#isRebalancing ? ERROR.rebalanceInProgress : ERROR.none;
  }

  async #leaveGroup({ nodeId, body }: NodeRequest): Promise<NodeAnswer> {
    const request = readLeaveGroup(body);
    const told = await this.#ask("leaveGroup", { nodeId, ...request });
    if (typeof told === "string") return told;
    const isKnown = request.memberId === this.#memberId;
    if (isKnown) this.evict();
    const errorCode = told?.errorCode ?? (isKnown ? ERROR.none : ERROR.unknownMember);
    return [int32(this.throttleMs), int16(errorCode)];
  }

  async #describeGroups({ nodeId, body }: NodeRequest): Promise<NodeAnswer> {
    const request = readDescribeGroups(body);
    const told = await this.#ask("describeGroups", { nodeId, ...request });
    if (typeof told === "string") return told;
    return [
      int32(this.throttleMs),
      array(request.groupIds, (groupId) => [
        ...[int16(told?.errorCode ?? ERROR.none), text(groupId), text(this.#groupState())],
        ...[text("consumer"), text(this.#protocolName)],
        array([...this.#assignments()], ([memberId, assigned]) => [
          ...[text(memberId), text("client"), text("/127.0.0.1")],
          ...[bytes(Buffer.alloc(0)), bytes(assignmentOf(assigned))],
        ]),
      ]),
    ];
  }

  #groupState(): string {
    if (this.#memberId === undefined) return "Empty";
    return this.#isRebalancing ? "PreparingRebalance" : "Stable";
  }

  /** The assignment of each member; if the member is not the leader, another one gets the rest. */
  #assignments(): ReadonlyMap<string, Assigned> {
    if (this.#memberId === undefined) return new Map();
    const own = this.assignment;
    if (own === undefined) return this.assigned;
    const rest = [...this.topics].map(([name, { partitions }]) =>
      [name, [...partitions.keys()].filter((index) => !own[name]?.includes(index))] as const
    );
    return new Map([[this.#memberId, own], [OTHER_LEADER, Object.fromEntries(rest)]]);
  }

  async #offsetFetch({ nodeId, body }: NodeRequest): Promise<NodeAnswer> {
    const request = readOffsetFetch(body);
    const told = await this.#ask("offsetFetch", { nodeId, ...request });
    if (typeof told === "string") return told;
    return [
      int32(this.throttleMs),
      byTopic(request.partitions, ({ topic, partition }) => {
        const note = this.committed.get(topic)?.get(partition);
        return [
          ...[int32(partition), int64(note?.offset ?? NO_OFFSET)],
          ...[text(note?.metadata ?? ""), int16(ERROR.none)],
        ];
      }),
      int16(told?.errorCode ?? ERROR.none),
    ];
  }

  async #offsetCommit({ nodeId, body }: NodeRequest): Promise<NodeAnswer> {
    const request = readOffsetCommit(body);
    const told = await this.#ask("offsetCommit", { nodeId, ...request });
    if (typeof told === "string") return told;
    const usual = this.#commitError(request);
    const errorCodeOf = ({ partition }: AskedPartition) => errorCodeFor(partition, told) ?? usual;
    for (const { topic, partition, ...note } of request.offsets) {
      if (errorCodeOf({ topic, partition }) !== ERROR.none) continue;
      const notes = this.committed.get(topic) ?? new Map<number, CommittedNote>();
      this.committed.set(topic, notes.set(partition, note));
    }
    return [
      int32(this.throttleMs),
      byTopic(request.offsets, (asked) => [int32(asked.partition), int16(errorCodeOf(asked))]),
    ];
  }

  /** Kafka accepts commits of the members that it knows while a rebalance is being prepared. */
  #commitError(request: MemberRequest): number {
    const error = request.memberId === "" ? ERROR.none : this.#membershipError(request);
    return error === ERROR.rebalanceInProgress ? ERROR.none : error;
  }

  async #listOffsets({ nodeId, version, body }: NodeRequest): Promise<NodeAnswer> {
    const request = readListOffsets(body, version);
    const told = await this.#ask("listOffsets", { nodeId, ...request });
    if (typeof told === "string") return told;
    return [
      ...(version >= 2 ? [int32(this.throttleMs)] : []),
      byTopic(request.partitions, ({ topic, partition, timestamp }) => {
        const found = this.topics.get(topic)?.partitions[partition];
        const errorCode = errorCodeFor(partition, told) ?? leaderError(found, nodeId);
        const { low, highWatermark, lastStableOffset } = boundsOf(found);
        const high = request.isCommittedOnly ? lastStableOffset : highWatermark;
        const offset = timestamp === EARLIEST ? low : high;
        return [int32(partition), int16(errorCode), int64(-1), int64(offset)];
      }),
    ];
  }

  async #metadata({ nodeId, version, body }: NodeRequest): Promise<NodeAnswer> {
    const names = readMetadataTopics(body, version) ?? [...this.topics.keys()];
    const told = await this.#ask("metadata", { nodeId, version, topics: names });
    if (typeof told === "string") return told;
    const encode = version === METADATA_VERSION_WITH_TOPIC_IDS ? encodeMetadata12 : encodeMetadata;
    return encode({
      throttleMs: this.throttleMs,
      nodes: this.#nodes.addresses,
      topics: names.map((name) => {
        const topic = this.topics.get(name);
        const usual = topic === undefined ? ERROR.unknownTopic : ERROR.none;
        return { name, topic, errorCode: told?.errorCode ?? usual };
      }),
    });
  }

  async #fetch({ nodeId, version, body }: NodeRequest): Promise<NodeAnswer> {
    if (version !== FETCH_VERSION) throw new RangeError(`no answer to Fetch version ${version}`);
    const { partitions } = readFetch(body);
    const told = await this.#ask("fetch", { nodeId, partitions });
    if (typeof told === "string") return told;
    const found = partitions.map((asked) => {
      const { topic, partition } = asked;
      const stored = this.topics.get(topic)?.partitions[partition];
      const errorCode = errorCodeFor(partition, told) ?? fetchError(stored, { nodeId, ...asked });
      const isFound = errorCode === ERROR.none;
      const divergingEpoch = isFound ? stored?.divergingEpoch(asked) : undefined;
      const records = isFound && divergingEpoch === undefined
        ? stored?.read(asked.offset)
        : undefined;
      const { abortedTransactions = [] } = stored ?? {};
      return {
        ...{ topic, partition, errorCode, divergingEpoch, records, abortedTransactions },
        ...boundsOf(stored),
      };
    });
    const isEmpty = found.every(({ errorCode, divergingEpoch, records }) =>
      errorCode === ERROR.none && divergingEpoch === undefined && records === undefined
    );
    if (isEmpty) await new Promise((resolve) => setTimeout(resolve, FETCH_WAIT_MS));
    return [
      NO_TAGS, // ends the header
      ...[int32(this.throttleMs), int16(ERROR.none), int32(0)],
      compactArray([...Map.groupBy(found, ({ topic }) => topic)], ([topic, answers]) => [
        ...[compactText(topic), compactArray(answers, encodeFetched), NO_TAGS],
      ]),
      NO_TAGS,
    ];
  }

  async #offsetForLeaderEpoch({ nodeId, body }: NodeRequest): Promise<NodeAnswer> {
    const request = readEpochQuestions(body);
    const told = await this.#ask("offsetForLeaderEpoch", { nodeId, ...request });
    if (typeof told === "string") return told;
    return [
      int32(this.throttleMs),
      byTopic(request.partitions, ({ topic, partition, currentLeaderEpoch, epoch }) => {
        const found = this.topics.get(topic)?.partitions[partition];
        const errorCode = errorCodeFor(partition, told) ??
          epochError(found, { nodeId, currentLeaderEpoch });
        const end = errorCode === ERROR.none ? found?.epochEnd(epoch) : undefined;
        return [
          ...[int16(errorCode), int32(partition)],
          ...[int32(end?.epoch ?? NO_EPOCH), int64(end?.endOffset ?? NO_OFFSET)],
        ];
      }),
    ];
  }
}

interface FetchedAnswer extends ReturnType<typeof boundsOf> {
  readonly partition: number;
  readonly errorCode: number;
  readonly abortedTransactions: ScriptedPartition["abortedTransactions"];
  readonly divergingEpoch: EpochEnd | undefined;
  readonly records: Uint8Array | undefined;
}

function encodeFetched(answer: FetchedAnswer): readonly Buffer[] {
  const { divergingEpoch, records = Buffer.alloc(0) } = answer;
  return [
    ...[int32(answer.partition), int16(answer.errorCode), int64(answer.highWatermark)],
    ...[int64(answer.lastStableOffset), int64(answer.low)],
    compactArray(
      answer.abortedTransactions,
      ({ producerId, firstOffset }) => [int64(producerId), int64(firstOffset), NO_TAGS],
    ),
    ...[int32(NO_PREFERRED_REPLICA), compactBytes(records)],
    divergingEpoch === undefined ? NO_TAGS : encodeDivergingEpoch(divergingEpoch),
  ];
}

/** Encodes the tagged fields of a partition whose log diverges. */
function encodeDivergingEpoch({ epoch, endOffset }: EpochEnd): Buffer {
  const field = Buffer.concat([int32(epoch), int64(endOffset), NO_TAGS]);
  const [tagCount, tag] = [1, 0];
  return Buffer.concat([...[tagCount, tag, field.length].map(uvarint), field]);
}

function errorCodeFor(
  partition: number,
  told: Exclude<ScriptedAnswer, string>,
): number | undefined {
  const isMeant = told?.partition === undefined || told.partition === partition;
  return isMeant ? told?.errorCode : undefined;
}

function byTopic<Partition extends AskedPartition>(
  partitions: readonly Partition[],
  encode: (partition: Partition) => readonly Buffer[],
): Buffer {
  const topics = [...Map.groupBy(partitions, ({ topic }) => topic)];
  return array(topics, ([topic, each]) => [text(topic), array(each, encode)]);
}
