import assert from "node:assert/strict";
import { join } from "node:path";
import type { Program } from "../../dev/programs.ts";
import type { Random } from "../../lib/shop/random.ts";
import { liveBroker } from "../live_broker.ts";
import {
  countJournalLines,
  createSite,
  journaledRecords,
  readJournal,
  readTopic,
  type SeenRecord,
  type Site,
  until,
} from "../site.ts";
import {
  assertAllCommitted,
  between,
  createDeadLetterTopic,
  difference,
  limitDeadLetters,
  logged,
  PATIENCE_MS,
  say,
  scaled,
  seededChoices,
  startFaultTracker,
  stopTracker,
  untilAllCommitted,
  withDeadline,
} from "./fault_site.ts";
import { sendFullRecords } from "./full_records.ts";

const broker = await liveBroker();

const MEMBER_COUNT = 3;
const PARTITION_COUNT = 6;
const RECORD_COUNT = scaled({ long: 100_000, short: 12_000 });
const FULL_RECORD_COUNT = 120;
const RATE = scaled({ long: 2_000, short: 1_500 });
/** So many lines are journaled, by all together, between one change and the next. */
const LINES_BETWEEN_CHANGES = { min: 200, max: 1_600 } as const;
/** Long enough that no member loses its partitions because the machine is busy. */
const CALM_SESSION_MS = 20_000;

interface Member {
  readonly logs: string;
  program: (Program & Disposable) | undefined;
  deathCount: number;
}

/** Lets members of the group come and go, in turns, while records flow; returns them, all ended. */
async function runMembers(
  site: Site,
  { random, deathShare, sessionTimeoutMs }: {
    random: Random;
    /** How many of the ends are by SIGKILL: 0 to 1. */
    deathShare: number;
    sessionTimeoutMs?: number;
  },
): Promise<readonly Member[]> {
  const members: Member[] = Array.from({ length: MEMBER_COUNT }, (_, index) => ({
    logs: join(site.folder, `logs-${index}`),
    program: undefined,
    deathCount: 0,
  }));
  const start = (member: Member) => {
    member.program = startFaultTracker(site, {
      logs: member.logs,
      ...(sessionTimeoutMs !== undefined && { sessionTimeoutMs }),
    });
  };
  const journaled = () => members.reduce((sum, { logs }) => sum + countJournalLines(logs), 0);
  const fullCount = await sendFullRecords(site, { count: FULL_RECORD_COUNT });
  const producer = await site.start("producer", [
    "--rate",
    String(RATE),
    "--count",
    String(RECORD_COUNT - fullCount),
    "--key",
    "none",
    "--bad",
    "1",
    "--json",
  ]);
  let hasEnded = false;
  const produced = producer.exitCode.finally(() => hasEnded = true);
  try {
    members.forEach(start);
    let changes = 0;
    while (!hasEnded) {
      const linesMin = journaled() + between(random, LINES_BETWEEN_CHANGES);
      await until("more is journaled", () => hasEnded || journaled() >= linesMin, PATIENCE_MS);
      const member = members[between(random, { min: 0, max: MEMBER_COUNT })];
      if (hasEnded || member === undefined) break;
      changes++;
      if (member.program === undefined) start(member);
      else if (random.unit() < deathShare) {
        member.program.signal("SIGKILL");
        await member.program.exitCode;
        member.program = undefined;
        member.deathCount++;
      } else {
        await stopTracker(member.program);
        member.program = undefined;
      }
      if (members.every(({ program }) => program === undefined)) start(members[0] ?? member);
    }
    assert.equal(await withDeadline(produced, () => producer.output.stderr), 0);
    await untilAllCommitted(site);
    for (const { program } of members) if (program !== undefined) await stopTracker(program);
    say(`${changes} changes, ${members.reduce((sum, it) => sum + it.deathCount, 0)} deaths`);
    return members;
  } finally {
    for (const { program } of members) program?.signal("SIGKILL");
    await Promise.all(members.map(({ program }) => program?.exitCode));
  }
}

interface Union {
  readonly topic: readonly SeenRecord[];
  /** The members that hold a record, by `partition/offset`. */
  readonly holders: ReadonlyMap<string, readonly Member[]>;
}

