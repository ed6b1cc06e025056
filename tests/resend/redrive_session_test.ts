import assert from "node:assert/strict";
import { TopicReader } from "../../lib/kafka/topic_reader.ts";
import { RedriveSession } from "../../lib/resend/redrive_session.ts";
import { liveBroker } from "../live_broker.ts";
import { createRedriveSite, numberedLetters } from "./redrive_site.ts";

await liveBroker();

Deno.test("RedriveSession.open() waits until it can read its own claim, and with it all earlier commits", async () => {
  await using site = await createRedriveSite({ partitions: 1 });
  await site.deadLetter(numberedLetters(site, { count: 3, partitions: 1 }));
  assert.equal((await site.redrive()).redriven, 3);

  // A broker acknowledges a commit before it has written the markers that make its records readable.
  let questions = 0;
  const lagging = {
    ensureTopic: site.cluster.ensureTopic.bind(site.cluster),
    findTopic: site.cluster.findTopic.bind(site.cluster),
    topicConfig: site.cluster.topicConfig.bind(site.cluster),
    offsets: (topic: string, partitions: readonly number[]) =>
      ++questions <= 5
        ? Promise.resolve(
          partitions.map((partition) => ({ partition, low: 0, high: 0, highWatermark: 0 })),
        )
        : site.cluster.offsets(topic, partitions),
  };
  const connection = { brokers: site.address.split(","), clientId: "orderflow-test" };
  const { topicId } = await site.cluster.describeTopic(site.deadLetterTopic);
  await using reader = await TopicReader.connect(connection, "probe");
  await using session = new RedriveSession({
    connection,
    cluster: lagging,
    reader,
    scope: {
      deadLetterTopic: site.deadLetterTopic,
      deadLetterTopicId: topicId,
      topic: site.topic,
      session: crypto.randomUUID(),
    },
  });
  await session.open();
  assert.ok(questions > 5);
  for (const offset of [0, 1, 2]) assert.ok(session.log.has({ partition: 0, offset }));
  assert.equal(session.log.ownLetterCount, 0);
});
