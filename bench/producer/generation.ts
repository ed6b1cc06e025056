/**
 * Generates and serializes orders in one thread, and nothing else. Run by bench.ts.
 *
 *     generation.ts COUNT
 */

import { orderRecords } from "../../lib/producer/order_records.ts";
import { OrderRouter } from "../../lib/producer/routing.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { printLine } from "../../lib/terminal.ts";

const router = new OrderRouter("customer", 3);
const count = Number(Deno.args[0]);
const next = orderRecords({
  shop: createShop({ seed: 1 }),
  route: (order) => router.route(order),
});
const startedAtMs = performance.now();
let bytes = 0;
for (let index = 0; index < count; index++) {
  bytes += next({ orderAtMs: Date.UTC(2026, 0, 1) + index, plannedAtMs: 0 }).value.length;
}
const seconds = (performance.now() - startedAtMs) / 1_000;
printLine(JSON.stringify({ rate: count / seconds, mb_per_second: bytes / 1e6 / seconds }));
