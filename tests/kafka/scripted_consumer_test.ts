import assert from "node:assert/strict";
import { until } from "../site.ts";
import { ScriptedGroupCluster } from "./scripted/group_cluster.ts";
import { startMember } from "./scripted/member.ts";

const TOPIC = "orders";

Deno.test("GroupConsumer commits what became safe, with the note of its owner", async () => {
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 } });
  const topic = cluster.topic(TOPIC);
  topic.partition(0).append(["one", "two"]);
  await using member = await startMember(cluster);
  const batch = await member.batch();
  assert.deepEqual(batch.values, ["one", "two"]);
  assert.equal(member.committed(0)?.offset, 0);
  batch.finish(true);
  await until("it is committed", () => member.committed(0)?.offset === 2);
  assert.equal(member.committed(0)?.metadata, `note of ${topic.topicId}`);
});
