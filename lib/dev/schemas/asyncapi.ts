/**
 * The AsyncAPI document: both topics, and who does what with them.
 *
 * @module
 */

import { text } from "./fields.ts";

const REASONS = ["DESERIALIZATION", "VALIDATION", "PROCESSING", "TIMEOUT", "UNKNOWN"];

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
        description: "Orders, keyed by customer as a rule: those of one customer are in order.",
        messages: { order: ref("components/messages/order") },
      },
      deadLetters: {
        address: "orders-dlq",
        description:
          "Records that could not be processed, as they came, with the reason beside them.",
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
              traceparent: text("W3C Trace Context, where telemetry is on."),
            },
          },
          bindings: { kafka: { key: text("The customer's id."), bindingVersion: "0.5.0" } },
        },
        deadLetter: {
          name: "deadLetter",
          description: "Key, value, headers and timestamp of the record, and these headers.",
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
              "orderflow.errors.reason": { enum: REASONS },
              "orderflow.errors.omitted.value.bytes": text(
                "Length of a value that was too large to be sent with headers; the journal has it.",
              ),
            },
          },
          payload: {},
        },
      },
    },
  };
}
