/**
 * Types for the parts of kafkajs's internal `Cluster` and `Broker` that are used here.
 */

import type { Kafka } from "kafkajs";

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

export interface ClientCluster {
  readonly brokerPool: {
    /** By node id, from the last metadata response. */
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

/** Returns the key of the client's private function that creates its clusters. */
export function createClusterKey(client: Kafka): symbol {
  const key = Object.getOwnPropertySymbols(client)
    .find(({ description }) => description === "private:Kafka:createCluster");
  if (key === undefined) throw new TypeError("expected kafkajs 2.2.4: it has no createCluster");
  return key;
}

/** Creates connections of our own, for requests outside of kafkajs's producers and consumers, such as Metadata v12. */
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

/** Reports whether other brokers answer although one did not. Never rejects. */
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
 * Asks any broker for the coordinator of a group or transactional id, and throws the broker's error. kafkajs's own
 * `findGroupCoordinator` discards the error, so that "not allowed" looks like "not yet", 16 s later.
 */
export async function askForCoordinator(
  cluster: ClientCluster,
  { of, name }: { readonly of: keyof typeof COORDINATOR_TYPES; readonly name: string },
): Promise<void> {
  const broker = await cluster.brokerPool.findConnectedBroker();
  await broker.findGroupCoordinator({ groupId: name, coordinatorType: COORDINATOR_TYPES[of] });
}
