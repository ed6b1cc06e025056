import assert from "node:assert/strict";
import { RefusedError } from "../../lib/kafka/errors.ts";
import { JumpingClock } from "../jumping_clock.ts";
import { ERROR, ScriptedGroupCluster } from "./scripted/group_cluster.ts";
import type { ApiName } from "./scripted/group_script.ts";
import { type Member, soon, startMember } from "./scripted/member.ts";

const TOPIC = "orders";
const HANDLER_PATIENCE_MS = 1_000;
const SESSION_TIMEOUT_MS = 10_000;
const METADATA_VERSION_WITH_TOPIC_IDS = 12;

/** Creates a cluster whose topic has this many partitions, each with two batches of one record. */
function createCluster(partitionCount = 1): ScriptedGroupCluster {
  const cluster = new ScriptedGroupCluster({ topics: { [TOPIC]: partitionCount } });
  for (const partition of cluster.topic(TOPIC).partitions) {
    partition.append(["one"]);
    partition.append(["two"]);
  }
  return cluster;
}

async function isCommitted(member: Member, offset: number, partition = 0): Promise<void> {
  await soon(
    `offset ${offset} of partition ${partition} is committed`,
    () => member.committed(partition)?.offset === offset,
  );
}

async function hasJoined(member: Member, count: number): Promise<void> {
  await soon(`it has joined ${count} times`, () => member.noticesOf("joined").length === count);
}

async function isPlaced(member: Member): Promise<void> {
  await soon("it knows its start offsets", () => member.consumer.positions !== undefined);
}

/**
 * Delays the topic's description until the test calls the returned function; until then the member does not know its
 * start offsets.
 */
function delayPlacing({ script, requests }: ScriptedGroupCluster): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  script.metadata = async ({ version }) => {
    // An earlier request comes from the group's leader, to assign partitions.
    const isJoined = requests.syncGroup.length > 0;
    if (version === METADATA_VERSION_WITH_TOPIC_IDS && isJoined) await promise;
    return undefined;
  };
  return resolve;
}

Deno.test("GroupConsumer finishes and commits work in progress before it rejoins", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  const [one, two] = [await member.batch(), await member.batch()];
  const { heartbeat, joinGroup, offsetCommit } = cluster.requests;
  cluster.rebalance();
  const count = heartbeat.length;
  await clock.jumpUntil("the heartbeat was answered", () => heartbeat.length > count);
  one.finish(true);
  await isCommitted(member, 1);
  assert.equal(joinGroup.length, 1, "not while work is in progress");
  assert.equal(two.isCurrent(), true);
  two.finish(true);
  await hasJoined(member, 2);
  assert.equal(member.committed(0)?.offset, 2);
  assert.equal(offsetCommit.at(-1)?.generation, 1, "with its previous generation");
});

Deno.test("GroupConsumer retries a failed commit before it rejoins", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  const [one, two] = [await member.batch(), await member.batch()];
  one.finish(true);
  await isCommitted(member, 1);
  cluster.rebalance();
  cluster.script.offsetCommit = () => {
    cluster.script.offsetCommit = undefined;
    return { errorCode: ERROR.notCoordinator };
  };
  const committedAtJoin: (number | undefined)[] = [];
  cluster.script.joinGroup = () => {
    committedAtJoin.push(member.committed(0)?.offset);
    return undefined;
  };
  two.finish(true);
  await clock.jumpUntil("it has joined", () => member.noticesOf("joined").length === 2);
  assert.deepEqual(committedAtJoin, [2]);
});

Deno.test("GroupConsumer rejoins even if work does not end, and abandons that work", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster(2);
  await using member = await startMember(cluster);
  await soon("two batches each", () => member.batches.length === 4);
  const [lost] = member.batches.filter(({ partition }) => partition === 0);
  cluster.assignment = { [TOPIC]: [1] };
  cluster.rebalance();
  await clock.jumpUntil("it has joined", () => member.noticesOf("joined").length === 2);
  assert.deepEqual([lost?.isCurrent(), lost?.lost.aborted], [false, true]);
  await isPlaced(member);
  lost?.finish(true);
  await soon("it continues reading", () => member.batches.length === 6);
  for (const { finish } of member.batches.slice(4)) finish(true);
  await isCommitted(member, 2, 1);
  assert.equal(member.committed(0)?.offset, 0, "abandoned work is not committed");
  assert.deepEqual([...member.consumer.positions ?? []], [[1, 2]]);
});

