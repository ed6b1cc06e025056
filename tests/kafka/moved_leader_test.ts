import assert from "node:assert/strict";
import { Kafka } from "kafkajs";
import { DeliveryError } from "../../lib/kafka/errors.ts";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { OutgoingRecord } from "../../lib/record.ts";
import {
  NOT_LEADER_FOR_PARTITION,
  type ProduceAnswer,
  type ProducedBatch,
  ScriptedCluster,
} from "./scripted_cluster.ts";

const TOPIC = "orders";
const RECORD_COUNT = 3;

/**
 * Creates a cluster in which node 1 leads partition 0, and node 2 partition 1. After node 1 has answered, node 2
 * answers that node 1 now leads partition 1.
 */
function createMovingCluster(): ScriptedCluster {
  const { promise: nodeOneAnswered, resolve } = Promise.withResolvers<void>();
  return new ScriptedCluster({
    topic: TOPIC,
    leaders: [1, 2],
    async onProduce({ nodeId }, cluster) {
      if (nodeId === 1) {
        setTimeout(resolve, 50);
        return undefined;
      }
      await nodeOneAnswered;
      cluster.leaders[1] = 1;
      return { errorCode: NOT_LEADER_FOR_PARTITION };
    },
  });
}

function recordsOf(partition: number): OutgoingRecord[] {
  return Array.from({ length: RECORD_COUNT }, (_, index) => ({
    partition,
    key: null,
    value: new TextEncoder().encode(`${partition}/${index}`),
    headers: [],
  }));
}

Deno.test("kafkajs alone acknowledges records that were never sent, if leadership moves to a broker that has already answered", async () => {
  // The reason for our guards. If this fails, the client has changed and the guards may go.
  await using cluster = createMovingCluster();
  const kafka = new Kafka({ brokers: cluster.brokers, logLevel: 0, retry: { retries: 3 } });
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: () => ({ message }) => message.partition ?? 0,
  });
  await producer.connect();
  const report = await producer.send({
    topic: TOPIC,
    messages: [0, 1].flatMap((partition) =>
      Array.from({ length: RECORD_COUNT }, (_, index) => ({ partition, value: `${index}` }))
    ),
  });
  await producer.disconnect();
  assert.deepEqual(report.map(({ partition, errorCode }) => [partition, errorCode]), [[0, 0]]);
  assert.deepEqual(cluster.stored, [RECORD_COUNT, 0], "and nothing of partition 1 is stored");
});

Deno.test("ReliableProducer resends records after leadership moved, even to a broker that has already answered", async () => {
  await using cluster = createMovingCluster();
  const producer = new ReliableProducer({ brokers: cluster.brokers, clientId: "test" });
  const answers = await Promise.all(
    [0, 1].map((partition) =>
      producer.send({ topic: TOPIC, partition, records: recordsOf(partition) })
    ),
  );
  await producer.close();
  assert.deepEqual(
    answers.map(({ partition, baseOffset }) => [partition, baseOffset]),
    [[0, 0], [1, 0]],
  );
  assert.deepEqual(cluster.stored, [RECORD_COUNT, RECORD_COUNT]);
});

// What is wrong with an answer, and the answer to the second batch for partition 0, of which nothing is stored.
const UNTRUSTED: readonly (readonly [string, ProduceAnswer])[] = [
  ["for another partition", { partition: 1, baseOffset: RECORD_COUNT }],
  ["at the previous batch's offset", { baseOffset: 0 }],
  ["without an offset", {}],
];

for (const [what, answer] of UNTRUSTED) {
  Deno.test(`ReliableProducer does not accept an answer ${what} as an acknowledgment, and continues as a new producer`, async () => {
    await using cluster = new ScriptedCluster({
      topic: TOPIC,
      leaders: [1, 1],
      onProduce: (_, { batches }) => batches.length === 2 ? answer : undefined,
    });
    const producer = new ReliableProducer({ brokers: cluster.brokers, clientId: "test" });
    const send = () => producer.send({ topic: TOPIC, partition: 0, records: recordsOf(0) });
    await send();
    await assert.rejects(send, (error) => {
      assert.ok(error instanceof DeliveryError);
      assert.equal(error.fate, "unknown");
      assert.equal(error.reason, "UNTRUSTED_ANSWER");
      return true;
    });
    assert.equal((await send()).baseOffset, RECORD_COUNT);
    await producer.close();
    const producerIds = cluster.batches.map(({ producerId }: ProducedBatch) => producerId);
    assert.deepEqual(producerIds, [1n, 1n, 2n]);
  });
}
