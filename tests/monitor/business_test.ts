import assert from "node:assert/strict";
import { Business, OTHER_NAME } from "../../lib/monitor/business.ts";
import { JournalModel } from "../../lib/monitor/journal_model.ts";
import { OrderScanner } from "../../lib/monitor/order_scan.ts";
import { createShop } from "../../lib/shop.ts";
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
  const { status, total, currency } = scanner;
  return { status, total, currency };
}

Deno.test("OrderScanner says of any order what JSON.parse says", () => {
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
    "{}",
  ];
  for (const text of [...orders, ...odd]) {
    const { status, total, currency } = JSON.parse(text);
    assert.deepEqual(scanned(text), {
      status: typeof status === "string" ? status : undefined,
      total: typeof total === "number" ? total : undefined,
      currency: typeof currency === "string" ? currency : undefined,
    }, text);
  }
});

Deno.test("orders by status and revenue are those of the processed orders, to the cent", () => {
  const shop = createShop({ seed: 9, countries: ["FR", "US", "SE"] });
  const model = new JournalModel();
  const cents = new Map<string, number>();
  const recent = new Map<string, number>();
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
  model.rewind();
  assert.equal(model.business.ordersByStatus.size, 0, "a file that is taken back takes its orders");
});

Deno.test("a hostile journal cannot fill the lists of statuses and currencies", () => {
  const business = new Business();
  for (let index = 0; index < 1_000; index++) {
    business.note({ status: `s${index}`, total: 1, currency: `c${index}` }, NOW_MS);
  }
  business.note({ status: "s0", total: 1e300, currency: "c0" }, NOW_MS);
  assert.equal(business.ordersByStatus.size, 21);
  assert.equal(business.ordersByStatus.get(OTHER_NAME), 980);
  assert.equal(business.revenue(NOW_MS).length, 21);
});
