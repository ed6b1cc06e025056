/**
 * Goal: the accounts agree with the topic, whatever happens to it during a run.
 * Method: an in-memory topic is grown, recreated with fewer, as many, or more partitions (once or twice in a row), or is
 * away for a while, at random moments from a seed. Sends, acknowledgements, and lookups take random times, and some
 * acknowledgements are lost.
 * Invariants: each order is reported once; an acknowledged order is at its offset in its topic; the final topic contains
 * exactly the orders acknowledged there, each once and ordered by key; offsets increase within each partition of a
 * topic, as a ledger requires.
 */

import assert from "node:assert/strict";
import { DeliveryError } from "../../lib/kafka/errors.ts";
import type { PlacedBatch } from "../../lib/kafka/stored_batch.ts";
import { Delivery, type DeliveryReport } from "../../lib/producer/delivery.ts";
import { OrderRouter } from "../../lib/producer/routing.ts";
import { Random } from "../../lib/shop/random.ts";
import type { OutgoingRecord } from "../../lib/record.ts";

const DECODER = new TextDecoder();
const ENCODER = new TextEncoder();

interface MemoryTopic {
  readonly topicId: string;
  readonly logs: string[][];
}

/** A topic in memory and its predecessors of the same name. */
class MemoryCluster {
  readonly #random: Random;
  readonly topics: MemoryTopic[] = [];
  /** Undefined while the topic does not exist. */
  topic: MemoryTopic | undefined;
  /** Partitions whose last send got no response. Their next send gets one. */
  readonly #unanswered = new Set<number>();
  readonly #lastOffsets = new Map<number, number>();

  constructor(random: Random) {
    this.#random = random;
    this.create(3);
  }

  create(partitionCount: number): void {
    const logs = Array.from({ length: partitionCount }, () => []);
    this.topic = { topicId: `topic ${this.topics.length}`, logs };
    this.topics.push(this.topic);
  }

