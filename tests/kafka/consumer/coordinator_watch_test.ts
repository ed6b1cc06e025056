import assert from "node:assert/strict";
import { CoordinatorWatch } from "../../../lib/kafka/consumer/coordinator_watch.ts";

function watchFor(sessionTimeoutMs: number) {
  let nowMs = 0;
  const watch = new CoordinatorWatch(sessionTimeoutMs, () => nowMs);
  return {
    watch,
    /** Checks once per second, for this many seconds; returns the result of the last check. */
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

Deno.test("CoordinatorWatch asks for a new consumer once, some seconds after a session without an answer", () => {
  const { watch, pass } = watchFor(10_000);
  assert.equal(pass(12), undefined);
  assert.equal(pass(1), 13_000);
  assert.equal(pass(12), undefined, "it starts over");
  watch.heard();
  assert.equal(pass(12), undefined);
});

Deno.test("CoordinatorWatch waits for the next heartbeat after the thread was blocked", () => {
  const { watch, pass } = watchFor(10_000);
  pass(30, false);
  assert.equal(pass(2), undefined);
  watch.heard();
  assert.equal(pass(10), undefined);
});

Deno.test("CoordinatorWatch draws no conclusion while no broker answers", () => {
  const { pass } = watchFor(10_000);
  assert.equal(pass(100, false), undefined);
});
