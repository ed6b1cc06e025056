import assert from "node:assert/strict";
import { suspendHandler } from "../lib/suspend.ts";

/** The handler, what it does, and a clock that is moved by hand. */
function stage() {
  const done: string[] = [];
  let due: (() => void) | undefined;
  const signal = suspendHandler({
    stop: () => done.push("stopped"),
    say: (text) => done.push(text),
    later(action) {
      due = action;
      return () => due = undefined;
    },
  });
  return { done, signal, timePasses: () => due?.() };
}

Deno.test("Ctrl-Z stops a program of the shell, each time", () => {
  const { done, signal, timePasses } = stage();
  for (let round = 0; round < 2; round++) {
    signal();
    timePasses();
  }
  assert.deepEqual(done, ["stopped", "stopped"]);
});

Deno.test("Ctrl-Z that a task runner passes on once more stops nothing, and it is said why", () => {
  const { done, signal, timePasses } = stage();
  signal();
  signal();
  timePasses();
  assert.equal(done.length, 1);
  assert.match(done[0] ?? "", /deno task.* works on.*Ctrl-C ends it/);
});
