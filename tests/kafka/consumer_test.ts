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

/** Has something done around each commit of kafkajs's, until it is disposed of. */
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

/** A consumer of the site's topic, whose batches the test judges. */
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

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

/**
 * Goal: no offset waits for a commit that nobody makes.
 * Method: one partition's batch becomes safe so many turns of the event loop after the commit of the other's, for
 * each number of turns in which the loop that commits may be ending.
 * Invariants: both are committed, each time.
 */
Deno.test("GroupConsumer commits what becomes safe just as a commit ends", async () => {
  await using site = await createSite({ partitions: 2 });
  const safe = new Map<number, PromiseWithResolvers<boolean>>();
  const handed = (partition: number) => {
    const one = safe.get(partition) ?? Promise.withResolvers<boolean>();
    safe.set(partition, one);
    return one;
  };
  await using _consumer = await createConsumer(site, ({ partition }) => handed(partition).promise);
  for (let wait = 0; wait < 12; wait++) {
    safe.clear();
    await send(site, [0, 1]);
    await until("both batches are handed over", () => safe.size === 2);
    const commit = Promise.withResolvers<void>();
    using _commits = aroundCommits(async (make) => {
      await make();
      commit.resolve();
    });
    handed(0).resolve(true);
    await commit.promise;
    await turns(wait);
    handed(1).resolve(true);
    await until(
      `both are committed, ${wait} turns apart`,
      async () => (await committed(site)).join() === `${wait + 1},${wait + 1}`,
    );
  }
});

Deno.test("GroupConsumer commits again what a coordinator refused that was not in place for a moment", async () => {
  await using site = await createSite({ partitions: 1 });
  let refusedCount = 0;
  await using _consumer = await createConsumer(site, () => Promise.resolve(true));
  await until("it has begun", async () => (await committed(site)).join() === "0");
  using _commits = aroundCommits(async (make) => {
    if (++refusedCount > 2) return await make();
    throw Object.assign(new Error("not the coordinator"), { type: "NOT_COORDINATOR_FOR_GROUP" });
  });
  await send(site, [0], 5);
  await until("all is committed", async () => (await committed(site)).join() === "5", 10_000);
});

/**
 * Goal: nothing is committed past a batch that did not become safe.
 * Method: more partitions than are handled side by side, so that batches wait, fetched, for their turn. The first
 * batch of each partition is under way until the first of the second ones is handed over, and then fails.
 * Invariants: each partition is handed over again from its first offset, without a gap; in the end all is committed.
 */
Deno.test("GroupConsumer hands a batch that failed over again before any that comes after it", async () => {
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
  await until("each has begun", () => begun.size === partitions.length);
  await send(site, partitions, 20);
  // Not by what was sent: kafkajs sends again what a leader that is new refused a part of.
  await until(
    "all is committed",
    async () => (await committed(site)).join() === (await ends(site)).join(),
  );
  assert.deepEqual(gaps, []);
});

/**
 * Goal: a member commits for itself only, and for the generation in which it read.
 * Method: the commit of where a lone member begins is refused until a second one has joined and has one of the two
 * partitions.
 * Invariants: no member commits a partition that the other one holds; both have begun in the end.
 */
Deno.test("GroupConsumer commits where it begins for partitions only that it still holds", async () => {
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
  await until("both have begun", async () => (await committed(site)).join() === "0,0");
  for (const [memberId, partitions] of commits) assert.deepEqual(partitions, held.get(memberId));
});
