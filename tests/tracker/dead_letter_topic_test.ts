import assert from "node:assert/strict";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import {
  DEAD_LETTER_TOPIC_CONFIG,
  ensureDeadLetterTopic,
} from "../../lib/tracker/dead_letter_topic.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";

const broker = await liveBroker();
const connection = { brokers: broker.address.split(","), clientId: "test" };

/**
 * Goal: the dead-letter topic is created on clusters that do not know or do not allow all of its settings. Method:
 * the test asks for settings with invalid names, so that the broker responds like one before Kafka 3.6, which has no
 * timestamp bounds. The refusal is real: INVALID_CONFIG.
 */
Deno.test("ensureDeadLetterTopic() creates the topic without timestamp bounds if the broker refuses them", async () => {
  await using cluster = await ClusterClient.connect(connection, "probe");
  const topic = uniqueName("letters");
  const asked: string[][] = [];
  const found = await ensureDeadLetterTopic(
    {
      findTopic: (name) => cluster.findTopic(name),
      topicConfig: (name, setting) => cluster.topicConfig(name, setting),
      ensureTopic: (name, { partitionCount, config = {} }) => {
        asked.push(Object.keys(config));
        const renamed = Object.entries(config).map(([setting, value]) => [
          setting.replace(/^message\.timestamp/, "unknown.timestamp"),
          value,
        ]);
        return cluster.ensureTopic(name, { partitionCount, config: Object.fromEntries(renamed) });
      },
    },
    topic,
    2,
  );
  try {
    assert.deepEqual(asked, [Object.keys(DEAD_LETTER_TOPIC_CONFIG), ["retention.ms"]]);
    assert.deepEqual(found, { partitionCount: 2, isCompacted: false });
    assert.equal(await cluster.topicConfig(topic, "retention.ms"), "-1");
  } finally {
    await cluster.deleteTopic(topic);
  }
});