Deno.test("GroupConsumer starts where its owner decides after each join, whatever was fetched before", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  let start = 1;
  await using member = await startMember(cluster, { startAt: () => new Map([[0, start]]) });
  const two = await member.batch();
  assert.deepEqual(two.values, ["two"]);
  assert.equal(member.committed(0)?.offset, 1, "the start offset that its owner chose");
  start = 0;
  cluster.rebalance();
  await clock.jumpUntil("it has joined", () => member.noticesOf("joined").length === 2);
  const again = [await member.batch(), await member.batch()];
  assert.deepEqual(again.map(({ values }) => values), [["one"], ["two"]]);
});

Deno.test("GroupConsumer hands over nothing that was fetched before it knew its start offsets", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  const place = delayPlacing(cluster);
  await using member = await startMember(cluster, { startAt: () => new Map([[0, 1]]) });
  const { fetch, heartbeat } = cluster.requests;
  await clock.jumpUntil("it has fetched, and heartbeats continue", () => {
    return fetch.length > 2 && heartbeat.length > 2;
  });
  assert.equal(member.batches.length, 0);
  assert.equal(member.consumer.positions, undefined);
  place();
  await clock.jumpUntil("a batch is handed over", () => member.batches.length > 0);
  assert.deepEqual(member.batches[0]?.values, ["two"]);
});

Deno.test("GroupConsumer resumes after a rejoin a partition that was paused for lack of capacity", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  cluster.topic(TOPIC).partition(0).append(["three"]);
  await using member = await startMember(cluster);
  await member.batch();
  await member.batch();
  clock.jump(HANDLER_PATIENCE_MS); // the partition is paused
  cluster.rebalance();
  await clock.jumpUntil("it has joined", () => member.noticesOf("joined").length === 2);
  assert.deepEqual((await member.batch()).values, ["one"]);
});

Deno.test("GroupConsumer keeps asking for start offsets until the cluster answers", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  let refusedCount = 0;
  cluster.script.listOffsets = () =>
    ++refusedCount > 2 ? undefined : { errorCode: ERROR.unknownTopic };
  await using member = await startMember(cluster);
  await clock.jumpUntil("a batch is handed over", () => member.batches.length > 0);
  assert.deepEqual(member.assignments[0]?.partitions, [{
    partition: 0,
    low: 0,
    high: 2,
    highWatermark: 2,
    committed: undefined,
  }]);
});

Deno.test("GroupConsumer rejoins if a join got no assignment, although its heartbeats are accepted", async () => {
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  (await member.batch()).finish(true);
  (await member.batch()).finish(true);
  await isCommitted(member, 2);
  let failures = 2;
  cluster.script.syncGroup = () =>
    failures-- > 0 ? { errorCode: ERROR.coordinatorNotAvailable } : undefined;
  cluster.rebalance();
  await hasJoined(member, 2);
  cluster.topic(TOPIC).partition(0).append(["three"]);
  (await member.batch()).finish(true);
  await isCommitted(member, 3);
});

Deno.test("GroupConsumer waits for an assignment longer than the timeout of other requests", async () => {
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  (await member.batch()).finish(true);
  (await member.batch()).finish(true);
  await isCommitted(member, 2);
  cluster.script.syncGroup = async () => {
    await new Promise((resolve) => setTimeout(resolve, 3_300));
    return undefined;
  };
  cluster.rebalance();
  await hasJoined(member, 2);
  assert.equal(cluster.requests.joinGroup.length, 2);
});

Deno.test("GroupConsumer joins as a new member when the group has forgotten it", async () => {
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  (await member.batch()).finish(true);
  (await member.batch()).finish(true);
  await isCommitted(member, 2);
  cluster.evict();
  await hasJoined(member, 2);
  const memberIds = member.noticesOf("joined").map(({ memberId }) => memberId);
  assert.equal(new Set(memberIds).size, 2);
  cluster.topic(TOPIC).partition(0).append(["three"]);
  const three = await member.batch();
  assert.deepEqual(three.values, ["three"]);
});

