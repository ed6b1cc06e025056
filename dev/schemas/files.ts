/**
 * Schemas of the files that the programs write.
 */

import { BAD_KINDS } from "../../lib/producer/bad_orders.ts";
import { STATUS_NAME, TRACKER_STATES } from "../../lib/tracker_status.ts";
import { base64, count, DRAFT, omitted, sha256, text, time } from "./fields.ts";

export function journalLine(): unknown {
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
      timestamp: time("When it was received, RFC 3339."),
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
        "The record's value. Invalid UTF-8 is replaced; raw_message_base64 then has the original bytes.",
      ),
      message_size: count("Length of the value in bytes, even if the value was omitted."),
      deserialized: { type: "boolean", description: "True if the value is a JSON object." },
      error: text("Why the record was not processed."),
      order_full: {
        type: "object",
        description:
          "The value, if it deserialized and common JSON parsers agree on it (RFC 7493; " +
          "at most 64 levels).",
      },
      raw_message_base64: base64("The record's value."),
      value_null: { const: true, description: "The record is a tombstone." },
      kafka_key: text("The record's key."),
      kafka_key_base64: base64("The record's key."),
      kafka_headers: {
        type: "array",
        description: "The record's headers, in order; a key may occur more than once.",
        items: {
          type: "object",
          required: ["key"],
          properties: {
            key: text("The header's key."),
            value: { type: ["string", "null"], description: "The header's value." },
            value_base64: base64("The header's value."),
            value_omitted: omitted("The header's value, if it was too large to keep."),
          },
        },
      },
      kafka_timestamp: {
        type: ["integer", "string"],
        pattern: "^-?[0-9]+$",
        description: "The record's timestamp, milliseconds since the epoch; -1 if it has none. " +
          "A decimal string beyond 2^53, because JSON parsers would round it.",
      },
      kafka_topic_id: text(
        "32 hexadecimal digits: distinguishes a topic from a later one of the same name.",
      ),
      value_omitted: omitted(
        "The value, if it is larger than 64 MiB; raw_message is then empty.",
      ),
      kafka_key_omitted: omitted("The key, if it was too large to keep."),
      kafka_leader_epoch: {
        type: "integer",
        minimum: 0,
        description:
          "Leader epoch of the record's batch: distinguishes records at the same offset after the log was truncated.",
      },
      mark: text("Events that the tracker noticed just before this record."),
    },
  };
}

export function logLine(): unknown {
  return {
    $schema: DRAFT,
    $id: "urn:orderflow:log-line:1",
    title: "Line of tracker.log",
    type: "object",
    required: ["timestamp", "level", "message", "service"],
    properties: {
      timestamp: time("RFC 3339."),
      level: { enum: ["DEBUG", "INFO", "WARN", "ERROR"] },
      message: text("What happened."),
      service: text("order-tracker"),
      error: text("What went wrong."),
      metadata: { type: "object", description: "Figures, such as the metrics every 30 s." },
    },
  };
}

const countOrNull = (description: string) => ({
  type: ["integer", "null"],
  minimum: 0,
  description,
});
const milliseconds = { type: "number", minimum: 0, description: "Milliseconds." };

