/**
 * kafkajs's connections to a cluster: the parts of its `Cluster` and `Broker` that are used here.
 *
 * @module
 */

import type { Kafka } from "kafkajs";

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

export interface DescribedGroup {
  /** `Stable` while every member has its assignment. */
  readonly state: string;
  readonly members: readonly { readonly memberAssignment: Uint8Array }[];
}

/** A request, and how its answer is read. */
export interface ProtocolCall {
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

/** Where a client keeps the function that makes its clusters. */
export function createClusterKey(client: Kafka): symbol {
  const key = Object.getOwnPropertySymbols(client)
    .find(({ description }) => description === "private:Kafka:createCluster");
  if (key === undefined) throw new TypeError("expected kafkajs 2.2.4: it has no createCluster");
  return key;
}

/** Connections of our own: a consumer outside any group and a Metadata v12 request need them. */
export function createCluster(client: Kafka): ClientCluster {
  const create = Reflect.get(client, createClusterKey(client)) as (
    options: object,
  ) => ClientCluster;
  return create({
    metadataMaxAge: 300_000,
    allowAutoTopicCreation: false,
    isolationLevel: ISOLATION_READ_COMMITTED,
  });
}

/** Whether brokers answer although one did not; never rejects. */
export async function otherBrokersAnswer(cluster: ClientCluster): Promise<boolean> {
  try {
    await cluster.refreshMetadata();
    return Object.keys(cluster.brokerPool.brokers).length > 1;
  } catch {
    return false;
  }
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
