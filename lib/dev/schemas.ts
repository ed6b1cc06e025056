#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-write=docs/schemas
/**
 * Writes the contract for other programs to read: JSON Schemas of an order, of a line of the journal and of a line of
 * the log, and an AsyncAPI 3 document of the topics.
 *
 *     deno task schemas
 *
 * @module
 */

import { join } from "node:path";
import { runProgram } from "../cli.ts";
import { OrderSchema } from "../order.ts";
import { printLine } from "../terminal.ts";

const DRAFT = "https://json-schema.org/draft/2020-12/schema";
const FOLDER = join(import.meta.dirname ?? ".", "..", "..", "docs", "schemas");

/** Each file's name in `docs/schemas/`, and its text. */
export function schemaFiles(): Readonly<Record<string, string>> {
  const files = {
    "order.schema.json": OrderSchema,
    "journal-line.schema.json": journalLine(),
    "log-line.schema.json": logLine(),
    "asyncapi.json": asyncApi(),
  };
  return Object.fromEntries(
    Object.entries(files).map(([name, content]) => [name, `${JSON.stringify(content, null, 2)}\n`]),
  );
}

const text = (description: string) => ({ type: "string", description });
const count = (description: string) => ({ type: "integer", minimum: 0, description });
const base64 = (description: string) => ({
  type: "string",
  contentEncoding: "base64",
  description: `${description} In base64: it is not valid UTF-8.`,
});

function journalLine(): unknown {
  return {
    $schema: DRAFT,
    $id: "urn:orderflow:journal-line:1",
    title: "Line of tracker.events",
    description: "One record of the topic, as it was received.",
    type: "object",
    required: [
      "timestamp",
      "event_type",
      "kafka_topic",
      "kafka_partition",
      "kafka_offset",
      "raw_message",
      "message_size",
      "deserialized",
    ],
    properties: {
      timestamp: { ...text("When it was received, RFC 3339."), format: "date-time" },
      event_type: {
        enum: [
          "message.received",
          "message.received.deserialization_error",
          "message.received.validation_error",
        ],
      },
      kafka_topic: text("The topic's name."),
      kafka_partition: count("The partition."),
      kafka_offset: count("The offset in the partition."),
      raw_message: text(
        "The record's value. Where it is not valid UTF-8, with replacements: raw_message_base64 has its bytes.",
      ),
      message_size: count("The value's length in bytes."),
      deserialized: { type: "boolean", description: "Whether the value is a JSON object." },
      error: text("Why the record was not processed."),
      order_full: { type: "object", description: "The value, where it deserialized." },
      raw_message_base64: base64("The record's value."),
      value_null: { const: true, description: "The record is a tombstone." },
      kafka_key: text("The record's key."),
      kafka_key_base64: base64("The record's key."),
      kafka_headers: {
        type: "array",
        description: "The record's headers, in order; a key may come more than once.",
        items: {
          type: "object",
          required: ["key"],
          properties: {
            key: text("The header's key."),
            value: { type: ["string", "null"], description: "The header's value." },
            value_base64: base64("The header's value."),
          },
        },
      },
      kafka_timestamp: {
        type: "integer",
        description: "The record's timestamp, milliseconds since the epoch; -1 where it has none.",
      },
      kafka_topic_id: text("32 hexadecimal digits: tells a topic from a later one of its name."),
      mark: text("What the tracker noticed just before this record."),
    },
  };
}

function logLine(): unknown {
  return {
    $schema: DRAFT,
    $id: "urn:orderflow:log-line:1",
    title: "Line of tracker.log",
    type: "object",
    required: ["timestamp", "level", "message", "service"],
    properties: {
      timestamp: { ...text("RFC 3339."), format: "date-time" },
      level: { enum: ["DEBUG", "INFO", "WARN", "ERROR"] },
      message: text("What happened."),
      service: text("order-tracker"),
      error: text("What went wrong."),
      metadata: { type: "object", description: "Figures, such as the metrics every 30 s." },
    },
  };
}

const REASONS = ["DESERIALIZATION", "VALIDATION", "PROCESSING", "TIMEOUT", "UNKNOWN"];

function asyncApi(): unknown {
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

async function main(): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  for (const [name, content] of Object.entries(schemaFiles())) {
    await Deno.writeTextFile(join(FOLDER, name), content);
    printLine(`docs/schemas/${name}`);
  }
}

if (import.meta.main) await runProgram(main);
