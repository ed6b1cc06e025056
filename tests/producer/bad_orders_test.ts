import assert from "node:assert/strict";
import { BAD_KINDS, type BadKind, BadOrders, isDeadLetter } from "../../lib/producer/bad_orders.ts";
import { orderRecords } from "../../lib/producer/order_records.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { judgeRecord } from "../../lib/tracker/judge.ts";

const AT_MS = Date.UTC(2026, 0, 2);

function recordOf(value: Uint8Array) {
  return {
    topic: "orders",
    partition: 0,
    offset: 0,
    timestampMs: 0,
    key: null,
    headers: [],
    value,
  };
}

function* recordsOf(kinds: readonly BadKind[], { count = 2_000, percent = 50, seed = 1 } = {}) {
  const next = orderRecords({
    shop: createShop({ seed }),
    route: () => ({ key: null, partition: 0 }),
    badOrders: new BadOrders({ percent, kinds, seed, oversizeBytes: 2_000 }),
  });
  for (let index = 0; index < count; index++) yield next({ orderAtMs: AT_MS, plannedAtMs: index });
}

for (const kind of BAD_KINDS) {
  Deno.test(`the tracker dead-letters ${isDeadLetter(kind) ? "each" : "no"} bad order of kind ${kind}`, () => {
    let badCount = 0;
    for (const { bad, value, sequence } of recordsOf([kind])) {
      const { failure } = judgeRecord(recordOf(value));
      const isFailing = bad !== undefined && isDeadLetter(bad);
      assert.equal(failure !== undefined, isFailing, `order ${sequence}: ${failure?.message}`);
      if (bad !== undefined) badCount++;
    }
    assert.ok(badCount > 900 && badCount < 1_100, `${badCount} of 2,000`);
  });
}

Deno.test("BadOrders corrupts the requested percentage, uses all kinds equally, and repeats for the same seed", () => {
  const count = 40_000;
  const kindsOf = (seed: number) =>
    [...recordsOf(BAD_KINDS, { count, percent: 8, seed })].map(({ bad }) => bad);
  const kinds = kindsOf(3);
  for (const kind of BAD_KINDS) {
    const kindCount = kinds.filter((each) => each === kind).length;
    assert.ok(Math.abs(kindCount - 400) < 140, `${kindCount} of ${kind}`);
  }
  assert.deepEqual(kindsOf(3), kinds);
  assert.notDeepEqual(kindsOf(4), kinds);
});

Deno.test("a duplicate equals the last good order byte for byte and takes no sequence number", () => {
  let lastGood: Uint8Array | undefined;
  let sequence = 0;
  for (const record of recordsOf(["duplicate", "empty"])) {
    if (record.bad === "duplicate") {
      assert.deepEqual(record.value, lastGood);
    } else {
      assert.equal(record.sequence, ++sequence);
      if (record.bad === undefined) lastGood = record.value;
    }
  }
});

Deno.test("good orders are the same with and without bad ones in between", () => {
  const withBad = [...recordsOf(["empty"], { count: 300 })];
  const shop = createShop({ seed: 1 });
  for (const { bad, value } of withBad) {
    const text = JSON.stringify(shop.nextOrder(AT_MS));
    if (bad === undefined) assert.equal(new TextDecoder().decode(value), text);
  }
});
