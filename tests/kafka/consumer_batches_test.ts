import assert from "node:assert/strict";
import { JumpingClock } from "../jumping_clock.ts";
import { ScriptedGroupCluster } from "./scripted/group_cluster.ts";
import { type HandedBatch, type Member, soon, startMember } from "./scripted/member.ts";
import { encodeBatch, encodeEndMarker } from "./scripted/record_batches.ts";
import type { ScriptedPartition } from "./scripted/topic.ts";

const TOPIC = "orders";
/** How long a handler waits for capacity, and an abandoned batch's partition is paused. */
const HANDLER_PATIENCE_MS = 1_000;
const REWIND_WAIT_MS = 500;
const PARTITIONS_AT_A_TIME = 16;

/** Creates a cluster whose topic has one partition with these batches, each of one record. */
function createCluster(...values: readonly string[]): {
  readonly cluster: ScriptedGroupCluster;
  readonly partition: ScriptedPartition;
} {
  const cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 } });
  const partition = cluster.topic(TOPIC).partition(0);
  for (const value of values) partition.append([value]);
  return { cluster, partition };
}

function firstOffsets(batches: readonly HandedBatch[]): readonly (number | undefined)[] {
  return batches.map(({ records }) => records[0]?.offset);
}

async function isCommitted(member: Member, offset: number): Promise<void> {
  await soon(`offset ${offset} is committed`, () => member.committed(0)?.offset === offset);
}

/** Moves the clock forward until the member has had enough chances to hand over what it can. */
async function untilMoreRequests(
  { requests: { fetch, heartbeat } }: ScriptedGroupCluster,
  clock: JumpingClock,
): Promise<void> {
  const count = fetch.length + heartbeat.length;
  // A member without a partition to fetch sends only heartbeats.
  await clock.jumpUntil("it sends requests", () => fetch.length + heartbeat.length > count + 2);
}

function withWrongBit(bytes: Uint8Array): Uint8Array {
  return bytes.with(-1, (bytes.at(-1) ?? 0) ^ 1);
}

Deno.test("GroupConsumer hands over the next batch while the previous one is in progress, and reports its outcome", async () => {
  using clock = new JumpingClock();
  const { cluster } = createCluster("one", "two");
  await using _cluster = cluster;
  await using member = await startMember(cluster);
  const [one, two] = [await member.batch(), await member.batch()];
  assert.deepEqual([one.values, two.values], [["one"], ["two"]]);
  assert.deepEqual([one.endOffset, two.endOffset], [1, 2]);
  assert.equal(await one.previous, true);
  let previous: boolean | undefined;
  two.previous.then((isSafe) => previous = isSafe);
  await untilMoreRequests(cluster, clock);
  assert.equal(previous, undefined, "its outcome is not known yet");
  one.finish(true);
  assert.equal(await two.previous, true);
  two.finish(true);
  await isCommitted(member, 2);
});

Deno.test("GroupConsumer continues from a batch that failed, whose successor is stale", async () => {
  using clock = new JumpingClock();
  const { cluster } = createCluster("one", "two", "three");
  await using _cluster = cluster;
  await using member = await startMember(cluster);
  (await member.batch()).finish(true);
  await isCommitted(member, 1);
  const [two, three] = [await member.batch(), await member.batch()];
  two.finish(false);
  assert.equal(await three.previous, false);
  assert.deepEqual([two.isCurrent(), three.isCurrent()], [false, false]);
  three.finish(true); // too late
  clock.jump(REWIND_WAIT_MS);
  const again = [await member.batch(), await member.batch()];
  assert.deepEqual(firstOffsets(again), [1, 2]);
  assert.equal(await again[0]?.previous, true);
  assert.equal(member.committed(0)?.offset, 1);
  for (const batch of again) batch.finish(true);
  await isCommitted(member, 3);
});

/**
 * Goal: nothing is handed over past a batch that failed.
 * Method: more partitions than are handled concurrently, all with two batches, so that the second batch of one
 * partition waits for its turn. Then the first batch of that partition fails, and the turn comes.
 * Invariant: the partition continues with its first batch.
 */
Deno.test("GroupConsumer hands over a failed batch again before any that was fetched after it", async () => {
  using clock = new JumpingClock();
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: PARTITIONS_AT_A_TIME + 1 } });
  for (const partition of cluster.topic(TOPIC).partitions) {
    partition.append(["one"]);
    partition.append(["two"]);
  }
  await using member = await startMember(cluster);
  await soon("all but one have two", () => member.batches.length === 2 * PARTITIONS_AT_A_TIME + 1);
  const counts = Map.groupBy(member.batches, ({ partition }) => partition);
  const [waiting] = [...counts].find(([, { length }]) => length === 1) ?? [-1];
  const ofWaiting = () => member.batches.filter(({ partition }) => partition === waiting);
  ofWaiting()[0]?.finish(false);
  for (const { partition, finish } of [...member.batches]) {
    if (partition !== waiting) finish(true);
  }
  await soon(
    "the others are committed",
    () =>
      cluster.topic(TOPIC).partitions.every((_, partition) =>
        partition === waiting || member.committed(partition)?.offset === 2
      ),
  );
  await untilMoreRequests(cluster, clock);
  clock.jump(REWIND_WAIT_MS);
  await soon("it has two more", () => ofWaiting().length === 3);
  assert.deepEqual(firstOffsets(ofWaiting()), [0, 0, 1]);
});

