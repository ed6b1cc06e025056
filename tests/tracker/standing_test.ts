import assert from "node:assert/strict";
import type { PartitionStanding } from "../../lib/kafka/consumer/api.ts";
import { assess, blockedPartitions, type Observation } from "../../lib/tracker/standing.ts";

const MOVING: PartitionStanding = {
  partition: 0,
  position: 5,
  committed: 5,
  lag: 0,
  openTransaction: undefined,
  unreadable: undefined,
};

const WELL: Observation = {
  topic: "orders",
  isStopping: false,
  hasJoined: true,
  isPlaced: true,
  stallReason: undefined,
  consumer: {
    hindrance: undefined,
    partitions: [MOVING, { ...MOVING, partition: 1 }],
    commitFailure: undefined,
    unassigned: [],
  },
  blockedLetters: new Map(),
  handlerCalls: new Map(),
  stillMs: () => 0,
  unassignedMs: 0,
};

function withConsumer(consumer: Partial<Observation["consumer"]>): Partial<Observation> {
  return { consumer: { ...WELL.consumer, ...consumer } };
}

function withPartition(partition: Partial<PartitionStanding>): Partial<Observation> {
  return withConsumer({ partitions: [{ ...MOVING, ...partition }] });
}

const OPEN = { firstOffset: 5, recordCount: 9, openMs: 3_000 };
const STILL = { stillMs: () => 12_000 };

/** Observations, and the expected state, readiness, and reason. */
const CASES: Readonly<
  Record<
    string,
    readonly [observed: Partial<Observation>, said: readonly [string, boolean, string]]
  >
> = {
  "nothing yet": [
    { hasJoined: false, isPlaced: false },
    ["starting", false, "not in the consumer group yet"],
  ],
  "brokers away before the first join": [
    { hasJoined: false, ...withConsumer({ hindrance: { kind: "unreachable", forMs: 4_000 } }) },
    ["starting", false, "no broker has answered for 4 s"],
  ],
  "stopping": [{ isStopping: true }, ["stopping", false, "stopping"]],
  "brokers away": [
    withConsumer({ hindrance: { kind: "unreachable", forMs: 7_000 } }),
    ["waiting", false, "no broker has answered for 7 s"],
  ],
  "not authorized": [
    withConsumer({ hindrance: { kind: "refused", reason: "TOPIC_AUTHORIZATION_FAILED" } }),
    ["waiting", false, "the cluster refuses this client: TOPIC_AUTHORIZATION_FAILED"],
  ],
  "topic gone": [
    withConsumer({ hindrance: { kind: "topic-missing" } }),
    ["waiting", false, 'topic "orders" does not exist'],
  ],
  "rebalancing": [
    withConsumer({ hindrance: { kind: "joining", forMs: 8_000, isFirst: false } }),
    ["waiting", false, "the consumer group has been rebalancing for 8 s"],
  ],
  "failing": [
    withConsumer({ hindrance: { kind: "failing", forMs: 8_000, reason: "LEADER_NOT_AVAILABLE" } }),
    [
      "waiting",
      false,
      "brokers answer, but nothing has succeeded for 8 s (LEADER_NOT_AVAILABLE)",
    ],
  ],
  "failing, by the client's words": [
    withConsumer({
      hindrance: { kind: "failing", forMs: 8_000, reason: "KafkaJSConnectionClosedError" },
    }),
    [
      "waiting",
      false,
      "brokers answer, but nothing has succeeded for 8 s (a broker closed the connection)",
    ],
  ],
  "locked out, by the client's words": [
    withConsumer({ hindrance: { kind: "refused", reason: "KafkaJSSASLAuthenticationError" } }),
    [
      "waiting",
      false,
      "the cluster refuses this client: the user name or the password is wrong",
    ],
  ],
  "throttled, and moving": [
    withConsumer({ hindrance: { kind: "throttled", forMs: 1_000 } }),
    [
      "waiting",
      true,
      "throttled: the brokers slow this client down because it has used up its quota",
    ],
  ],
  "throttled, and standing still": [
    {
      ...withConsumer({
        hindrance: { kind: "throttled", forMs: 1_000 },
        partitions: [{ ...MOVING, lag: 3 }],
      }),
      ...STILL,
    },
    [
      "waiting",
      false,
      "orders[0] has not advanced for 12 s: " +
      "throttled: the brokers slow this client down because it has used up its quota",
    ],
  ],
  "disk full": [
    { stallReason: "No space left on device" },
    ["blocked", false, "the journal cannot be written: No space left on device"],
  ],
  "commits refused": [
    withConsumer({ commitFailure: "the coordinator is loading" }),
    ["blocked", false, "commits fail: the coordinator is loading"],
  ],
  "dead letters refused": [
    {
      blockedLetters: new Map([[1, {
        topic: "orders",
        partition: 1,
        offset: 7,
        error: "the send to orders-dlq[1] was refused: too large",
      }]]),
    },
    [
      "blocked",
      false,
      "dead letters cannot be sent: orders[1] waits at offset 7: " +
      "the send to orders-dlq[1] was refused: too large",
    ],
  ],
  "an unreadable batch": [
    withPartition({ unreadable: { offset: 7, reason: "checksum" } }),
    ["blocked", false, "orders[0] cannot be read at offset 7: checksum"],
  ],
  "a stuck handler": [
    { handlerCalls: new Map([[0, { offset: 7, forMs: 11_000 }]]) },
    ["blocked", false, "the handler has not finished orders[0] offset 7 for 11 s"],
  ],
  "a transaction that was just begun": [
    withPartition({ openTransaction: OPEN, lag: 9 }),
    [
      "waiting",
      true,
      "orders[0] waits behind a transaction that has been open for 3 s: 9 records from offset 5 on",
    ],
  ],
  "a transaction that stays open": [
    { ...withPartition({ openTransaction: { ...OPEN, openMs: 12_000 }, lag: 9 }), ...STILL },
    [
      "waiting",
      false,
      "orders[0] waits behind a transaction that has been open for 12 s: 9 records from offset 5 on",
    ],
  ],
  "standing still, nobody knows why": [
    { ...withPartition({ lag: 2_000 }), ...STILL },
    ["blocked", false, "orders[0] has not advanced for 12 s: 2,000 records behind"],
  ],
  "standing still, lag unknown": [
    { ...withPartition({ lag: undefined }), ...STILL },
    ["blocked", false, "orders[0] has not advanced for 12 s: its lag is not known"],
  ],
  "two partitions stand still": [
    {
      ...withConsumer({ partitions: [{ ...MOVING, lag: 2 }, { ...MOVING, partition: 1, lag: 1 }] }),
      ...STILL,
    },
    [
      "blocked",
      false,
      "orders[0] has not advanced for 12 s: 2 records behind (and 1 more partition)",
    ],
  ],
  "no partition for this member": [
    withConsumer({ partitions: [] }),
    ["waiting", true, "the group has no partition for this member"],
  ],
  "partitions that nobody has": [
    { ...withConsumer({ partitions: [], unassigned: [1, 3] }), unassignedMs: 11_000 },
    ["waiting", false, "no member of the group has orders[1], orders[3]"],
  ],
};