/** Nothing missing and nothing changed in the union; in one journal no record twice. */
async function assertUnionIsTopic(site: Site, members: readonly Member[]): Promise<Union> {
  const topic = await readTopic(site);
  const holders = new Map<string, Member[]>();
  const union = new Map<string, SeenRecord>();
  for (const member of members) {
    const records = journaledRecords(await readJournal(member.logs));
    assert.deepEqual(difference(records, records).duplicated, [], `twice in ${member.logs}`);
    for (const record of records) {
      const name = `${record.partition}/${record.offset}`;
      holders.set(name, [...holders.get(name) ?? [], member]);
      union.set(name, record);
    }
  }
  const { missing, changed, foreign } = difference(topic, [...union.values()]);
  assert.deepEqual({ missing, changed, foreign }, { missing: [], changed: [], foreign: [] });
  await assertAllCommitted(site);
  return { topic, holders };
}

/**
 * Goal: members that come and go in order share the work without a gap and without a repeat.
 * Method: three trackers of one group, each with its own folder, start and stop (SIGTERM) in random order
 * while records flow.
 * Invariants: the union of the journals is the topic, each record in one journal only; all is committed.
 */
Deno.test("three members that come and go while records flow: each record in one journal only", async () => {
  await using site = await createSite({ broker: broker.address, partitions: PARTITION_COUNT });
  const random = seededChoices();
  const members = await runMembers(site, {
    random,
    deathShare: 0,
    sessionTimeoutMs: CALM_SESSION_MS,
  });
  const { topic, holders } = await assertUnionIsTopic(site, members);
  assert.equal(topic.length, RECORD_COUNT);
  const shared = [...holders].filter(([, each]) => each.length > 1).map(([name]) => name);
  assert.deepEqual(shared.slice(0, 5), [], `${shared.length} records in more than one journal`);
});

/**
 * Goal: work on a partition that was begun before it moved to another member is abandoned, not finished.
 * Method: a member waits with two batches of each of two partitions in hand, because the dead-letter topic
 * refuses; a second member joins and gets one of the partitions; then dead letters are taken.
 * Invariants: the first member's journal has no more of the partition that moved than when it moved; the
 * union is the topic.
 */
Deno.test("a batch in hand when its partition moves to another member is abandoned", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 2 });
  await createDeadLetterTopic(site, 100);
  await sendBatchesWithBadOnes(site);
  const [first, second] = ["first", "second"].map((name) => join(site.folder, name));
  if (first === undefined || second === undefined) throw new RangeError("expected two folders");
  using owner = startFaultTracker(site, { logs: first, sessionTimeoutMs: CALM_SESSION_MS });
  await until("both partitions wait", () => countJournalLines(first) > 0, PATIENCE_MS);
  using newcomer = startFaultTracker(site, { logs: second, sessionTimeoutMs: CALM_SESSION_MS });
  const moved = await partitionOf(second);
  const heldBefore = offsetsHeld(await readJournal(first), moved);
  await limitDeadLetters(site, 1_000_000);
  await untilAllCommitted(site);
  await stopTracker(owner);
  await stopTracker(newcomer);
  assert.deepEqual(offsetsHeld(await readJournal(first), moved), heldBefore);
  const members = [first, second].map((logs) => ({ logs, program: undefined, deathCount: 0 }));
  await assertUnionIsTopic(site, members);
});

/** None is an order, and each partition has several fetches' worth. */
async function sendBatchesWithBadOnes(site: Site): Promise<void> {
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const padding = "x".repeat(2_000);
  for (let batch = 0; batch < 12; batch++) {
    for (const partition of [0, 1]) {
      const bad = Array.from({ length: 300 }, () => ({ partition, value: padding }));
      await producer.send({ topic: site.topic, messages: bad });
    }
  }
  await producer.disconnect();
}

/** The one partition that the group gave to this member. */
async function partitionOf(logs: string): Promise<number> {
  let partitions: unknown;
  await until("it has joined with one partition", () => {
    partitions = logged(logs, /Joined the consumer group/).at(-1)?.metadata?.["partitions"];
    return Array.isArray(partitions) && partitions.length === 1;
  }, PATIENCE_MS);
  return Array.isArray(partitions) ? Number(partitions[0]) : -1;
}

function offsetsHeld(
  lines: Awaited<ReturnType<typeof readJournal>>,
  partition: number,
): readonly number[] {
  return lines.filter((line) => line.kafka_partition === partition)
    .map(({ kafka_offset }) => kafka_offset);
}
