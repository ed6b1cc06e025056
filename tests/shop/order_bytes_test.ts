import assert from "node:assert/strict";
import { COUNTRY_CODES, createShop, type ShopOrder } from "../../lib/shop/shop.ts";
import { OrderEncoder } from "../../lib/shop/order_bytes.ts";

const START_MS = Date.UTC(2026, 0, 2);
const DECODER = new TextDecoder("utf-8", { fatal: true });

Deno.test("OrderEncoder.encode() returns the bytes of JSON.stringify() and does not overwrite earlier orders", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const shop = createShop({ seed, countries: COUNTRY_CODES, customers: 200 });
  const encoder = new OrderEncoder();
  const kept = Array.from({ length: 20_000 }, (_, index) => {
    const order = shop.nextOrder(START_MS + index * 7_919);
    return { text: JSON.stringify(order), bytes: encoder.encode(order) };
  });
  for (const { text, bytes } of kept) assert.equal(DECODER.decode(bytes), text, `seed ${seed}`);
});

function orderWith(change: Partial<ShopOrder>): ShopOrder {
  return { ...createShop({ seed: 1 }).nextOrder(START_MS), ...change };
}

Deno.test("OrderEncoder.encode() writes amounts, counts, and texts like JSON.stringify()", () => {
  const amounts = [0, 0.01, 0.05, 0.1, 0.5, 0.99, 1, 9.9, 10, 99.95, 100.01, 12_345.67, 1e9 + 0.29];
  for (const amount of amounts) {
    const order = orderWith({ total: amount, sub_total: amount, tax: amount });
    assert.equal(DECODER.decode(new OrderEncoder().encode(order)), JSON.stringify(order));
  }
  for (const sequence of [1, 9, 10, 99, 100, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    const order = orderWith({ sequence });
    assert.equal(DECODER.decode(new OrderEncoder().encode(order)), JSON.stringify(order));
  }
  const { customer_info: customer, items: [item], inventory_status: [stock] } = orderWith({});
  assert.ok(item !== undefined && stock !== undefined);
  const order = orderWith({
    shipping_address: `12, rue "de l'Été" \\ 東京 \u2028`,
    customer_info: { ...customer, name: `A "quoted"\nname` },
    items: [{ ...item, item_name: `5" pipe` }],
    inventory_status: [{ ...stock, item_name: `5" pipe`, available_qty: 0, in_stock: false }],
  });
  assert.equal(DECODER.decode(new OrderEncoder().encode(order)), JSON.stringify(order));
});

Deno.test("OrderEncoder.encode() fails on an order that exceeds its buffer instead of truncating it", () => {
  const order = orderWith({ shipping_address: "x".repeat(20_000) });
  assert.throws(() => new OrderEncoder().encode(order), RangeError);
});
