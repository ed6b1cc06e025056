/**
 * What the tracker makes of a record's value: an order, or a failure with a name.
 *
 * @module
 */

import { describeFailures, judgeOrderText, type Order } from "../order.ts";
import type { KafkaRecord } from "../kafka/record.ts";
import { type DecodedText, decodeText, type Verdict } from "./event.ts";

/** Why a record is a dead letter, in the contract's words. */
export type FailureReason = "DESERIALIZATION" | "VALIDATION" | "PROCESSING" | "TIMEOUT" | "UNKNOWN";

export interface RecordFailure {
  readonly reason: FailureReason;
  readonly message: string;
}

/** A record with what was found in it. */
export interface JudgedRecord {
  readonly record: KafkaRecord;
  readonly value: DecodedText;
  readonly verdict: Verdict;
  /** Present unless the record failed. */
  readonly order?: Order;
  readonly failure?: RecordFailure;
}

const NO_VALUE: DecodedText = { text: "", exact: true };

/** Deserializes and validates a record's value. Never throws. */
export function judgeRecord(record: KafkaRecord): JudgedRecord {
  if (record.value === null) {
    return undeserializable(record, NO_VALUE, "the value is null (a tombstone)");
  }
  const value = decodeText(record.value);
  if (!value.exact) return undeserializable(record, value, "the value is not UTF-8");
  const judgement = judgeOrderText(value.text);
  switch (judgement.kind) {
    case "order":
      return {
        record,
        value,
        verdict: { eventType: "message.received", orderJson: oneLineJson(value.text) },
        order: judgement.order,
      };
    case "invalid": {
      const message = describeFailures(judgement.failures);
      return {
        record,
        value,
        verdict: {
          eventType: "message.received.validation_error",
          error: message,
          orderJson: oneLineJson(value.text),
        },
        failure: { reason: "VALIDATION", message },
      };
    }
    case "not-json":
    case "not-an-object":
      return undeserializable(record, value, judgement.error);
  }
}

function undeserializable(record: KafkaRecord, value: DecodedText, message: string): JudgedRecord {
  return {
    record,
    value,
    verdict: { eventType: "message.received.deserialization_error", error: message },
    failure: { reason: "DESERIALIZATION", message },
  };
}

/**
 * The JSON text on one line. Between its tokens a line break is white space, and within a string it
 * cannot stand: so a blank may take its place, and numbers past 2^53 keep their digits.
 */
function oneLineJson(text: string): string {
  return text.replace(/[\r\n]+/g, " ");
}
