import assert from "node:assert/strict";
import { createShop } from "../../lib/shop/shop.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, type Site, until, withAdmin } from "../site.ts";
import {
  assertAllDeadLettered,
  assertSameRecords,
  committedOffsets,
  createDeadLetterTopic,
  limitDeadLetters,
  logged,
  PATIENCE_MS,
  startFaultTracker,
  stopTracker,
  untilAllCommitted,
} from "./fault_site.ts";
import { sendFullRecords } from "./full_records.ts";

const broker = await liveBroker();

const GOOD_A_PARTITION = 3_000;

/** Good orders on all three partitions; on partition 0 bad ones too, first, in the middle and last. */
async function sendOrders(site: Site): Promise<number> {
  const shop = createShop({ seed: 7 });
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const good = () => JSON.stringify(shop.nextOrder(Date.UTC(2026, 0, 1)));
  // What a dead letter carries on: a key, headers that repeat, and a time of its own.
  const full = {
    key: "bad",
    headers: { trace: ["1", "2"], empty: "" },
    timestamp: String(Date.now() - 60_000),
  };
  let count = 0;
  for (let from = 0; from < GOOD_A_PARTITION; from += 500) {
    const messages = [0, 1, 2].flatMap((partition) =>
      Array.from({ length: 500 }, () => ({ partition, value: good() }))
    );
    const bad = [{ partition: 0, ...full, value: `bad ${from}` }];
    await producer.send({ topic: site.topic, messages: [...bad, ...messages] });
    count += messages.length + 1;
  }
  await producer.send({ topic: site.topic, messages: [{ partition: 0, value: "bad at the end" }] });
  await producer.disconnect();
  return count + 1;
}

const FULL_RECORD_COUNT = 60;

/** The partitions without bad records go on while the one that has them waits at its first. */
async function assertOnlyPartitionZeroWaits(site: Site): Promise<void> {
  await until("partitions 1 and 2 are committed", async () => {
    const committed = await committedOffsets(site);
    return committed.get(1) === GOOD_A_PARTITION && committed.get(2) === GOOD_A_PARTITION;
  }, PATIENCE_MS);
  assert.equal((await committedOffsets(site)).get(0), 0, "the commit of partition 0 waits");
}

/**
 * Goal: while dead letters are refused only their partition waits, and nothing is committed past them.
 * Method: the dead-letter topic takes no message of more than 100 bytes; then the limit is raised.
 * Invariants: partitions without bad records are journaled and committed to their end meanwhile; the
 * commit of the other stays; the reason is in the log; the member stays in the group; afterwards topic
 * and journal are the same, each bad record has its letter, all is committed.
 */
Deno.test("dead letters refused: only their partition waits, its commit too, until they are taken", async () => {
  await using site = await createSite({ broker: broker.address });
  await createDeadLetterTopic(site, 100);
  const count = await sendOrders(site);
  using tracker = startFaultTracker(site);
  await assertOnlyPartitionZeroWaits(site);
  await until(
    "the reason is in the log",
    () => logged(site.logs, /Dead letters cannot be sent/).length > 0,
    PATIENCE_MS,
  );
  const [line] = logged(site.logs, /Dead letters cannot be sent/);
  const more = await sendFullRecords(site, { count: FULL_RECORD_COUNT });
  assert.match(line?.error ?? "", /max message size|too large/i);
  await limitDeadLetters(site, 1_000_000);
  await untilAllCommitted(site);
  assert.equal(logged(site.logs, /Joined/).length, 1, "the member stayed in the group");
  await stopTracker(tracker);
  assert.equal(await assertSameRecords(site), count + more);
  const { letters, bad } = await assertAllDeadLettered(site);
  assert.equal(letters, bad);
});

/**
 * Goal, invariants: as above.
 * Method: the dead-letter topic is deleted under a running tracker, and created again later.
 */
Deno.test("dead-letter topic deleted and created again: only its partition waits, nothing is lost", async () => {
  await using site = await createSite({ broker: broker.address });
  await createDeadLetterTopic(site, 1_000_000);
  using tracker = startFaultTracker(site);
  await untilJoined(site);
  await withAdmin(site, (admin) => admin.deleteTopics({ topics: [site.deadLetterTopic] }));
  const count = await sendOrders(site);
  await assertOnlyPartitionZeroWaits(site);
  await createDeadLetterTopic(site, 1_000_000);
  await untilAllCommitted(site);
  await stopTracker(tracker);
  assert.equal(await assertSameRecords(site), count);
  await assertAllDeadLettered(site);
});

/**
 * Goal: a tracker that waits for its dead letters can be stopped, and the next one sends them.
 * Method: SIGTERM while the dead-letter topic refuses; limit raised; next tracker.
 * Invariants: the stop takes bounded time and leaves the commit where it was; then as above.
 */
Deno.test("a tracker stopped while dead letters are refused leaves them to the next one", async () => {
  await using site = await createSite({ broker: broker.address });
  await createDeadLetterTopic(site, 100);
  const count = await sendOrders(site);
  {
    using tracker = startFaultTracker(site);
    await assertOnlyPartitionZeroWaits(site);
    await stopTracker(tracker);
    assert.equal((await committedOffsets(site)).get(0), 0);
  }
  await limitDeadLetters(site, 1_000_000);
  using next = startFaultTracker(site);
  await untilAllCommitted(site);
  await stopTracker(next);
  assert.equal(await assertSameRecords(site), count);
  await assertAllDeadLettered(site);
});

async function untilJoined(site: Site): Promise<void> {
  await until(
    "the tracker has joined",
    () => logged(site.logs, /Joined the consumer group/).length > 0,
    PATIENCE_MS,
  );
}
