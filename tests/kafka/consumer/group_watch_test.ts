import assert from "node:assert/strict";
import type { TopicDescription } from "../../../lib/kafka/cluster_answers.ts";
import type { GroupAssignment } from "../../../lib/kafka/consumer/assigner.ts";
import { type GroupNotice, GroupWatch } from "../../../lib/kafka/consumer/group_watch.ts";

const TOPIC = "orders";
const OTHER = "other";

interface State {
  /** Partition counts by topic, with an optional topic id. */
  topics: Readonly<Record<string, readonly [number, string?]>>;
  /** The assignment of each member; undefined while the group is rebalancing. */
  assignments: readonly Readonly<Record<string, readonly number[]>>[] | undefined;
}

function described(topics: State["topics"]): Map<string, TopicDescription> {
  return new Map(
    Object.entries(topics).map(([topic, [partitionCount, topicId = "id"]]) => [topic, {
      topic,
      topicId,
      partitionCount,
    }]),
  );
}

/** Creates a watch on a group in a given state, which checks it only when the test says so. */
function watched(state: State) {
  const notices: GroupNotice[] = [];
  const seen = { rejoins: 0 };
  let step = createStep();
  const watch = new GroupWatch({
    cluster: {
      async findTopics(names) {
        const { begun, release } = step;
        begun.resolve();
        await release.promise;
        return new Map([...described(state.topics)].filter(([topic]) => names.includes(topic)));
      },
      groupAssignments: () =>
        Promise.resolve(state.assignments?.map((each) => new Map(Object.entries(each)))),
    },
    topic: TOPIC,
    groupId: "group",
    onNotice: (notice) => notices.push(notice),
    requestRejoin: () => seen.rejoins++,
    intervalMs: 0,
  });
  watch.start();
  return {
    watch,
    notices,
    seen,
    /** Performs this many checks; the next one has then begun, and waits. */
    async check(count = 1) {
      for (let done = 0; done < count; done++) {
        const { begun, release } = step;
        await begun.promise;
        step = createStep();
        release.resolve();
        await step.begun.promise;
      }
    },
    async [Symbol.asyncDispose]() {
      const stopped = watch.stop();
      step.release.resolve();
      await stopped;
    },
  };
}

function createStep() {
  return { begun: Promise.withResolvers<void>(), release: Promise.withResolvers<void>() };
}

function assignedBy(topics: State["topics"], others: readonly string[] = []): GroupAssignment {
  return {
    subscribedTopics: [...Object.keys(topics), ...others],
    topics: described(topics),
    unreadableMembers: [],
  };
}

Deno.test("GroupWatch reports unassigned partitions once, after two checks, and their end once", async () => {
  const state: State = {
    topics: { [TOPIC]: [4] },
    assignments: [{ [TOPIC]: [0] }, { [OTHER]: [1, 2] }],
  };
  await using it = watched(state);
  assert.equal(it.watch.unassigned, undefined, "before the first join");
  it.watch.joined(undefined);
  await it.check();
  assert.deepEqual([it.watch.unassigned, it.notices], [undefined, []]);
  await it.check();
  assert.deepEqual(it.watch.unassigned, [1, 2, 3]);
  it.watch.joined(undefined);
  await it.check(5);
  assert.deepEqual(it.watch.unassigned, [1, 2, 3], "still after another join");
  state.assignments = [{ [TOPIC]: [0, 2, 1] }, { [TOPIC]: [3] }];
  it.watch.joined(undefined);
  await it.check(5);
  assert.deepEqual(it.watch.unassigned, []);
  assert.deepEqual(it.notices, [
    { kind: "unassigned", partitions: [1, 2, 3] },
    { kind: "all-assigned" },
  ]);
});

Deno.test("GroupWatch does not report partitions that were just added and are about to be assigned", async () => {
  const state: State = { topics: { [TOPIC]: [1] }, assignments: [{ [TOPIC]: [0] }] };
  await using it = watched(state);
  it.watch.joined(undefined);
  await it.check(2);
  assert.deepEqual(it.watch.unassigned, []);
  state.topics = { [TOPIC]: [3] };
  await it.check();
  assert.deepEqual(it.watch.unassigned, []);
  state.assignments = [{ [TOPIC]: [0, 1, 2] }];
  it.watch.joined(undefined);
  await it.check(3);
  assert.deepEqual([it.watch.unassigned, it.notices], [[], []]);
});

Deno.test("GroupWatch does not know the unassigned partitions while the group is rebalancing or its topic is gone", async () => {
  const state: State = { topics: { [TOPIC]: [2] }, assignments: undefined };
  await using it = watched(state);
  it.watch.joined(undefined);
  await it.check(3);
  assert.equal(it.watch.unassigned, undefined);
  state.assignments = [{ [TOPIC]: [0, 1] }];
  await it.check();
  assert.deepEqual(it.watch.unassigned, []);
  state.topics = {};
  await it.check();
  assert.equal(it.watch.unassigned, undefined);
  it.watch.left();
  assert.deepEqual([it.watch.unassigned, it.notices], [undefined, []]);
});

Deno.test("GroupWatch makes a leader reassign when a topic grew, appeared, or was recreated", async () => {
  const before: State["topics"] = { [TOPIC]: [2], [OTHER]: [2] };
  const cases: readonly (readonly [string, State["topics"], boolean])[] = [
    ["nothing", before, false],
    ["more partitions", { ...before, [TOPIC]: [3] }, true],
    ["more partitions of another member's topic", { ...before, [OTHER]: [3] }, true],
    ["a topic that was missing", { ...before, missing: [1] }, true],
    ["a topic that was recreated", { ...before, [OTHER]: [1, "another id"] }, true],
    ["fewer partitions", { ...before, [OTHER]: [1] }, false],
    ["a topic that is gone", { [TOPIC]: [2] }, false],
    ["a topic that nobody subscribes to", { ...before, unknown: [1] }, false],
  ];
  for (const [what, topics, isOutdated] of cases) {
    await using it = watched({ topics, assignments: [{ [TOPIC]: [0, 1], [OTHER]: [0, 1] }] });
    it.watch.joined(assignedBy(before, ["missing"]));
    await it.check();
    assert.equal(it.seen.rejoins, isOutdated ? 1 : 0, what);
  }
});

Deno.test("GroupWatch requests no rejoin if another member leads", async () => {
  const state: State = { topics: { [TOPIC]: [9] }, assignments: [{ [TOPIC]: [0] }] };
  await using it = watched(state);
  it.watch.joined(undefined);
  await it.check(3);
  assert.equal(it.seen.rejoins, 0);
});
