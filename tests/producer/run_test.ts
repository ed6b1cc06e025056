import assert from "node:assert/strict";
import { Accounts } from "../../lib/producer/accounts.ts";
import { Delivery, type Send } from "../../lib/producer/delivery.ts";
import { describeSummary } from "../../lib/producer/display.ts";
import { type Rate, steadyPacing } from "../../lib/producer/pacing.ts";
import type { PlannedTimes } from "../../lib/producer/order_records.ts";
import { generateOrders } from "../../lib/producer/run.ts";

interface RunSetting {
  readonly rate: Rate;
  readonly bufferCount: number;
  readonly send: Send;
  readonly count?: number;
  readonly valueBytes?: number;
  readonly durationMs?: number;
  /** Called for each record. */
  readonly onNext?: () => void;
}

function createRun(
  { rate, bufferCount, send, count, valueBytes = 1, durationMs, onNext = () => {} }: RunSetting,
) {
  const value = new Uint8Array(valueBytes);
  const startedAtMs = performance.now();
  const accounts = new Accounts({ seed: 0, startedAtMs });
  const times: PlannedTimes[] = [];
  const stop = new AbortController();
  let unsettledMax = 0;
  const topic = { topicId: "topic", partitionCount: 2 };
  const delivery = new Delivery({
    topic,
    findTopic: () => Promise.resolve(topic),
    batchBytesMax: 100,
    send,
    findStored: () => Promise.resolve(undefined),
    areStored: () => Promise.reject(new Error("the topic is the same")),
    onReport: (report) => accounts.settle(report),
  });
  const ended = generateOrders({
    nextRecord(time) {
      onNext();
      times.push(time);
      unsettledMax = Math.max(unsettledMax, delivery.unsettledCount + 1);
      const sequence = times.length;
      const partition = sequence % 2;
      const { plannedAtMs } = time;
      return { orderId: "", sequence, partition, key: null, value, plannedAtMs };
    },
    pacing: steadyPacing(rate),
    delivery,
    accounts,
    startedAtMs,
    orderTimeMs: 0,
    ...(count !== undefined && { count }),
    ...(durationMs !== undefined && { durationMs }),
    bufferCount,
    stop: stop.signal,
  });
  return {
    accounts,
    delivery,
    ended,
    startedAtMs,
    stop,
    times,
    unsettledMax: () => unsettledMax,
  };
}

function sendAfter(ms: number): Send {
  let baseOffset = 0;
  return (_, records) =>
    new Promise((resolve) =>
      setTimeout(() => {
        baseOffset += records.length;
        resolve({ baseOffset });
      }, ms)
    );
}

Deno.test("generateOrders() lets at most as many orders wait as the buffer holds", async () => {
  const run = createRun({ rate: "max", bufferCount: 20, send: sendAfter(5), count: 500 });
  await run.ended;
  await run.delivery.flush(5_000);
  assert.equal(run.unsettledMax(), 20);
  const summary = run.accounts.summary();
  assert.equal(summary.acknowledged, 500);
  assert.ok(summary.buffer_full_ms > 100, `${summary.buffer_full_ms} ms`);
  assert.match(describeSummary(summary).join("\n"), /^the buffer was full for \d\.\d s/m);
});

Deno.test("generateOrders() pauses while no broker responds and the buffer is full, without shifting the plan", async () => {
  const run = createRun({ rate: 1_000, bufferCount: 10, send: () => new Promise(() => {}) });
  const { accounts, delivery } = run;
  const deadlineMs = performance.now() + 10_000;
  while (accounts.planned < 1_000 && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  run.stop.abort();
  await run.ended;
  assert.equal(run.unsettledMax(), 10);
  assert.equal(accounts.generated, 10);
  delivery.abandon("no answer");
  const { planned = 0, behind, unknown, undelivered, behind_ms_max: behindMsMax = 0 } = accounts
    .summary();
  assert.ok(planned >= 1_000, `${planned} planned`);
  assert.equal(behind, planned - 10);
  assert.equal(unknown + undelivered, 10);
  assert.ok(behindMsMax > 900, `${behindMsMax} ms`);
});

Deno.test("generateOrders() plans each order to the millisecond, however late it is generated", async () => {
  const rate = 2_000;
  const run = createRun({ rate, bufferCount: 50, send: sendAfter(3), count: 1_000 });
  await run.ended;
  await run.delivery.flush(5_000);
  assert.equal(run.times.length, 1_000);
  for (const [index, { plannedAtMs, orderAtMs }] of run.times.entries()) {
    assert.equal(plannedAtMs, run.startedAtMs + index / 2);
    assert.equal(orderAtMs, Math.floor(index / 2));
  }
});

Deno.test("generateOrders() lets at most 128 MiB of large records wait, and continues once they have arrived", async () => {
  const run = createRun({
    ...{ rate: "max", bufferCount: 10_000, send: sendAfter(1) },
    ...{ valueBytes: 16 * 1024 * 1024, count: 40 },
  });
  await run.ended;
  assert.ok(run.unsettledMax() <= 8, `${run.unsettledMax()} records of 16 MiB`);
  await run.delivery.flush(5_000);
  assert.equal(run.accounts.summary().acknowledged, 40);
  assert.equal(run.delivery.unsettledBytes, 0);
});

Deno.test("generateOrders() ends soon after its duration even if its record source is slow", async () => {
  const run = createRun({
    ...{ rate: 1_000, bufferCount: 10_000, send: sendAfter(1), durationMs: 200 },
    onNext: () => {
      const endMs = performance.now() + 100;
      while (performance.now() < endMs) { /* works */ }
    },
  });
  await run.ended;
  assert.ok(run.accounts.generated < 100, `${run.accounts.generated} of 200 were generated`);
  await run.delivery.flush(5_000);
  const { planned, generated, behind } = run.accounts.summary();
  assert.deepEqual([planned, behind], [200, 200 - generated]);
});

Deno.test("generateOrders() fails with the source's error, and the accounts contain the earlier records", async () => {
  let left = 7;
  const run = createRun({
    ...{ rate: "max", bufferCount: 10_000, send: sendAfter(1) },
    onNext: () => {
      if (left-- === 0) throw new RangeError("no more");
    },
  });
  await assert.rejects(run.ended, { message: "no more" });
  await run.delivery.flush(5_000);
  const { generated, acknowledged, planned } = run.accounts.summary();
  assert.deepEqual([generated, acknowledged, planned], [7, 7, undefined]);
});
