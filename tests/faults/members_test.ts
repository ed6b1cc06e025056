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
  say,
  scaled,
  seededChoices,
  startFaultTracker,
  stopTracker,
  TEST_TIMEOUT_MS,
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
/** The number of lines that all members together journal between two changes. */
const LINES_BETWEEN_CHANGES = { min: 200, max: 1_600 } as const;
/** Long enough that no member loses its partitions on a busy machine. */
const CALM_SESSION_MS = 20_000;

interface Member {
  readonly logs: string;
  program: (Program & Disposable) | undefined;
  deathCount: number;
}

/** Starts and stops members of the group in turn while records flow; returns them after all have ended. */
async function runMembers(
  site: Site,
  { random, deathShare, sessionTimeoutMs }: {
    random: Random;
    /** The proportion of ends by SIGKILL, from 0 to 1. */
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
      await until(
        "more lines are journaled",
        () => hasEnded || journaled() >= linesMin,
        TEST_TIMEOUT_MS,
      );
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

/**
 * Asserts that no record is missing or changed in the union of the journals, and none is repeated within a journal.
 */
async function assertUnionIsTopic(site: Site, members: readonly Member[]): Promise<Union> {
  const topic = await readTopic(site);
  const holders = new Map<string, Member[]>();
  const union = new Map<string, SeenRecord>();
  for (const member of members) {
    const records = journaledRecords(await readJournal(member.logs));
    assert.deepEqual(difference(records, records).duplicated, [], `repeated in ${member.logs}`);
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
 * Goal: members that start and stop in order share the work without gaps or repeats.
 * Method: three trackers of one group, each with its own folder, start and stop (SIGTERM) in random order while
 * records flow.
 * Invariants: the union of the journals is the topic, and each record is in one journal only; everything is
 * committed.
 */
Deno.test("while three members start and stop, each record is journaled by exactly one", async () => {
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
 * Goal: work in progress on a partition that moves to another member is abandoned, not finished.
 * Method: a member waits with two batches of each of two partitions in progress, because the dead-letter topic
 * refuses; a second member joins and gets one of the partitions; then dead letters are accepted.
 * Invariants: the first member's journal gets no more lines of the moved partition; the union is the topic.
 */
Deno.test("a batch in progress is abandoned when its partition moves to another member", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 2 });
  await createDeadLetterTopic(site, 100);
  await sendBatchesWithBadOnes(site);
  const [first, second] = ["first", "second"].map((name) => join(site.folder, name));
  if (first === undefined || second === undefined) throw new RangeError("expected two folders");
  using owner = startFaultTracker(site, { logs: first, sessionTimeoutMs: CALM_SESSION_MS });
  await until("both partitions wait", () => countJournalLines(first) > 0, TEST_TIMEOUT_MS);
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

/** Sends records that are not orders; each partition gets enough for several fetches. */
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

async function partitionOf(logs: string): Promise<number> {
  let partitions: unknown;
  await until("the member has joined with one partition", () => {
    partitions = logged(logs, /Joined the consumer group/).at(-1)?.metadata?.["partitions"];
    return Array.isArray(partitions) && partitions.length === 1;
  }, TEST_TIMEOUT_MS);
  return Array.isArray(partitions) ? Number(partitions[0]) : -1;
}

function offsetsHeld(
  lines: Awaited<ReturnType<typeof readJournal>>,
  partition: number,
): readonly number[] {
  return lines.filter((line) => line.kafka_partition === partition)
    .map(({ kafka_offset }) => kafka_offset);
}
