import assert from "node:assert/strict";
import { missingTopic, nearestTopic } from "../../lib/kafka/missing_topic.ts";

Deno.test("nearestTopic() returns the most similar name regardless of case, but no internal topic", () => {
  const existing = ["__consumer_offsets", "orders-dlq", "orders", "payments"];
  assert.equal(nearestTopic("order", existing), "orders");
  assert.equal(nearestTopic("ORDERS_DLQ", existing), "orders-dlq");
  assert.equal(nearestTopic("paymnets", existing), "payments");
  assert.equal(nearestTopic("consumer_offsets", ["__consumer_offsets"]), undefined);
});

Deno.test("missingTopic() says what to do, and suggests the nearest name if there is one", () => {
  assert.equal(
    missingTopic("order", { existing: ["orders"] }).message,
    'topic "order" does not exist: create it, or name another with --topic; ' +
      'the nearest existing name is "orders"',
  );
  assert.equal(
    missingTopic("order", { advice: "ask for it" }).message,
    'topic "order" does not exist: ask for it',
  );
});
