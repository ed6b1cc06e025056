/**
 * Classifies errors of requests: retry, leave the record out, wait for an operator, or stop. Lists every error code of
 * Kafka's protocol and every error class of the client, each with the reason for its scope.
 *
 * The scope is that of a Produce request, where it decides about data. Codes of other requests are included, so that
 * there is one table.
 *
 * https://kafka.apache.org/protocol#protocol_error_codes
 */

/** The part of the system that an error affects, which decides how to handle it. */
export type ErrorScope =
  /** Transient: the same request will succeed later. */
  | "passing"
  /** The broker will never accept this batch, but may accept other batches of the topic. */
  | "record"
  /** The topic accepts nothing until an operator changes something. */
  | "topic"
  /** The program or its configuration is wrong: no request of this kind will succeed. */
  | "program"
  /** The cause is unknown: retry, then suspect the record. */
  | "unclear";

export interface ErrorClass {
  readonly scope: ErrorScope;
  readonly why: string;
  /** True if the broker stored none of the request's records. */
  readonly storesNothing: boolean;
}

const UNKNOWN_REASON: ErrorClass = {
  scope: "unclear",
  why: "the code is newer than the client",
  storesNothing: false,
};

/**
 * Classifies an error by its name in Kafka's protocol or by the client's error class. Never throws.
 *
 * @param reason as returned by `reasonOf`, such as `MESSAGE_TOO_LARGE`.
 */
export function classify(reason: string): ErrorClass {
  return CLASSES.get(reason) ?? UNKNOWN_REASON;
}

/** Returns Kafka's name for a reason as it is; a class of the client, which means nothing to a reader, in words. */
export function wordsFor(reason: string): string {
  return reason.startsWith("KafkaJS") ? classify(reason).why : reason;
}

const TOO_LARGE: ReadonlySet<string> = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]);

/** Reports whether the request was too large. Never throws. */
export function isSizeReason(reason: string): boolean {
  return TOO_LARGE.has(reason);
}

const NOT_YET: ReadonlySet<string> = new Set([
  "FENCED_LEADER_EPOCH",
  "GROUP_COORDINATOR_NOT_AVAILABLE",
  "GROUP_LOAD_IN_PROGRESS",
  "KafkaJSGroupCoordinatorNotFound",
  "KafkaJSMetadataNotLoaded",
  "KafkaJSTopicMetadataNotLoaded",
  "LEADER_NOT_AVAILABLE",
  "NOT_CONTROLLER",
  "NOT_COORDINATOR_FOR_GROUP",
  "NOT_LEADER_FOR_PARTITION",
  "REPLICA_NOT_AVAILABLE",
  "UNKNOWN_LEADER_EPOCH",
]);

/**
 * Reports whether a broker answered that a coordinator or leader is being elected. These errors are retried even in
 * `probe` mode. Never throws.
 */
export function isNotYetReason(reason: string): boolean {
  return NOT_YET.has(reason);
}

const ENDS_CONSUMER: ReadonlySet<string> = new Set([
  "CLUSTER_AUTHORIZATION_FAILED",
  "GROUP_AUTHORIZATION_FAILED",
  "INCONSISTENT_GROUP_PROTOCOL",
  "INVALID_GROUP_ID",
  "INVALID_SESSION_TIMEOUT",
  "SASL_AUTHENTICATION_FAILED",
  "TOPIC_AUTHORIZATION_FAILED",
]);

/** Reports whether a group member cannot recover from the error by retrying. Never throws. */
export function endsConsumer(reason: string): boolean {
  return ENDS_CONSUMER.has(reason);
}

const REBALANCES: ReadonlySet<string> = new Set([
  "REBALANCE_IN_PROGRESS",
  "ILLEGAL_GENERATION",
  "UNKNOWN_MEMBER_ID",
]);

/**
 * Reports whether the coordinator says that the member's partitions may have moved. Its next heartbeat gets the same
 * answer, and it rejoins. NOT_COORDINATOR_FOR_GROUP does not imply this: a later heartbeat may find the coordinator in
 * place again. Never throws.
 */
export function isRebalanceReason(reason: string): boolean {
  return REBALANCES.has(reason);
}

const FENCING: ReadonlySet<string> = new Set([
  "CONCURRENT_TRANSACTIONS",
  "INVALID_PRODUCER_EPOCH",
  "INVALID_PRODUCER_ID_MAPPING",
  "INVALID_TXN_STATE",
  // Codes newer than the client, such as PRODUCER_FENCED.
  "KAFKAJS_UNKNOWN_ERROR_CODE",
]);

/** Reports whether a transactional producer was fenced or its transaction has ended. Never throws. */
export function isFencingReason(reason: string): boolean {
  return FENCING.has(reason);
}

type Reasons = Readonly<Record<string, string>>;

/** Refusals because of a batch's contents. The broker checks the whole batch before it stores any of it. */
const RECORD_REFUSALS: Reasons = {
  MESSAGE_TOO_LARGE: "the batch exceeds max.message.bytes",
  RECORD_LIST_TOO_LARGE: "the batch exceeds segment.bytes",
  INVALID_TIMESTAMP: "a timestamp is outside message.timestamp.before.max.ms and .after.max.ms",
  INVALID_RECORD:
    "a record breaks a rule of the topic, such as a missing key where it is compacted",
  POLICY_VIOLATION: "a policy of the cluster does not allow the records",
};