Deno.test("GroupConsumer has at most two batches of a partition in progress, and continues with the others", async () => {
  using clock = new JumpingClock();
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 2 } });
  const [slow, quick] = cluster.topic(TOPIC).partitions;
  for (const value of ["one", "two", "three"]) slow?.append([value]);
  await using member = await startMember(cluster);
  const one = await member.batch();
  await member.batch();
  clock.jump(HANDLER_PATIENCE_MS);
  for (const value of ["a", "b"]) {
    quick?.append([value]);
    const batch = await member.batch();
    assert.deepEqual(batch.values, [value]);
    batch.finish(true);
  }
  await untilMoreRequests(cluster, clock);
  assert.equal(member.batches.length, 4, "the third one waits");
  one.finish(true);
  assert.deepEqual((await member.batch()).values, ["three"]);
});

Deno.test("GroupConsumer sends heartbeats while a partition has no capacity", async () => {
  using clock = new JumpingClock();
  const { cluster } = createCluster("one", "two", "three");
  await using _cluster = cluster;
  await using member = await startMember(cluster);
  await member.batch();
  await member.batch();
  const { heartbeat } = cluster.requests;
  const count = heartbeat.length;
  await clock.jumpUntil("heartbeats go on", () => heartbeat.length > count + 2);
});

Deno.test("GroupConsumer hands over nothing of an unreadable batch, reports it once, and fetches it until it is readable", async () => {
  using clock = new JumpingClock();
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 2 } });
  const [damaged, other] = cluster.topic(TOPIC).partitions;
  for (const value of ["one", "two", "three"]) damaged?.append([value]);
  const right = damaged?.read(1) ?? new Uint8Array();
  damaged?.replace(1, withWrongBit);
  await using member = await startMember(cluster);
  (await member.batch()).finish(true);
  clock.freeze();
  await soon("it is reported", () => member.noticesOf("unreadable").length === 1);
  const [{ partition, offset, reason } = { reason: "" }] = member.noticesOf("unreadable");
  assert.deepEqual([partition, offset], [0, 1]);
  assert.match(reason, /has checksum \d+: expected \d+/);
  other?.append(["another"]);
  assert.deepEqual((await member.batch()).values, ["another"]);
  const fetchCount = fetchesOf(cluster, 0, 1);
  assert.ok(fetchCount <= 2, `it pauses: ${fetchCount} fetches`);
  await clock.jumpUntil(
    "it is fetched again and again",
    () => fetchesOf(cluster, 0, 1) >= fetchCount + 3,
  );
  assert.equal(member.noticesOf("unreadable").length, 1);
  assert.equal(member.committed(0)?.offset, 1);
  damaged?.replace(1, () => right);
  await clock.jumpUntil("it is readable", () => member.batches.length === 4);
  const [two, three] = [await member.batch(), await member.batch()];
  assert.deepEqual([two.values, three.values], [["two"], ["three"]]);
});

function fetchesOf(
  { requests }: ScriptedGroupCluster,
  partition: number,
  offset: number,
): number {
  return requests.fetch.filter(({ partitions }) =>
    partitions.some((asked) => asked.partition === partition && asked.offset === offset)
  ).length;
}

Deno.test("GroupConsumer lets a batch become safe although its successor is unreadable", async () => {
  using clock = new JumpingClock();
  const { cluster, partition } = createCluster("one", "two");
  await using _cluster = cluster;
  partition.replace(1, withWrongBit);
  await using member = await startMember(cluster);
  const one = await member.batch();
  await soon("it is reported", () => member.noticesOf("unreadable").length === 1);
  clock.jump(REWIND_WAIT_MS);
  await untilMoreRequests(cluster, clock);
  assert.equal(one.isCurrent(), true);
  assert.equal(member.batches.length, 1, "it is not handed over again");
  one.finish(true);
  await isCommitted(member, 1);
});

Deno.test("GroupConsumer refuses a fetch response with less than one complete batch", async () => {
  const { cluster, partition } = createCluster("one");
  await using _cluster = cluster;
  partition.replace(0, (bytes) => bytes.subarray(0, -1));
  await using member = await startMember(cluster);
  await soon("it is reported", () => member.noticesOf("unreadable").length === 1);
  assert.equal(member.batches.length, 0);
});

Deno.test("GroupConsumer skips transaction markers and aborted records, and commits past them", async () => {
  const { cluster, partition } = createCluster();
  await using _cluster = cluster;
  const producerId = 7n;
  partition.appendBytes(
    encodeBatch(["aborted"], { producerId, isTransactional: true, baseOffset: 0 }),
    1,
  );
  partition.appendBytes(encodeEndMarker({ producerId, isCommit: false, baseOffset: 1 }), 2);
  partition.append(["committed"]);
  partition.abortedTransactions = [{ producerId, firstOffset: 0 }];
  await using member = await startMember(cluster);
  for (const [index, values] of [[], [], ["committed"]].entries()) {
    const batch = await member.batch();
    assert.deepEqual([batch.values, batch.endOffset], [values, index + 1]);
    batch.finish(true);
    await isCommitted(member, index + 1);
  }
});

Deno.test("GroupConsumer hands over no record below its start offset, even within a batch", async () => {
  const { cluster, partition } = createCluster();
  await using _cluster = cluster;
  partition.append(["one", "two", "three"]);
  await using member = await startMember(cluster, { startAt: () => new Map([[0, 1]]) });
  const batch = await member.batch();
  assert.deepEqual(batch.values, ["two", "three"]);
  assert.deepEqual(batch.records.map(({ offset }) => offset), [1, 2]);
  assert.equal(batch.highWatermark, 3);
});
