import assert from "node:assert/strict";
import { rampPacing, type Stage, steadyPacing } from "../../lib/producer/pacing.ts";

Deno.test("steadyPacing() makes the first order due at once and the others at even intervals", () => {
  const pacing = steadyPacing(0.5);
  assert.deepEqual([0, 1_999, 2_000, 3_999, 4_000].map(pacing.dueCount), [1, 1, 2, 2, 3]);
  assert.deepEqual([0, 1, 10].map(pacing.dueAtMs), [0, 2_000, 20_000]);
});

Deno.test("steadyPacing() accumulates no rounding error: a million orders at 1,000/s take 1,000 s", () => {
  const pacing = steadyPacing(1_000);
  assert.equal(pacing.dueAtMs(1_000_000), 1_000_000);
  assert.equal(pacing.dueCount(999_999.5), 1_000_000);
});

Deno.test("steadyPacing() at max makes every order due at once", () => {
  const pacing = steadyPacing("max");
  assert.equal(pacing.dueCount(0), Infinity);
  assert.equal(pacing.dueAtMs(5), undefined);
});

// Stages and their number of orders, which is the area below the line.
const RAMPS: readonly (readonly [string, readonly Stage[], number])[] = [
  ["100:10s", [{ target: 100, durationMs: 10_000 }], 500],
  [
    "100:10s,100:10s",
    [{ target: 100, durationMs: 10_000 }, { target: 100, durationMs: 10_000 }],
    1_500,
  ],
  [
    "100:10s,1000:30s,0:5s",
    [
      { target: 100, durationMs: 10_000 },
      { target: 1_000, durationMs: 30_000 },
      { target: 0, durationMs: 5_000 },
    ],
    500 + 16_500 + 2_500,
  ],
  ["200:0s,200:5s", [{ target: 200, durationMs: 0 }, { target: 200, durationMs: 5_000 }], 1_000],
  // In floating point the area is 51.000000000000007. The fraction must not make another order due.
  ["17:0s,17:3s", [{ target: 17, durationMs: 0 }, { target: 17, durationMs: 3_000 }], 51],
  [
    "10:0s,10:1s,0:0s,0:60s,10:0s,10:1s",
    [
      { target: 10, durationMs: 0 },
      { target: 10, durationMs: 1_000 },
      { target: 0, durationMs: 0 },
      { target: 0, durationMs: 60_000 },
      { target: 10, durationMs: 0 },
      { target: 10, durationMs: 1_000 },
    ],
    20,
  ],
];

for (const [text, stages, count] of RAMPS) {
  Deno.test(`rampPacing() of ${text} has ${count} orders, each counted from when it is due`, () => {
    const pacing = rampPacing(stages);
    const endMs = stages.reduce((sum, { durationMs }) => sum + durationMs, 0);
    assert.equal(pacing.count, count);
    assert.equal(pacing.dueCount(endMs), count);
    assert.equal(pacing.dueCount(endMs * 10), count);
    let last = -1;
    for (let index = 0; index < count; index++) {
      const dueMs = pacing.dueAtMs(index) ?? NaN;
      assert.ok(dueMs > last && dueMs <= endMs, `order ${index} is due at ${dueMs}`);
      assert.ok(pacing.dueCount(dueMs + 1e-6) >= index + 1, `order ${index} at ${dueMs}`);
      if (dueMs > 1) assert.ok(pacing.dueCount(dueMs - 1e-3) <= index, `order ${index}`);
      last = dueMs;
    }
  });
}

Deno.test("rampPacing() rises linearly from 0 to the first target and generates nothing in a pause", () => {
  const pacing = rampPacing([
    { target: 100, durationMs: 10_000 },
    { target: 0, durationMs: 0 },
    { target: 0, durationMs: 5_000 },
    { target: 100, durationMs: 0 },
    { target: 100, durationMs: 1_000 },
  ]);
  // The first half of the stage has a quarter of its orders.
  assert.equal(pacing.dueCount(5_000), 125 + 1);
  assert.equal(pacing.dueAtMs(125), 5_000);
  assert.deepEqual(
    [10_000, 12_000, 14_999].map(pacing.dueCount),
    [500, 500, 500],
  );
  assert.equal(pacing.dueAtMs(500), 15_000);
  assert.equal(pacing.count, 600);
});

Deno.test("rampPacing() generates no extra order because of floating-point error in the sum of stages", () => {
  // 1.5 + 4.5 + 14 orders, which add up to 20.000000000000004.
  const pacing = rampPacing([
    { target: 2, durationMs: 1_500 },
    { target: 7, durationMs: 1_000 },
    { target: 21, durationMs: 1_000 },
  ]);
  assert.equal(pacing.count, 20);
  assert.equal(pacing.dueCount(3_500), 20);
});
