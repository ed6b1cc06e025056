import assert from "node:assert/strict";
import consumerGroupModule from "kafkajs/src/consumer/consumerGroup.js";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import type {
  ConsumedBatch,
  ConsumerNotice,
  GroupConsumerOptions,
} from "../../lib/kafka/consumer/api.ts";
import { GroupConsumer } from "../../lib/kafka/consumer/group_consumer.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, type Site, until } from "../site.ts";

await liveBroker();

interface ClientGroup {
  readonly memberId: string;
  commitOffsets(offsets: ClientOffsets): Promise<void>;
}

interface ClientOffsets {
  readonly topics: readonly {
    readonly partitions: readonly { readonly partition: number }[];
  }[];
}

const { prototype: clientGroup } = consumerGroupModule as { prototype: ClientGroup };

function aroundCommits(around: (commit: () => Promise<void>) => Promise<void>): Disposable {
  const { commitOffsets } = clientGroup;
  clientGroup.commitOffsets = function (this: ClientGroup, offsets) {
    return around(() => commitOffsets.call(this, offsets));
  };
  return {
    [Symbol.dispose]() {
      clientGroup.commitOffsets = commitOffsets;
    },
  };
}

/** Creates a consumer of the site's topic, whose batches the test accepts or rejects. */
async function createConsumer(
  site: Site,
  onBatch: (batch: ConsumedBatch) => Promise<boolean>,
  options: Partial<GroupConsumerOptions> = {},
): Promise<AsyncDisposable> {
  const connection = { brokers: [site.broker], clientId: "consumer-test" };
  const cluster = await ClusterClient.connect(connection, "persist");
  const consumer = new GroupConsumer(cluster, {
    connection,
    topic: site.topic,
    groupId: site.group,
    commitMetadata: () => "test",
    startAt: ({ partitions }) => new Map(partitions.map(({ partition, low }) => [partition, low])),
    onBatch,
    onNotice: () => {},
    ...options,
  });
  const running = consumer.run();
  return {
    async [Symbol.asyncDispose]() {
      await consumer.stop();
      await running;
      await cluster[Symbol.asyncDispose]();
    },
  };
}

async function send(site: Site, partitions: readonly number[], count = 1): Promise<void> {
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const messages = partitions.flatMap((partition) =>
    Array.from({ length: count }, () => ({ partition, value: "value" }))
  );
  await producer.send({ topic: site.topic, messages });
  await producer.disconnect();
}

async function committed(site: Site): Promise<readonly number[]> {
  const admin = site.kafka.admin();
  await admin.connect();
  const [topic] = await admin.fetchOffsets({ groupId: site.group, topics: [site.topic] });
  await admin.disconnect();
  return (topic?.partitions ?? []).toSorted((a, b) => a.partition - b.partition)
    .map(({ offset }) => Number(offset));
}

async function ends(site: Site): Promise<readonly number[]> {
  const admin = site.kafka.admin();
  await admin.connect();
  const partitions = await admin.fetchTopicOffsets(site.topic);
  await admin.disconnect();
  return partitions.toSorted((a, b) => a.partition - b.partition).map(({ high }) => Number(high));
}

/**
 * Goal: nothing is committed past a batch that did not become safe.
 * Method: more partitions than are handled concurrently, so that fetched batches wait for their turn. The first batch
 * of each partition is in progress until the first of the second batches is handed over, and then fails.
 * Invariants: each partition is handed over again from its first offset, without a gap; in the end everything is
 * committed.
 */
Deno.test("GroupConsumer hands over a failed batch again before any that follows it", async () => {
  const partitions = Array.from({ length: 40 }, (_, partition) => partition);
  await using site = await createSite({ partitions: partitions.length });
  await send(site, partitions, 20);
  const firstFail = Promise.withResolvers<void>();
  const begun = new Set<number>();
  const ended = new Map<number, number>();
  const gaps: string[] = [];
  await using _consumer = await createConsumer(site, async (batch) => {
    const { partition, records, endOffset } = batch;
    if (!begun.has(partition)) {
      begun.add(partition);
      await firstFail.promise;
      return false;
    }
    firstFail.resolve();
    if (!await batch.previous || !batch.isCurrent()) return false;
    const first = records[0]?.offset ?? -1;
    if (first !== (ended.get(partition) ?? 0)) gaps.push(`${partition}/${first}`);
    ended.set(partition, endOffset);
    return true;
  });
  await until("each partition has started", () => begun.size === partitions.length);
  await send(site, partitions, 20);
  // Compares with the topic's ends, because kafkajs repeats a request that a new leader partly refused.
  await until(
    "everything is committed",
    async () => (await committed(site)).join() === (await ends(site)).join(),
  );
  assert.deepEqual(gaps, []);
});

/**
 * Goal: a member commits only for itself, and for the generation in which it read.
 * Method: the commit of a lone member's start offsets is refused until a second member has joined and has one of the
 * two partitions.
 * Invariants: no member commits a partition that the other one holds; both start offsets are committed in the end.
 */
Deno.test("GroupConsumer commits start offsets only for partitions that it still holds", async () => {
  await using site = await createSite({ partitions: 2 });
  const held = new Map<string, readonly number[]>();
  const onNotice = (notice: ConsumerNotice) => {
    if (notice.kind === "joined") held.set(notice.memberId, notice.partitions);
  };
  const isShared = () => [...held.values()].filter(({ length }) => length === 1).length === 2;
  const commits: (readonly [string, readonly number[]])[] = [];
  let refusedCount = 0;
  const { commitOffsets } = clientGroup;
  using _commits = aroundCommits(() => Promise.resolve());
  clientGroup.commitOffsets = async function (this: ClientGroup, offsets) {
    if (!isShared()) {
      refusedCount++;
      throw Object.assign(new Error("rebalancing"), {
        type: "REBALANCE_IN_PROGRESS",
        retriable: true,
      });
    }
    const partitions = offsets.topics.flatMap((topic) => topic.partitions);
    commits.push([this.memberId, partitions.map(({ partition }) => partition)]);
    await commitOffsets.call(this, offsets);
  };
  const safe = () => Promise.resolve(true);
  await using _first = await createConsumer(site, safe, { onNotice });
  await until("its first commit is refused", () => refusedCount > 0);
  await using _second = await createConsumer(site, safe, { onNotice });
  await until(
    "both start offsets are committed",
    async () => (await committed(site)).join() === "0,0",
  );
  for (const [memberId, partitions] of commits) assert.deepEqual(partitions, held.get(memberId));
});
