import assert from "node:assert/strict";
import { Accounts } from "../../lib/producer/accounts.ts";

const PARCEL = {
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
  accounts.settle({ parcel: PARCEL, outcome: { kind: "undelivered", reason: "a test" } });
  assert.equal(accounts.summary().undelivered, 1);
  accounts.settle({ parcel: PARCEL, outcome: { kind: "unknown", reason: "a test" } });
  assert.throws(() => accounts.summary(), /do not add up: 1 generated, 2 settled/);
});

Deno.test("Accounts.summary() has the latencies of the warm-up apart", () => {
  const accounts = new Accounts({ seed: 0, startedAtMs: 0, warmupMs: 10 });
  for (const [plannedAtMs, answeredAtMs] of [[5, 7], [20, 30]] as const) {
    accounts.countGenerated();
    const times = { sentAtMs: plannedAtMs, answeredAtMs };
    const outcome = { kind: "acknowledged", offset: 0, ...times } as const;
    accounts.settle({ parcel: { ...PARCEL, plannedAtMs }, outcome });
  }
  const { warmup, latency_ms: { max } } = accounts.summary();
  assert.deepEqual([warmup?.acknowledged, warmup?.latency_ms.max, max], [1, 2, 10]);
});