/** Refusals of every record sent to the topic. */
const TOPIC_REFUSALS: Reasons = {
  CLUSTER_AUTHORIZATION_FAILED: "the user may not produce with idempotence",
  INVALID_TOPIC_EXCEPTION: "the topic's name is not allowed, or it is internal",
  TOPIC_AUTHORIZATION_FAILED: "the user may not write to the topic",
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "the user may not use the transactional id",
  UNSUPPORTED_COMPRESSION_TYPE: "the topic's brokers do not know the compression",
  UNSUPPORTED_FOR_MESSAGE_FORMAT: "the topic's message format is older than the records'",
};

/** Like {@link TOPIC_REFUSALS}, but an earlier attempt of the same send may have been stored. */
const TOPIC_FAILURES: Reasons = {
  KAFKA_STORAGE_ERROR: "the broker's disk failed",
  LOG_DIR_NOT_FOUND: "the broker has lost its log directory",
  NOT_ENOUGH_REPLICAS: "fewer replicas are in sync than min.insync.replicas requires",
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: "the records are stored, on too few replicas",
  UNKNOWN_TOPIC_ID: "the topic was deleted or recreated",
  UNKNOWN_TOPIC_OR_PARTITION: "the topic was deleted, or has fewer partitions now",
  INCONSISTENT_TOPIC_ID: "the topic was recreated",
};

const PASSING: Reasons = {
  BROKER_NOT_AVAILABLE: "a broker is down",
  CONCURRENT_TRANSACTIONS: "the previous transaction is being completed",
  CORRUPT_MESSAGE: "the batch was damaged in transit: its checksum is wrong",
  DUPLICATE_SEQUENCE_NUMBER: "the sequence number is out of order; a new producer starts over",
  ELECTION_NOT_NEEDED: "the leader is in place",
  ELIGIBLE_LEADERS_NOT_AVAILABLE: "a leader is being elected",
  FENCED_LEADER_EPOCH: "the leader has just moved",
  FETCH_SESSION_ID_NOT_FOUND: "the next fetch opens a session",
  GROUP_COORDINATOR_NOT_AVAILABLE: "a coordinator is being elected",
  GROUP_LOAD_IN_PROGRESS: "the coordinator is loading",
  ILLEGAL_GENERATION: "the member rejoins the group",
  INVALID_FETCH_SESSION_EPOCH: "the next fetch opens a session",
  INVALID_PRODUCER_EPOCH: "another producer has taken the id; a new producer starts over",
  INVALID_PRODUCER_ID_MAPPING: "the id has expired; a new producer starts over",
  INVALID_TXN_STATE: "the transaction has ended; a new producer starts over",
  LEADER_NOT_AVAILABLE: "a leader is being elected",
  LISTENER_NOT_FOUND: "the leader is starting",
  MEMBER_ID_REQUIRED: "the member joins with the id that it was given",
  NETWORK_EXCEPTION: "a broker closed the connection",
  NOT_CONTROLLER: "the controller has moved",
  NOT_COORDINATOR_FOR_GROUP: "the coordinator has moved",
  NOT_LEADER_FOR_PARTITION: "the leader has moved",
  NOT_LEADER_OR_FOLLOWER: "the leader has moved",
  OFFSET_NOT_AVAILABLE: "the new leader is catching up",
  OUT_OF_ORDER_SEQUENCE_NUMBER: "the sequence number is out of order; a new producer starts over",
  PREFERRED_LEADER_NOT_AVAILABLE: "a leader is being elected",
  REASSIGNMENT_IN_PROGRESS: "partitions are being moved",
  REBALANCE_IN_PROGRESS: "the member rejoins the group",
  REPLICA_NOT_AVAILABLE: "a replica is being moved",
  REQUEST_TIMED_OUT: "the broker was too slow",
  STALE_BROKER_EPOCH: "a broker is restarting",
  STALE_CONTROLLER_EPOCH: "the controller has moved",
  THROTTLING_QUOTA_EXCEEDED: "a quota is exceeded for now",
  TRANSACTION_COORDINATOR_FENCED: "the coordinator has moved",
  UNKNOWN_LEADER_EPOCH: "the leader has just moved",
  UNKNOWN_MEMBER_ID: "the member rejoins the group",
  UNKNOWN_PRODUCER_ID: "the id has expired; a new producer starts over",
  UNSTABLE_OFFSET_COMMIT: "a transaction is being completed",
  // The client's own.
  KafkaJSBrokerNotFound: "the brokers are changing",
  KafkaJSConnectionClosedError: "a broker closed the connection",
  KafkaJSConnectionError: "no broker answers",
  KafkaJSGroupCoordinatorNotFound: "a coordinator is being elected",
  KafkaJSLockTimeout: "another request waits for a broker",
  KafkaJSMetadataNotLoaded: "the cluster's metadata is not loaded yet",
  KafkaJSRequestTimeoutError: "the broker was too slow",
  KafkaJSStaleTopicMetadataAssignment: "the partitions are changing",
  KafkaJSTimeout: "the broker was too slow",
  KafkaJSTopicMetadataNotLoaded: "the topic's metadata is not loaded yet",
  // Ours.
  NO_TOKEN: "the token service failed; it is asked again",
  UNTRUSTED_ANSWER: "the answer is for other records; a new producer starts over",
};

