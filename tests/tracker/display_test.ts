import assert from "node:assert/strict";
import { createShop } from "../../lib/shop/shop.ts";
import { describeRecord } from "../../lib/tracker/display.ts";
import { judgeRecord } from "../../lib/tracker/judge.ts";

const SHOWN_ORDER_COUNT = 100;

function linesOf(value: Uint8Array): readonly string[] {
  return describeRecord(
    judgeRecord({
      ...{ topic: "orders", partition: 0, offset: 7, timestampMs: 0, key: null, headers: [] },
      value,
    }),
    { logValues: false },
  );
}

Deno.test("describeRecord() shows an order's amounts, which add up to its total", () => {
  const shop = createShop({ seed: 3 });
  for (let index = 0; index < SHOWN_ORDER_COUNT; index++) {
    const order = shop.nextOrder(index);
    const lines = linesOf(new TextEncoder().encode(JSON.stringify(order)));
    const cents = lines.slice(2).flatMap((line) => line.match(/\d+\.\d\d(?=$|,| EUR$)/g) ?? [])
      .map((amount) => Math.round(Number(amount) * 100));
    const total = cents.pop();
    assert.equal(cents.reduce((sum, amount) => sum + amount, 0), total, lines.join("\n"));
    assert.equal(total, Math.round(order.total * 100));
  }
});

Deno.test("describeRecord() shows a bad record in one line, with its position and its failure", () => {
  const lines = linesOf(new TextEncoder().encode('{"a":'));
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /^bad record {2}orders\[0\] offset 7 {2}DESERIALIZATION: ./);
});
