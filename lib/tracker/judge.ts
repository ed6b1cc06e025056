/**
 * Turns a record's value into an order, or a named failure.
 */

import { Buffer, isUtf8 } from "node:buffer";
import { describeFailures } from "../order/failure.ts";
import type { Order } from "../order/schema.ts";
import { judgeOrderText } from "../order/validate.ts";
import { VALUE_BYTES_MAX } from "../limits.ts";
import { isInteroperable } from "../order/interoperable_json.ts";
import type { KafkaRecord } from "../record.ts";
import type { Verdict } from "../journal/line.ts";
import type { RecordFailure } from "./failures.ts";

/** A record with what was found in it. */
export interface JudgedRecord {
  readonly record: KafkaRecord;
  readonly verdict: Verdict;
  /** Present unless the record failed. */
  readonly order?: Order;
  readonly failure?: RecordFailure;
}

const GOOD_ORDER: Verdict = { eventType: "message.received", isText: true, deserialized: true };

/** Deserializes and validates a record's value. Never throws. */
export function judgeRecord(record: KafkaRecord): JudgedRecord {
  const { value, omittedValue } = record;
  if (omittedValue !== undefined) {
    const message =
      `the value has ${omittedValue.size} bytes, more than the ${VALUE_BYTES_MAX} that are kept`;
    return undeserializable(record, { message });
  }
  if (value === null) {
    return undeserializable(record, { message: "the value is null (a tombstone)" });
  }
  if (!isUtf8(value)) {
    return undeserializable(record, { message: "the value is not UTF-8", isText: false });
  }
  // Buffer's decoder is faster than TextDecoder and, like JSON, knows no byte order mark.
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("utf8");
  const judgement = judgeOrderText(text);
  switch (judgement.kind) {
    case "order":
      return {
        record,
        verdict: isInteroperable(text) ? GOOD_ORDER : { ...GOOD_ORDER, leavesOrderOut: true },
        order: judgement.order,
      };
    case "invalid": {
      const message = describeFailures(judgement.failures);
      return {
        record,
        verdict: {
          eventType: "message.received.validation_error",
          isText: true,
          deserialized: true,
          leavesOrderOut: !isInteroperable(text),
          error: message,
        },
        failure: {
          reason: "VALIDATION",
          message,
          messageWithoutValues: describeFailures(judgement.failures, { withValues: false }),
        },
      };
    }
    // The parser's own message quotes the text.
    case "not-json":
      return undeserializable(record, {
        message: judgement.error,
        messageWithoutValues: "the value is not valid JSON",
      });
    case "not-an-object":
      return undeserializable(record, {
        message: judgement.error,
        messageWithoutValues: "the value is not a JSON object",
      });
  }
}

/** Takes a value for what it is, with no rule to break: for topics that hold no orders. */
export function takeAnyRecord(record: KafkaRecord): JudgedRecord {
  const isText = record.value === null || isUtf8(record.value);
  return { record, verdict: { eventType: "message.received", isText, deserialized: false } };
}

function undeserializable(
  record: KafkaRecord,
  { message, messageWithoutValues = message, isText = true }: {
    readonly message: string;
    readonly messageWithoutValues?: string;
    readonly isText?: boolean;
  },
): JudgedRecord {
  return {
    record,
    verdict: {
      eventType: "message.received.deserialization_error",
      isText,
      deserialized: false,
      error: message,
    },
    failure: { reason: "DESERIALIZATION", message, messageWithoutValues },
  };
}
