import assert from "node:assert/strict";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { OutgoingRecord } from "../../lib/record.ts";
import { decodeBatches } from "../../lib/kafka/protocol/record_batch.ts";
import { decodeRecords } from "../../lib/kafka/protocol/records.ts";
import { type ProduceAnswer, ScriptedCluster } from "./scripted_cluster.ts";

const TOPIC = "orders";

function record(partition: number, timestampMs?: number): OutgoingRecord {
  return {
    partition,
    key: null,
    value: new Uint8Array(),
    headers: [],
    ...(timestampMs !== undefined && { timestampMs }),
  };
}

Deno.test("ReliableProducer reserves enough request space for the smallest records, whatever their timestamps", async () => {
  await using cluster = new ScriptedCluster({ topic: TOPIC, leaders: [1] });
  const producer = new ReliableProducer({ brokers: cluster.brokers, clientId: "test" });
  const count = 20_000;
  const records = Array.from(
    { length: count },
    // Each timestamp is far from the first one, so its delta takes 8 bytes.
    (_, index) => record(0, index === 0 ? 0 : 1e15 - index),
  );
  await producer.send({ topic: TOPIC, partition: 0, records });
  await producer.close();
  const [produced] = cluster.batches;
  const [batch] = decodeBatches(produced?.bytes ?? new Uint8Array());
  assert.ok(batch !== undefined);
  const parts = await Array.fromAsync(decodeRecords(batch, { topic: TOPIC, partition: 0 }));
  const decoded = parts.flatMap((records) => Array.from(records));
  assert.equal(decoded.length, count);
  assert.equal(decoded.at(-1)?.timestampMs, 1e15 - (count - 1));
});

Deno.test("ReliableProducer keeps the connections of a discarded session until its other sends have ended", async () => {
  const { promise: slowAnswer, resolve: answerSlow } = Promise.withResolvers<ProduceAnswer>();
  const { promise: slowArrived, resolve: noteSlow } = Promise.withResolvers<void>();
  await using cluster = new ScriptedCluster({
    topic: TOPIC,
    leaders: [1, 2, 2],
    onProduce({ partition }): Promise<ProduceAnswer> | ProduceAnswer | undefined {
      if (partition === 0) return { partition: 1, baseOffset: 0 }; // an answer that cannot be trusted
      if (partition === 2) return undefined;
      noteSlow();
      return slowAnswer;
    },
  });
  const producer = new ReliableProducer({ brokers: cluster.brokers, clientId: "test" });
  const send = (partition: number) =>
    producer.send({ topic: TOPIC, partition, records: [record(partition)] });
  const slow = send(1);
  await slowArrived;
  const waiting = send(2); // waits for the slow one, because each node has one request in flight
  await assert.rejects(send(0), { name: "DeliveryError" });
  const { connectionCount } = cluster;
  await new Promise((resolve) => setTimeout(resolve, 100)); // time for a wrong implementation to close the connection
  answerSlow({ baseOffset: 0 });
  assert.equal((await slow).baseOffset, 0);
  assert.equal((await waiting).baseOffset, 0);
  assert.equal(cluster.connectionCount, connectionCount);
  await producer.close();
});
