import assert from "node:assert/strict";
import type { Random } from "../../lib/shop/random.ts";
import {
  createSite,
  createTopics,
  readJournal,
  readTopic,
  type Site,
  until,
  withAdmin,
} from "../site.ts";
import {
  assertAllCommitted,
  assertHolds,
  assertMarkedAsCreatedAgain,
  assertSameRecords,
  between,
  brokerOfFile,
  byTopicId,
  fill,
  logged,
  marksOf,
  scaled,
  seededChoices,
  startFaultTracker,
  stopTracker,
  TEST_TIMEOUT_MS,
  topicRanges,
  trackToEnd,
  untilAllCommitted,
  untilJournaled,
  withDeadline,
} from "./fault_site.ts";

const broker = await brokerOfFile({
  // As on most clusters (3 s there), joining takes a while, during which the tracker must not draw conclusions.
  "group.initial.rebalance.delay.ms": "500",
  "log.cleaner.backoff.ms": "100",
  "log.retention.check.interval.ms": "500",
  "log.segment.delete.delay.ms": "100",
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
});

/**
 * Goal: a recreated topic of the same name is read completely from its beginning.
 * Method: the topic is deleted and recreated, with fewer or more records than before, while the tracker runs or
 * between two runs.
 * Invariants: the journal has all records of the old and the new topic, each once, distinguished by topic id; the
 * first line of each partition of the new one is marked; the log reports it.
 */
for (
  const { title, isRunning, countAfter } of [
    { title: "with more records, while the tracker runs", isRunning: true, countAfter: 4_000 },
    { title: "with fewer records, between runs", isRunning: false, countAfter: 600 },
  ]
) {
  Deno.test(`a topic recreated ${title}, is read from its beginning, and marked`, async () => {
    const countBefore = 2_000;
    await using site = await createSite({ broker: broker.address });
    await fill(site, { count: countBefore });
    if (!isRunning) await trackToEnd(site);
    using tracker = isRunning ? startFaultTracker(site) : undefined;
    await untilJournaled(site, countBefore);
    const before = await readTopic(site);
    await site.createTopicAgain();
    await fill(site, { count: countAfter });
    if (tracker === undefined) await trackToEnd(site);
    else {
      await untilJournaled(site, countBefore + countAfter);
      await stopTracker(tracker);
    }
    const [old, fresh, ...others] = byTopicId(await readJournal(site.logs));
    assert.equal(others.length, 0);
    assertHolds(old ?? [], before);
    assertHolds(fresh ?? [], await readTopic(site));
    await assertAllCommitted(site);
    assertMarkedAsCreatedAgain(fresh ?? []);
    assert.notEqual(logged(site.logs, /not continue at/).length, 0, "the log reports it");
  });
}

async function writeTransactions(
  site: Site,
  transactions: readonly {
    readonly partitions: readonly number[];
    readonly count: number;
    readonly isCommitted: boolean;
  }[],
): Promise<void> {
  const producer = site.kafka.producer({
    transactionalId: crypto.randomUUID(),
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
  });
  await producer.connect();
  for (const [index, { partitions, count, isCommitted }] of transactions.entries()) {
    const transaction = await producer.transaction();
    for (const partition of partitions) {
      await transaction.send({
        topic: site.topic,
        messages: Array.from({ length: count }, (_, each) => ({
          partition,
          value: `transaction ${index}, record ${each}, ${isCommitted ? "" : "not "}committed`,
        })),
      });
    }
    await (isCommitted ? transaction.commit() : transaction.abort());
  }
  await producer.disconnect();
}

/** Returns random transactions; partition 3 gets only aborted records. */
function randomTransactions(random: Random, count: number) {
  return Array.from({ length: count }, () => {
    const isCommitted = random.unit() < 0.6;
    const partitions = [0, 1, 2].filter(() => random.unit() < 0.5);
    return {
      partitions: isCommitted ? partitions : [...partitions, 3],
      count: between(random, { min: 1, max: 40 }),
      isCommitted,
    };
  }).filter(({ partitions }) => partitions.length > 0);
}

/**
 * Goal: the journal has the committed records of a topic written in transactions, and --exit-at-end ends.
 * Method: random transactions, 40 % aborted, on partitions that end with markers, with aborted records, and one with
 * nothing else; then twice more a run with only aborted records to read; then more of both.
 * Invariants: no record is missing or repeated, and none is from an aborted transaction; each run ends; no warning is
 * logged.
 */
