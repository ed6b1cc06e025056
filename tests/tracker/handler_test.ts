import assert from "node:assert/strict";
import { createShop } from "../../lib/shop/shop.ts";
import {
  DEFAULT_RETRY_POLICY,
  type OrderHandler,
  PermanentError,
  retryWaitMs,
  runHandler,
} from "../../lib/tracker/handler.ts";
import { outputOfOwnProcess } from "../own_process.ts";

const POLICY = { retryCount: 3, waitMsMin: 1, waitMsMax: 4, timeoutMs: 1_000 };
const RECORD = {
  topic: "orders",
  partition: 0,
  offset: 7,
  timestampMs: 0,
  key: null,
  value: new Uint8Array(),
  headers: [],
};

const ORDER = createShop({ seed: 1 }).nextOrder(0);

function run(handler: OrderHandler, options: { timeoutMs?: number; stop?: AbortSignal } = {}) {
  return runHandler({
    handler,
    order: ORDER,
    record: RECORD,
    policy: { ...POLICY, timeoutMs: options.timeoutMs ?? POLICY.timeoutMs },
    stop: options.stop ?? new AbortController().signal,
  });
}

Deno.test("runHandler() calls a handler that succeeds once, with the order's record", async () => {
  const offsets: number[] = [];
  assert.deepEqual(await run((_, { record }) => void offsets.push(record.offset)), {
    kind: "handled",
  });
  assert.deepEqual(offsets, [7]);
});

Deno.test("runHandler() retries a handler that fails, until it succeeds", async () => {
  const attempts: number[] = [];
  const outcome = await run((_, { attempt }) => {
    attempts.push(attempt);
    if (attempt < 3) throw new Error("busy");
  });
  assert.deepEqual(outcome, { kind: "handled" });
  assert.deepEqual(attempts, [1, 2, 3]);
});

Deno.test("runHandler() gives up after three retries, and reports the reason", async () => {
  let calls = 0;
  const outcome = await run(() => {
    calls++;
    throw new Error("always busy");
  });
  assert.equal(calls, 4);
  assert.equal(outcome.kind, "failed");
  assert.ok(outcome.kind === "failed" && outcome.failure.reason === "PROCESSING");
  assert.match(outcome.failure.message, /always busy/);
});

Deno.test("runHandler() does not retry a PermanentError", async () => {
  let calls = 0;
  const outcome = await run(() => {
    calls++;
    throw new PermanentError("no such customer");
  });
  assert.equal(calls, 1);
  assert.equal(outcome.kind, "failed");
});

Deno.test("runHandler() aborts a hanging handler's signal, and reports a timeout", async () => {
  const aborted: boolean[] = [];
  const outcome = await run(
    (_, { signal }) =>
      new Promise(() => signal.addEventListener("abort", () => aborted.push(signal.aborted))),
    {
      timeoutMs: 10,
    },
  );
  assert.ok(outcome.kind === "failed" && outcome.failure.reason === "TIMEOUT");
  assert.deepEqual(aborted, [true, true, true, true]);
});

Deno.test("runHandler() abandons the order when stopped, while it waits or while the handler runs", async () => {
  const stop = new AbortController();
  const handling = run(() => new Promise(() => {}), { stop: stop.signal });
  const waiting = run(() => {
    throw new Error("busy");
  }, { stop: stop.signal });
  stop.abort();
  assert.deepEqual(await handling, { kind: "abandoned" });
  assert.deepEqual(await waiting, { kind: "abandoned" });
});

Deno.test("retryWaitMs() doubles from 1 s to 30 s, and jitter takes off at most half", () => {
  const waits = (random: number) =>
    [1, 2, 3, 4, 5, 6, 7].map((attempt) =>
      retryWaitMs(DEFAULT_RETRY_POLICY, attempt, () => random)
    );
  assert.deepEqual(waits(1), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  assert.deepEqual(waits(0), [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
});

Deno.test("runHandler() leaks no memory with a long timeout", async () => {
  const grownMb = Number(
    await outputOfOwnProcess(`
      import { runHandler } from "./lib/tracker/handler.ts";
      const stop = new AbortController().signal;
      const call = () => runHandler({
        handler: () => {},
        ...${JSON.stringify({ order: ORDER, policy: { ...POLICY, timeoutMs: 600_000 } })},
        record: { ...${JSON.stringify(RECORD)}, value: new Uint8Array() },
        stop,
      });
      for (let count = 0; count < 2_000; count++) await call();
      const before = Deno.memoryUsage().rss;
      for (let count = 0; count < 30_000; count++) await call();
      console.log((Deno.memoryUsage().rss - before) / 1024 ** 2);
    `),
  );
  assert.ok(grownMb < 30, `${grownMb} MB for 30,000 calls`);
});

Deno.test("runHandler() does not time out at once if the timeout exceeds the longest possible timer", async () => {
  for (const timeoutMs of [2 ** 31, Infinity]) {
    const attempts: number[] = [];
    const outcome = await run(async (_, { attempt }) => {
      attempts.push(attempt);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }, { timeoutMs });
    assert.deepEqual([outcome, attempts], [{ kind: "handled" }, [1]]);
  }
});
