import assert from "node:assert/strict";
import { openClient } from "../../../lib/kafka/client.ts";
import { Session, type SessionHooks } from "../../../lib/kafka/consumer/session.ts";
import { ScriptedGroupCluster } from "../scripted/group_cluster.ts";
import { soon } from "../scripted/member.ts";

const TOPIC = "orders";

/** Creates a session that accepts every batch, and records the partitions of each join. */
function createSession(cluster: ScriptedGroupCluster): {
  readonly session: Session;
  readonly joins: (readonly number[])[];
} {
  const joins: (readonly number[])[] = [];
  const ignored = () => {};
  const hooks: SessionHooks = {
    observer: { heard: ignored, throttled: ignored, failed: ignored },
    beforeJoining: () => Promise.resolve(),
    onUnreadableMembers: ignored,
    onJoined: ({ partitions }) => void joins.push(partitions),
    onHeartbeat: ignored,
    onCommitted: ignored,
    onBatch: () => Promise.resolve(),
    lastFetchedEpoch: () => undefined,
    onMisplaced: ignored,
    onFetched: ignored,
  };
  const client = openClient({ brokers: cluster.brokers, clientId: "test" }, "persist");
  const session = new Session({
    ...{ client, topic: TOPIC, groupId: "group", sessionTimeoutMs: 100, hooks },
  });
  return { session, joins };
}

Deno.test("Session.disconnect() during a join leaves the group once the join is done, and fetches nothing", async () => {
  // Seen with a broker that was stopped again and again: a consumer that had been abandoned joined later.
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 } });
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  cluster.script.joinGroup = async () => {
    await gate;
    return undefined;
  };
  const { session, joins } = createSession(cluster);
  const ended = session.run();
  await soon("it sends JoinGroup", () => cluster.requests.joinGroup.length > 0);
  session.end(new Error("silence"));
  await ended;
  const disconnected = session.disconnect();
  open(); // pending requests are still answered
  await disconnected;
  await soon("it has left the group", () => cluster.requests.leaveGroup.length > 0);
  assert.deepEqual(joins, []);
  assert.equal(cluster.requests.fetch.length, 0);
});
