import assert from "node:assert/strict";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { DeliveryError } from "../../lib/kafka/errors.ts";
import { loggerOf } from "../../lib/log.ts";
import { OutageWatch } from "../../lib/producer/outage_watch.ts";

/** Runs a test with what is logged meanwhile. */
async function withLog(test: (lines: () => readonly string[]) => Promise<void>): Promise<void> {
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

Deno.test("OutageWatch takes a refusal for a response, and a failed send for none", async () => {
  await withLog(async (lines) => {
    using watch = new OutageWatch({ log: loggerOf("test"), unsettledCount: () => 1 });
    const failing = (fate: "refused" | "unknown") =>
      watch.watched(0, () =>
        Promise.reject(
          new DeliveryError({ topic: "orders", partition: 0, fate, reason: "a test", cause: null }),
        )).catch(() => {});
    await failing("refused");
    watch.check(performance.now() + 60_000);
    assert.deepEqual(lines(), []);
    await failing("unknown");
    watch.check(performance.now() + 60_000);
    assert.equal(lines().length, 1);
  });
});

Deno.test("OutageWatch says nothing once every order has its report, whatever became of the last send", async () => {
  await withLog(async (lines) => {
    let unsettled = 1;
    using watch = new OutageWatch({ log: loggerOf("test"), unsettledCount: () => unsettled });
    const error = new Error("no answer");
    await watch.watched(0, () => Promise.reject(error)).catch(() => {});
    watch.check(performance.now() + 6_000);
    assert.equal(lines().length, 1);
    unsettled = 0;
    for (let second = 7; second <= 30; second++) watch.check(performance.now() + second * 1_000);
    assert.equal(lines().length, 1);
  });
});
