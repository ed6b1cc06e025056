import assert from "node:assert/strict";
import { coalesced } from "../lib/async.ts";

Deno.test("coalesced() never overlaps two runs, and answers each call from a run that began after it", async () => {
  let running = 0;
  let runs = 0;
  const ask = coalesced(async () => {
    assert.equal(++running, 1);
    const run = ++runs;
    await new Promise((resolve) => setTimeout(resolve, 1));
    running--;
    if (run % 3 === 0) throw new Error("no answer");
    return run;
  });
  const answers: Promise<void>[] = [];
  for (let call = 0; call < 200; call++) {
    const runsBefore = runs;
    answers.push(
      ask().then((run) => assert.ok(run > runsBefore), (error) => {
        assert.equal(error.message, "no answer");
        // A call between the end of a run and the start of the next one shares that one.
        answers.push(ask().then(() => {}, () => {}));
      }),
    );
    if (call % 3 === 0) await new Promise((resolve) => setTimeout(resolve, call % 2));
  }
  for (const answer of answers) await answer;
  assert.ok(runs < 200, `${runs} runs`);
});
