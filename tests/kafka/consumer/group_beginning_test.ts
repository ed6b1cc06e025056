import assert from "node:assert/strict";
import { beginningWaitMs } from "../../../lib/kafka/consumer/group_beginning.ts";

Deno.test("the holder of partition 0 decides at once where a group begins, and the others much later, one after another", () => {
  assert.equal(beginningWaitMs([3, 0, 7]), 0);
  const [one, two, many] = [[5, 1], [2], [900]].map(beginningWaitMs);
  assert.deepEqual([one, two, many], [10_250, 10_500, 20_000]);
});
