import assert from "node:assert/strict";
import { join } from "node:path";
import { assignRoundRobin, type SubscribedMember } from "../../../lib/kafka/consumer/assigner.ts";
import { Random } from "../../../lib/shop/random.ts";

const FIXTURE = join(
  import.meta.dirname ?? ".",
  "../../fixtures/groups/round_robin_assignor.json",
);

type Assignment = Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;

interface Case {
  readonly members: readonly SubscribedMember[];
  readonly partitionCounts: Readonly<Record<string, number>>;
  readonly assignment: Assignment;
}

function assign({ members, partitionCounts }: Omit<Case, "assignment">): Assignment {
  const assignment = assignRoundRobin(members, new Map(Object.entries(partitionCounts)));
  return Object.fromEntries(
    [...assignment].map(([memberId, topics]) => [memberId, Object.fromEntries(topics)]),
  );
}

function member(memberId: string, topics: string, groupInstanceId?: string): SubscribedMember {
  return { memberId, topics: topics.split(" ").filter((topic) => topic !== ""), groupInstanceId };
}

Deno.test("partitions are assigned as by Java's RoundRobinAssignor for the same groups", () => {
  const cases: readonly Case[] = JSON.parse(Deno.readTextFileSync(FIXTURE));
  assert.ok(cases.length > 10);
  for (const each of cases) assert.deepEqual(assign(each), each.assignment, JSON.stringify(each));
});

Deno.test("members with the same subscription share all topics, as documented for RoundRobinAssignor", () => {
  assert.deepEqual(
    assign({
      members: [member("C0", "t0 t1"), member("C1", "t0 t1")],
      partitionCounts: { t0: 3, t1: 3 },
    }),
    { C0: { t0: [0, 2], t1: [1] }, C1: { t0: [1], t1: [0, 2] } },
  );
});

Deno.test("members with different subscriptions get only their own topics, as documented for RoundRobinAssignor", () => {
  assert.deepEqual(
    assign({
      members: [member("C0", "t0"), member("C1", "t0 t1"), member("C2", "t0 t1 t2")],
      partitionCounts: { t0: 1, t1: 2, t2: 3 },
    }),
    { C0: { t0: [0] }, C1: { t1: [0] }, C2: { t1: [1], t2: [0, 1, 2] } },
  );
});

Deno.test("static members come first, by instance id, as documented for RoundRobinAssignor", () => {
  const assigned = (ids: readonly string[]) =>
    assign({
      members: ids.map((id, index) => member(id, "t", `I${index}`)),
      partitionCounts: { t: 4 },
    });
  assert.deepEqual(assigned(["C3", "C2", "C1"]), {
    C3: { t: [0, 3] },
    C2: { t: [1] },
    C1: { t: [2] },
  });
  assert.deepEqual(
    assign({
      members: [member("a", "t"), member("z", "t", "instance"), member("b", "t")],
      partitionCounts: { t: 3 },
    }),
    { z: { t: [0] }, a: { t: [1] }, b: { t: [2] } },
  );
});

Deno.test("a missing topic has no partitions, and a member without topics gets an empty assignment", () => {
  assert.deepEqual(
    assign({ members: [member("a", "gone t"), member("b", "")], partitionCounts: { t: 2 } }),
    { a: { t: [0, 1] }, b: {} },
  );
  assert.deepEqual(assign({ members: [member("a", "gone")], partitionCounts: {} }), { a: {} });
  assert.deepEqual(assign({ members: [], partitionCounts: { t: 2 } }), {});
});

/**
 * Models the assignment with a queue of members: a member that gets a partition, or cannot take it, goes to the end.
 */
function model(
  members: readonly SubscribedMember[],
  partitionCounts: Readonly<Record<string, number>>,
): Map<string, string> {
  const rank = ({ memberId, groupInstanceId }: SubscribedMember) =>
    groupInstanceId === undefined ? `1${memberId}` : `0${groupInstanceId}`;
  const queue = [...members].sort((a, b) => rank(a) < rank(b) ? -1 : 1);
  const holders = new Map<string, string>();
  for (const [topic, count] of Object.entries(partitionCounts).sort(([a], [b]) => a < b ? -1 : 1)) {
    if (!members.some(({ topics }) => topics.includes(topic))) continue;
    for (let partition = 0; partition < count;) {
      const next = queue.shift();
      if (next === undefined) break;
      queue.push(next);
      if (next.topics.includes(topic)) holders.set(`${topic}/${partition++}`, next.memberId);
    }
  }
  return holders;
}

Deno.test("in random groups, each partition goes to one subscribed member, as in the model", () => {
  const seed = Number(Deno.env.get("ORDERFLOW_SEED") ?? Math.floor(Math.random() * 2 ** 32));
  const random = new Random(seed);
  const upTo = (max: number) => Math.floor(random.unit() * (max + 1));
  for (let round = 0; round < 2_000; round++) {
    const partitionCounts = Object.fromEntries(
      Array.from({ length: upTo(6) }, (_, index) => [`topic-${index}`, upTo(9)]),
    );
    // Some of the subscribed topics do not exist.
    const members = Array.from(
      { length: upTo(7) },
      (_, index) => ({
        memberId: `member-${upTo(1_000)}-${index}`,
        groupInstanceId: random.unit() < 0.3 ? `instance-${upTo(1_000)}-${index}` : undefined,
        topics: Array.from({ length: upTo(8) }, () => `topic-${upTo(7)}`),
      }),
    );
    const assignment = assignRoundRobin(members, new Map(Object.entries(partitionCounts)));
    const holders = new Map<string, string>();
    for (const [memberId, topics] of assignment) {
      for (const [topic, partitions] of topics) {
        for (const partition of partitions) {
          assert.ok(!holders.has(`${topic}/${partition}`), `one holder (seed ${seed})`);
          holders.set(`${topic}/${partition}`, memberId);
        }
      }
    }
    assert.deepEqual(
      new Map([...holders].sort()),
      new Map([...model(members, partitionCounts)].sort()),
      `seed ${seed}, round ${round}`,
    );
    assert.equal(assignment.size, members.length, "an assignment for every member");
  }
});
