/**
 * Sends orders that were generated before the clock started, which measures the producer without generation. Run by
 * bench.ts.
 *
 *     prepared.ts BROKER TOPIC COUNT PAYLOAD_FILE
 */

import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { ProducerPool } from "../../lib/kafka/producer.ts";
import { areStored, findStoredBatch } from "../../lib/kafka/stored_batch.ts";
import { Accounts } from "../../lib/producer/accounts.ts";
import { Delivery } from "../../lib/producer/delivery.ts";
import { steadyPacing } from "../../lib/producer/pacing.ts";
import { OrderRouter } from "../../lib/producer/routing.ts";
import { generateOrders } from "../../lib/producer/run.ts";
import type { ShopOrder } from "../../lib/shop/shop.ts";
import { printLine } from "../../lib/terminal.ts";

const PARTITIONS = 3;
const ENCODER = new TextEncoder();

const [broker = "", topic = "", countText = "", payloadPath = ""] = Deno.args;
const partitionCount = PARTITIONS;
const router = new OrderRouter("customer", partitionCount);
const prepared = Deno.readTextFileSync(payloadPath).trimEnd().split("\n").map((line) => {
  const order = JSON.parse(line) as ShopOrder;
  return { orderId: order.order_id, value: ENCODER.encode(line), ...router.route(order) };
});

const connection = { brokers: [broker], clientId: "bench" };
const cluster = await ClusterClient.connect(connection, "probe");
const producers = new ProducerPool(connection, {
  partitionCount,
  producerCount: partitionCount,
});
await producers.connect();
const startedAtMs = performance.now();
const accounts = new Accounts({ seed: 0, startedAtMs });
const delivery = new Delivery({
  topic: await cluster.describeTopic(topic),
  findTopic: () => cluster.findTopic(topic),
  batchBytesMax: 512 * 1024,
  send: (partition, records) => producers.send({ topic, partition, records }),
  findStored: (partition, records, search) =>
    findStoredBatch(connection, { topic, partition, records, ...search }),
  areStored: (batches) => areStored(connection, { topic, batches }),
  onReport: (report) => accounts.settle(report),
});
let sequence = 0;
await generateOrders({
  nextRecord({ plannedAtMs }) {
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
