import assert from "node:assert/strict";
import { toCents } from "../../lib/order/money.ts";
import { describeFailures } from "../../lib/order/failure.ts";
import { validateOrder } from "../../lib/order/validate.ts";
import { createShop, type ShopOptions, type ShopOrder } from "../../lib/shop/shop.ts";
import { Random, WeightedIndex } from "../../lib/shop/random.ts";

const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** Yields the first orders of a shop, one per millisecond. */
function* ordersOf(options: ShopOptions, count: number): Generator<ShopOrder> {
  const shop = createShop(options);
  for (let index = 0; index < count; index++) yield shop.nextOrder(START_MS + index);
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

// The orders of a seed are a promise to users who kept it: changing them is a breaking change.
Deno.test("Shop.nextOrder() returns this first order for seed 1", () => {
  const order = createShop({ seed: 1 }).nextOrder(START_MS);
  assert.equal(
    JSON.stringify(order, null, 2),
    `{
  "order_id": "406ca90b-d363-4f9a-aa94-a8731991bbf7",
  "sequence": 1,
  "status": "pending",
  "items": [
    {
      "item_id": "ITEM-00034",
      "item_name": "Frozen Granite Chips",
      "quantity": 2,
      "unit_price": 166.5,
      "total_price": 333
    }
  ],
  "sub_total": 333,
  "tax": 66.6,
  "shipping_fee": 2.5,
  "total": 402.1,
  "currency": "EUR",
  "payment_method": "credit_card",
  "shipping_address": "3158 Impasse Saint-Bernard, 89286 Aubervilliers, France",
  "metadata": {
    "timestamp": "2026-01-02T03:04:05.678Z",
    "version": "1.1",
    "event_type": "order.created",
    "source": "producer-service",
    "correlation_id": "13a8b051-083e-4a83-a99e-56e70d7f5be7"
  },
  "customer_info": {
    "customer_id": "CUST-000006",
    "name": "Gontran Garcia",
    "email": "gontran.garcia.6@example.com",
    "phone": "+33 6 39 98 56 64",
    "address": "3158 Impasse Saint-Bernard, 89286 Aubervilliers, France",
    "loyalty_level": "platinum"
  },
  "inventory_status": [
    {
      "item_id": "ITEM-00034",
      "item_name": "Frozen Granite Chips",
      "available_qty": 132,
      "reserved_qty": 2,
      "unit_price": 166.5,
      "in_stock": true,
      "warehouse": "PARIS-01"
    }
  ]
}`,
  );
});

Deno.test("Shop.nextOrder() returns the same 10,000 orders for the same seed, byte for byte", () => {
  const seed = randomSeed();
  const first = createShop({ seed });
  const second = createShop({ seed });
  for (let index = 0; index < 10_000; index++) {
    const atMs = START_MS + index * 37;
    assert.equal(
      JSON.stringify(first.nextOrder(atMs)),
      JSON.stringify(second.nextOrder(new Date(atMs))),
      `seed ${seed}, order ${index}`,
    );
  }
});

Deno.test("Shop.nextOrder() returns different orders for different seeds, even past 32 bits", () => {
  const seeds = [0, 1, 2, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
  const firstOrders = seeds.map((seed) => createShop({ seed }).nextOrder(START_MS));
  const distinct = (values: readonly unknown[]) => new Set(values.map((v) => JSON.stringify(v)));
  assert.equal(distinct(firstOrders.map((order) => order.order_id)).size, seeds.length);
  assert.equal(distinct(firstOrders.map((order) => order.customer_info)).size, seeds.length);
  assert.equal(distinct(firstOrders.map((order) => order.items)).size, seeds.length);
});

Deno.test("Shop.nextOrder() returns valid orders that survive a JSON round trip", () => {
  for (const seed of [0, 1, 42, 2 ** 40, randomSeed()]) {
    for (const order of ordersOf({ seed }, 20_000)) {
      const failures = validateOrder(order);
      assert.equal(describeFailures(failures), "", `seed ${seed}, order ${order.sequence}`);
    }
    for (const order of ordersOf({ seed }, 500)) {
      assert.deepEqual(JSON.parse(JSON.stringify(order)), order);
    }
  }
});

Deno.test("Shop.nextOrder() numbers orders without gaps, from 1 or the given sequence", () => {
  let expected = 1;
  for (const { sequence } of ordersOf({ seed: 5 }, 2_000)) assert.equal(sequence, expected++);
  expected = 1_000_001;
  for (const { sequence } of ordersOf({ seed: 5, firstSequence: expected }, 2_000)) {
    assert.equal(sequence, expected++);
  }
});

Deno.test("Shop.nextOrder() consumes no random numbers if the time is invalid", () => {
  const shop = createShop({ seed: 6 });
  for (const time of [NaN, 9e15, new Date("yesterday")]) {
    assert.throws(() => shop.nextOrder(time), RangeError);
  }
  assert.deepEqual(shop.nextOrder(START_MS), createShop({ seed: 6 }).nextOrder(START_MS));
});

Deno.test("Shop.nextOrder() gives every order and correlation a unique UUID of version 4", () => {
  const seed = randomSeed();
  const ids = new Set<string>();
  for (const { order_id: orderId, metadata } of ordersOf({ seed }, 50_000)) {
    for (const id of [orderId, metadata.correlation_id]) {
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      ids.add(id);
    }
  }
  assert.equal(ids.size, 100_000, `seed ${seed}`);
});

Deno.test("Shop.nextOrder() returns sums that are exact in cents", () => {
  const seed = randomSeed();
  for (const order of ordersOf({ seed }, 20_000)) {
    const context = `seed ${seed}, order ${order.sequence}`;
    let subTotalCents = 0;
    for (const item of order.items) {
      assert.equal(toCents(item.total_price), item.quantity * toCents(item.unit_price), context);
      subTotalCents += toCents(item.total_price);
    }
    assert.equal(toCents(order.sub_total), subTotalCents, context);
    // A fifth of a whole number of cents never ends in a half, so rounding is unambiguous.
    assert.equal(toCents(order.tax), Math.round(subTotalCents / 5), context);
    assert.equal(order.shipping_fee, 2.5);
    assert.equal(toCents(order.total), subTotalCents + toCents(order.tax) + 250, context);
    assert.doesNotMatch(JSON.stringify(order), /"(sub_total|tax|total|\w+_price)":\d+\.\d{3}/);
  }
});

Deno.test("Shop.nextOrder() fills baskets with 1 to 8 distinct products", () => {
  const sizes = new Set<number>();
  for (const { items } of ordersOf({ seed: 7 }, 20_000)) {
    sizes.add(items.length);
    assert.equal(new Set(items.map((item) => item.item_id)).size, items.length);
  }
  assert.deepEqual([...sizes].sort(), [1, 2, 3, 4, 5, 6, 7, 8]);
});

Deno.test("Shop.nextOrder() works for a shop with 1 customer and 3 products", () => {
  for (const order of ordersOf({ seed: 8, customers: 1, products: 3 }, 5_000)) {
    assert.equal(order.customer_info.customer_id, "CUST-000001");
    assert.ok(order.items.length <= 3);
  }
});

Deno.test("Shop.nextOrder() has returning customers, the popular ones most often", () => {
  const count = 20_000;
  const customers = new Map<string, { readonly json: string; orders: number }>();
  for (
    const { customer_info: customer, shipping_address: address } of ordersOf({ seed: 9 }, count)
  ) {
    const json = JSON.stringify(customer);
    const known = customers.get(customer.customer_id) ?? { json, orders: 0 };
    customers.set(customer.customer_id, known);
    known.orders++;
    assert.equal(json, known.json, "a customer's data does not change");
    assert.equal(address, customer.address);
    assert.match(customer.email, /^[a-z-]+\.[a-z-]+\.\d+@example\.com$/);
    assert.match(customer.phone, /^\+33 6 39 98 \d\d \d\d$/);
  }
  assert.ok(customers.size > 900 && customers.size <= 1_000, `${customers.size} customers`);
  const share = (id: string) => (customers.get(id)?.orders ?? 0) / count;
  // Weights 1/10 and 1/1,009 out of a total of 4.665.
  assert.ok(Math.abs(share("CUST-000001") - 0.0214) < 0.005, `${share("CUST-000001")}`);
  assert.ok(share("CUST-001000") < 0.001, `${share("CUST-001000")}`);
});

// Method: a model of each shelf. Its level is taken from the first order and must stay constant. The available quantity
// falls by what is ordered, starting from a full shelf after a delivery.
Deno.test("Shop.nextOrder() keeps its stock consistent with the orders", () => {
  const seed = randomSeed();
  const shelves = new Map<string, { readonly level: number; available: number }>();
  let deliveryCount = 0;
  let soldOutCount = 0;
  for (const { sequence, items, inventory_status: inventory } of ordersOf({ seed }, 100_000)) {
    const context = `seed ${seed}, order ${sequence}`;
    assert.equal(inventory.length, items.length);
    for (const [index, stock] of inventory.entries()) {
      const item = items[index];
      assert.equal(stock.item_id, item?.item_id, context);
      assert.equal(stock.unit_price, item?.unit_price, context);
      assert.equal(stock.in_stock, stock.available_qty > 0, context);
      assert.equal(stock.warehouse, "PARIS-01");
      if (!stock.in_stock) soldOutCount++;

      const level = stock.available_qty + stock.reserved_qty;
      const shelf = shelves.get(stock.item_id) ?? { level, available: level };
      shelves.set(stock.item_id, shelf);
      assert.equal(level, shelf.level, context);
      const quantity = item?.quantity ?? 0;
      if (quantity > shelf.available) {
        shelf.available = shelf.level;
        deliveryCount++;
      }
      shelf.available -= quantity;
      assert.equal(stock.available_qty, shelf.available, context);
    }
  }
  assert.ok(deliveryCount > 50, `${deliveryCount} deliveries`);
  assert.ok(soldOutCount > 10, `${soldOutCount} shelves sold out`);
});

Deno.test("Shop.nextOrder() returns orders of about 1.35 kB", () => {
  let bytes = 0;
  for (const order of ordersOf({ seed: 10 }, 10_000)) {
    bytes += new TextEncoder().encode(JSON.stringify(order)).length;
  }
  const average = bytes / 10_000;
  assert.ok(average > 1_300 && average < 1_400, `${average} bytes`);
});

Deno.test("createShop() rejects options that are out of range", () => {
  const cases: readonly [ShopOptions, string][] = [
    [{ seed: -1 }, "seed -1, expected a whole number not below 0"],
    [{ seed: 1.5 }, "seed 1.5, expected a whole number not below 0"],
    [{ seed: NaN }, "seed NaN, expected a whole number not below 0"],
    [{ seed: 2 ** 53 }, "seed 9007199254740992, expected a whole number not below 0"],
    [{ seed: 1, customers: 0 }, "customers 0, expected a whole number not below 1"],
    [{ seed: 1, products: 0 }, "products 0, expected a whole number not below 1"],
    [{ seed: 1, firstSequence: 0 }, "firstSequence 0, expected a whole number not below 1"],
  ];
  for (const [options, message] of cases) {
    assert.throws(() => createShop(options), {
      name: "RangeError",
      message: `cannot open a shop with ${message}`,
    });
  }
});

Deno.test("Random produces sfc32's numbers", () => {
  // Computed separately from the generator's definition, with unbounded integers.
  const random = new Random(42);
  const outputs = [random.uint32(), random.uint32(), random.uint32(), random.uint32()];
  assert.deepEqual(outputs, [3648644458, 4206697674, 2509843200, 3011021589]);
});

Deno.test("WeightedIndex draws each index in proportion to its weight", () => {
  const seed = randomSeed();
  const random = new Random(seed);
  const index = new WeightedIndex([1, 2, 4, 1]);
  const counts = [0, 0, 0, 0];
  for (let draw = 0; draw < 80_000; draw++) {
    const drawn = index.draw(random);
    counts[drawn] = (counts[drawn] ?? 0) + 1;
  }
  const expected = [10_000, 20_000, 40_000, 10_000];
  for (const [at, count] of counts.entries()) {
    // More than seven standard deviations: one false alarm in about 10^11 runs.
    assert.ok(Math.abs(count - (expected[at] ?? 0)) < 1_000, `seed ${seed}, counts ${counts}`);
  }
});
