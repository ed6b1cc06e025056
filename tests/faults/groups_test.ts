import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import type { Program } from "../../dev/programs.ts";
import { encodeSubscription } from "../../lib/kafka/protocol/consumer_protocol.ts";
import { liveBroker } from "../live_broker.ts";
import {
  countJournalLines,
  createSite,
  type JournalLine,
  readJournal,
  readTopic,
  type Site,
  until,
} from "../site.ts";
import {
  fill,
  logged,
  marksOf,
  nameOf,
  readLog,
  startFaultTracker,
  stopTracker,
  TEST_TIMEOUT_MS,
  untilAllCommitted,
} from "./fault_site.ts";
import {
  joinAsForeigner,
  partitionsHeld,
  sendTo,
  startConsoleConsumer,
  untilHeld,
} from "./group_site.ts";

const broker = await liveBroker();

/** Long enough that no member loses its partitions, and reads records again, on a busy machine. */
const CALM_SESSION_MS = 20_000;
/** Members notice unassigned or added partitions sooner than this. */
const NOTICED_WITHIN_MS = 30_000;

type Tracker = Program & Disposable;

function startTracker(site: Site, name: string, from: "earliest" | "latest" = "earliest"): Tracker {
  return startFaultTracker(site, {
    logs: join(site.folder, name),
    from,
    deadLetters: false,
    sessionTimeoutMs: CALM_SESSION_MS,
  });
}

/** Creates a site whose trackers are members of another site's group. */
async function siteInGroupOf(site: Site, options: { readonly partitions: number }): Promise<Site> {
  return { ...await createSite({ broker: broker.address, ...options }), group: site.group };
}

/** Returns `partition/offset` of each journal line of the topic, in order. */
async function journaledNames(site: Site, folders: readonly string[]): Promise<readonly string[]> {
  const lines: JournalLine[] = [];
  for (const logs of folders) lines.push(...await readJournal(logs));
  return lines.filter((line) => line["kafka_topic"] === site.topic)
    .map((line) => `${line.kafka_partition}/${line.kafka_offset}`).sort();
}

/** Asserts that each record of the topic was read by one member, once. */
async function assertReadOnce(site: Site, names: readonly string[]): Promise<void> {
  assert.deepEqual([...names].sort(), (await readTopic(site)).map(nameOf).sort());
}

/**
 * Goal: members of one group with different topics get all partitions of their topics.
 * Method: two topics of 4 partitions with 400 records each; one tracker on each, in one group.
 * Invariants: each tracker holds the 4 partitions of its topic; each journal matches its topic.
 */
Deno.test("two trackers of one group, each on its own topic, read all of their topics", async () => {
  await using one = await createSite({ broker: broker.address, partitions: 4 });
  await using other = await siteInGroupOf(one, { partitions: 4 });
  for (const site of [one, other]) await fill(site, { count: 400 });
  using first = startTracker(one, "logs");
  await untilAllCommitted(one);
  using second = startTracker(other, "logs");
  await untilAllCommitted(other);
  for (const site of [one, other]) {
    await untilHeld(site, [4, 0]);
    await fill(site, { count: 40 });
    await untilAllCommitted(site);
  }
  for (const tracker of [first, second]) await stopTracker(tracker);
  for (const site of [one, other]) {
    await assertReadOnce(site, await journaledNames(site, [join(site.folder, "logs")]));
    assert.deepEqual(logged(join(site.folder, "logs"), /unassigned/), []);
  }
});

/**
 * Goal: Java's consumers with the RoundRobinAssignor and trackers share a group, whichever leads it.
 * Method: a console consumer first, which becomes the leader, and three trackers; then the console consumer leaves, a
 * tracker becomes the leader, and the console consumer rejoins. Records are sent in each phase.
 * Invariants: each member has one of 4 partitions; each record is read by one member, once; a partition taken over
 * from the console consumer, whose commits have no note, is marked and logged as a warning.
 */
Deno.test("three trackers and Java's console consumer share a group and read each record once, whichever leads", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 4 });
  const names = ["first", "second", "third"];
  const read: string[] = [];
  using java = await startConsoleConsumer(site);
  await untilHeld(site, [4]);
  const trackers = names.map((name) => startTracker(site, name));
  try {
    await untilHeld(site, [1, 1, 1, 1]);
    await sendTo(site, [0, 1, 2, 3], { count: 50 });
    await until("Java has its share", () => java.printed().length === 50, TEST_TIMEOUT_MS);
    const [taken] = java.printed()[0]?.split("/") ?? [];
    java.signal("SIGTERM");
    await java.exitCode;
    read.push(...java.printed());
    await untilHeld(site, [1, 1, 2]);
    await sendTo(site, [0, 1, 2, 3], { count: 50 });
    await untilAllCommitted(site);
    using again = await startConsoleConsumer(site);
    await untilHeld(site, [1, 1, 1, 1]);
    await sendTo(site, [0, 1, 2, 3], { count: 50 });
    await until("Java has its share again", () => again.printed().length === 50, TEST_TIMEOUT_MS);
    const folders = names.map((name) => join(site.folder, name));
    await until(
      "the trackers have their shares",
      () => folders.reduce((sum, logs) => sum + countJournalLines(logs), 0) === 500,
      TEST_TIMEOUT_MS,
    );
    again.signal("SIGTERM");
    await again.exitCode;
    read.push(...again.printed());
    for (const tracker of trackers) await stopTracker(tracker);
    await assertReadOnce(site, [...read, ...await journaledNames(site, folders)]);

    const marks = (await Promise.all(folders.map(readJournal))).flatMap(marksOf);
    const mark = marks.find(({ partition, offset }) =>
      partition === Number(taken) && offset === 50
    );
    assert.equal(mark?.mark, "offset 50 was committed by another program: reading on from it");
    const warnings = folders.flatMap((logs) => logged(logs, /not continue at the committed offset/))
      .filter(({ metadata }) => metadata?.["mark"] === mark.mark);
    assert.deepEqual(warnings.map(({ level }) => level), ["WARN"]);
  } finally {
    for (const tracker of trackers) tracker[Symbol.dispose]();
  }
});

