import assert from "node:assert/strict";
import type { RetryMode } from "../../lib/kafka/client.ts";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { JumpingClock } from "../jumping_clock.ts";
import { ERROR, ScriptedGroupCluster } from "./scripted/group_cluster.ts";
import { soon } from "./scripted/member.ts";
import { ScriptedCluster, UNKNOWN_TOPIC_OR_PARTITION } from "./scripted_cluster.ts";

const TOPIC = "orders";

Deno.test("ClusterClient.offsets() waits for a leader that does not know a new topic yet", async () => {
  // Seen on three nodes: one knew the topic, but another that led a partition of it did not host it yet.
  let refusals = 0;
  await using cluster = new ScriptedCluster({
    topic: TOPIC,
    leaders: [1, 2],
    onListOffsets: (partition) => {
      if (partition === 0 || refusals === 3) return 0;
      refusals++;
      return UNKNOWN_TOPIC_OR_PARTITION;
    },
  });
  cluster.stored[1] = 7;
  const connection = { brokers: cluster.brokers, clientId: "test" };
  await using client = await ClusterClient.connect(connection, "probe");
  assert.deepEqual(await client.offsets(TOPIC, [0, 1]), [
    { partition: 0, low: 0, high: 0, highWatermark: 0 },
    { partition: 1, low: 0, high: 7, highWatermark: 7 },
  ]);
  assert.equal(refusals, 3);
});

function connect(cluster: ScriptedGroupCluster, retryMode: RetryMode): Promise<ClusterClient> {
  return ClusterClient.connect({ brokers: cluster.brokers, clientId: "test" }, retryMode);
}

/** Transient errors, by the request that is refused with them once or twice. */
const PASSING_OFFSETS = {
  LEADER_NOT_AVAILABLE: ERROR.leaderNotAvailable,
  NOT_LEADER_FOR_PARTITION: ERROR.notLeader,
  REPLICA_NOT_AVAILABLE: ERROR.replicaNotAvailable,
};
const PASSING_COMMITS = {
  GROUP_LOAD_IN_PROGRESS: ERROR.coordinatorLoading,
  GROUP_COORDINATOR_NOT_AVAILABLE: ERROR.coordinatorNotAvailable,
  NOT_COORDINATOR_FOR_GROUP: ERROR.notCoordinator,
};

/** The offsets of a partition with two records. */
const RANGE = { partition: 0, low: 0, high: 2, highWatermark: 2 };

for (const [reason, errorCode] of Object.entries(PASSING_OFFSETS)) {
  Deno.test(`ClusterClient.offsets() retries after ${reason}`, async () => {
    await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 } });
    cluster.topic(TOPIC).partition(0).append(["one", "two"]);
    await using client = await connect(cluster, "probe");
    const { listOffsets } = cluster.requests;
    cluster.script.listOffsets = () => listOffsets.length > 2 ? undefined : { errorCode };
    assert.deepEqual(await client.offsets(TOPIC, [0]), [RANGE]);
  });
}

for (const [reason, errorCode] of Object.entries(PASSING_COMMITS)) {
  Deno.test(`ClusterClient.committedOffsets() retries after ${reason}`, async () => {
    await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 } });
    const commit = { offset: 7, metadata: "note" };
    cluster.committed.set(TOPIC, new Map([[0, commit]]));
    await using client = await connect(cluster, "probe");
    const { offsetFetch } = cluster.requests;
    cluster.script.offsetFetch = () => offsetFetch.length > 2 ? undefined : { errorCode };
    assert.deepEqual(await client.committedOffsets("group", TOPIC), [{ partition: 0, ...commit }]);
  });
}

Deno.test("ClusterClient.offsets() asks the new leader after a node has given up a partition", async () => {
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 }, nodeCount: 2 });
  const partition = cluster.topic(TOPIC).partition(0);
  partition.append(["one", "two"]);
  await using client = await connect(cluster, "probe");
  await client.offsets(TOPIC, [0]);
  partition.leader = 2;
  assert.deepEqual(await client.offsets(TOPIC, [0]), [RANGE]);
  assert.equal(cluster.requests.listOffsets.at(-1)?.nodeId, 2);
});

Deno.test("ClusterClient.offsets() fails at once on permanent errors", async () => {
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 } });
  cluster.script.listOffsets = () => ({ errorCode: ERROR.topicAuthorizationFailed });
  await using client = await connect(cluster, "persist");
  await assert.rejects(client.offsets(TOPIC, [0]), { reason: "TOPIC_AUTHORIZATION_FAILED" });
  assert.equal(cluster.requests.listOffsets.length, 1);
});