Deno.test("assess() reports no problem for a tracker that has read its partitions to the end", () => {
  assert.deepEqual(assess(WELL), {
    state: "consuming",
    isReady: true,
    reason: undefined,
    partitionReasons: new Map(),
    hasCommonCause: false,
  });
});

Deno.test("assess() attributes a stalled partition to the problem of the whole tracker", () => {
  const still = withConsumer({ partitions: [{ ...MOVING, lag: 9 }] });
  const away = { kind: "unreachable", forMs: 7_000 } as const;
  const causes: readonly (readonly [Partial<Observation>, string])[] = [
    [{ ...still, stallReason: "disk full" }, "the journal cannot be written: disk full"],
    [withConsumer({ ...still.consumer, hindrance: away }), "no broker has answered for 7 s"],
  ];
  for (const [observed, text] of causes) {
    const { partitionReasons, hasCommonCause } = assess({ ...WELL, ...observed, ...STILL });
    assert.equal(partitionReasons.get(0), `orders[0] has not advanced for 12 s: ${text}`);
    assert.ok(hasCommonCause);
  }
  assert.equal(assess({ ...WELL, ...still, ...STILL }).hasCommonCause, false);
});

Deno.test("blockedPartitions() returns the partitions that need an operator, or all if the tracker is blocked", () => {
  assert.deepEqual(blockedPartitions(WELL), []);
  const letter = { topic: "orders", partition: 1, offset: 4, error: "too large" };
  assert.deepEqual(blockedPartitions({ ...WELL, blockedLetters: new Map([[1, letter]]) }), [1]);
  assert.deepEqual(blockedPartitions({ ...WELL, stallReason: "disk full" }), [0, 1]);
  const failing = withConsumer({ commitFailure: "fenced" });
  assert.deepEqual(blockedPartitions({ ...WELL, ...failing }), [0, 1]);
  const behindTransaction = withPartition({ openTransaction: OPEN });
  assert.deepEqual(blockedPartitions({ ...WELL, ...behindTransaction, ...STILL }), []);
});

for (const [title, [observed, [state, isReady, reason]]] of Object.entries(CASES)) {
  Deno.test(`assess() of ${title}: ${state}, ${isReady ? "ready" : "not ready"}, with the reason`, () => {
    const standing = assess({ ...WELL, ...observed });
    assert.deepEqual(
      { state: standing.state, isReady: standing.isReady, reason: standing.reason },
      { state, isReady, reason },
    );
  });
}

Deno.test("assess() gives each partition its own reason, and reports first the one that someone must act on", () => {
  const standing = assess({
    ...WELL,
    ...withConsumer({
      partitions: [
        { ...MOVING, openTransaction: { ...OPEN, openMs: 20_000 }, lag: 9 },
        { ...MOVING, partition: 1, unreadable: { offset: 7, reason: "checksum" } },
        { ...MOVING, partition: 2 },
      ],
    }),
    stillMs: ({ partition }) => partition === 0 ? 20_000 : 0,
  });
  assert.equal(
    standing.reason,
    "orders[1] cannot be read at offset 7: checksum (and 1 more partition)",
  );
  assert.deepEqual([...standing.partitionReasons.keys()], [0, 1]);
});
