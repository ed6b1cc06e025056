import assert from "node:assert/strict";
import { join } from "node:path";
import type { ProducerSummary } from "../../lib/producer/accounts.ts";
import { validateOrder } from "../../lib/order/validate.ts";
import { keyPartitioner } from "../../lib/kafka/partitioner.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, createTopics, readTopic, until } from "../site.ts";

await liveBroker();

function summaryOf(stdout: string): ProducerSummary {
  return JSON.parse(stdout);
}

function assertAddsUp(summary: ProducerSummary): void {
  const { generated, acknowledged, failed, undelivered, unknown } = summary;
  assert.equal(generated, acknowledged + failed + undelivered + unknown);
}

Deno.test("producer sends as many valid orders as it reports acknowledged", async () => {
  await using site = await createSite();
  const { code, stdout, stderr } = await site.run("producer", [
    "--count",
    "500",
    "--rate",
    "max",
    "--json",
  ]);
  assert.equal(code, 0, stderr);
  const summary = summaryOf(stdout);
  assertAddsUp(summary);
  assert.equal(summary.acknowledged, 500);
  assert.ok(
    summary.rate > 0 && summary.mb_per_second > 0 &&
      summary.latency_ms && summary.latency_ms.max >= summary.latency_ms.p50,
  );

  const consumer = site.kafka.consumer({ groupId: site.group, maxWaitTimeInMs: 100 });
  const sequences = new Set<number>();
  const partitionOfKey = keyPartitioner(3);
  await consumer.connect();
  await consumer.subscribe({ topics: [site.topic], fromBeginning: true });
  await consumer.run({
    eachMessage: ({ message, partition }) => {
      const order = JSON.parse(String(message.value));
      assert.deepEqual(validateOrder(order), []);
      assert.equal(String(message.key), order.customer_info.customer_id);
      assert.equal(partition, partitionOfKey(message.key ?? new Uint8Array()));
      sequences.add(order.sequence);
      return Promise.resolve();
    },
  });
  await until("all orders are read", () => sequences.size === 500);
  await consumer.disconnect();
  assert.deepEqual(
    [...sequences].sort((a, b) => a - b),
    Array.from({ length: 500 }, (_, i) => i + 1),
  );
});

Deno.test("producer keeps the order within a partition: sequences rise with offsets", async () => {
  await using site = await createSite();
  const { code } = await site.run("producer", [
    "--count",
    "3000",
    "--rate",
    "max",
    "--key",
    "none",
    "--json",
  ]);
  assert.equal(code, 0);
  const last = new Map<number, number>();
  const consumer = site.kafka.consumer({ groupId: site.group, maxWaitTimeInMs: 100 });
  let count = 0;
  await consumer.connect();
  await consumer.subscribe({ topics: [site.topic], fromBeginning: true });
  await consumer.run({
    eachMessage: ({ message, partition }) => {
      const { sequence } = JSON.parse(String(message.value));
      assert.ok(
        sequence > (last.get(partition) ?? 0),
        `partition ${partition} at ${message.offset}`,
      );
      last.set(partition, sequence);
      count++;
      return Promise.resolve();
    },
  });
  await until("all orders are read", () => count === 3_000);
  await consumer.disconnect();
});

Deno.test("producer stopped with SIGTERM at 1,000 orders/s flushes, and its summary adds up", async () => {
  await using site = await createSite();
  const producer = await site.start("producer", ["--rate", "1000", "--json"]);
  const admin = site.kafka.admin();
  await admin.connect();
  await until("2,000 orders are in the topic", async () => {
    const offsets = await admin.fetchTopicOffsets(site.topic);
    return offsets.reduce((sum, { high }) => sum + Number(high), 0) > 2_000;
  });
  await admin.disconnect();
  producer.signal("SIGTERM");
  assert.equal(await producer.exitCode, 0, producer.output.stderr);
  const summary = summaryOf(producer.output.stdout);
  assertAddsUp(summary);
  assert.equal(summary.acknowledged, summary.generated);
  assert.equal((await readTopic(site)).length, summary.acknowledged);
  assert.match(producer.output.stderr, /SIGTERM: no new orders/);
});

Deno.test("producer at a low rate reports each delivery with topic, partition, and offset", async () => {
  await using site = await createSite({ partitions: 1 });
  const { code, stdout } = await site.run("producer", ["--count", "3", "--rate", "5"]);
  assert.equal(code, 0);
  for (const offset of [0, 1, 2]) {
    assert.match(stdout, new RegExp(`delivered.*${site.topic}\\[0\\] at offset ${offset} `));
  }
  assert.match(
    stdout,
    /3 orders generated = 3 acknowledged \+ 0 failed \+ 0 undelivered \+ 0 unknown/,
  );
});

Deno.test("producer counts refused orders as failed, saves them in a file, and exits with 1", async () => {
  await using site = await createSite({ partitions: 0 });
  const admin = site.kafka.admin();
  await admin.connect();
  await createTopics(admin, [{
    topic: site.topic,
    numPartitions: 1,
    configEntries: [{ name: "max.message.bytes", value: "1200" }],
  }]);
  await admin.disconnect();
  const { code, stdout, stderr } = await site.run("producer", [
    "--count",
    "40",
    "--rate",
    "max",
    "--seed",
    "7",
    "--json",
  ]);
  assert.equal(code, 1);
  const summary = summaryOf(stdout);
  assertAddsUp(summary);
  assert.equal(summary.unknown, 0);
  assert.ok(summary.failed > 0 && summary.acknowledged > 0, stdout);
  assert.equal((await readTopic(site)).length, summary.acknowledged);
  assert.match(stderr, /not acknowledged: see logs\/producer\.undelivered\.jsonl/);

  const path = join(site.logs, "producer.undelivered.jsonl");
  const lines = (await Deno.readTextFile(path)).trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.equal(lines.length, summary.failed);
  for (const { fate, order, reason } of lines) {
    assert.equal(fate, "failed");
    assert.deepEqual(validateOrder(order), []);
    assert.match(reason, /larger than|too large/i);
  }
  assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
});

Deno.test("producer generates the same orders from the same seed, except for timestamps", async () => {
  const values: string[][] = [];
  for (const _ of [1, 2]) {
    await using site = await createSite({ partitions: 1 });
    await site.run("producer", ["--count", "20", "--rate", "max", "--seed", "42", "--json"]);
    const consumer = site.kafka.consumer({ groupId: site.group, maxWaitTimeInMs: 100 });
    const seen: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topics: [site.topic], fromBeginning: true });
    await consumer.run({
      eachMessage: ({ message }) => {
        const order = JSON.parse(String(message.value));
        delete order.metadata.timestamp;
        seen.push(JSON.stringify(order));
        return Promise.resolve();
      },
    });
    await until("20 orders are read", () => seen.length === 20);
    await consumer.disconnect();
    values.push(seen);
  }
  assert.deepEqual(values[0], values[1]);
});
