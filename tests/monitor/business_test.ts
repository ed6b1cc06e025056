import assert from "node:assert/strict";
import { Business, OTHER_NAME } from "../../lib/monitor/model/business.ts";
import { JournalModel } from "../../lib/monitor/model/journal_model.ts";
import { type OrderFacts, OrderScanner } from "../../lib/monitor/model/order_scan.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { Random } from "../../lib/shop/random.ts";
import { Tally, TALLY_TOP_COUNT } from "../../lib/monitor/model/tally.ts";
import { journalLine, VALIDATION_FAILURE } from "./journal_lines.ts";

const NOW_MS = Date.UTC(2026, 4, 1, 12, 0, 30);
const ENCODER = new TextEncoder();

function feed(model: JournalModel, text: string): void {
  const bytes = ENCODER.encode(text);
  let start = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, start)) {
    model.line(bytes, start, at, true);
    start = at + 1;
  }
  model.settle();
}

function scanned(text: string) {
  const bytes = ENCODER.encode(`##${text}##`);
  const scanner = new OrderScanner();
  scanner.scan(bytes, 2, bytes.length - 2);
  const { status, total, currency, customerId, customerName, items } = scanner;
  return { status, total, currency, customerId, customerName, items };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value.length <= 256 ? value : undefined;
}

function itemsOf(items: unknown): readonly unknown[] {
  return (Array.isArray(items) ? items : [])
    .filter((item) => textOf(item?.item_id) !== undefined && item.quantity > 0)
    .map((item) => ({ id: item.item_id, name: textOf(item.item_name), quantity: item.quantity }));
}

Deno.test("OrderScanner extracts the same values as JSON.parse", () => {
  const shop = createShop({ seed: 5, countries: ["FR", "US", "SE", "GB"] });
  const orders = Array.from({ length: 500 }, (_, index) => JSON.stringify(shop.nextOrder(index)));
  const odd = [
    '{"total":1,"total":2,"status":"a","status":"b","currency":"EUR"}',
    '{ "total" : 3.5 , "status" : "spaced", "currency":"EUR" }',
    '{"st\\u0061tus":"escaped key","total":1e2,"currency":"EUR"}',
    '{"status":"esc\\"aped","total":-0.5,"currency":"E\\u0055R"}',
    '{"items":[{"total":9,"status":"no","currency":"X"}],"total":4,"status":"yes","currency":"USD"}',
    '{"customer_info":{"name":"}],\\"total\\":7,\\\\"},"total":5,"currency":"EUR","status":"s"}',
    '{"total":"12","status":7,"currency":null}',
    '{"total":null,"status":["a","b"],"currency":{"total":1}}',
    '{"status":"é ü 漢","total":1.10,"currency":"€"}',
    '{"customer_info":{"customer_id":"C\\"1","name":"Zo\u00eb","customer_id":"last"},"items":[]}',
    '{"customer_info":[],"items":{"item_id":"A","quantity":1}}',
    '{"customer_info":{},"items":[{"item_id":"A","quantity":2},{"item_id":"B","quantity":0}]}',
    '{"items":[{"item_id":"A","quantity":2}],"items":[{"item_id":"B","item_name":"b","quantity":3}]}',
    '{"items":[{"item_id":"A","quantity":1.5,"item_name":null},7,null,{"item_id":4,"quantity":1}]}',
    `{"items":[{"item_id":"${"x".repeat(300)}","quantity":1}],"customer_info":{"name":"é 漢"}}`,
    "{}",
  ];
  for (const text of [...orders, ...odd]) {
    const { status, total, currency, customer_info: customer, items } = JSON.parse(text);
    assert.deepEqual(scanned(text), {
      customerId: textOf(customer?.customer_id),
      customerName: textOf(customer?.name),
      items: itemsOf(items),
      status: typeof status === "string" ? status : undefined,
      total: typeof total === "number" ? total : undefined,
      currency: typeof currency === "string" ? currency : undefined,
    }, text);
  }
});

