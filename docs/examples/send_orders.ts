#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*
// deno-lint-ignore-file no-console -- a program of one's own may write where it likes
/**
 * Orders of a program of your own, each known to be stored before it is counted. The topic must be there, with
 * three partitions.
 *
 *     deno run -A docs/examples/send_orders.ts
 *
 * @module
 */

import { createShop, DeliveryError, keyPartitioner, ReliableProducer } from "../../mod.ts";

const PARTITIONS = 3;
const ORDERS = 100;

const topic = Deno.env.get("KAFKA_TOPIC") ?? "orders";
const producer = new ReliableProducer({
  brokers: [Deno.env.get("KAFKA_BROKER") ?? "localhost:9092"],
  clientId: "send-orders",
});
const encoder = new TextEncoder();
const partitionOf = keyPartitioner(PARTITIONS);
const shop = createShop({ seed: 1 });

let stored = 0;
for (let count = 0; count < ORDERS; count++) {
  const order = shop.nextOrder(Date.now());
  const key = encoder.encode(order.customer_info.customer_id);
  const record = {
    partition: partitionOf(key),
    key,
    value: encoder.encode(JSON.stringify(order)),
    headers: [],
  };
  try {
    await producer.send({ topic, partition: record.partition, records: [record] });
    stored++;
  } catch (error) {
    // "refused": it is not in the topic. "unknown": it may be; sending it again may store it twice.
    if (!(error instanceof DeliveryError)) throw error;
    console.error(`order ${order.order_id} ${error.fate}: ${error.reason}`);
  }
}
await producer.close();
console.log(`${stored} of ${ORDERS} orders stored`);
