import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { RefusedError } from "../../lib/kafka/errors.ts";
import type { ClientBroker, ClientCluster } from "../../lib/kafka/kafkajs/client_cluster.ts";
import { askEpochEnd, TOPIC_CHANGED } from "../../lib/kafka/leader_epochs.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, withAdmin } from "../site.ts";

await liveBroker();

const TOPIC_ID = "11".repeat(16);
const OTHER_TOPIC_ID = "22".repeat(16);
const QUESTION = { topic: "t", topicId: TOPIC_ID, partition: 0, epoch: 5 } as const;

/** Encodes a Metadata v12 response about topic "t" with partition 0, led by node 1. */
function metadata({ topicId = TOPIC_ID, leaderEpoch = 9 } = {}): Buffer {
  const epoch = leaderEpoch.toString(16).padStart(8, "0");
  return Buffer.from(
    [
      "00 00000000 01 01 00000001", // no brokers, no cluster id, controller 1
      `02 0000 02 74 ${topicId} 00`,
      `02 0000 00000000 00000001 ${epoch} 01 01 01 00`,
      "00000000 00 00",
    ].join("").replaceAll(" ", ""),
    "hex",
  );
}

function epochEnd({ errorCode = 0 } = {}): Buffer {
  const code = errorCode.toString(16).padStart(4, "0");
  return Buffer.from(
    `00000000000000010001740000000 1${code}00000000000000040000000000000064`.replaceAll(" ", ""),
    "hex",
  );
}

/** Creates a cluster of one node that returns these answers in order. */
function scripted(answers: readonly Buffer[]): ClientCluster {
  const left = [...answers];
  const broker: Pick<ClientBroker, "connectionPool"> = {
    connectionPool: {
      send: ({ response: { decode } }) => decode(left.shift()),
    },
  };
  return {
    brokerPool: { findConnectedBroker: () => Promise.resolve(broker) },
    addMultipleTargetTopics: () => Promise.resolve(),
    findBroker: () => Promise.resolve(broker),
  } as unknown as ClientCluster;
}

Deno.test("askEpochEnd() returns the current leader's answer, and its epoch", async () => {
  const cluster = scripted([metadata(), epochEnd(), metadata()]);
  assert.deepEqual(await askEpochEnd(cluster, QUESTION), {
    leaderEpoch: 9,
    end: { epoch: 4, endOffset: 100 },
  });
});

Deno.test("askEpochEnd() does not ask a leader older than the epoch in which a batch was read", async () => {
  // The broker that describes the topic does not know of the election in epoch 10 yet.
  const cluster = scripted([metadata({ leaderEpoch: 9 }), epochEnd(), metadata()]);
  await assert.rejects(askEpochEnd(cluster, { ...QUESTION, leaderEpochMin: 10 }), {
    type: "LEADER_NOT_AVAILABLE",
  });
});

Deno.test("askEpochEnd() rejects with the broker's error if another broker leads by now", async () => {
  const fenced = 74;
  const cluster = scripted([metadata(), epochEnd({ errorCode: fenced }), metadata()]);
  await assert.rejects(askEpochEnd(cluster, QUESTION), { type: "FENCED_LEADER_EPOCH" });
});

for (
  const { when, answers } of [
    { when: "before the question", answers: [metadata({ topicId: OTHER_TOPIC_ID })] },
    {
      when: "before the answer",
      answers: [metadata(), epochEnd(), metadata({ topicId: OTHER_TOPIC_ID })],
    },
  ]
) {
  Deno.test(`askEpochEnd() accepts no answer about a topic that was recreated ${when}`, async () => {
    await assert.rejects(
      askEpochEnd(scripted(answers), QUESTION),
      (error) => error instanceof RefusedError && error.reason === TOPIC_CHANGED,
    );
  });
}

Deno.test("ClusterClient.epochEnd() asks a real broker: the log's end for the current epoch, nothing for a future one", async () => {
  await using site = await createSite({ partitions: 1 });
  const { topic, kafka } = site;
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({
    topic,
    messages: [{ partition: 0, value: "a" }, { partition: 0, value: "b" }],
  });
  await producer.disconnect();
  const connection = { brokers: [site.broker], clientId: "test" };
  await using client = await ClusterClient.connect(connection, "persist");
  const { topicId } = await client.describeTopic(topic);
  const ask = (epoch: number) => client.epochEnd({ topic, topicId, partition: 0, epoch });
  const end = { epoch: 0, endOffset: 2 };
  assert.deepEqual(await ask(0), { leaderEpoch: 0, end });
  assert.deepEqual(await ask(1), { leaderEpoch: 0, end: undefined });
  await withAdmin(site, (admin) => admin.deleteTopics({ topics: [topic] }));
  await assert.rejects(ask(0), RefusedError);
});
