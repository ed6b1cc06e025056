import assert from "node:assert/strict";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { ScriptedCluster, UNKNOWN_TOPIC_OR_PARTITION } from "./scripted_cluster.ts";

const TOPIC = "orders";

Deno.test("ClusterClient.offsets() waits for a leader that has not heard of a new topic yet", async () => {
  // Seen on three nodes: one told of the topic, and another that led a partition of it did not host it yet.
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
    { partition: 0, low: 0, high: 0 },
    { partition: 1, low: 0, high: 7 },
  ]);
  assert.equal(refusals, 3);
});

Deno.test("ClusterClient.offsets() knows a partition that was added after it first asked", async () => {
  await using cluster = new ScriptedCluster({ topic: TOPIC, leaders: [1] });
  const connection = { brokers: cluster.brokers, clientId: "test" };
  await using client = await ClusterClient.connect(connection, "probe");
  await client.offsets(TOPIC, [0]);
  cluster.leaders.push(1);
  cluster.stored[1] = 7;
  assert.deepEqual(await client.offsets(TOPIC, [0, 1]), [
    { partition: 0, low: 0, high: 0 },
    { partition: 1, low: 0, high: 7 },
  ]);
});
