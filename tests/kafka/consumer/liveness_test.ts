import assert from "node:assert/strict";
import { Liveness } from "../../../lib/kafka/consumer/liveness.ts";

function createLiveness() {
  const clock = { nowMs: 1_000_000 };
  const liveness = new Liveness(() => clock.nowMs);
  return { liveness, pass: (ms: number) => void (clock.nowMs += ms) };
}

/** Creates an error as kafkajs throws it for a broker's error response. */
function refusal(type: string): Error {
  return Object.assign(new Error(type), { type });
}

Deno.test("Liveness: no problem is reported while brokers answer", () => {
  const { liveness, pass } = createLiveness();
  for (let second = 0; second < 60; second++) {
    liveness.heard();
    liveness.succeeded();
    assert.equal(liveness.hindrance, undefined);
    pass(1_000);
  }
});

Deno.test("Liveness: after 3 s without a byte the brokers are unreachable, until any byte arrives", () => {
  const { liveness, pass } = createLiveness();
  pass(2_999);
  assert.equal(liveness.hindrance, undefined);
  pass(1);
  assert.deepEqual(liveness.hindrance, { kind: "unreachable", forMs: 3_000 });
  liveness.heard();
  assert.equal(liveness.hindrance, undefined);
});

Deno.test("Liveness: a broker that only throttles is not reported as unreachable", () => {
  const { liveness, pass } = createLiveness();
  for (let round = 0; round < 3; round++) {
    liveness.heard();
    liveness.throttled(10_000);
    for (let second = 0; second < 10; second++) {
      liveness.heard();
      assert.equal(liveness.hindrance?.kind, "throttled");
      pass(1_000);
    }
  }
  assert.deepEqual(liveness.hindrance, { kind: "throttled", forMs: 30_000 });
  for (let second = 0; second < 3; second++) {
    liveness.heard();
    pass(1_000);
  }
  liveness.succeeded();
  assert.equal(liveness.hindrance, undefined);
});

Deno.test("Liveness: error responses count as answers, and the last one is named", () => {
  const { liveness, pass } = createLiveness();
  for (let second = 0; second < 6; second++) {
    liveness.heard();
    liveness.failed(refusal("NOT_LEADER_FOR_PARTITION"));
    pass(1_000);
  }
  assert.deepEqual(liveness.hindrance, {
    kind: "failing",
    forMs: 6_000,
    reason: "NOT_LEADER_FOR_PARTITION",
  });
  liveness.succeeded();
  assert.equal(liveness.hindrance, undefined);
});

Deno.test("Liveness: a missing permission is reported at once", () => {
  for (const reason of ["TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"]) {
    const { liveness } = createLiveness();
    liveness.failed(refusal(reason));
    assert.deepEqual(liveness.hindrance, { kind: "refused", reason });
    liveness.succeeded();
    assert.equal(liveness.hindrance, undefined);
  }
});

Deno.test("Liveness: a topic is reported as missing after two such answers in a row", () => {
  const { liveness } = createLiveness();
  liveness.topicMissing();
  assert.equal(liveness.hindrance, undefined);
  liveness.topicFound();
  liveness.topicMissing();
  assert.equal(liveness.hindrance, undefined, "one broker may be behind the others");
  liveness.topicMissing();
  assert.deepEqual(liveness.hindrance, { kind: "topic-missing" });
  liveness.topicFound();
  assert.equal(liveness.hindrance, undefined);
});

Deno.test("Liveness: a rebalance is reported if it lasts, but not before the first join", () => {
  const { liveness, pass } = createLiveness();
  const hear = (ms: number) => {
    pass(ms);
    liveness.heard();
    liveness.succeeded();
  };
  liveness.joining();
  hear(1_000);
  assert.deepEqual(liveness.hindrance, { kind: "joining", forMs: 1_000, isFirst: true });
  liveness.joined();
  assert.equal(liveness.hindrance, undefined);
  liveness.joining();
  hear(1_000);
  liveness.joining();
  assert.equal(liveness.hindrance, undefined, "most take less time");
  hear(1_000);
  assert.deepEqual(liveness.hindrance, { kind: "joining", forMs: 2_000, isFirst: false });
});

Deno.test("Liveness: a suspended process does not attribute its own pause to the brokers", () => {
  const { liveness, pass } = createLiveness();
  pass(60_000);
  liveness.excuse(59_000);
  assert.equal(liveness.hindrance, undefined);
  pass(2_000);
  assert.deepEqual(liveness.hindrance, { kind: "unreachable", forMs: 3_000 });
});
