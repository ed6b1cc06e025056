import assert from "node:assert/strict";
import { join } from "node:path";
import { liveBroker } from "../live_broker.ts";
import { countJournalLines, createSite, readJournal, type Site, until } from "../site.ts";
import {
  committedOffsets,
  IS_LONG,
  logged,
  marksOf,
  say,
  startFaultTracker,
  stopTracker,
  topicRanges,
  trackToEnd,
  untilAllCommitted,
} from "./fault_site.ts";
import { addPartitions, deleteOffsets, joinAsForeigner, sendTo, untilHeld } from "./group_site.ts";

const broker = await liveBroker();

/** Long enough that no member loses its partitions on a busy machine. */
const CALM_SESSION_MS = 10_000;
const NEW_PARTITIONS_WITHIN_MS = 30_000;

/** Counts, for each partition, the journaled lines of records sent with this prefix. */
async function journaledCounts(
  folders: readonly string[],
  prefix: string,
): Promise<Readonly<Record<number, number>>> {
  const counts: Record<number, number> = {};
  for (const logs of folders) {
    for (const line of await readJournal(logs)) {
      if (!String(line["raw_message"]).startsWith(prefix)) continue;
      counts[line.kafka_partition] = (counts[line.kafka_partition] ?? 0) + 1;
    }
  }
  return counts;
}

const LATEST = { from: "latest", deadLetters: false } as const;

/** Starts a group at its topic's end, and stops it: `before` is sent to all partitions first, then `first`. */
async function beginAtEnd(
  site: Site,
  { partitions, sentTo }: {
    readonly partitions: readonly number[];
    readonly sentTo: readonly number[];
  },
): Promise<void> {
  await sendTo(site, partitions, { count: 10, prefix: "before" });
  using tracker = startFaultTracker(site, LATEST);
  await untilAllCommitted(site);
  await sendTo(site, sentTo, { count: 20, prefix: "first" });
  await untilAllCommitted(site);
  await stopTracker(tracker);
}

/**
 * Goal: `--from latest` applies to a group's beginning, not to partitions added later.
 * Method: a group that began at the end stops; partitions with records are added; it starts again with latest.
 * Invariants: all records of the new partitions are journaled, and none from before the group began.
 */
Deno.test("--from latest: partitions added while the tracker was stopped are read from their beginning", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 2 });
  await beginAtEnd(site, { partitions: [0, 1], sentTo: [0, 1] });
  await addPartitions(site, 4);
  await sendTo(site, [2, 3], { count: 50, prefix: "added" });
  await trackToEnd(site, LATEST);
  assert.deepEqual(await journaledCounts([site.logs], "added"), { 2: 50, 3: 50 });
  assert.deepEqual(await journaledCounts([site.logs], "before"), {});
});

/**
 * Goal: a partition whose commit expired is not skipped, and nothing is journaled twice.
 * Method: of three partitions one has records in the journal, one has none, and their commits are deleted; then
 * records arrive.
 * Invariants: all new records are journaled, each once; the position taken from the journal's end is marked.
 */
Deno.test("--from latest: a partition whose commit expired is read from its beginning, or from the journal's end", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 3 });
  await beginAtEnd(site, { partitions: [0, 1, 2], sentTo: [0, 1] });
  await deleteOffsets(site, [1, 2]);
  await sendTo(site, [0, 1, 2], { count: 30, prefix: "later" });
  await trackToEnd(site, LATEST);
  assert.deepEqual(await journaledCounts([site.logs], "later"), { 0: 30, 1: 30, 2: 30 });
  assert.deepEqual(await journaledCounts([site.logs], "first"), { 0: 20, 1: 20 });
  const marks = marksOf(await readJournal(site.logs)).map(({ partition }) => partition);
  assert.deepEqual(marks, [1]);
});

/**
 * Goal: every partition of a recreated topic is read from its beginning.
 * Method: of a topic of three partitions one has records in the journal; the topic is recreated, with records in all
 * partitions.
 * Invariants: all records of the new topic are journaled.
 */
Deno.test("--from latest: a recreated topic is read from its beginning, even in partitions that had no records", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 3 });
  await beginAtEnd(site, { partitions: [0, 1, 2], sentTo: [0] });
  await site.createTopicAgain();
  await sendTo(site, [0, 1, 2], { count: 30, prefix: "again" });
  await trackToEnd(site, LATEST);
  assert.deepEqual(await journaledCounts([site.logs], "again"), { 0: 30, 1: 30, 2: 30 });
});

/**
 * Goal: a group has one beginning, whichever member reads a partition: no later record is skipped, and no earlier one
 * is read.
 * Method: another program leads the group and has partition 1; a tracker starts with partition 0. Then records
 * arrive, and the other program leaves.
 * Invariants: the tracker journals all records since its start, from both partitions.
 */
