import assert from "node:assert/strict";
import { TopicReader } from "../../lib/kafka/topic_reader.ts";
import { ERROR, ScriptedGroupCluster } from "./scripted/group_cluster.ts";
import type { ScriptedPartition } from "./scripted/topic.ts";

const TOPIC = "orders";
const LAG_ANSWERS = 5;

/** Creates a cluster with the partition's two records, whose first answers are those of a broker with a problem. */
function createCluster(
  { begin, end }: {
    readonly begin: (partition: ScriptedPartition, cluster: ScriptedGroupCluster) => void;
    readonly end: (partition: ScriptedPartition, cluster: ScriptedGroupCluster) => void;
  },
): ScriptedGroupCluster {
  const cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 }, nodeCount: 2 });
  const partition = cluster.topic(TOPIC).partition(0);
  partition.append(["one"]);
  partition.append(["two"]);
  begin(partition, cluster);
  cluster.script.fetch = () => {
    if (cluster.requests.fetch.length > LAG_ANSWERS) end(partition, cluster);
    return undefined;
  };
  return cluster;
}

async function readAll(cluster: ScriptedGroupCluster, end = 2): Promise<readonly string[]> {
  const connection = { brokers: cluster.brokers, clientId: "test" };
  await using reader = await TopicReader.connect(connection, "probe");
  const values: string[] = [];
  for await (const records of reader.read({ topic: TOPIC, partition: 0, start: 0, end })) {
    for (const { value } of records) values.push(new TextDecoder().decode(value ?? undefined));
  }
  return values;
}

Deno.test("TopicReader.read() does not treat the empty answer of a lagging broker as the end", async () => {
  await using cluster = createCluster({
    begin: (partition) => partition.highWatermark = 1,
    end: (partition) => partition.highWatermark = undefined,
  });
  assert.deepEqual(await readAll(cluster), ["one", "two"]);
});

Deno.test("TopicReader.read() does not treat the empty answer of a throttling broker as the end", async () => {
  await using cluster = createCluster({
    begin(partition, cluster) {
      partition.isHeldBack = true;
      cluster.throttleMs = 1;
    },
    end(partition, cluster) {
      partition.isHeldBack = false;
      cluster.throttleMs = 0;
    },
  });
  assert.deepEqual(await readAll(cluster), ["one", "two"]);
});

Deno.test("TopicReader.read() does not treat a single empty answer as the end", async () => {
  await using cluster = createCluster({ begin: () => {}, end: () => {} });
  const partition = cluster.topic(TOPIC).partition(0);
  cluster.script.fetch = () => {
    partition.isHeldBack = cluster.requests.fetch.length <= 2;
    return undefined;
  };
  assert.deepEqual(await readAll(cluster), ["one", "two"]);
});

Deno.test("TopicReader.read() ends if the last records before the end are gone", async () => {
  await using cluster = createCluster({ begin: () => {}, end: () => {} });
  const partition = cluster.topic(TOPIC).partition(0);
  cluster.script.fetch = ({ partitions }) => {
    partition.isHeldBack = (partitions[0]?.offset ?? 0) > 0;
    return undefined;
  };
  assert.deepEqual(await readAll(cluster), ["one"]);
});

Deno.test("TopicReader.read() continues after the leader has moved", async () => {
  await using cluster = createCluster({ begin: () => {}, end: () => {} });
  cluster.script.fetch = ({ partitions }) => {
    if ((partitions[0]?.offset ?? 0) > 0) cluster.topic(TOPIC).partition(0).leader = 2;
    return undefined;
  };
  assert.deepEqual(await readAll(cluster), ["one", "two"]);
  assert.equal(cluster.requests.fetch.at(-1)?.nodeId, 2);
});

Deno.test("TopicReader.read() fails if a broker permanently has fewer records", async () => {
  await using cluster = createCluster({
    begin: (partition) => partition.highWatermark = 1,
    end: () => {},
  });
  await assert.rejects(readAll(cluster), { reason: "NO_RECORDS" });
});

Deno.test("TopicReader.read() fails at once on a permanent error", async () => {
  await using cluster = createCluster({ begin: () => {}, end: () => {} });
  cluster.script.fetch = () => ({ errorCode: ERROR.topicAuthorizationFailed });
  await assert.rejects(readAll(cluster), { reason: "TOPIC_AUTHORIZATION_FAILED" });
  assert.equal(cluster.requests.fetch.length, 1);
});
