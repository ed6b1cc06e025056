import assert from "node:assert/strict";
import { describeFailures } from "../../lib/order/failure.ts";
import { validateOrder } from "../../lib/order/validate.ts";
import { COUNTRY_CODES, createShop } from "../../lib/shop/shop.ts";

const START_MS = Date.UTC(2026, 0, 2);
const HOUR_MS = 3_600_000;

/** Properties of every order of a country. */
const COUNTRIES: Readonly<
  Record<string, { readonly currency: string; readonly taxPercent: number; readonly phone: RegExp }>
> = {
  France: { currency: "EUR", taxPercent: 20, phone: /^\+33 6 39 98 \d\d \d\d$/ },
  Deutschland: { currency: "EUR", taxPercent: 19, phone: /^\+49 30 23125 \d{3}$/ },
  "United Kingdom": { currency: "GBP", taxPercent: 20, phone: /^\+44 7700 900\d{3}$/ },
  "United States": { currency: "USD", taxPercent: 7.25, phone: /^\+1 212 555 01\d\d$/ },
  Sverige: { currency: "SEK", taxPercent: 25, phone: /^\+46 70 174 06 [1-9]\d$/ },
};

Deno.test("a shop of several countries generates valid orders with each country's currency, tax, and telephone numbers", () => {
  const shop = createShop({ seed: 11, countries: COUNTRY_CODES });
  const seen = new Map<string, number>();
  for (let index = 0; index < 5_000; index++) {
    const order = shop.nextOrder(START_MS + index);
    assert.equal(describeFailures(validateOrder(order)), "");
    const { address, phone, email } = order.customer_info;
    const country = address.slice(address.lastIndexOf(", ") + 2);
    const expected = COUNTRIES[country];
    assert.ok(expected !== undefined, address);
    assert.equal(order.currency, expected.currency);
    assert.match(phone, expected.phone);
    assert.match(email, /^[a-z-]+\.[a-z-]+\.\d+@example\.com$/);
    assert.ok(Math.abs(order.tax - order.sub_total * expected.taxPercent / 100) <= 0.00501);
    for (const [at, item] of order.items.entries()) {
      assert.equal(order.inventory_status[at]?.unit_price, item.unit_price);
    }
    seen.set(country, (seen.get(country) ?? 0) + 1);
  }
  assert.equal(seen.size, COUNTRY_CODES.length);
  for (const [country, count] of seen) assert.ok(count > 700, `${count} of ${country}`);
});

Deno.test("a shop sells different products at noon than at midnight", () => {
  const sold = (hour: number) => {
    const shop = createShop({ seed: 12 });
    const counts = new Map<string, number>();
    for (let index = 0; index < 20_000; index++) {
      for (const { item_id: id } of shop.nextOrder(START_MS + hour * HOUR_MS + index).items) {
        counts.set(id, (counts.get(id) ?? 0) + 1);
      }
    }
    return counts;
  };
  const atMidnight = sold(0);
  const atNoon = sold(12);
  // Demand for the first product peaks at midnight, for the thirteenth at noon.
  const ratio = (id: string) => (atMidnight.get(id) ?? 0) / (atNoon.get(id) ?? 1);
  assert.ok(ratio("ITEM-00001") > 4, `${ratio("ITEM-00001")}`);
  assert.ok(ratio("ITEM-00013") < 1 / 4, `${ratio("ITEM-00013")}`);
});
