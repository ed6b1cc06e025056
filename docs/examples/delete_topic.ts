// deno-lint-ignore-file no-console -- a program of one's own may write where it likes
/**
 * Deletes the topic of the orders, for the experiment in docs/learn.md.
 *
 *     deno run -A docs/examples/delete_topic.ts
 *
 * @module
 */

import { ClusterClient } from "../../lib/kafka/cluster.ts";

const brokers = (Deno.env.get("KAFKA_BROKER") ?? "localhost:9092").split(",");
await using cluster = await ClusterClient.connect(
  { brokers, clientId: "delete-topic" },
  "probe",
);
const topic = Deno.env.get("KAFKA_TOPIC") ?? "orders";
await cluster.deleteTopic(topic);
console.log(`topic ${topic} is deleted; the next producer creates it again`);
