import assert from "node:assert/strict";
import { History, HISTORY_STEPS_MAX } from "../../lib/monitor/model/history.ts";
import { Random } from "../../lib/shop/random.ts";

interface Event {
  readonly atMs: number;
  readonly failed: boolean;
}

function historyOf(events: readonly Event[]): History {
  const history = new History();
  for (const { atMs, failed } of events) history.add(atMs, failed);
  return history;
}

/**
 * Goal: History covers any time span in a bounded number of steps, with exact counts, for any order of events.
 * Method: random runs of random length with events in order, out of order, and far apart.
 * Invariants: each step counts the events between its ends, and the steps are no longer than the span requires.
 */
Deno.test("History counts each event in the step of its time, in any order", () => {
  const random = new Random(41);
  for (let round = 0; round < 300; round++) {
    const spanMs = 10 ** (1 + 10 * random.unit());
    const beginMs = Math.floor(1.7e12 + 1e9 * random.unit());
    const events = Array.from({ length: 1 + Math.floor(60 * random.unit()) }, () => ({
      atMs: Math.floor(beginMs + spanMs * random.unit()),
      failed: random.unit() < 0.3,
    }));
    if (round % 2 === 0) events.sort((one, other) => one.atMs - other.atMs);
    const times = events.map(({ atMs }) => atMs);
    const nowMs = Math.max(...times) + (round % 3) * spanMs;

    const { stepMs, steps } = historyOf(events).series(nowMs);
    const startMs = Math.floor(Math.min(...times) / stepMs) * stepMs;
    assert.ok(steps.length <= HISTORY_STEPS_MAX);
    assert.equal(steps.length, Math.floor((nowMs - startMs) / stepMs) + 1);
    assert.ok(stepMs === 1000 || (nowMs - startMs) / (stepMs / 2) >= HISTORY_STEPS_MAX - 2);
    for (const [index, step] of steps.entries()) {
      const fromMs = startMs + index * stepMs;
      const within = events.filter(({ atMs }) => atMs >= fromMs && atMs < fromMs + stepMs);
      assert.equal(step.received, within.length);
      assert.equal(step.failed, within.filter(({ failed }) => failed).length);
    }
  }
});

Deno.test("an empty History has no steps, and a copy is independent of its original", () => {
  assert.deepEqual(new History().series(Date.now()).steps, []);
  const history = historyOf([{ atMs: 5_000, failed: false }]);
  const copy = history.copy();
  copy.add(6_000, true);
  assert.equal(history.series(6_000).steps.at(-1)?.received, 0);
  assert.equal(copy.series(6_000).steps.at(-1)?.failed, 1);
});
