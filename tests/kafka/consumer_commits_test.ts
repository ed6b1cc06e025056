import assert from "node:assert/strict";
import consumerGroupModule from "kafkajs/src/consumer/consumerGroup.js";
import { JumpingClock } from "../jumping_clock.ts";
import { ERROR, ScriptedGroupCluster } from "./scripted/group_cluster.ts";
import { type Member, soon, startMember } from "./scripted/member.ts";

const TOPIC = "orders";
const COMMIT_RETRY_WAIT_MS = 500;

interface ClientGroup {
  commitOffsets(offsets: unknown): Promise<void>;
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

/** Creates a cluster whose topic has this many partitions, each with one batch of one record. */
function createCluster(partitionCount = 1): ScriptedGroupCluster {
  const cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: partitionCount } });
  for (const partition of cluster.topic(TOPIC).partitions) partition.append(["one"]);
  return cluster;
}

/** Returns the offsets sent in commits, other than the start offsets. */
function sentOffsets(cluster: ScriptedGroupCluster): readonly number[] {
  return cluster.requests.offsetCommit.flatMap(({ offsets }) => offsets)
    .map(({ offset }) => offset).filter((offset) => offset > 0);
}

async function isCommitted(member: Member, offset: number, partition = 0): Promise<void> {
  await soon(
    `offset ${offset} of partition ${partition} is committed`,
    () => member.committed(partition)?.offset === offset,
  );
}

Deno.test("GroupConsumer commits only batches that became safe, with its owner's note", async () => {
  await using cluster = createCluster(2);
  await using member = await startMember(cluster);
  const [one, two] = [await member.batch(), await member.batch()];
  one.finish(true);
  await isCommitted(member, 1, one.partition);
  assert.equal(
    member.committed(one.partition)?.metadata,
    `note of ${cluster.topic(TOPIC).topicId}`,
  );
  assert.equal(member.committed(two.partition)?.offset, 0);
  assert.deepEqual(sentOffsets(cluster), [1]);
});

Deno.test("GroupConsumer does not trust a commit that the client never sent", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  const batch = await member.batch();
  let unsentCount = 0;
  using _commits = aroundCommits(async (commit) => {
    if (++unsentCount > 2) await commit();
  });
  batch.finish(true);
  await soon("it is reported", () => member.noticesOf("commit-failed").length > 0);
  assert.match(
    member.noticesOf("commit-failed")[0]?.reason ?? "",
    /the client did not send the commit/,
  );
  assert.equal(member.committed(0)?.offset, 0);
  await clock.jumpUntil("it is committed", () => member.committed(0)?.offset === 1);
  assert.equal(member.noticesOf("commit-failed").length, 1, "it is reported once");
});

Deno.test("GroupConsumer does not mistake an earlier commit's response for that of a later one", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  await using member = await startMember(cluster, { startAt: () => new Map([[0, 0]]) });
  (await member.batch()).finish(true);
  await isCommitted(member, 1);
  cluster.rebalance();
  await soon("it has rejoined", () => member.noticesOf("joined").length === 2);
  const again = await member.batch();
  assert.equal(again.records[0]?.offset, 0);
  let unsentCount = 0;
  using _commits = aroundCommits(async (commit) => {
    if (++unsentCount > 1) await commit();
  });
  again.finish(true);
  await clock.jumpUntil("offset 1 is sent again", () => sentOffsets(cluster).length === 2);
});

Deno.test("GroupConsumer considers nothing committed if the coordinator refused because it had removed the member", async () => {
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  const batch = await member.batch();
  assert.ok(member.consumer.isCommitted);
  cluster.script.offsetCommit = () => ({ errorCode: ERROR.unknownMember });
  batch.finish(true);
  await soon("the commit is refused", () => sentOffsets(cluster).length === 1);
  await soon("its response has arrived", () => member.consumer.positions?.get(0) === 1);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve));
  assert.equal(member.consumer.isCommitted, false);
  delete cluster.script.offsetCommit;
  cluster.rebalance();
  await soon("it has rejoined", () => member.noticesOf("joined").length === 2);
  (await member.batch()).finish(true);
  await isCommitted(member, 1);
  await soon("everything is committed", () => member.consumer.isCommitted);
});

Deno.test("GroupConsumer commits the start offset of a partition before it hands over records", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  const answered = Promise.withResolvers<void>();
  cluster.script.offsetCommit = () => answered.promise.then(() => undefined);
  await using member = await startMember(cluster);
  const { requests } = cluster;
  await soon("the start is being committed", () => requests.offsetCommit.length === 1);
  assert.deepEqual(
    requests.offsetCommit[0]?.offsets.map(({ partition, offset }) => [partition, offset]),
    [[0, 0]],
  );
  const fetchCount = requests.fetch.length;
  await clock.jumpUntil("they are fetched again", () => requests.fetch.length > fetchCount + 2);
  assert.equal(member.batches.length, 0);
  answered.resolve();
  await member.batch();
});

Deno.test("GroupConsumer retries a refused commit of a start offset before any record", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  const { offsetCommit } = cluster.requests;
  let handedOver = 0;
  cluster.script.offsetCommit = () => {
    handedOver = Math.max(handedOver, member.batches.length);
    return offsetCommit.length > 2 ? undefined : { errorCode: ERROR.requestTimedOut };
  };
  await using member = await startMember(cluster);
  await clock.jumpUntil("a batch is handed over", () => member.batches.length === 1);
  assert.equal(member.committed(0)?.offset, 0);
  assert.deepEqual([offsetCommit.length, handedOver], [3, 0]);
});

