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
  startFaultTracker,
  stopTracker,
  TEST_TIMEOUT_MS,
  untilAllCommitted,
} from "./fault_site.ts";
import { sendFullRecords } from "./full_records.ts";

const broker = await liveBroker();

const GOOD_A_PARTITION = 3_000;

/** Sends good orders to all three partitions, and bad ones to partition 0: first, in the middle, and last. */
async function sendOrders(site: Site): Promise<number> {
  const shop = createShop({ seed: 7 });
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const good = () => JSON.stringify(shop.nextOrder(Date.UTC(2026, 0, 1)));
  // Everything that a dead letter preserves: a key, repeated headers, and a timestamp.
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

/** Asserts that the partitions without bad records go on while partition 0 waits at its first. */
async function assertOnlyPartitionZeroWaits(site: Site): Promise<void> {
  await until("partitions 1 and 2 are committed", async () => {
    const committed = await committedOffsets(site);
    return committed.get(1) === GOOD_A_PARTITION && committed.get(2) === GOOD_A_PARTITION;
  }, TEST_TIMEOUT_MS);
  assert.equal((await committedOffsets(site)).get(0), 0, "the commit of partition 0 does not move");
}

/**
 * Goal: while dead letters are refused, only their partition waits, and nothing is committed past them.
 * Method: the dead-letter topic accepts no message of more than 100 bytes; then the limit is raised.
 * Invariants: partitions without bad records are journaled and committed to their end meanwhile; the other
 * partition's commit does not move; the reason is in the log; the member stays in the group; afterwards topic and
 * journal are the same, each bad record has its letter, and everything is committed.
 */
Deno.test("while dead letters are refused, only their partition and its commit wait", async () => {
  await using site = await createSite({ broker: broker.address });
  await createDeadLetterTopic(site, 100);
  const count = await sendOrders(site);
  using tracker = startFaultTracker(site);
  await assertOnlyPartitionZeroWaits(site);
  await until(
    "the reason is in the log",
    () => logged(site.logs, /Dead letters cannot be sent/).length > 0,
    TEST_TIMEOUT_MS,
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
 * Goal and invariants: see the test above.
 * Method: the dead-letter topic is deleted under a running tracker, and recreated later.
 */
Deno.test("while the dead-letter topic is missing, only its partition waits, and nothing is lost", async () => {
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

async function untilJoined(site: Site): Promise<void> {
  await until(
    "the tracker has joined",
    () => logged(site.logs, /Joined the consumer group/).length > 0,
    TEST_TIMEOUT_MS,
  );
}