Deno.test("GroupConsumer continues from the first available offset, and never commits what kafkajs would", async () => {
  await using cluster = createCluster();
  const partition = cluster.topic(TOPIC).partition(0);
  await using member = await startMember(cluster);
  (await member.batch()).finish(true);
  (await member.batch()).finish(true);
  await isCommitted(member, 2);
  partition.deleteAllBelow(5);
  partition.append(["five"]);
  const batch = await member.batch();
  assert.equal(batch.records[0]?.offset, 5);
  assert.match(member.committed(0)?.metadata ?? "", /^note of/);
  assert.ok(
    cluster.requests.offsetCommit.every(({ offsets }) =>
      offsets.every(({ offset }) => offset >= 0)
    ),
    "kafkajs would commit -2",
  );
  batch.finish(true);
  await isCommitted(member, 6);
});

Deno.test("GroupConsumer leaves it to its owner to notice a gap before its start", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  const partition = cluster.topic(TOPIC).partition(0);
  partition.deleteAllBelow(5);
  partition.append(["five"]);
  cluster.committed.set(TOPIC, new Map([[0, { offset: 2, metadata: null }]]));
  const place = delayPlacing(cluster);
  await using member = await startMember(cluster, { startAt: () => new Map([[0, 5]]) });
  const { fetch, heartbeat } = cluster.requests;
  await clock.jumpUntil("it has fetched in vain", () => fetch.length > 0);
  const count = heartbeat.length;
  await clock.jumpUntil("heartbeats continue", () => heartbeat.length > count + 2);
  const offsets = fetch.map(({ partitions: [asked] }) => asked?.offset);
  assert.deepEqual(
    new Set(offsets),
    new Set([2]),
    "nothing is skipped before the start is decided",
  );
  place();
  await clock.jumpUntil("a batch is handed over", () => member.batches.length > 0);
  assert.deepEqual(member.batches[0]?.values, ["five"]);
});

Deno.test("GroupConsumer confirms that the topic is the same", async () => {
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  const batch = await member.batch();
  assert.equal(batch.topicId, cluster.topic(TOPIC).topicId);
  const { metadata } = cluster.requests;
  const count = metadata.length;
  assert.equal(await batch.confirmTopic(), true);
  assert.ok(metadata.length > count, "asked at that time");
  assert.deepEqual(member.noticesOf("topic-changed"), []);
});

Deno.test("GroupConsumer drops what it fetched from a topic that was recreated meanwhile, and starts with the new one", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  const topic = cluster.topic(TOPIC);
  const { topicId } = topic;
  await using member = await startMember(cluster);
  const [one, two] = [await member.batch(), await member.batch()];
  topic.recreate();
  topic.partition(0).append(["new"]);
  assert.equal(await one.confirmTopic(), false);
  assert.deepEqual([one.isCurrent(), two.isCurrent()], [false, false]);
  assert.equal(one.lost.aborted, true);
  assert.equal(await two.confirmTopic(), false);
  assert.deepEqual(member.noticesOf("topic-changed"), [
    { kind: "topic-changed", from: topicId, to: topic.topicId },
  ], "it is reported once");
  one.finish(true);
  two.finish(true);
  await clock.jumpUntil("the new topic is read", () => member.batches.length > 2);
  assert.deepEqual(member.batches[2]?.values, ["new"]);
  assert.equal(member.batches[2]?.topicId, topic.topicId);
  assert.equal(member.committed(0)?.offset, 0, "nothing of the old topic was committed");
});

Deno.test("GroupConsumer commits nothing more once it knows that the topic was recreated", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  const [one, two] = [await member.batch(), await member.batch()];
  const answered = Promise.withResolvers<void>();
  cluster.script.offsetCommit = () => answered.promise.then(() => undefined);
  one.finish(true);
  const { offsetCommit } = cluster.requests;
  const count = offsetCommit.length;
  await soon("it is being committed", () => offsetCommit.length > count);
  two.finish(true);
  await soon("the second is safe", () => member.consumer.positions?.get(0) === 2);
  cluster.topic(TOPIC).recreate();
  assert.equal(await two.confirmTopic(), false);
  answered.resolve();
  await clock.jumpUntil("it has rejoined", () => member.noticesOf("joined").length === 2);
  const sent = offsetCommit.flatMap(({ offsets }) => offsets.map(({ offset }) => offset));
  assert.deepEqual(sent.filter((offset) => offset > 0), [1]);
});