Deno.test("--from latest: the first member commits the beginning of all partitions, including those of others", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 2 });
  await sendTo(site, [0, 1], { count: 10, prefix: "before" });
  const other = await joinAsForeigner(site, { own: [1], others: [0] });
  using tracker = startFaultTracker(site, LATEST);
  await until(
    "the tracker has started reading",
    async () => (await committedOffsets(site)).get(0) === 10,
  );
  await sendTo(site, [0, 1], { count: 50, prefix: "after" });
  await other[Symbol.asyncDispose]();
  await untilAllCommitted(site);
  await stopTracker(tracker);
  assert.deepEqual(await journaledCounts([site.logs], "after"), { 0: 50, 1: 50 });
  assert.deepEqual(await journaledCounts([site.logs], "before"), {});
  assert.deepEqual(marksOf(await readJournal(site.logs)), []);
});

/**
 * Goal and invariants: see above. The other program holds partition 0 and decides nothing, so the tracker waits for
 * it and then decides itself.
 */
Deno.test({
  name:
    "--from latest: a member decides the beginning itself if the holder of partition 0 does not",
  ignore: !IS_LONG,
  fn: async () => {
    await using site = await createSite({ broker: broker.address, partitions: 2 });
    await sendTo(site, [0, 1], { count: 10, prefix: "before" });
    const other = await joinAsForeigner(site, { own: [0], others: [1] });
    using tracker = startFaultTracker(site, LATEST);
    await until(
      "the tracker has started reading",
      async () => (await committedOffsets(site)).get(0) === 10,
    );
    await sendTo(site, [0, 1], { count: 50, prefix: "after" });
    await other[Symbol.asyncDispose]();
    await untilAllCommitted(site);
    await stopTracker(tracker);
    assert.deepEqual(await journaledCounts([site.logs], "after"), { 0: 50, 1: 50 });
    assert.deepEqual(await journaledCounts([site.logs], "before"), {});
  },
});

/**
 * Goal: trackers that start together agree on where their group begins.
 * Method: two trackers of a new group start at the same time, with latest; records arrive from the first commit on.
 * Invariants: together they journal all later records, and no earlier one.
 */
Deno.test("--from latest: two trackers of a new group that start together skip no later record", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 4 });
  const all = [0, 1, 2, 3];
  await sendTo(site, all, { count: 50, prefix: "before" });
  const folders = ["first", "second"].map((name) => join(site.folder, name));
  const trackers = folders.map((logs) =>
    startFaultTracker(site, { ...LATEST, logs, sessionTimeoutMs: CALM_SESSION_MS })
  );
  try {
    await until(
      "the group has committed its beginning",
      async () => [...(await committedOffsets(site)).values()].some((offset) => offset >= 0),
    );
    for (let round = 0; round < 20; round++) {
      await sendTo(site, all, { count: 5, prefix: "after" });
    }
    await untilAllCommitted(site);
    await untilHeld(site, [2, 2]);
    await untilAllCommitted(site);
    for (const tracker of trackers) await stopTracker(tracker);
  } finally {
    for (const tracker of trackers) tracker[Symbol.dispose]();
  }
  const after = await journaledCounts(folders, "after");
  assert.deepEqual(after, { 0: 100, 1: 100, 2: 100, 3: 100 });
  assert.deepEqual(await journaledCounts(folders, "before"), {});
});

/**
 * Goal: partitions added under a running group are read soon, whichever member reads them.
 * Method: one tracker on each of two topics, in one group; partitions are added to the topic of the one that does not
 * lead, and records are sent to them at once.
 * Invariants: all are journaled within 30 s; the log reports no unassigned partitions.
 */
Deno.test("partitions added under a running tracker are read from their beginning within 30 s, whichever member leads the group", async () => {
  await using first = await createSite({ broker: broker.address, partitions: 1 });
  await using second = {
    ...await createSite({ broker: broker.address, partitions: 2 }),
    group: first.group,
  };
  using leader = startFaultTracker(first, { ...LATEST, sessionTimeoutMs: CALM_SESSION_MS });
  await untilHeld(first, [1]);
  using tracker = startFaultTracker(second, { ...LATEST, sessionTimeoutMs: CALM_SESSION_MS });
  await untilHeld(second, [0, 2]);
  for (const site of [first, second]) {
    const count = (await topicRanges(site)).size;
    const added = [count, count + 1];
    const startedAtMs = performance.now();
    await addPartitions(site, count + 2);
    await sendTo(site, added, { count: 50, prefix: "added" });
    await until(
      "the records are journaled",
      () => countJournalLines(site.logs) === 100,
      NEW_PARTITIONS_WITHIN_MS,
    );
    say(`after ${Math.round(performance.now() - startedAtMs)} ms`);
    assert.ok(performance.now() - startedAtMs < NEW_PARTITIONS_WITHIN_MS);
    const counts = await journaledCounts([site.logs], "added");
    assert.deepEqual(counts, Object.fromEntries(added.map((partition) => [partition, 50])));
  }
  for (const each of [leader, tracker]) await stopTracker(each);
  for (const { logs } of [first, second]) assert.deepEqual(logged(logs, /unassigned/), []);
});