function count(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

function largest(counts: ReadonlyMap<string, number>): readonly number[] {
  return [...counts.values()].sort((one, other) => other - one).slice(0, TALLY_TOP_COUNT);
}

Deno.test("Tally reports the largest counts after every step, and a copy is independent of its original", () => {
  const random = new Random(7);
  const counts = new Map<string, number>();
  const tally = new Tally();
  for (let step = 0; step < 3_000; step++) {
    const name = String(Math.floor(40 * random.unit() ** 2));
    const by = 1 + Math.floor(5 * random.unit());
    count(counts, name, by);
    tally.add(name, `name ${name}`, by);
    assert.deepEqual(tally.top.map((each) => each.count), largest(counts));
    for (const each of tally.top) assert.equal(each.count, counts.get(each.label.slice(5)));
  }
  const copy = tally.copy();
  copy.add("new", "new", 1e6);
  assert.equal(copy.top[0]?.label, "new");
  assert.deepEqual(tally.top.map((each) => each.count), largest(counts));
});

Deno.test("orders by status and revenue cover exactly the processed orders, to the cent", () => {
  const shop = createShop({ seed: 9, countries: ["FR", "US", "SE"] });
  const model = new JournalModel();
  const cents = new Map<string, number>();
  const recent = new Map<string, number>();
  const units = new Map<string, number>();
  const customers = new Map<string, number>();
  let lines = "";
  for (let offset = 0; offset < 900; offset++) {
    const order = shop.nextOrder(NOW_MS);
    const receivedAtMs = NOW_MS - offset * 1_000;
    const isFailed = offset % 7 === 0;
    lines += journalLine({
      offset,
      receivedAtMs,
      value: JSON.stringify(order),
      ...(isFailed && { verdict: VALIDATION_FAILURE }),
    });
    if (isFailed) continue;
    const amount = Math.round(order.total * 100);
    count(customers, order.customer_info.customer_id, 1);
    for (const { item_id, quantity } of order.items) count(units, item_id, quantity);
    cents.set(order.currency, (cents.get(order.currency) ?? 0) + amount);
    if (receivedAtMs < Date.UTC(2026, 4, 1, 11, 55)) continue;
    recent.set(order.currency, (recent.get(order.currency) ?? 0) + amount);
  }
  model.tick(NOW_MS);
  model.begin();
  feed(model, lines);
  const { business } = model;
  assert.deepEqual([...business.ordersByStatus], [["pending", model.totals.processed]]);
  const revenue = business.revenue(NOW_MS);
  assert.equal(revenue.length, 3);
  for (const { currency, totalCents, perMinuteCents } of revenue) {
    assert.equal(totalCents, cents.get(currency));
    assert.equal(perMinuteCents, Math.round((recent.get(currency) ?? 0) / 5.5));
  }
  assert.deepEqual(business.topProducts.map(({ count }) => count), largest(units));
  assert.deepEqual(business.topCustomers.map(({ count }) => count), largest(customers));
  model.rewind();
  assert.deepEqual(model.business.topProducts, []);
  assert.equal(model.business.ordersByStatus.size, 0, "rewinding a file removes its orders");
});

const NOTHING: OrderFacts = {
  status: undefined,
  total: undefined,
  currency: undefined,
  customerId: undefined,
  customerName: undefined,
  items: [],
};

Deno.test("a hostile journal cannot grow the lists of statuses and currencies without bound", () => {
  const business = new Business();
  for (let index = 0; index < 1_000; index++) {
    business.note({ ...NOTHING, status: `s${index}`, total: 1, currency: `c${index}` }, NOW_MS);
  }
  business.note({ ...NOTHING, status: "s0", total: 1e300, currency: "c0" }, NOW_MS);
  assert.equal(business.ordersByStatus.size, 21);
  assert.equal(business.ordersByStatus.get(OTHER_NAME), 980);
  assert.equal(business.revenue(NOW_MS).length, 21);
});