/**
 * Goal: another member's subscription is never an error for the group.
 * Method: a tracker leads its group; members join that subscribe to a missing topic, to an invalid topic name, and
 * with bytes that are not a subscription.
 * Invariants: the tracker keeps all partitions of its topic, and its consumer is not rebuilt; the others get nothing;
 * the invalid subscription is logged.
 */
Deno.test("a member with a missing topic or an invalid subscription does not affect the group", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 4 });
  using tracker = startTracker(site, "logs");
  await untilHeld(site, [4]);
  const subscriptions = [
    encodeSubscription(["no topic/has this name", "", `${site.topic}-missing`]),
    Buffer.from([0xff, 0xff, 0, 0, 0, 0]), // a negative version; other invalid bytes make the broker itself fail
  ];
  for (const subscription of subscriptions) {
    await using _member = await joinAsForeigner(site, { subscription });
    await untilHeld(site, [0, 4]);
    await sendTo(site, [0, 1, 2, 3], { count: 5 });
    await untilAllCommitted(site);
  }
  await untilHeld(site, [4]);
  await stopTracker(tracker);
  const logs = join(site.folder, "logs");
  await assertReadOnce(site, await journaledNames(site, [logs]));
  assert.deepEqual(logged(logs, /consumer failed|rebuilt/), []);
  assert.equal(logged(logs, /subscription is unreadable/).length, 1);
});

/**
 * Goal: deleting a topic while its tracker runs does not hold up the other topics of the group for long.
 * Method: one tracker on each of two topics, in one group; the one whose topic is deleted leads.
 * Invariants: the other one goes on, and reads new records.
 */
Deno.test("deleting the topic of one member does not keep the others from reading theirs", async () => {
  await using kept = await createSite({ broker: broker.address, partitions: 2 });
  await using deleted = await siteInGroupOf(kept, { partitions: 2 });
  using leader = startFaultTracker(deleted, { deadLetters: false });
  await untilHeld(deleted, [2]);
  using tracker = startFaultTracker(kept, { deadLetters: false });
  await untilHeld(kept, [2, 0]);
  const admin = kept.kafka.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [deleted.topic] });
  await admin.disconnect();
  using another = startFaultTracker(kept, { logs: join(kept.folder, "other"), deadLetters: false });
  await until("the others share their topic", async () => {
    const held = await partitionsHeld(kept);
    return [...held?.values() ?? []].filter(({ length }) => length === 1).length === 2;
  }, TEST_TIMEOUT_MS);
  await sendTo(kept, [0, 1], { count: 20 });
  await untilAllCommitted(kept);
  for (const each of [tracker, another]) await stopTracker(each);
  leader.signal("SIGKILL");
  await leader.exitCode;
  await assertReadOnce(kept, await journaledNames(kept, [kept.logs, join(kept.folder, "other")]));
});

/**
 * Goal: every member of a topic reports its unassigned partitions, which count in nobody's lag.
 * Method: another program leads the group and leaves out partition 1 of 3, which has records; a tracker joins. Then
 * the other program leaves, and the tracker leads.
 * Invariants: a warning names partition 1, while the tracker's lag covers its own partition only; once the tracker
 * has all partitions the log reports it, and all records are journaled.
 */
Deno.test("partitions that no member holds are reported as unassigned, and count in nobody's lag", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 3 });
  const logs = join(site.folder, "logs");
  await sendTo(site, [0, 1, 2], { count: 10 });
  const leader = await joinAsForeigner(site, { others: [0, 2] });
  using tracker = startTracker(site, "logs");
  await until(
    "it is reported",
    () => logged(logs, /unassigned/).length > 0,
    NOTICED_WITHIN_MS,
  );
  const [warning, ...others] = logged(logs, /unassigned/);
  assert.equal(warning?.level, "WARN");
  assert.deepEqual(warning?.metadata?.["partitions"], [1]);
  assert.deepEqual(others, []);
  await leader[Symbol.asyncDispose]();
  await untilAllCommitted(site);
  await until(
    "the log says that it is over",
    () => logged(logs, /topic are assigned again/).length > 0,
    NOTICED_WITHIN_MS,
  );
  await stopTracker(tracker);
  await assertReadOnce(site, await journaledNames(site, [logs]));
  const joins = logged(logs, /Joined the consumer group/).map(({ metadata }) =>
    metadata?.["partitions"]
  );
  assert.deepEqual(joins.at(-1), [0, 1, 2]);
});

/**
 * Goal: a tracker that cannot join a group reports what to do.
 * Method: a member that assigns partitions by kafkajs's own protocol, as earlier trackers did.
 * Invariants: exit code 1, soon; the error names the older version and `--group`; the group is unchanged.
 */
Deno.test("if members of the group use another protocol, the error says to stop them or to use another --group", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 2 });
  await using _old = await joinAsForeigner(site, { protocol: "kafkajs" });
  const { code, stderr } = await site.run("tracker", ["--quiet"]);
  assert.equal(code, 1, stderr);
  assert.match(
    stderr,
    /^error: .*group.*older version: stop all of them first, or use another --group$/m,
  );
  await untilHeld(site, [2]);
  assert.equal(readLog(site.logs).filter(({ level }) => level === "ERROR").length, 1);
});