Deno.test("committed records of a topic written in transactions are journaled once, and --exit-at-end ends", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 4 });
  const random = seededChoices();
  await writeTransactions(site, randomTransactions(random, scaled({ long: 400, short: 60 })));
  await writeTransactions(site, [
    { partitions: [0, 1], count: 3, isCommitted: true },
    { partitions: [1, 3], count: 5, isCommitted: false },
  ]);
  await trackToEnd(site);
  await assertSameRecords(site);
  await assertAllCommitted(site);

  for (let round = 0; round < 2; round++) {
    await writeTransactions(site, [
      { partitions: [0, 1, 2, 3], count: 4, isCommitted: false },
      { partitions: [0, 3], count: 4, isCommitted: false },
    ]);
    const { received } = await trackToEnd(site);
    assert.equal(received, 0);
  }
  await writeTransactions(site, randomTransactions(random, 20));
  await trackToEnd(site);
  await assertSameRecords(site);
  assert.deepEqual(logged(site.logs, /not continue at/), [], "no unexpected mark or warning");
  assert.deepEqual(marksOf(await readJournal(site.logs)), []);
});

/**
 * Goal: --exit-at-end commits everything although the coordinator has removed the member.
 * Method: the tracker is suspended between its first journal line and its commit until the group is empty.
 * Invariants: exit code 0; topic and journal are the same; the group's offsets are the topic's ends.
 */
Deno.test("--exit-at-end rejoins and commits if its member was removed before the commit", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 2 });
  await fill(site, { count: 1_000, badPercent: 100 });
  using tracker = startFaultTracker(site, { exitAtEnd: true, sessionTimeoutMs: 6_000 });
  await untilJournaled(site, 1);
  tracker.signal("SIGSTOP");
  await withAdmin(site, async (admin) => {
    await until("the coordinator has removed the member", async () => {
      const { groups: [group] } = await admin.describeGroups([site.group]);
      return group?.members.length === 0;
    }, TEST_TIMEOUT_MS);
  });
  tracker.signal("SIGCONT");
  assert.equal(await withDeadline(tracker.exitCode, () => tracker.output.stderr), 0);
  await assertSameRecords(site);
  await assertAllCommitted(site);
});

/**
 * Goal: missing offsets in a compacted topic stop nobody.
 * Method: many records with few keys, and tombstones, until the cleaner has removed most of them.
 * Invariants: the journal holds the topic's remaining records; --exit-at-end ends, and ends again without new
 * records.
 */
Deno.test("the remaining records of a compacted topic are journaled once, and --exit-at-end ends", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 0 });
  const written = scaled({ long: 30_000, short: 6_000 });
  await withAdmin(site, (admin) =>
    createTopics(admin, [{
      topic: site.topic,
      numPartitions: 2,
      configEntries: Object.entries({
        "cleanup.policy": "compact",
        "segment.ms": "200",
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "200",
        "delete.retention.ms": "100",
      }).map(([name, value]) => ({ name, value })),
    }]));
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const send = (from: number, count: number) =>
    producer.send({
      topic: site.topic,
      messages: Array.from({ length: count }, (_, index) => ({
        partition: (from + index) % 2,
        key: `key-${(from + index) % 40}`,
        value: (from + index) % 7 === 0 ? null : `value ${from + index}`,
        headers: { trace: [`${from + index}`, "again"], empty: "" },
      })),
    });
  for (let from = 0; from < written; from += 500) await send(from, 500);
  let extra = written;
  await until("the cleaner has run", async () => {
    await send(extra++, 1); // a new record rolls the old segment, which is then cleaned
    return (await readTopic(site)).length < written / 10;
  }, TEST_TIMEOUT_MS);
  await producer.disconnect();

  await trackToEnd(site);
  assert.ok(await assertSameRecords(site) < written / 10);
  assert.equal((await trackToEnd(site)).received, 0);
  assert.deepEqual(logged(site.logs, /not continue at/), []);
});

async function setOffsets(site: Site, offsets: ReadonlyMap<number, number>): Promise<void> {
  await withAdmin(site, (admin) =>
    admin.setOffsets({
      groupId: site.group,
      topic: site.topic,
      partitions: [...offsets].map(([partition, offset]) => ({
        partition,
        offset: String(offset),
      })),
    }));
}

/**
 * Goal: when an operator resets the group, nothing is lost or repeated in the journal.
 * Method: with the tracker stopped, offsets are set back to 100, and new records are sent; then offsets are set
 * forward past unread records; then to the end, without new records.
 * Invariants: each time the journal matches the topic; the reset is logged, and is a mark on the next new line of
 * each partition, even though batches that the journal already holds come first.
 */
Deno.test("resetting group offsets backward or forward loses and repeats nothing, and is marked", async () => {
  await using site = await createSite({ broker: broker.address });
  await fill(site, { count: 9_000 });
  await trackToEnd(site);

  await setOffsets(site, new Map([[0, 100], [1, 100], [2, 100]]));
  await fill(site, { count: 600 });
  const backwards = await trackToEnd(site);
  assert.equal(backwards.already_journaled, 9_000 - 300, "the existing records are read again");
  await assertSameRecords(site);
  const marks = marksOf(await readJournal(site.logs));
  assert.deepEqual(marks.map(({ partition }) => partition).sort(), [0, 1, 2]);
  for (const { mark } of marks) assert.equal(mark, "the group was reset to offset 100");

  await fill(site, { count: 600 });
  const ends = new Map(
    [...await topicRanges(site)].map(([partition, { high }]) => [partition, high]),
  );
  await setOffsets(site, ends);
  const forwards = await trackToEnd(site);
  assert.equal(forwards.received, 600, "the records that the reset skipped can still be read");
  await assertSameRecords(site);
  await assertAllCommitted(site);
  assert.equal(marksOf(await readJournal(site.logs)).length, 6);
  assert.equal(logged(site.logs, /not continue at/).length, 6);
});

