/**
 * What can go wrong with Kafka, as classes that callers decide by and messages that say what to do.
 *
 * @module
 */

/** The broker did not answer, or not in time: the address is wrong, or it is down. */
export class BrokerUnreachableError extends Error {
  override readonly name = "BrokerUnreachableError";
  readonly brokers: readonly string[];
  /** The message without its advice, which is for those who come for the first time. */
  readonly fact: string;

  constructor({ brokers, cause }: { brokers: readonly string[]; cause: unknown }) {
    const { message } = rootCauseOf(cause);
    const fact = `no Kafka broker answers at ${brokers.join(", ")} (${message})`;
    super(`${fact}: ${adviceAtDoor(message)}`, { cause });
    this.brokers = brokers;
    this.fact = fact;
  }
}

/** What went wrong on a way that was good before. */
export function factOf(error: Error): string {
  return error instanceof BrokerUnreachableError ? error.fact : error.message;
}

/** What the words of a failed connection mean; the first that fits counts. */
const ADVICE_AT_DOOR: readonly (readonly [RegExp, string])[] = [
  [
    /received fatal alert/i,
    "the broker asks for a client certificate that it trusts: " +
    "set KAFKA_SSL_CERT and KAFKA_SSL_KEY, or both in the file of --config",
  ],
  [
    /altnames|NotValidForName|Hostname\/IP/i,
    "the broker's certificate is for another name: call the broker by a name that it has",
  ],
  [/expired/i, "the broker's certificate is out of date, or this machine's clock is wrong"],
  [
    /certificate|UnknownIssuer/i,
    "the broker's certificate is not trusted: name its authority with KAFKA_SSL_CA, " +
    "or in the file of --config",
  ],
  [
    /before secure TLS connection|wrong version|InvalidContentType|corrupt message/i,
    "it does not speak TLS at this port: name the right port, or set KAFKA_SECURITY_PROTOCOL",
  ],
  [
    /closed connection|not connected|write after end|EPIPE|ECONNRESET|broken pipe|reset by peer/i,
    "it hangs up: where this port wants TLS, a client certificate or a password, set " +
    "KAFKA_SECURITY_PROTOCOL (SSL, SASL_SSL), KAFKA_SSL_CERT and KAFKA_SSL_KEY, " +
    "or name a file with --config",
  ],
];

function adviceAtDoor(message: string): string {
  return ADVICE_AT_DOOR.find(([words]) => words.test(message))?.[1] ??
    `start one with "deno task broker", or name yours with --broker or KAFKA_BROKER`;
}

/** The cluster answered, and refused: a missing permission, an unknown topic, a bad name. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  /** Kafka's name for the reason, such as `TOPIC_AUTHORIZATION_FAILED`. */
  readonly reason: string;

  constructor(message: string, { reason, cause }: { reason: string; cause?: unknown }) {
    super(message, { cause });
    this.reason = reason;
  }
}

/** What became of records whose send was rejected. */
export type Fate =
  /** The broker said that it did not store them. */
  | "refused"
  /** They may have been stored or not: no answer came that can be trusted. */
  | "unknown";

/** A send was rejected; `fate` says whether the records can be in the topic all the same. */
export class DeliveryError extends Error {
  /** `DeliveryError` */
  override readonly name = "DeliveryError";
  /** Where the records were sent to. */
  readonly topic: string;
  /** Where in the topic. */
  readonly partition: number;
  /** What became of them. */
  readonly fate: Fate;
  /** Kafka's name for the reason, where the broker gave one. */
  readonly reason: string;

  /** Of what was sent where, and what became of it. */
  constructor(
    { topic, partition, fate, reason, cause }: {
      topic: string;
      partition: number;
      fate: Fate;
      reason: string;
      cause: unknown;
    },
  ) {
    const what = fate === "refused" ? "was refused" : "ended without an answer that can be trusted";
    super(`the send to ${topic}[${partition}] ${what}: ${rootCauseOf(cause).message}`, { cause });
    this.topic = topic;
    this.partition = partition;
    this.fate = fate;
    this.reason = reason;
  }
}

/**
 * Reasons by which a broker says that it stored nothing of a batch.
 * https://kafka.apache.org/protocol#protocol_error_codes
 */
const REFUSALS: ReadonlySet<string> = new Set([
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

/** Whether the records of a rejected send may be in the topic. Never throws; judges by error codes, not by text. */
export function fateOf(error: unknown): Fate {
  return REFUSALS.has(reasonOf(error)) ? "refused" : "unknown";
}

/** Kafka's name for the reason of an error of the client, or the class of the innermost cause. */
export function reasonOf(error: unknown): string {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ("type" in cause && typeof cause.type === "string") return cause.type;
  }
  return rootCauseOf(error).name;
}

/**
 * Turns an error of the client into one of ours.
 *
 * @param doing what the program was at, such as `reading topic "orders"`.
 */
export function explain(
  error: unknown,
  { doing, brokers }: { doing: string; brokers: readonly string[] },
): Error {
  if (error instanceof RefusedError || error instanceof BrokerUnreachableError) return error;
  const reason = reasonOf(error);
  if (isUnreachable(error)) return new BrokerUnreachableError({ brokers, cause: error });
  const advice = adviceFor(reason);
  const message = `${doing} failed: ${rootCauseOf(error).message}${advice ? `: ${advice}` : ""}`;
  return new RefusedError(message, { reason, cause: error });
}

/** What to do about a refusal, by Kafka's name for it or the client's. */
export function adviceFor(reason: string): string | undefined {
  return ADVICE[reason];
}

const ADVICE: Readonly<Record<string, string>> = {
  TOPIC_AUTHORIZATION_FAILED:
    "ask the cluster's operator for the permission, or use another --topic",
  KafkaJSGroupCoordinatorNotFound:
    "the cluster is still starting, or the permission to use the group is missing",
  KafkaJSSASLAuthenticationError: "the user name or the password is wrong: " +
    "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or the file of --config",
  GROUP_AUTHORIZATION_FAILED:
    "ask the cluster's operator for the permission, or use another --group",
  CLUSTER_AUTHORIZATION_FAILED: "ask the cluster's operator for the permission",
  UNKNOWN_TOPIC_OR_PARTITION: "the topic does not exist; create it, or use another --topic",
  INVALID_REPLICATION_FACTOR: "the cluster has fewer brokers than the topic asks for",
  POLICY_VIOLATION: "the cluster's policy does not allow it; ask its operator to create the topic",
};

const UNREACHABLE: ReadonlySet<string> = new Set([
  "KafkaJSConnectionError",
  "KafkaJSConnectionClosedError",
  "KafkaJSRequestTimeoutError",
  "KafkaJSBrokerNotFound",
  "KafkaJSLockTimeout",
]);

/** Whether an error means that no broker answered. Never throws. */
export function isUnreachable(error: unknown): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (UNREACHABLE.has(cause.name)) return true;
  }
  return false;
}

const PASSING: ReadonlySet<string> = new Set([
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
]);

/** Whether an error means "not yet": a coordinator or a leader is just being chosen. Never throws. */
export function isPassing(error: unknown): boolean {
  return PASSING.has(reasonOf(error));
}

function rootCauseOf(error: unknown): Error {
  let cause: unknown = error;
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause;
  return cause instanceof Error ? cause : new Error(String(cause));
}
