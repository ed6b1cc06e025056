/**
 * A member of a consumer group that stays in it and never rejoins, so that a rebalance cannot end.
 */

import assignerProtocolModule from "kafkajs/src/consumer/assignerProtocol.js";
import { openClient } from "../../lib/kafka/client.ts";
import { createCluster } from "../../lib/kafka/kafkajs/client_cluster.ts";

interface Joined {
  readonly generationId: number;
  readonly memberId: string;
}

interface Coordinator {
  joinGroup(request: object): Promise<Joined>;
  syncGroup(request: object): Promise<unknown>;
  heartbeat(request: object): Promise<unknown>;
  leaveGroup(member: { readonly groupId: string; readonly memberId: string }): Promise<unknown>;
}

export interface StubbornMember extends AsyncDisposable {
  /** Starts the join of another member, so that all have to rejoin, and waits for none. */
  beginRebalance(): void;
  /** Leaves the group, so that the others can go on. */
  leave(): Promise<void>;
}

const SESSION_TIMEOUT_MS = 30_000;
const REBALANCE_TIMEOUT_MS = 60_000;
const HEARTBEAT_MS = 500;

/** Joins a group that already has other members: one of them leads it, and supports one of these protocols. */
export async function joinStubbornly(
  { broker, groupId, topic }: { broker: string; groupId: string; topic: string },
): Promise<StubbornMember> {
  const connect = async () => {
    const cluster = createCluster(openClient({ brokers: [broker], clientId: "stubborn" }, "probe"));
    await cluster.connect();
    const coordinator = await cluster.findGroupCoordinator({ groupId }) as unknown as Coordinator;
    return { cluster, coordinator };
  };
  const { MemberMetadata } = assignerProtocolModule as {
    MemberMetadata: { encode(fields: object): Uint8Array };
  };
  const metadata = MemberMetadata.encode({ version: 1, topics: [topic] });
  const request = {
    groupId,
    sessionTimeout: SESSION_TIMEOUT_MS,
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    groupProtocols: ["roundrobin", "RoundRobinAssigner"].map((name) => ({ name, metadata })),
  };
  const stubborn = await connect();
  const joining = await connect();
  const { generationId, memberId } = await stubborn.coordinator.joinGroup(request);
  await stubborn.coordinator.syncGroup({ groupId, generationId, memberId, groupAssignment: [] });
  const timer = setInterval(() => {
    const heartbeat = { groupId, groupGenerationId: generationId, memberId };
    stubborn.coordinator.heartbeat(heartbeat).catch(() => {}); // it is told to rejoin
  }, HEARTBEAT_MS);
  const leave = async () => {
    clearInterval(timer);
    await stubborn.coordinator.leaveGroup({ groupId, memberId }).catch(() => {});
  };
  let pendingJoin: Promise<unknown> = Promise.resolve();
  return {
    beginRebalance() {
      pendingJoin = joining.coordinator.joinGroup(request)
        .then((joined) => joining.coordinator.leaveGroup({ groupId, memberId: joined.memberId }))
        .catch(() => {});
    },
    leave,
    async [Symbol.asyncDispose]() {
      await leave();
      await pendingJoin;
      await Promise.all([stubborn.cluster.disconnect(), joining.cluster.disconnect()]);
    },
  };
}