/**
 * Goal: records that expired before they were read are reported, and the rest is read.
 * Method: half of the unread records are deleted while the tracker is stopped.
 * Invariants: the journal has the records read before and all that remain in the topic; a mark names the lost
 * offsets.
 */
Deno.test("records that expired while the tracker was stopped are marked as a gap, and the rest is journaled", async () => {
  await using site = await createSite({ broker: broker.address });
  await fill(site, { count: 3_000 });
  await trackToEnd(site);
  const before = await readTopic(site);
  const ends = await topicRanges(site);
  await fill(site, { count: 3_000 });
  await withAdmin(site, async (admin) => {
    await admin.fetchTopicOffsets(site.topic); // kafkajs deletes no records of a topic whose metadata it has not loaded
    await admin.deleteTopicRecords({
      topic: site.topic,
      partitions: [...ends].map(([partition, { high }]) => ({
        partition,
        offset: String(high + 200),
      })),
    });
  });
  await trackToEnd(site);
  const lines = await readJournal(site.logs);
  assertHolds(lines, [...before, ...await readTopic(site)]);
  assert.deepEqual(
    marksOf(lines).toSorted((a, b) => a.partition - b.partition),
    [...ends].sort(([a], [b]) => a - b).map(([partition, { high }]) => ({
      partition,
      offset: high + 200,
      mark: `offsets ${high} to ${high + 199} were deleted before they were read`,
    })),
  );
  await assertAllCommitted(site);
});

/**
 * Goal: records that expire while the tracker runs, before it could read them, are also reported, and no commit is
 * lost.
 * Method: the tracker is suspended (SIGSTOP) for less than its session while records arrive and the first of them are
 * deleted; then it continues.
 * Invariants: the journal has the records read before and all that remain in the topic; a mark names the lost
 * offsets.
 */
Deno.test("records that expired unread under a running tracker are marked as a gap, and the rest is journaled", async () => {
  await using site = await createSite({ broker: broker.address });
  await fill(site, { count: 900 });
  using tracker = startFaultTracker(site, { sessionTimeoutMs: 60_000 });
  await untilAllCommitted(site);
  const before = await readTopic(site);
  const ends = await topicRanges(site);
  tracker.signal("SIGSTOP");
  await fill(site, { count: 3_000 });
  await withAdmin(site, async (admin) => {
    await admin.fetchTopicOffsets(site.topic);
    await admin.deleteTopicRecords({
      topic: site.topic,
      partitions: [{ partition: 1, offset: String((ends.get(1)?.high ?? 0) + 200) }],
    });
  });
  tracker.signal("SIGCONT");
  await untilAllCommitted(site);
  await stopTracker(tracker);
  const lines = await readJournal(site.logs);
  assert.equal(logged(site.logs, /Joined/).length, 1, "the member stayed in the group");
  const high = ends.get(1)?.high ?? 0;
  assert.deepEqual(marksOf(lines), [{
    partition: 1,
    offset: high + 200,
    mark: `offsets ${high} to ${high + 199} were deleted before they were read`,
  }]);
  const kept = (await readTopic(site)).filter(({ partition, offset }) =>
    !before.some((record) => record.partition === partition && record.offset === offset)
  );
  assertHolds(lines, [...before, ...kept]);
});

/**
 * Goal: `--from latest` is decided once: everything after the first start is journaled, however late.
 * Method: a tracker joins an idle group with --from latest and is stopped or killed before any record; then records
 * arrive; then it starts again with --from latest.
 * Invariants: exactly the records from after the first start are in the journal.
 */
Deno.test("--from latest applies to the first start, even if no record arrives before the second", async () => {
  await using site = await createSite({ broker: broker.address });
  await fill(site, { count: 300 });
  const before = new Set(
    (await readTopic(site)).map(({ partition, offset }) => `${partition}/${offset}`),
  );
  using tracker = startFaultTracker(site, { from: "latest" });
  await untilAllCommitted(site);
  tracker.signal("SIGKILL");
  await tracker.exitCode;
  await fill(site, { count: 300 });
  await trackToEnd(site, { from: "latest" });
  const after = (await readTopic(site))
    .filter(({ partition, offset }) => !before.has(`${partition}/${offset}`));
  assertHolds(await readJournal(site.logs), after);
});
