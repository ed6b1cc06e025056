#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-read --allow-write --allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*
// deno-lint-ignore-file no-console -- a program of one's own may write where it likes
/**
 * A program of your own behind the tracker: each order is journaled, then handed to `onOrder`, then its
 * offset is committed. What `onOrder` throws is retried, and dead-lettered in the end.
 *
 *     deno run -A docs/examples/handle_orders.ts
 *
 * @module
 */

import { openTracker, type OrderHandler, PermanentError } from "../../mod.ts";

const revenueByCurrency = new Map<string, number>();

const addToRevenue: OrderHandler = (order, { record }) => {
  if (order.total === 0) throw new PermanentError("an order for nothing");
  const currency = order.currency ?? "EUR";
  revenueByCurrency.set(currency, (revenueByCurrency.get(currency) ?? 0) + order.total);
  if (record.offset % 100 === 0) console.log(Object.fromEntries(revenueByCurrency));
};

if (import.meta.main) {
  await using tracker = await openTracker({
    connection: {
      brokers: [Deno.env.get("KAFKA_BROKER") ?? "localhost:9092"],
      clientId: "revenue",
    },
    topic: Deno.env.get("KAFKA_TOPIC") ?? "orders",
    groupId: Deno.env.get("KAFKA_CONSUMER_GROUP") ?? "revenue",
    logs: "logs/revenue",
    from: "earliest",
    deadLetterTopic: "revenue-dlq",
    schema: "order",
    logLevel: "warn",
    onOrder: addToRevenue,
  });
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.abort());
  await tracker.run({ stop: stop.signal, exitAtEnd: false });
  console.log(Object.fromEntries(revenueByCurrency));
}
