import assert from "node:assert/strict";
import { ProgressWatch, STILL_AFTER_MS } from "../../lib/tracker/progress_watch.ts";

const STANDING = { partition: 0, committed: 5, lag: 3 };

Deno.test("ProgressWatch: a partition with lag whose commit does not advance is stalled after 10 s", () => {
  const watch = new ProgressWatch();
  for (let ms = 0; ms < STILL_AFTER_MS; ms += 1_000) {
    watch.observe([STANDING], ms);
    assert.equal(watch.stillMs(STANDING, ms), 0);
  }
  watch.observe([STANDING], STILL_AFTER_MS);
  assert.equal(watch.stillMs(STANDING, STILL_AFTER_MS), STILL_AFTER_MS);
  watch.observe([{ ...STANDING, committed: 6 }], STILL_AFTER_MS + 1_000);
  assert.equal(watch.stillMs({ ...STANDING, committed: 6 }, STILL_AFTER_MS + 1_000), 0);
});

Deno.test("ProgressWatch: a partition without lag is not stalled; one with unknown lag can be", () => {
  for (const { lag, isStill } of [{ lag: 0, isStill: false }, { lag: undefined, isStill: true }]) {
    const watch = new ProgressWatch();
    watch.observe([{ ...STANDING, lag }], 0);
    watch.observe([{ ...STANDING, lag }], 60_000);
    assert.equal(watch.stillMs({ ...STANDING, lag }, 60_000) > 0, isStill, `lag ${lag}`);
  }
});

Deno.test("ProgressWatch: records that arrive after a long pause have 10 s to be committed", () => {
  const watch = new ProgressWatch();
  watch.observe([{ ...STANDING, lag: 0 }], 0);
  watch.observe([{ ...STANDING, lag: 0 }], 60_000);
  watch.observe([STANDING], 61_000);
  assert.equal(watch.stillMs(STANDING, 69_000), 0);
  assert.ok(watch.stillMs(STANDING, 70_000) > 0);
});

Deno.test("ProgressWatch: a handler that finishes records is progress; a lost partition is forgotten", () => {
  const watch = new ProgressWatch();
  watch.observe([STANDING], 0);
  watch.noteProgress(0, 9_000);
  assert.equal(watch.stillMs(STANDING, 18_000), 0);
  assert.ok(watch.stillMs(STANDING, 19_000) > 0);
  watch.observe([], 20_000);
  watch.observe([STANDING], 21_000);
  assert.equal(watch.stillMs(STANDING, 30_000), 0);
});

Deno.test("ProgressWatch: a commit since the last check counts as progress, so that zero lag is never a stall", () => {
  const watch = new ProgressWatch();
  watch.observe([STANDING], 0);
  assert.equal(watch.stillMs({ ...STANDING, committed: 8, lag: 0 }, 30_000), 0);
  assert.equal(watch.stillMs({ ...STANDING, committed: 6 }, 30_000), 0);
  assert.equal(watch.stillMs(STANDING, 30_000), 30_000);
});
