import assert from "node:assert/strict";
import consumerGroupModule from "kafkajs/src/consumer/consumerGroup.js";
import {
  beforeJoining,
  hookGroupMembers,
  requestRejoin,
} from "../../lib/kafka/kafkajs/group_member.ts";

interface ConsumerGroup {
  joinAndSync(): Promise<void>;
  heartbeat(options: { readonly interval: number }): Promise<void>;
}

const { prototype } = consumerGroupModule as { prototype: ConsumerGroup };
hookGroupMembers();

/** Creates a consumer's group membership whose joins the test completes. */
function createGroup() {
  const joins: PromiseWithResolvers<void>[] = [];
  const cluster = {};
  beforeJoining(cluster, () => Promise.resolve());
  const retrier = () => {
    const join = Promise.withResolvers<void>();
    joins.push(join);
    return join.promise;
  };
  const group: ConsumerGroup = Object.assign(Object.create(prototype), { cluster, retrier });
  return { group, cluster, joins };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
}

Deno.test("joins of one consumer that begin while another is in progress share it", async () => {
  const { group, joins } = createGroup();
  const [first, second] = [group.joinAndSync(), group.joinAndSync()];
  await turn();
  const third = group.joinAndSync();
  assert.equal(joins.length, 1);
  joins[0]?.resolve();
  await Promise.all([first, second, third]);
  const next = group.joinAndSync();
  await turn();
  assert.equal(joins.length, 2, "the next join is a new one");
  joins[1]?.reject(new Error("refused"));
  await assert.rejects(next, /refused/);
});

Deno.test("a requested rejoin is signaled once at the next heartbeat, unless the consumer has joined meanwhile", async () => {
  const { group, cluster, joins } = createGroup();
  let heartbeats = 0;
  const [shared] = Object.getOwnPropertySymbols(
    new (consumerGroupModule as new (
      options: object,
    ) => object)({ logger: { namespace: () => ({}) } }),
  )
    .filter(({ description }) => description?.endsWith("sharedHeartbeat"));
  if (shared === undefined) throw new TypeError("expected kafkajs's own heartbeat");
  Object.assign(group, { [shared]: () => Promise.resolve(heartbeats++) });
  const beat = () => group.heartbeat({ interval: 1 });
  requestRejoin(cluster);
  await assert.rejects(beat, { type: "REBALANCE_IN_PROGRESS" });
  await beat();
  assert.equal(heartbeats, 1);
  requestRejoin(cluster);
  const join = group.joinAndSync();
  await turn();
  joins[0]?.resolve();
  await join;
  await beat();
  assert.equal(heartbeats, 2);
});

Deno.test("a group of another kafkajs user joins as kafkajs does, even several times at once", async () => {
  const { group, joins } = createGroup();
  Object.assign(group, { cluster: {} });
  const both = [group.joinAndSync(), group.joinAndSync()];
  await turn();
  assert.equal(joins.length, 2);
  for (const join of joins) join.resolve();
  await Promise.all(both);
});
