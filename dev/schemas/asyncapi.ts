/**
 * The AsyncAPI document: both topics, and which program sends or receives their records.
 */

import { FAILURE_REASONS } from "../../lib/tracker/failures.ts";
import { text } from "./fields.ts";

export function asyncApi(): unknown {
  const order = { $ref: "order.schema.json" };
  const ref = (path: string) => ({ $ref: `#/${path}` });
  return {
    asyncapi: "3.0.0",
    info: {
      title: "orderflow",
      version: "1.1.0",
      description: "Orders, and those that could not be processed, on Apache Kafka.",
    },
    defaultContentType: "application/json",
    channels: {
      orders: {
        address: "orders",
        description: "Orders, usually keyed by customer: orders of one customer are in order.",
        messages: { order: ref("components/messages/order") },
      },
      deadLetters: {
        address: "orders-dlq",
        description: "Records that could not be processed, unchanged, with the reason in headers.",
        messages: { deadLetter: ref("components/messages/deadLetter") },
      },
    },
    operations: {
      produceOrders: {
        action: "send",
        channel: ref("channels/orders"),
        summary: "The producer sends each order once: idempotent, acknowledged by all replicas.",
      },
      trackOrders: {
        action: "receive",
        channel: ref("channels/orders"),
        summary: "The tracker journals each record once.",
      },
      setAside: {
        action: "send",
        channel: ref("channels/deadLetters"),
        summary: "The tracker writes a dead letter before it commits the record's offset.",
      },
      redrive: {
        action: "receive",
        channel: ref("channels/deadLetters"),
        summary: "`tracker redrive` sends dead letters back, each once.",
      },
    },
    components: {
      messages: {
        order: {
          name: "order",
          contentType: "application/json",
          payload: order,
          headers: {
            type: "object",
            properties: {
              traceparent: text("W3C Trace Context, if telemetry is on."),
            },
          },
          bindings: { kafka: { key: text("The customer's id."), bindingVersion: "0.5.0" } },
        },
        deadLetter: {
          name: "deadLetter",
          description: "Key, value, headers, and timestamp of the record, unchanged if the topic " +
            "accepts them, and these headers.",
          contentType: "application/octet-stream",
          headers: {
            type: "object",
            required: ["__connect.errors.topic", "orderflow.errors.reason"],
            properties: {
              "__connect.errors.topic": text("Where the record came from."),
              "__connect.errors.partition": text("Decimal."),
              "__connect.errors.offset": text("Decimal."),
              "__connect.errors.stage": text("Where in the tracker it failed."),
              "__connect.errors.exception.class.name": text("The kind of failure."),
              "__connect.errors.exception.message": text("What was wrong."),
              "orderflow.errors.reason": { enum: FAILURE_REASONS },
              "orderflow.source.topic.id": text("Id of the record's topic, in hexadecimal."),
              "orderflow.source.leader.epoch": text("Decimal; the leader epoch of its batch."),
              "orderflow.source.timestamp": text("Decimal; milliseconds since the epoch."),
              "orderflow.consumer.group": text("The group that read the record."),
              "orderflow.errors.adapted": text(
                "What was changed because the topic rejects the original record.",
              ),
              "orderflow.errors.omitted.value.bytes": text(
                "Length of a value that was left out; the journal has it.",
              ),
              "orderflow.errors.omitted.headers.bytes": text(
                "Length of the record's own headers that were left out; the journal has them.",
              ),
              "orderflow.errors.omitted.key.bytes": text(
                "Length of a key that was left out; the journal has it.",
              ),
              "orderflow.errors.original.key": {
                description: "The record's key, bytes or null, if the letter has a different key.",
              },
              "orderflow.errors.original.value": {
                type: "null",
                description: "The record has no value; the letter has an empty one.",
              },
            },
          },
          payload: {},
        },
      },
    },
  };
}
