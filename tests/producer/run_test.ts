import assert from "node:assert/strict";
import { Accounts } from "../../lib/producer/accounts.ts";
import { Delivery, type Send } from "../../lib/producer/delivery.ts";
import { describeSummary } from "../../lib/producer/display.ts";
import { type Rate, steadyPacing } from "../../lib/producer/pacing.ts";
import type { ParcelTimes } from "../../lib/producer/parcels.ts";
import { generateOrders } from "../../lib/producer/run.ts";

interface RunSetting {
  readonly rate: Rate;
  readonly bufferCount: number;
  readonly send: Send;
  readonly count?: number;
}

function createRun({ rate, bufferCount, send, count }: RunSetting) {
  const startedAtMs = performance.now();
  const accounts = new Accounts({ seed: 0, startedAtMs });
  const times: ParcelTimes[] = [];
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
    nextParcel(time) {
      times.push(time);
      unsettledMax = Math.max(unsettledMax, delivery.unsettledCount + 1);
      const sequence = times.length;
      const partition = sequence % 2;
      const { plannedAtMs } = time;
      return { orderId: "", sequence, partition, key: null, value: new Uint8Array(1), plannedAtMs };
    },
    pacing: steadyPacing(rate),
    delivery,
    accounts,
    startedAtMs,
    orderTimeMs: 0,
    ...(count !== undefined && { count }),
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

Deno.test("generateOrders() lets as many orders wait as the buffer holds, and none more", async () => {
  const run = createRun({ rate: "max", bufferCount: 20, send: sendAfter(5), count: 500 });
  await run.ended;
  await run.delivery.flush(5_000);
  assert.equal(run.unsettledMax(), 20);
  const summary = run.accounts.summary();
  assert.equal(summary.acknowledged, 500);
  assert.ok(summary.buffer_full_ms > 100, `${summary.buffer_full_ms} ms`);
  assert.match(describeSummary(summary).join("\n"), /^the buffer was full for \d\.\d s/m);
});

Deno.test("generateOrders() makes nothing while no broker answers and the buffer is full, and the plan goes on", async () => {
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

Deno.test("generateOrders() plans each order to the millisecond, however late it is made", async () => {
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
