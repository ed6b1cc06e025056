import assert from "node:assert/strict";
import { CoordinatorWatch } from "../../../lib/kafka/consumer/coordinator_watch.ts";

function watchFor(sessionTimeoutMs: number) {
  let nowMs = 0;
  const watch = new CoordinatorWatch(sessionTimeoutMs, () => nowMs);
  return {
    watch,
    /** Checks once a second, so often; returns what the last check found. */
    pass: (seconds: number, isServed = true) => {
      let late: number | undefined;
      for (let second = 0; second < seconds; second++) {
        nowMs += 1_000;
        late = watch.check(isServed);
      }
      return late;
    },
  };
}

Deno.test("CoordinatorWatch wants a new consumer some seconds past a session without an answer, once", () => {
  const { watch, pass } = watchFor(10_000);
  assert.equal(pass(12), undefined);
  assert.equal(pass(1), 13_000);
  assert.equal(pass(12), undefined, "it begins anew");
  watch.heard();
  assert.equal(pass(12), undefined);
});

Deno.test("CoordinatorWatch gives the next heartbeat a chance after the thread was blocked", () => {
  const { watch, pass } = watchFor(10_000);
  pass(30, false);
  assert.equal(pass(2), undefined);
  watch.heard();
  assert.equal(pass(10), undefined);
});

Deno.test("CoordinatorWatch concludes nothing while no broker answers", () => {
  const { pass } = watchFor(10_000);
  assert.equal(pass(100, false), undefined);
});
