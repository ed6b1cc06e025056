import assert from "node:assert/strict";
import { steadyPacing } from "../../lib/producer/pacing.ts";

Deno.test("steadyPacing() has the first order due at once and the others at even intervals", () => {
  const pacing = steadyPacing(0.5);
  assert.deepEqual([0, 1_999, 2_000, 3_999, 4_000].map(pacing.dueCount), [1, 1, 2, 2, 3]);
  assert.deepEqual([0, 1, 10].map(pacing.dueAtMs), [0, 2_000, 20_000]);
});

Deno.test("steadyPacing() never falls behind by rounding: a million orders at 1,000/s take 1,000 s", () => {
  const pacing = steadyPacing(1_000);
  assert.equal(pacing.dueAtMs(1_000_000), 1_000_000);
  assert.equal(pacing.dueCount(999_999.5), 1_000_000);
});

Deno.test("steadyPacing() at max has every order due at once", () => {
  const pacing = steadyPacing("max");
  assert.equal(pacing.dueCount(0), Infinity);
  assert.equal(pacing.dueAtMs(5), undefined);
});