Deno.test("GroupConsumer reports when no broker answers, eventually rebuilds the consumer, and reports when they answer again", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  // Otherwise the missing coordinator alone is noticed before it is known that no broker answers.
  await using member = await startMember(cluster, { sessionTimeoutMs: SESSION_TIMEOUT_MS });
  const apis = Object.keys(cluster.requests) as readonly ApiName[];
  const hindrance = () => member.consumer.standing.hindrance?.kind;
  (await member.batch()).finish(true);
  (await member.batch()).finish(true);
  await isCommitted(member, 2);
  assert.equal(hindrance(), undefined);
  for (const api of apis) Object.assign(cluster.script, { [api]: () => "silence" });
  await clock.jumpUntil("it is reported", () => member.noticesOf("silent").length > 0);
  assert.equal(hindrance(), "unreachable");
  assert.deepEqual(member.noticesOf("rebuilding"), []);
  await clock.jumpUntil("the consumer is rebuilt", () => member.noticesOf("rebuilding").length > 0);
  assert.match(member.noticesOf("rebuilding")[0]?.reason ?? "", /has succeeded for \d+ s/);
  assert.equal(member.noticesOf("silent").length, 1, "it is reported once");
  for (const api of apis) cluster.script[api] = undefined;
  cluster.topic(TOPIC).partition(0).append(["three"]);
  await clock.jumpUntil("it continues", () => member.batches.length === 3);
  assert.deepEqual(member.batches[2]?.values, ["three"]);
  assert.equal(hindrance(), undefined);
  await clock.jumpUntil("it is reported", () => member.noticesOf("answers-again").length > 0);
  assert.equal(member.noticesOf("answers-again").length, 1);
});

Deno.test("GroupConsumer rebuilds a consumer that died, with increasing delays", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  const INVALID_REQUEST = 42;
  cluster.script.joinGroup = () => ({ errorCode: INVALID_REQUEST });
  await using member = await startMember(cluster);
  await clock.jumpUntil("it was rebuilt four times", () => {
    return member.noticesOf("rebuilding").length === 4;
  });
  assert.deepEqual(
    member.noticesOf("rebuilding").map(({ inMs }) => inMs),
    [500, 1_000, 2_000, 4_000],
  );
  cluster.script.joinGroup = undefined;
  await clock.jumpUntil("it continues", () => member.batches.length > 0);
});

for (
  const [reason, errorCode] of [
    ["GROUP_AUTHORIZATION_FAILED", ERROR.groupAuthorizationFailed],
    ["INCONSISTENT_GROUP_PROTOCOL", ERROR.inconsistentGroupProtocol],
  ] as const
) {
  Deno.test(`GroupConsumer ends with ${reason}, which retrying does not cure`, async () => {
    await using cluster = createCluster();
    cluster.script.joinGroup = () => ({ errorCode });
    await using member = await startMember(cluster);
    await assert.rejects(member.ended(), (error) => {
      assert.ok(error instanceof RefusedError);
      assert.equal(error.reason, reason);
      return true;
    });
    assert.deepEqual(member.noticesOf("rebuilding"), []);
  });
}

Deno.test("GroupConsumer ends if it is not permitted to ask for start offsets", async () => {
  await using cluster = createCluster();
  cluster.script.listOffsets = () => ({ errorCode: ERROR.topicAuthorizationFailed });
  await using member = await startMember(cluster);
  await assert.rejects(member.ended(), { reason: "TOPIC_AUTHORIZATION_FAILED" });
});

Deno.test("GroupConsumer.stop() finishes work in progress, commits it, and leaves the group", async () => {
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  const [one, two] = [await member.batch(), await member.batch()];
  cluster.topic(TOPIC).partition(0).append(["three"]);
  const stopping = member.consumer.stop();
  one.finish(true);
  await isCommitted(member, 1);
  assert.deepEqual(cluster.requests.leaveGroup, [], "not while work is in progress");
  two.finish(true);
  await stopping;
  await member.ended();
  assert.equal(member.committed(0)?.offset, 2);
  assert.equal(cluster.requests.leaveGroup.length, 1);
  assert.equal(member.batches.length, 2, "nothing new is handed over");
});

Deno.test("GroupConsumer.stop() does not wait forever for work that does not end", async () => {
  using clock = new JumpingClock();
  await using cluster = createCluster();
  await using member = await startMember(cluster);
  const one = await member.batch();
  let isStopped = false;
  member.consumer.stop().then(() => isStopped = true);
  await clock.jumpUntil("it has stopped", () => isStopped);
  await member.ended();
  assert.deepEqual([one.isCurrent(), one.lost.aborted], [false, true]);
  one.finish(true);
  assert.equal(member.committed(0)?.offset, 0);
});