Deno.test("GroupConsumer does not overwrite a commit that the group already has", async () => {
  await using cluster = createCluster();
  cluster.topic(TOPIC).partition(0).append(["two"]);
  cluster.committed.set(TOPIC, new Map([[0, { offset: 1, metadata: "an earlier member's" }]]));
  await using member = await startMember(cluster);
  const batch = await member.batch();
  assert.deepEqual(batch.values, ["two"]);
  assert.deepEqual(member.committed(0), { offset: 1, metadata: "an earlier member's" });
  assert.deepEqual(cluster.requests.offsetCommit, []);
});

Deno.test("GroupConsumer retries a commit that was refused while the coordinator was briefly unavailable", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  const batch = await member.batch();
  let refusedCount = 0;
  cluster.script.offsetCommit = () =>
    ++refusedCount > 2 ? undefined : { errorCode: ERROR.notCoordinator };
  batch.finish(true);
  await clock.jumpUntil("it is committed", () => member.committed(0)?.offset === 1);
  assert.equal(refusedCount, 3);
  assert.equal(member.noticesOf("commit-failed").length, 1, "it is reported once");
});

Deno.test("GroupConsumer commits to a coordinator that has moved to another node", async () => {
  using clock = new JumpingClock();
  await using cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: 1 }, nodeCount: 2 });
  cluster.topic(TOPIC).partition(0).append(["one"]);
  const refuse = ({ nodeId }: { readonly nodeId: number }) =>
    nodeId === cluster.coordinator ? undefined : { errorCode: ERROR.notCoordinator };
  Object.assign(cluster.script, { offsetCommit: refuse, heartbeat: refuse, joinGroup: refuse });
  await using member = await startMember(cluster);
  const batch = await member.batch();
  cluster.coordinator = 2;
  batch.finish(true);
  await clock.jumpUntil("it has joined there", () => member.noticesOf("joined").length === 2);
  (await member.batch()).finish(true);
  await isCommitted(member, 1);
});

for (const reason of ["rebalanceInProgress", "illegalGeneration", "unknownMember"] as const) {
  Deno.test(`GroupConsumer leaves a commit refused with ${reason} to the partition's next owner`, async () => {
    using clock = new JumpingClock();
    await using cluster = createCluster();
    await using member = await startMember(cluster);
    const one = await member.batch();
    cluster.script.offsetCommit = () => ({ errorCode: ERROR[reason] });
    one.finish(true);
    await soon("it was refused", () => sentOffsets(cluster).length === 1);
    for (let wait = 0; wait < 3; wait++) {
      clock.jump(COMMIT_RETRY_WAIT_MS);
      const fetchCount = cluster.requests.fetch.length;
      await soon("fetches go on", () => cluster.requests.fetch.length > fetchCount);
    }
    assert.deepEqual(sentOffsets(cluster), [1], "it is not sent again");
    assert.deepEqual(member.noticesOf("commit-failed"), []);
    cluster.script.offsetCommit = undefined;
    cluster.topic(TOPIC).partition(0).append(["two"]);
    (await member.batch()).finish(true);
    await isCommitted(member, 2);
  });
}

Deno.test("GroupConsumer never commits an offset below one that became safe while a commit failed", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  cluster.topic(TOPIC).partition(0).append(["two"]);
  await using member = await startMember(cluster);
  const [one, two] = [await member.batch(), await member.batch()];
  const answered = Promise.withResolvers<void>();
  cluster.script.offsetCommit = async () => {
    await answered.promise;
    cluster.script.offsetCommit = undefined;
    return { errorCode: ERROR.requestTimedOut };
  };
  one.finish(true);
  await soon("the first is being committed", () => sentOffsets(cluster).length === 1);
  two.finish(true);
  await soon("the second is safe", () => member.consumer.positions?.get(0) === 2);
  assert.deepEqual(sentOffsets(cluster), [1], "one commit is in progress at a time");
  answered.resolve();
  await clock.jumpUntil("it is committed", () => member.committed(0)?.offset === 2);
  assert.deepEqual(sentOffsets(cluster), [1, 2]);
});

/**
 * Goal: every safe offset gets committed.
 * Method: the batch of one partition becomes safe a number of event-loop turns after the commit of the other's, for
 * each number of turns in which the commit loop may be ending.
 * Invariant: both are committed each time.
 */
Deno.test("GroupConsumer commits a batch that becomes safe just as a commit ends", async () => {
  await using cluster = createCluster(2);
  await using member = await startMember(cluster);
  for (let wait = 0; wait < 12; wait++) {
    const both = [await member.batch(), await member.batch()];
    const [one, two] = both.toSorted((a, b) => a.partition - b.partition);
    const commit = Promise.withResolvers<void>();
    using _commits = aroundCommits(async (make) => {
      await make();
      commit.resolve();
    });
    one?.finish(true);
    await commit.promise;
    await turns(wait);
    two?.finish(true);
    for (const partition of [0, 1]) await isCommitted(member, wait + 1, partition);
    for (const partition of cluster.topic(TOPIC).partitions) partition.append(["next"]);
  }
});

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}