  async pause(msMax = 20): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, this.#random.unit() * msMax));
  }

  async findTopic() {
    await this.pause();
    const topic = this.topic && {
      topicId: this.topic.topicId,
      partitionCount: this.topic.logs.length,
    };
    await this.pause();
    return topic;
  }

  /**
   * Behaves like kafkajs with the guards of `lib/kafka/producer.ts`: waits for the topic and distrusts decreasing
   * offsets.
   */
  async send(partition: number, records: readonly OutgoingRecord[]) {
    const isUnanswered = this.#random.unit() < 0.1 && !this.#unanswered.has(partition);
    if (isUnanswered) this.#unanswered.add(partition);
    else this.#unanswered.delete(partition);
    await this.pause();
    if (isUnanswered && this.#random.unit() < 0.5) throw unclear(partition);
    while (this.topic === undefined) await this.pause();
    const log = this.topic.logs[partition];
    if (log === undefined) throw unclear(partition);
    const baseOffset = log.length;
    log.push(...records.map(textOf));
    await this.pause();
    if (isUnanswered || baseOffset <= (this.#lastOffsets.get(partition) ?? -1)) {
      this.#lastOffsets.delete(partition);
      throw unclear(partition);
    }
    this.#lastOffsets.set(partition, baseOffset);
    return { baseOffset };
  }

  async findStored(
    partition: number,
    records: readonly OutgoingRecord[],
    { fromOffset }: { readonly fromOffset: number },
  ) {
    await this.pause(50);
    const log = this.topic?.logs[partition];
    if (log === undefined) throw new Error("no such partition");
    const baseOffset = log.indexOf(textOf(records[0]), fromOffset);
    await this.pause();
    return baseOffset < 0 ? undefined : { baseOffset };
  }

  async areStored(batches: readonly PlacedBatch[]) {
    await this.pause(50);
    if (this.topic === undefined) throw new Error("no such topic");
    const { logs } = this.topic;
    return batches.map(({ partition, baseOffset, records }) =>
      records.every((record, index) => logs[partition]?.[baseOffset + index] === textOf(record))
    );
  }

  /** Changes the topic as other users would. */
  async change(): Promise<void> {
    const count = 1 + Math.floor(this.#random.unit() * 5);
    switch (Math.floor(this.#random.unit() * 4)) {
      case 0: // grown
        while (this.topic !== undefined && this.topic.logs.length < count) this.topic.logs.push([]);
        return;
      case 1: // recreated at once
        return this.create(count);
      case 2: // recreated twice
        this.create(count);
        await this.pause();
        return this.create(3);
      default: // away for a while
        this.topic = undefined;
        await this.pause(500);
        this.create(count);
    }
  }
}

function unclear(partition: number): DeliveryError {
  return new DeliveryError({
    topic: "orders",
    partition,
    fate: "unknown",
    reason: "UNTRUSTED_ANSWER",
    cause: new Error("no reliable response"),
  });
}

function textOf(record: Pick<OutgoingRecord, "value"> | undefined): string {
  return DECODER.decode(record?.value ?? undefined);
}

const RUNS_AT_ONCE = 30;
const ORDERS = 300;
const KEYS = 20;

function createDelivery(cluster: MemoryCluster) {
  const reports: DeliveryReport[] = [];
  const router = new OrderRouter("customer", 3);
  const delivery = new Delivery({
    topic: { topicId: "topic 0", partitionCount: 3 },
    findTopic: () => cluster.findTopic(),
    batchBytesMax: 300,
    send: (partition, records) => cluster.send(partition, records),
    findStored: (...query) => cluster.findStored(...query),
    areStored: (batches) => cluster.areStored(batches),
    onTopicChange: ({ partitionCount }) => router.resize(partitionCount),
    partitionOf: (record) => router.partitionOf(record),
    onReport: (report) => reports.push(report),
  });
  return { reports, router, delivery };
}

/** Delivers orders while the topic changes and returns the reports. */
async function deliver(cluster: MemoryCluster, random: Random) {
  const { reports, router, delivery } = createDelivery(cluster);
  const changes = (async () => {
    for (let change = 0; change < 3; change++) {
      await cluster.pause(400);
      await cluster.change();
    }
  })();
  for (let sequence = 1; sequence <= ORDERS; sequence++) {
    const key = ENCODER.encode(`key ${Math.floor(random.unit() * KEYS)}`);
    const partition = router.partitionOf({ key, sequence });
    const value = ENCODER.encode(`${DECODER.decode(key)}, order ${sequence}`);
    const plannedAtMs = performance.now();
    delivery.accept({ orderId: "", sequence, partition, key, value, plannedAtMs });
    if (random.unit() < 0.2) await cluster.pause();
  }
  await changes;
  assert.equal(await delivery.flush(30_000), true);
  return { reports, topicId: delivery.topicId };
}

function assertTopicAgrees(cluster: MemoryCluster, reports: readonly DeliveryReport[]): void {
  assert.equal(reports.length, ORDERS, "each order has a report");
  assert.equal(new Set(reports.map(({ record }) => record.sequence)).size, ORDERS, "once");
  const lastOffsets = new Map<number, number>();
  let acknowledgedHere = 0;
  for (const { record, outcome } of reports) {
    assert.equal(outcome.kind, "acknowledged", JSON.stringify(outcome));
    if (outcome.kind !== "acknowledged") continue;
    // A topic that was created and deleted between two responses is only known to be gone.
    if (outcome.topicId !== cluster.topic?.topicId) continue;
    acknowledgedHere++;
    const { topic: { logs } } = cluster;
    assert.equal(logs[record.partition]?.[outcome.offset], textOf(record));
    assert.ok(outcome.offset > (lastOffsets.get(record.partition) ?? -1), "offsets increase");
    lastOffsets.set(record.partition, outcome.offset);
  }
  const logs = cluster.topic?.logs ?? [];
  assert.equal(
    logs.flat().length,
    acknowledgedHere,
    "the topic has as many orders as it acknowledged",
  );
  for (const log of logs) {
    const lastByKey = new Map<string, number>();
    for (const value of log) {
      const [key = "", sequence = 0] = [value.split(",")[0], Number(value.split(" ").at(-1))];
      assert.ok(sequence > (lastByKey.get(key) ?? 0), `${value} is in order within its key`);
      lastByKey.set(key, sequence);
    }
  }
}

const seed = Number(Deno.env.get("ORDERFLOW_SEED") ?? Math.floor(Math.random() * 2 ** 32));

Deno.test(`Delivery agrees with a topic that is grown, deleted, or recreated (ORDERFLOW_SEED=${seed})`, async () => {
  const rounds = Deno.env.get("ORDERFLOW_FAULTS") === "long" ? 20 : 1;
  for (let round = 0; round < rounds; round++) {
    await Promise.all(Array.from({ length: RUNS_AT_ONCE }, async (_, run) => {
      const random = new Random(seed, { stream: round * RUNS_AT_ONCE + run });
      const cluster = new MemoryCluster(random);
      const { reports, topicId } = await deliver(cluster, random);
      assert.equal(topicId, cluster.topic?.topicId);
      assertTopicAgrees(cluster, reports);
    }));
  }
});

Deno.test("Delivery to a topic that is deleted for good: stored orders are lost and none is unknown", async () => {
  const cluster = new MemoryCluster(new Random(seed));
  const { reports, delivery } = createDelivery(cluster);
  const accept = (sequence: number) => {
    const value = ENCODER.encode(`order ${sequence}`);
    delivery.accept({ orderId: "", sequence, partition: 0, key: null, value, plannedAtMs: 0 });
  };
  for (let sequence = 1; sequence <= 5; sequence++) accept(sequence);
  assert.equal(await delivery.flush(30_000), true);
  cluster.topic = undefined;
  for (let sequence = 6; sequence <= 50; sequence++) accept(sequence);
  while (delivery.topicId !== undefined) await cluster.pause();
  assert.equal(await delivery.flush(100), false);
  delivery.abandon("a test");
  const counts = new Map<string, number>();
  for (const { outcome: { kind } } of reports) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  assert.deepEqual([...counts.keys()].sort(), ["acknowledged", "failed", "undelivered"]);
  assert.equal(counts.get("acknowledged"), 5);
  assert.equal(reports.length, 50);
});
