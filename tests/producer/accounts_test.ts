import assert from "node:assert/strict";
import { Accounts } from "../../lib/producer/accounts.ts";

/** Accounts of a run with so many orders generated, and so many of them settled. */
function accountsOf({ generated, settled }: { generated: number; settled: number }): Accounts {
  const accounts = new Accounts({ seed: 1, startedAtMs: 0 });
  for (let count = 0; count < generated; count++) accounts.countGenerated();
  for (let sequence = 1; sequence <= settled; sequence++) {
    accounts.settle({
      parcel: {
        orderId: `order-${sequence}`,
        sequence,
        partition: 0,
        key: null,
        value: new Uint8Array(1),
        plannedAtMs: 0,
      },
      outcome: { kind: "failed", reason: "refused" },
    });
  }
  return accounts;
}

Deno.test("Accounts.summary() fails where orders are in no account, and where one is in two", () => {
  assert.equal(accountsOf({ generated: 3, settled: 3 }).summary().failed, 3);
  assert.throws(() => accountsOf({ generated: 3, settled: 2 }).summary(), {
    message: "the accounts do not add up: 3 generated, 2 settled",
  });
  assert.throws(() => accountsOf({ generated: 3, settled: 4 }).summary(), {
    message: "the accounts do not add up: 3 generated, 4 settled",
  });
});