/** Requests that a client in persist mode repeats until it is closed. */
const QUESTIONS: Readonly<Record<string, (client: ClusterClient) => Promise<unknown>>> = {
  listOffsets: (client) => client.offsets(TOPIC, [0]),
  offsetFetch: (client) => client.committedOffsets("group", TOPIC),
  findCoordinator: (client) => client.requireGroup("group"),
};

for (const [api, ask] of Object.entries(QUESTIONS)) {
  Deno.test(`ClusterClient stops retrying once it is closed: ${api}`, async () => {
    using clock = new JumpingClock();
    await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 } });
    const errorCode = api === "listOffsets" ? ERROR.notLeader : ERROR.coordinatorLoading;
    let refusedCount = 0;
    Object.assign(cluster.script, {
      [api]: () => {
        refusedCount++;
        return { errorCode };
      },
    });
    const client = await connect(cluster, "persist");
    let isEnded = false;
    ask(client).then(() => {}, () => {}).finally(() => isEnded = true);
    await clock.jumpUntil("it retries", () => refusedCount > 2);
    await client[Symbol.asyncDispose]();
    await clock.jumpUntil("it has given up", () => isEnded);
    const count = refusedCount;
    clock.jump(1_000);
    await soon("a turn has passed", () => true);
    assert.equal(refusedCount, count);
  });
}

Deno.test("ClusterClient in persist mode waits for unresponsive brokers in all requests, and gives up when it is closed", async () => {
  using clock = new JumpingClock();
  const cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 } });
  const client = await connect(cluster, "persist");
  await client.offsets(TOPIC, [0]);
  await cluster[Symbol.asyncDispose](); // nothing listens any more
  const ended: string[] = [];
  const questions = { ...QUESTIONS, metadata: (asked: ClusterClient) => asked.findTopic(TOPIC) };
  for (const [api, ask] of Object.entries(questions)) {
    ask(client).catch((error) => {
      assert.equal(error.name, "BrokerUnreachableError");
      ended.push(api);
    });
  }
  for (let second = 0; second < 10; second++) {
    clock.jump(1_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepEqual(ended, []);
  await client[Symbol.asyncDispose]();
  await clock.jumpUntil(
    "all requests have given up",
    () => ended.length === Object.keys(questions).length,
  );
});

Deno.test("ClusterClient.offsets() includes a partition that was added after the first request", async () => {
  await using cluster = new ScriptedCluster({ topic: TOPIC, leaders: [1] });
  const connection = { brokers: cluster.brokers, clientId: "test" };
  await using client = await ClusterClient.connect(connection, "probe");
  await client.offsets(TOPIC, [0]);
  cluster.leaders.push(1);
  cluster.stored[1] = 7;
  assert.deepEqual(await client.offsets(TOPIC, [0, 1]), [
    { partition: 0, low: 0, high: 0, highWatermark: 0 },
    { partition: 1, low: 0, high: 7, highWatermark: 7 },
  ]);
});

Deno.test("ClusterClient in probe mode waits while the cluster has not yet noticed that a broker died", async () => {
  using clock = new JumpingClock();
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 }, nodeCount: 2 });
  cluster.coordinator = 2;
  const { offsetFetch } = cluster.requests;
  cluster.script.offsetFetch = () => cluster.coordinator === 2 ? "hang up" : undefined;
  await using client = await connect(cluster, "probe");
  const answer = client.committedOffsets("group", TOPIC);
  let error: unknown;
  answer.catch((refusal) => error = refusal);
  await clock.jumpUntil("it retries", () => error !== undefined || offsetFetch.length > 12);
  cluster.coordinator = 1;
  await clock.jumpUntil("it gets an answer", () => error !== undefined || offsetFetch.length > 13);
  assert.deepEqual(await answer, []);
});

Deno.test("ClusterClient in probe mode reports that one broker does not answer, not that none does", async () => {
  using clock = new JumpingClock();
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 }, nodeCount: 2 });
  cluster.coordinator = 2;
  cluster.script.offsetFetch = () => "hang up";
  await using client = await connect(cluster, "probe");
  let error: Error | undefined;
  client.committedOffsets("group", TOPIC).catch((refusal) => error = refusal);
  await clock.jumpUntil("it gives up", () => error !== undefined);
  assert.equal(error?.name, "BrokerUnreachableError");
  assert.match(error.message, /^a broker of the cluster does not answer, though others do/);
});
