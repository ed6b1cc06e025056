/**
 * The producer's delivery with orders that were made before the clock started: what is left when
 * generation costs nothing. Run by bench.ts.
 *
 *     prepared.ts BROKER TOPIC COUNT PAYLOAD_FILE
 *
 * @module
 */

import { keyPartitioner } from "../../lib/kafka/partitioner.ts";
import { ProducerPool } from "../../lib/kafka/producer.ts";
import { Accounts } from "../../lib/producer/accounts.ts";
import { Delivery } from "../../lib/producer/delivery.ts";
import { steadyPacing } from "../../lib/producer/pacing.ts";
import { orderRouter } from "../../lib/producer/routing.ts";
import { generateOrders } from "../../lib/producer/run.ts";
import type { ShopOrder } from "../../lib/shop/shop.ts";
import { printLine } from "../../lib/terminal.ts";

const PARTITIONS = 3;
const ENCODER = new TextEncoder();

const [broker = "", topic = "", countText = "", payloadPath = ""] = Deno.args;
const partitionCount = PARTITIONS;
const route = orderRouter("customer", {
  partitionCount,
  partitionOfKey: keyPartitioner(partitionCount),
});
const prepared = Deno.readTextFileSync(payloadPath).trimEnd().split("\n").map((line) => {
  const order = JSON.parse(line) as ShopOrder;
  return { orderId: order.order_id, value: ENCODER.encode(line), ...route(order) };
});

const producers = new ProducerPool({ brokers: [broker], clientId: "bench" }, {
  partitionCount,
  producerCount: partitionCount,
});
await producers.connect();
const startedAtMs = performance.now();
const accounts = new Accounts({ seed: 0, startedAtMs });
const delivery = new Delivery({
  partitionCount,
  batchBytesMax: 512 * 1024,
  send: (partition, records) => producers.send({ topic, partition, records }),
  onReport: (report) => accounts.settle(report),
});
let sequence = 0;
await generateOrders({
  nextParcel({ plannedAtMs }) {
    const order = prepared[sequence++ % prepared.length];
    if (order === undefined) throw new RangeError("expected prepared orders");
    return { ...order, sequence, plannedAtMs };
  },
  pacing: steadyPacing("max"),
  delivery,
  accounts,
  startedAtMs,
  count: Number(countText),
  bufferCount: 10_000,
  stop: new AbortController().signal,
});
await delivery.flush(60_000);
printLine(JSON.stringify(accounts.summary()));
await producers.close();
Deno.exit(0);
