import assert from "node:assert/strict";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";
import { createSite, withAdmin } from "../site.ts";

const broker = await liveBroker();

Deno.test("ClusterClient.topicConfig() waits for a new topic that the queried broker does not know yet", async () => {
  // Seen on three nodes: one had created the topic, and another was asked for its settings.
  await using site = await createSite({ broker: broker.address, partitions: 0 });
  const topic = uniqueName("new");
  const connection = { brokers: [broker.address], clientId: "test" };
  await using client = await ClusterClient.connect(connection, "probe");
  const policy = client.topicConfig(topic, "cleanup.policy");
  // The request is in flight before the admin client has connected.
  await withAdmin(site, async (admin) => {
    const created = admin.createTopics({ topics: [{ topic }], waitForLeaders: false });
    const [answer] = await Promise.all([policy, created]);
    assert.equal(answer, "delete");
    await admin.deleteTopics({ topics: [topic] });
  });
});
