import assert from "node:assert/strict";
import clientErrors from "kafkajs/src/errors.js";
import protocolErrors from "kafkajs/src/protocol/error.js";
import { classify, type ErrorScope } from "../../lib/kafka/error_classifier.ts";
import { DeliveryError, fateOf, reasonOf, RefusedError, scopeOf } from "../../lib/kafka/errors.ts";

const { errorCodes, createErrorFromCode } = protocolErrors as {
  readonly errorCodes: readonly { readonly type: string; readonly code: number }[];
  createErrorFromCode(code: number): Error;
};

/** Determines how dead letters are handled. Repeated here, so that a mistake in the table is noticed. */
const SCOPES_OF_PRODUCE_ERRORS: Readonly<Record<string, ErrorScope>> = {
  MESSAGE_TOO_LARGE: "record",
  RECORD_LIST_TOO_LARGE: "record",
  INVALID_TIMESTAMP: "record",
  INVALID_RECORD: "record",
  POLICY_VIOLATION: "record",
  UNKNOWN_TOPIC_OR_PARTITION: "topic",
  UNKNOWN_TOPIC_ID: "topic",
  INVALID_TOPIC_EXCEPTION: "topic",
  TOPIC_AUTHORIZATION_FAILED: "topic",
  CLUSTER_AUTHORIZATION_FAILED: "topic",
  NOT_ENOUGH_REPLICAS: "topic",
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: "topic",
  KAFKA_STORAGE_ERROR: "topic",
  UNSUPPORTED_FOR_MESSAGE_FORMAT: "topic",
  UNSUPPORTED_COMPRESSION_TYPE: "topic",
  NOT_LEADER_FOR_PARTITION: "passing",
  LEADER_NOT_AVAILABLE: "passing",
  REQUEST_TIMED_OUT: "passing",
  NETWORK_EXCEPTION: "passing",
  CORRUPT_MESSAGE: "passing",
  OUT_OF_ORDER_SEQUENCE_NUMBER: "passing",
  UNKNOWN_PRODUCER_ID: "passing",
  INVALID_PRODUCER_EPOCH: "passing",
  KafkaJSConnectionError: "passing",
  KafkaJSRequestTimeoutError: "passing",
  UNTRUSTED_ANSWER: "passing",
  UNSUPPORTED_VERSION: "program",
  INVALID_REQUIRED_ACKS: "program",
  UNKNOWN: "unclear",
  KAFKAJS_UNKNOWN_ERROR_CODE: "unclear",
  SOMETHING_NEW: "unclear",
};

Deno.test("classify() returns for each produce error how far it reaches", () => {
  for (const [reason, scope] of Object.entries(SCOPES_OF_PRODUCE_ERRORS)) {
    assert.equal(classify(reason).scope, scope, reason);
  }
});

Deno.test("classify() knows every error code of the client, each with a reason", () => {
  assert.ok(errorCodes.length > 80);
  for (const { type } of errorCodes) {
    const { scope, why } = classify(type);
    assert.ok(why.length > 10, type);
    if (type !== "UNKNOWN") assert.notEqual(scope, "unclear", type);
  }
});

Deno.test("classify() considers a record not stored only if the broker refused it before storing any", () => {
  const refused = errorCodes.map(({ type }) => type)
    .filter((type) => classify(type).storesNothing).sort();
  assert.deepEqual(refused, [
    "CLUSTER_AUTHORIZATION_FAILED",
    "INVALID_RECORD",
    "INVALID_REQUIRED_ACKS",
    "INVALID_TIMESTAMP",
    "INVALID_TOPIC_EXCEPTION",
    "MESSAGE_TOO_LARGE",
    "POLICY_VIOLATION",
    "RECORD_LIST_TOO_LARGE",
    "TOPIC_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "UNSUPPORTED_COMPRESSION_TYPE",
    "UNSUPPORTED_FOR_MESSAGE_FORMAT",
  ]);
});

Deno.test("scopeOf() unwraps errors, and treats a lost connection as transient", () => {
  const { KafkaJSConnectionError, KafkaJSNonRetriableError, KafkaJSNumberOfRetriesExceeded } =
    clientErrors as Readonly<Record<string, new (message: unknown, options: object) => Error>>;
  const tooLarge = createErrorFromCode(10);
  assert.ok(KafkaJSNonRetriableError && KafkaJSNumberOfRetriesExceeded && KafkaJSConnectionError);
  assert.equal(scopeOf(new KafkaJSNonRetriableError(tooLarge, { cause: tooLarge })), "record");
  const delivery = new DeliveryError({
    topic: "t",
    partition: 0,
    fate: fateOf(tooLarge),
    reason: reasonOf(tooLarge),
    cause: tooLarge,
  });
  assert.deepEqual([delivery.fate, scopeOf(delivery)], ["refused", "record"]);
  const refused = new RefusedError("no", { reason: "TOPIC_AUTHORIZATION_FAILED" });
  assert.equal(scopeOf(new Error("wrapped", { cause: refused })), "topic");
  const lost = new KafkaJSConnectionError("lost", { broker: "b", code: "ECONNRESET" });
  assert.equal(scopeOf(new KafkaJSNumberOfRetriesExceeded(lost, {})), "passing");
  assert.equal(scopeOf(createErrorFromCode(9_999)), "unclear");
  assert.equal(scopeOf("no error at all"), "unclear");
});
