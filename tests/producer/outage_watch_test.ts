import assert from "node:assert/strict";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { loggerOf } from "../../lib/log.ts";
import { OutageWatch } from "../../lib/producer/outage_watch.ts";
import { ThrottleWatch } from "../../lib/producer/throttle_watch.ts";

/** Runs a test with access to the lines logged meanwhile. */
async function withLog(
  test: (lines: () => readonly string[]) => Promise<void> | void,
): Promise<void> {
  const records: LogRecord[] = [];
  await configure({
    sinks: { memory: (record) => void records.push(record) },
    loggers: [
      { category: ["logtape", "meta"], sinks: [] },
      { category: ["orderflow"], sinks: ["memory"], lowestLevel: "debug" },
    ],
    reset: true,
  });
  try {
    await test(() =>
      records.map(({ level, message, properties }) =>
        `${level} ${message.join("")} ${JSON.stringify(properties)}`
      )
    );
  } finally {
    await reset();
  }
}

Deno.test("OutageWatch warns after 5 s without an acknowledgement, then every 5 s, and once when it is over", async () => {
  await withLog(async (lines) => {
    using watch = new OutageWatch({ log: loggerOf("test"), unsettledCount: () => 7 });
    const answer = Promise.withResolvers<void>();
    const sent = watch.watched(2, () => answer.promise);
    const startMs = performance.now();
    for (let second = 1; second <= 13; second++) watch.check(startMs + second * 1_000);
    const waiting = "warning No acknowledgement from the brokers; retrying";
    assert.deepEqual(
      lines(),
      [5, 10].map((seconds) =>
        `${waiting} {"seconds":${seconds},"partitions":[2],"orders_waiting":7}`
      ),
    );
    answer.resolve();
    await sent;
    assert.equal(lines().length, 3);
    assert.match(lines()[2] ?? "", /^warning Acknowledgements arrive again \{"outage_seconds":/);
    watch.check(startMs + 60_000);
    assert.equal(lines().length, 3);
  });
});

Deno.test("OutageWatch does not name a partition whose batch failed permanently while others wait", async () => {
  await withLog(async (lines) => {
    using watch = new OutageWatch({ log: loggerOf("test"), unsettledCount: () => 1 });
    await watch.watched(0, () => Promise.reject(new Error("no answer"))).catch(() => {});
    watch.check(performance.now() + 60_000);
    assert.deepEqual(lines(), []);
    watch.watched(1, () => new Promise(() => {}));
    watch.check(performance.now() + 6_000);
    assert.match(lines().join(), /"partitions":\[1\]/);
    assert.equal(lines().length, 1);
  });
});

Deno.test("OutageWatch is silent once every order has its report, and while a quota explains the wait", async () => {
  await withLog((lines) => {
    let isThrottled = true;
    let unsettled = 1;
    using watch = new OutageWatch({
      log: loggerOf("test"),
      unsettledCount: () => unsettled,
      isThrottled: () => isThrottled,
    });
    watch.watched(0, () => new Promise(() => {}));
    watch.check(performance.now() + 60_000);
    isThrottled = false;
    unsettled = 0;
    watch.check(performance.now() + 70_000);
    assert.deepEqual(lines(), []);
    unsettled = 1;
    watch.check(performance.now() + 80_000);
    assert.equal(lines().length, 1);
  });
});

Deno.test("ThrottleWatch warns when a throttle begins and every 5 s, and measures the time in which any broker throttles", async () => {
  await withLog((lines) => {
    let nowMs = 0;
    const watch = new ThrottleWatch(loggerOf("test"), () => nowMs);
    assert.equal(watch.isThrottled, false);
    // Each broker throttles for 1.5 s, a second apart: together from 0 s to 11.5 s.
    for (nowMs = 0; nowMs <= 10_000; nowMs += 1_000) watch.note(1_500);
    assert.equal(lines().length, 3, lines().join("\n"));
    assert.match(lines()[0] ?? "", /^warning The brokers throttle this producer/);
    nowMs = 10_500;
    assert.equal(watch.throttledMs, 10_500);
    assert.equal(watch.isThrottled, true);
    nowMs = 60_000;
    assert.equal(watch.throttledMs, 11_500);
    assert.equal(watch.isThrottled, false);
  });
});