/** Errors that a cluster of this configuration answers every time. */
const PROGRAM_ERRORS: Reasons = {
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: "the program uses no delegation tokens",
  DELEGATION_TOKEN_AUTH_DISABLED: "the program uses no delegation tokens",
  DELEGATION_TOKEN_EXPIRED: "the program uses no delegation tokens",
  DELEGATION_TOKEN_NOT_FOUND: "the program uses no delegation tokens",
  DELEGATION_TOKEN_OWNER_MISMATCH: "the program uses no delegation tokens",
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: "the program uses no delegation tokens",
  FENCED_INSTANCE_ID: "the program uses no static membership",
  GROUP_AUTHORIZATION_FAILED: "the user may not use the group",
  GROUP_ID_NOT_FOUND: "there is no such group",
  GROUP_MAX_SIZE_REACHED: "the group takes no more members",
  GROUP_SUBSCRIBED_TO_TOPIC: "the group is in use",
  ILLEGAL_SASL_STATE: "the connection was not authenticated as it should have been",
  INCONSISTENT_GROUP_PROTOCOL: "other members of the group use another assignment protocol",
  INVALID_COMMIT_OFFSET_SIZE: "the commit's metadata is too large",
  INVALID_CONFIG: "the cluster does not know a setting, or does not allow it",
  INVALID_FETCH_SIZE: "the request is wrong",
  INVALID_GROUP_ID: "the group's name is not allowed",
  INVALID_PARTITIONS: "the partition count is not allowed",
  INVALID_PRINCIPAL_TYPE: "the program uses no delegation tokens",
  INVALID_REPLICATION_FACTOR: "the replication factor is larger than the number of brokers",
  INVALID_REPLICA_ASSIGNMENT: "the request is wrong",
  INVALID_REQUEST: "the request is wrong",
  INVALID_SESSION_TIMEOUT: "the session timeout is outside the cluster's bounds",
  INVALID_TRANSACTION_TIMEOUT: "the transaction timeout is above transaction.max.timeout.ms",
  NON_EMPTY_GROUP: "the group is in use",
  NO_REASSIGNMENT_IN_PROGRESS: "no partitions are being moved",
  OFFSET_METADATA_TOO_LARGE: "the commit's metadata is too large",
  OFFSET_OUT_OF_RANGE: "the offset is not in the log",
  OPERATION_NOT_ATTEMPTED: "another part of the request failed first",
  SASL_AUTHENTICATION_FAILED: "the user name or the password is wrong",
  SECURITY_DISABLED: "the cluster has no authorizer",
  TOPIC_ALREADY_EXISTS: "the topic already exists",
  TOPIC_DELETION_DISABLED: "the cluster does not allow topics to be deleted",
  UNSUPPORTED_SASL_MECHANISM: "the cluster does not support the mechanism",
  UNSUPPORTED_VERSION: "the cluster is too old, or too new",
  // The client's own.
  KafkaJSNotImplemented: "the client does not implement it",
  KafkaJSSASLAuthenticationError: "the user name or the password is wrong",
  KafkaJSServerDoesNotSupportApiKey: "the cluster is too old",
  // Ours.
  TOKEN_REJECTED: "the cluster does not trust the token",
};

/** Like {@link PROGRAM_ERRORS}, for requests that carried records. */
const PROGRAM_REFUSALS: Reasons = {
  INVALID_REQUIRED_ACKS: "the request is wrong",
};

/**
 * UNKNOWN is any exception inside the broker. Some records cause one each time: a topic that sets
 * compression.type cannot store a negative timestamp.
 */
const UNCLEAR: Reasons = {
  UNKNOWN: "the broker failed while processing the request",
  KAFKAJS_UNKNOWN_ERROR_CODE: "the code is newer than the client",
};

const CLASSES: ReadonlyMap<string, ErrorClass> = new Map([
  ...entriesOf(RECORD_REFUSALS, "record", true),
  ...entriesOf(TOPIC_REFUSALS, "topic", true),
  ...entriesOf(TOPIC_FAILURES, "topic", false),
  ...entriesOf(PASSING, "passing", false),
  ...entriesOf(PROGRAM_ERRORS, "program", false),
  ...entriesOf(PROGRAM_REFUSALS, "program", true),
  ...entriesOf(UNCLEAR, "unclear", false),
]);

function entriesOf(
  reasons: Reasons,
  scope: ErrorScope,
  storesNothing: boolean,
): readonly (readonly [string, ErrorClass])[] {
  return Object.entries(reasons).map(([reason, why]) => [reason, { scope, why, storesNothing }]);
}
