import assert from "node:assert/strict";
import { coalesced } from "../lib/async.ts";

Deno.test("coalesced() never overlaps two runs, and each call resolves with a run that began after it", async () => {
  let running = 0;
  let runs = 0;
  const ask = coalesced(async () => {
    assert.equal(++running, 1);
    const run = ++runs;
    await new Promise((resolve) => setTimeout(resolve, 1));
    running--;
    return run;
  });
  const first = ask();
  // Called between the end of the first run and the start of the second one.
  const last = first.then(() => ask());
  const others = [ask(), ask()];
  assert.deepEqual(await Promise.all([first, ...others, last]), [1, 2, 2, 2]);
  assert.equal(await ask(), 3);
});
