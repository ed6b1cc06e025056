import assert from "node:assert/strict";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import { DeliveryError } from "../../lib/kafka/errors.ts";
import type { OutgoingRecord } from "../../lib/record.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, createTopics, readTopic, until } from "../site.ts";

await liveBroker();

const ENCODER = new TextEncoder();

function records(
  partition: number,
  { count, bytes = 10 }: { count: number; bytes?: number },
): OutgoingRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    partition,
    key: null,
    value: ENCODER.encode(String(index).padEnd(bytes, ".")),
    headers: [],
  }));
}

Deno.test("kafkajs alone falsely acknowledges records after a rejected send that spanned partitions", async () => {
  // The reason for our guards. If this fails, the client has changed and the guards may go.
  await using site = await createSite({ partitions: 2 });
  const producer = site.kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: () => ({ message }) => message.partition ?? 0,
  });
  await producer.connect();
  const small = (prefix: string) =>
    Array.from({ length: 10 }, (_, index) => ({ partition: 1, value: `${prefix}${index}` }));
  await assert.rejects(producer.send({
    topic: site.topic,
    messages: [{ partition: 0, value: "x".repeat(2_000_000) }, ...small("first ")],
  }));
  const [report] = await producer.send({ topic: site.topic, messages: small("second ") });
  await producer.disconnect();
  assert.equal(report?.errorCode, 0, "the client reports that the second ten are stored");
  assert.equal((await readTopic(site)).length, 10, "only the first ten are");
});

Deno.test("ReliableProducer never acknowledges records that are not stored, after a refused send", async () => {
  await using site = await createSite({ partitions: 2 });
  const producer = new ReliableProducer({ brokers: [site.broker], clientId: "test" });
  let acknowledged = 0;
  for (let round = 0; round < 3; round++) {
    const [refused, taken] = await Promise.allSettled([
      producer.send({
        topic: site.topic,
        partition: 0,
        records: records(0, { count: 1, bytes: 2_000_000 }),
      }),
      producer.send({ topic: site.topic, partition: 1, records: records(1, { count: 10 }) }),
    ]);
    assert.equal(refused.status, "rejected");
    assert.ok(refused.reason instanceof DeliveryError);
    assert.equal(refused.reason.fate, "refused");
    assert.equal(refused.reason.partition, 0);
    if (taken.status === "fulfilled") acknowledged += taken.value.recordCount;
    const { baseOffset } = await producer.send({
      topic: site.topic,
      partition: 1,
      records: records(1, { count: 10 }),
    });
    acknowledged += 10;
    assert.equal(baseOffset, acknowledged - 10);
  }
  await producer.close();
  const stored = await readTopic(site);
  assert.equal(stored.length, acknowledged);
  assert.ok(acknowledged >= 30);
});

Deno.test("ReliableProducer reports a missing topic as a refusal or keeps retrying, and never acknowledges", async () => {
  await using site = await createSite({ partitions: 0 });
  const producer = new ReliableProducer({ brokers: [site.broker], clientId: "test" });
  const send = producer.send({
    topic: site.topic,
    partition: 0,
    records: records(0, { count: 1 }),
  });
  const outcome = await Promise.race([
    send.then(() => "acknowledged", () => "rejected"),
    new Promise((resolve) => setTimeout(() => resolve("trying on"), 1_500)),
  ]);
  assert.notEqual(outcome, "acknowledged");
  const admin = site.kafka.admin();
  await admin.connect();
  assert.ok(!(await admin.listTopics()).includes(site.topic), "and does not create the topic");
  await createTopics(admin, [{ topic: site.topic, numPartitions: 1 }]);
  await admin.disconnect();
  if (outcome === "trying on") assert.equal((await send).baseOffset, 0);
  await producer.close();
});

Deno.test("ReliableProducer sends to a recreated topic after at most one untrusted answer", async () => {
  await using site = await createSite({ partitions: 1 });
  const producer = new ReliableProducer({ brokers: [site.broker], clientId: "test" });
  const send = () =>
    producer.send({ topic: site.topic, partition: 0, records: records(0, { count: 1 }) });
  for (let count = 0; count < 5; count++) await send();
  await site.createTopicAgain();
  let rejectedCount = 0;
  await until("a send is acknowledged", async () => {
    try {
      await send();
      return true;
    } catch (error) {
      assert.ok(error instanceof DeliveryError);
      if (error.reason === "UNTRUSTED_ANSWER") rejectedCount++;
      return false;
    }
  });
  await producer.close();
  assert.ok(rejectedCount <= 1, `${rejectedCount} untrusted answers`);
});