export function status(): unknown {
  return {
    $schema: DRAFT,
    $id: "urn:orderflow:status:1",
    title: STATUS_NAME,
    description:
      "The tracker's current state. Replaced once a second; valid while it is at most 5 s old.",
    type: "object",
    required: [
      "timestamp",
      "pid",
      "version",
      "state",
      "ready",
      "topic",
      "group",
      "partitions",
      "unassigned",
      "open_transactions",
      "latency_ms",
      "counters",
    ],
    properties: {
      timestamp: time("When it was written, RFC 3339."),
      pid: count("The tracker's process id, in its own machine or container."),
      version: text("The tracker's version."),
      state: { enum: TRACKER_STATES },
      ready: { type: "boolean", description: "The result of GET /ready." },
      reason: text(
        "Why it is not ready, or is slow. Always present if ready is false, unless the tracker has stopped.",
      ),
      topic: text("The topic's name."),
      group: text("The consumer group."),
      partitions: {
        type: "array",
        description: "The partitions assigned to this tracker.",
        items: {
          type: "object",
          required: ["partition", "position", "committed", "lag"],
          properties: {
            partition: count("The partition."),
            position: countOrNull(
              "One past the last offset that is journaled and handled; null until it is known.",
            ),
            committed: countOrNull(
              "One past the last offset that is committed; null until anything is.",
            ),
            lag: countOrNull("High watermark minus committed offset; null if unknown."),
            reason: text("Why the partition does not advance."),
          },
        },
      },
      unassigned: {
        type: ["array", "null"],
        items: count("A partition of the topic that is assigned to no member of the group."),
        description: "Null if unknown.",
      },
      open_transactions: {
        type: "array",
        description: "Open transactions, which hold back the records behind them.",
        items: {
          type: "object",
          required: ["partition", "first_offset", "records", "seconds"],
          properties: {
            partition: count("The partition."),
            first_offset: count(
              "First offset of the transaction; records from here on cannot be read yet.",
            ),
            records: count("Offsets from first_offset to the high watermark."),
            seconds: count("How long the tracker has seen it open."),
          },
        },
      },
      latency_ms: {
        type: ["object", "null"],
        description:
          "From a record's timestamp until it is flushed to disk, over the last minute; null without records.",
        required: ["p50", "p99", "max"],
        properties: { p50: milliseconds, p99: milliseconds, max: milliseconds },
      },
      counters: {
        type: "object",
        description: "Records since the tracker started: received = processed + failed.",
        required: ["received", "processed", "failed", "dead_lettered", "already_journaled"],
        properties: {
          received: count("Written to the journal."),
          processed: count("Valid orders."),
          failed: count("Invalid records."),
          dead_lettered: count("Sent to the dead-letter topic."),
          already_journaled: count("Read again but already in the journal."),
        },
      },
    },
  };
}

export function ledgerLine(): unknown {
  return {
    $schema: DRAFT,
    $id: "urn:orderflow:ledger-line:1",
    title: "Line of a producer's ledger",
    description: "One record that the broker acknowledged.",
    type: "object",
    required: ["order_id", "sequence", "partition", "offset", "sha256"],
    properties: {
      order_id: text("The order's id."),
      sequence: count("The order's sequence in its run."),
      partition: count("The partition."),
      offset: count("The offset in the partition."),
      sha256: sha256("Of the record's value."),
      topic_id: text(
        "32 hexadecimal digits: the topic that stored the record. Absent in earlier versions.",
      ),
    },
  };
}

export function undelivered(): unknown {
  return {
    $schema: DRAFT,
    $id: "urn:orderflow:undelivered:1",
    title: "Line of producer.undelivered.jsonl",
    description: "One record that was not acknowledged: an order or a user-provided record.",
    type: "object",
    required: ["timestamp", "fate", "reason", "partition", "key"],
    oneOf: [
      { required: ["order"] },
      { required: ["bad", "value_base64"] },
      { required: ["record"] },
    ],
    properties: {
      timestamp: time("When the outcome was known, RFC 3339."),
      fate: {
        enum: ["failed", "undelivered", "unknown"],
        description:
          "failed: the broker rejected it; undelivered: it was never sent; unknown: it may or may not be in the topic.",
      },
      reason: text("The reason."),
      partition: count("Intended partition."),
      key: { type: ["string", "null"], description: "The record's key." },
      order: { $ref: "order.schema.json" },
      bad: { enum: BAD_KINDS, description: "How it was corrupted on purpose." },
      value_base64: { type: "string", contentEncoding: "base64" },
      record: {
        type: "object",
        description: "A user-provided record with its headers.",
        required: ["key_base64", "value_base64", "headers"],
        properties: {
          key_base64: base64OrNull(),
          value_base64: base64OrNull(),
          headers: {
            type: "array",
            items: {
              type: "object",
              required: ["key", "value_base64"],
              properties: { key: { type: "string" }, value_base64: base64OrNull() },
            },
          },
        },
      },
    },
  };
}

