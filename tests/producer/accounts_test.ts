import assert from "node:assert/strict";
import { Accounts } from "../../lib/producer/accounts.ts";
import { describeSummary } from "../../lib/producer/display.ts";

const RECORD = {
  orderId: "an id",
  sequence: 1,
  key: new Uint8Array(),
  value: new Uint8Array(),
  partition: 0,
  plannedAtMs: 0,
};

Deno.test("Accounts.summary() throws unless each generated order is in exactly one account", () => {
  const accounts = new Accounts({ seed: 0, startedAtMs: 0 });
  assert.equal(accounts.summary().generated, 0);
  accounts.countGenerated();
  assert.throws(() => accounts.summary(), /do not add up: 1 generated, 0 settled/);
  accounts.settle({ record: RECORD, outcome: { kind: "undelivered", reason: "a test" } });
  assert.equal(accounts.summary().undelivered, 1);
  accounts.settle({ record: RECORD, outcome: { kind: "unknown", reason: "a test" } });
  assert.throws(() => accounts.summary(), /do not add up: 1 generated, 2 settled/);
});

Deno.test("Accounts.summary() reports the latencies of the warm-up separately", () => {
  const accounts = new Accounts({ seed: 0, startedAtMs: 0, warmupMs: 10 });
  for (const [plannedAtMs, answeredAtMs] of [[5, 7], [20, 30]] as const) {
    accounts.countGenerated();
    const times = { sentAtMs: plannedAtMs, answeredAtMs };
    const outcome = { kind: "acknowledged", topicId: "topic", offset: 0, ...times } as const;
    accounts.settle({ record: { ...RECORD, plannedAtMs }, outcome });
  }
  const { warmup, latency_ms: latency } = accounts.summary();
  assert.deepEqual([warmup?.acknowledged, warmup?.latency_ms?.max, latency?.max], [1, 2, 10]);
});

Deno.test("Accounts reports acknowledged orders whose topic was deleted as lost", () => {
  for (const [present, lost] of [["topic", 1], ["older topic", 2], [undefined, 3]] as const) {
    const accounts = new Accounts({ seed: 0, startedAtMs: 0 });
    for (const topicId of ["older topic", "topic", "topic"]) {
      accounts.countGenerated();
      const times = { sentAtMs: 0, answeredAtMs: 0 };
      const outcome = { kind: "acknowledged", topicId, offset: 0, ...times } as const;
      accounts.settle({ record: RECORD, outcome });
    }
    accounts.noteTopic(present);
    assert.deepEqual(accounts.summary().lost_with_topic, lost);
    assert.match(
      describeSummary(accounts.summary()).join("\n"),
      /acknowledged orders? lost: the topic was/,
    );
  }
});

/** Counts an acknowledged order with times given relative to the start of the run. */
function acknowledge(
  accounts: Accounts,
  { startedAtMs, dueMs = 0, latencyMs = 5 }: {
    readonly startedAtMs: number;
    readonly dueMs?: number;
    readonly latencyMs?: number;
  },
): void {
  const plannedAtMs = startedAtMs + dueMs;
  accounts.countGenerated();
  accounts.settle({
    record: { ...RECORD, plannedAtMs },
    outcome: {
      kind: "acknowledged",
      topicId: "topic",
      offset: 0,
      sentAtMs: plannedAtMs,
      answeredAtMs: plannedAtMs + latencyMs,
    },
  });
}

Deno.test("Accounts: latencies that were not measured are null, never 0, and the summary says why", () => {
  const startedAtMs = performance.now();
  const covered = new Accounts({ seed: 0, startedAtMs, warmupMs: 60_000 });
  acknowledge(covered, { startedAtMs });
  const summary = covered.summary();
  assert.deepEqual([summary.latency_ms, summary.latency_from_send_ms], [null, null]);
  assert.equal(summary.warmup?.latency_ms?.max, 5);
  const text = describeSummary(summary).join("\n");
  assert.match(text, /; no latency: the warm-up covered the whole run$/m);
  assert.doesNotMatch(text, /0\.0 ms/);

  const failed = new Accounts({ seed: 0, startedAtMs, warmupMs: 60_000 });
  failed.countGenerated();
  failed.settle({ record: RECORD, outcome: { kind: "failed", reason: "a test" } });
  assert.equal(failed.closeWindow().latency_ms, null);
  assert.equal(failed.summary().warmup?.latency_ms, null);
  assert.match(describeSummary(failed.summary()).join("\n"), /; no latency: no order was ack/);
});

Deno.test("Accounts: no percentile is above the maximum", () => {
  const startedAtMs = performance.now();
  const accounts = new Accounts({ seed: 0, startedAtMs });
  acknowledge(accounts, { startedAtMs, latencyMs: 307.04 });
  const latency = accounts.summary().latency_ms;
  assert.deepEqual([latency?.p50, latency?.p999, latency?.max], [307.04, 307.04, 307.04]);
});

Deno.test("Accounts: the windows contain every acknowledged order, including those of the last, shorter window", () => {
  const startedAtMs = performance.now();
  const accounts = new Accounts({ seed: 0, startedAtMs });
  for (let count = 0; count < 3; count++) acknowledge(accounts, { startedAtMs });
  accounts.closeWindow();
  accounts.closeLastWindow();
  assert.equal(accounts.summary().windows.length, 1); // none for an interval without orders
  acknowledge(accounts, { startedAtMs });
  accounts.closeLastWindow();
  const { windows, acknowledged } = accounts.summary();
  assert.deepEqual(windows.map((window) => window.acknowledged), [3, 1]);
  assert.equal(acknowledged, 4);

  const earlier = new Accounts({ seed: 0, startedAtMs: startedAtMs - 2_000 });
  earlier.closeLastWindow();
  assert.deepEqual(earlier.summary().windows.map(({ latency_ms }) => latency_ms), [null]);
});