function base64OrNull(): unknown {
  return { type: ["string", "null"], contentEncoding: "base64" };
}

export function manifest(): unknown {
  return {
    $schema: DRAFT,
    $id: "urn:orderflow:manifest:1",
    title: "tracker.manifest.NNNNNN.json",
    description: "Describes a closed segment of the journal at closing time. Never changed.",
    type: "object",
    required: ["version", "sha256", "body"],
    properties: {
      version: { const: 1 },
      sha256: sha256("Of the body's text."),
      body: {
        type: "object",
        required: ["segment", "partitions", "created", "journal", "chain", "previous"],
        properties: {
          segment: {
            type: "object",
            required: ["name", "bytes", "lines", "sha256", "fingerprint"],
            properties: {
              name: text("tracker.events.NNNNNN."),
              bytes: count("Length of the segment's file in bytes."),
              lines: count("Lines, readable or not."),
              sha256: sha256("Of the segment's file."),
              fingerprint: {
                type: "object",
                description:
                  "Hashes of the segment's two ends, which identify it without reading all of it.",
                required: ["headSha256", "tailSha256"],
                properties: {
                  headSha256: sha256("Of its beginning."),
                  tailSha256: sha256("Of its end."),
                },
              },
            },
          },
          partitions: { type: "array", items: partitionShare() },
          leader_epochs: { type: "array", items: partitionEpochs() },
          record_times: recordTimes(),
          created: time("RFC 3339."),
          journal: text("The journal's id, a UUID."),
          chain: count("Position in the chain of manifests."),
          previous: {
            description: "The previous manifest; null for the first.",
            anyOf: [{ type: "null" }, {
              type: "object",
              required: ["segment", "sha256"],
              properties: {
                segment: text("The segment's name."),
                sha256: sha256("Of that manifest's file."),
              },
            }],
          },
        },
      },
    },
  };
}

function recordTimes(): unknown {
  const timestamp = { type: "number", description: "Milliseconds since the epoch." };
  return {
    type: "object",
    description:
      "The range of all record timestamps, both ends included. Absent in earlier versions, and " +
      "if a line has no timestamp.",
    required: ["min", "max"],
    properties: { min: timestamp, max: timestamp },
  };
}

function partitionShare(): unknown {
  const offsetOrNull = { type: ["integer", "null"], minimum: 0 };
  return {
    type: "object",
    required: ["topic", "topic_id", "partition", "records", "first_offset", "last_offset", "held"],
    properties: {
      topic: text("The topic's name."),
      topic_id: text("32 hexadecimal digits, or empty if unknown."),
      partition: count("The partition."),
      records: count("Lines of this partition in the segment."),
      first_offset: offsetOrNull,
      last_offset: offsetOrNull,
      held: {
        type: "array",
        description: "Ranges of offsets that are not journaled again unless the log is truncated.",
        items: offsetRange(),
      },
    },
  };
}

function partitionEpochs(): unknown {
  return {
    type: "object",
    description: "Leader epochs of a partition's held offsets; absent if none is known.",
    required: ["topic", "topic_id", "partition", "starts", "superseded"],
    properties: {
      topic: text("The topic's name."),
      topic_id: text("32 hexadecimal digits, or empty if unknown."),
      partition: count("The partition."),
      starts: {
        type: "array",
        description: "Held offsets from the start on were appended in this epoch.",
        items: {
          type: "array",
          prefixItems: [
            { type: ["integer", "null"], minimum: 0, description: "The epoch; null if unknown." },
            count("Its first offset."),
          ],
          items: false,
        },
      },
      superseded: {
        type: "array",
        description:
          "Offsets whose earlier lines no longer count, because the log was truncated and rewritten.",
        items: offsetRange(),
      },
    },
  };
}

function offsetRange(): unknown {
  return {
    type: "array",
    prefixItems: [count("The first."), count("One past the last.")],
    items: false,
  };
}
