/**
 * Error classes for Kafka, with messages that say what to do.
 */

import { isUnresolved } from "./kafkajs/connections.ts";
import {
  classify,
  type ErrorScope,
  isNotYetReason,
  isSizeReason,
  wordsFor,
} from "./error_classifier.ts";

/** Thrown if a broker does not answer in time: the address is wrong, or the broker is down. */
export class BrokerUnreachableError extends Error {
  override readonly name = "BrokerUnreachableError";
  readonly brokers: readonly string[];
  /** The message without the advice for first-time users. */
  readonly fact: string;

  /** @param options.othersAnswer true if other brokers of the cluster answer. */
  constructor({ brokers, cause, othersAnswer = false }: {
    readonly brokers: readonly string[];
    readonly cause: unknown;
    readonly othersAnswer?: boolean | undefined;
  }) {
    const { name, message: text } = rootCauseOf(cause);
    // The client speaks of its own cache here.
    const message = name === "KafkaJSBrokerNotFound" ? wordsFor(name) : text;
    const named = addressNamedByCluster(cause, brokers);
    const fact = othersAnswer && named === undefined
      ? `a broker of the cluster does not answer, though others do (${message})`
      : named === undefined
      ? `no Kafka broker answers at ${brokers.join(", ")} (${message})`
      : `the cluster at ${
        brokers.join(", ")
      } names a broker at ${named} that does not answer (${message})`;
    const advice = othersAnswer && named === undefined
      ? "try again when it is back, or ask the cluster's operator"
      : connectionAdvice(cause, named);
    super(`${fact}: ${advice}`, { cause });
    this.brokers = brokers;
    this.fact = fact;
  }
}

/** Returns the address that failed, if the cluster advertised it (`advertised.listeners`) and we did not name it. */
function addressNamedByCluster(error: unknown, brokers: readonly string[]): string | undefined {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ("broker" in cause && typeof cause.broker === "string") {
      return brokers.includes(cause.broker) ? undefined : cause.broker;
    }
  }
  return undefined;
}

/** Returns the error's message without the advice for first-time users, for connections that worked before. */
export function factOf(error: Error): string {
  return error instanceof BrokerUnreachableError ? error.fact : error.message;
}

/** Advice by the message of a failed connection; the first match is used. */
const CONNECTION_ADVICE: readonly (readonly [RegExp, string])[] = [
  [
    /received fatal alert/i,
    "the broker asks for a client certificate that it trusts: " +
    "set KAFKA_SSL_CERT and KAFKA_SSL_KEY, or both in the file of --config",
  ],
  [
    /altnames|NotValidForName|Hostname\/IP/i,
    "the broker's certificate is for another name: connect to the broker by a name in its certificate",
  ],
  [
    /expired/i,
    "the broker's certificate has expired, or this machine's clock is wrong: " +
    "ask the cluster's operator for a new one",
  ],
  [
    /certificate|UnknownIssuer/i,
    "the broker's certificate is not trusted: set its certificate authority with KAFKA_SSL_CA, " +
    "or in the file of --config",
  ],
  [
    /before secure TLS connection|wrong version|InvalidContentType|corrupt message/i,
    "this port does not use TLS: use the right port, or set KAFKA_SECURITY_PROTOCOL",
  ],
  [
    /closed connection|not connected|write after end|EPIPE|ECONNRESET|broken pipe|reset by peer/i,
    "the broker closed the connection: if this port requires TLS, a client certificate, or a password, set " +
    "KAFKA_SECURITY_PROTOCOL (SSL, SASL_SSL), KAFKA_SSL_CERT and KAFKA_SSL_KEY, " +
    "or pass a file with --config",
  ],
];

/** @param named the address, if the cluster advertised it. */
function connectionAdvice(error: unknown, named: string | undefined): string {
  const { message } = rootCauseOf(error);
  const known = CONNECTION_ADVICE.find(([pattern]) => pattern.test(message))?.[1];
  if (known !== undefined) return known;
  if (named !== undefined) {
    return (isUnresolved(error) ? "the host name cannot be resolved: " : "") +
      "set the broker's advertised.listeners to an address that its clients can reach " +
      "(a container's own address seldom is), or start that broker";
  }
  return isUnresolved(error)
    ? "the host name cannot be resolved: check --broker, KAFKA_BROKER, or " +
      "bootstrap.servers for a typo, and this machine's DNS"
    : `start one with "deno task broker", or name yours with --broker or KAFKA_BROKER`;
}

/** Thrown if the cluster refuses a request: a missing permission, an unknown topic, an invalid name. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  /** Kafka's name for the reason, such as `TOPIC_AUTHORIZATION_FAILED`. */
  readonly reason: string;

  constructor(message: string, { reason, cause }: { reason: string; cause?: unknown }) {
    super(message, { cause });
    this.reason = reason;
  }
}

/** The outcome of a rejected send. */
export type Fate =
  /** The broker reported that it did not store the records. */
  | "refused"
  /** The records may have been stored: there was no answer, or none that can be trusted. */
  | "unknown";

/** Thrown if a send is rejected; `fate` says whether the records can be in the topic nevertheless. */
export class DeliveryError extends Error {
  /** `DeliveryError` */
  override readonly name = "DeliveryError";
  /** The topic that the records were sent to. */
  readonly topic: string;
  /** The partition that the records were sent to. */
  readonly partition: number;
  /** `refused` if the broker stored none of the records. */
  readonly fate: Fate;
  /** Kafka's name for the reason, if the broker gave one. */
  readonly reason: string;

  /** Creates the error of a send. */
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

/** Returns the fate of a rejected send's records. Never throws; decides by error codes, not by text. */
export function fateOf(error: unknown): Fate {
  return classify(reasonOf(error)).storesNothing ? "refused" : "unknown";
}

/** Returns the scope of an error. Never throws; decides by error codes, not by text. */
export function scopeOf(error: unknown): ErrorScope {
  return isUnreachable(error) ? "passing" : classify(reasonOf(error)).scope;
}

/** Reports whether a broker refused records because of their size. Never throws. */
export function isTooLarge(error: unknown): boolean {
  return isSizeReason(reasonOf(error));
}

/** Returns Kafka's name for the reason of an error, or the class of the root cause. Never throws. */
export function reasonOf(error: unknown): string {
  for (let cause: unknown = error; cause instanceof Error; cause = causeOf(cause)) {
    if (cause instanceof DeliveryError || cause instanceof RefusedError) return cause.reason;
    if ("type" in cause && typeof cause.type === "string") return cause.type;
  }
  return rootCauseOf(error).name;
}

/** Returns an error's cause; for an aggregate, such as one error per topic to create, its first error. */
function causeOf(error: Error): unknown {
  return "errors" in error && Array.isArray(error.errors) ? error.errors[0] : error.cause;
}

/**
 * Converts an error of the client into one of ours.
 *
 * @param doing the failed operation, such as `reading topic "orders"`.
 */
export function explain(
  error: unknown,
  { doing, brokers, othersAnswer }: {
    readonly doing: string;
    readonly brokers: readonly string[];
    readonly othersAnswer?: boolean;
  },
): Error {
  if (error instanceof RefusedError || error instanceof BrokerUnreachableError) return error;
  const reason = reasonOf(error);
  if (isUnreachable(error)) {
    return new BrokerUnreachableError({ brokers, cause: error, othersAnswer });
  }
  const advice = adviceFor(reason);
  const message = `${doing} failed: ${rootCauseOf(error).message}${advice ? `: ${advice}` : ""}`;
  return new RefusedError(message, { reason, cause: error });
}

/** Returns what to do about a refusal, by Kafka's name for it or the client's. */
export function adviceFor(reason: string): string | undefined {
  return ADVICE[reason];
}

const ADVICE: Readonly<Record<string, string>> = {
  TOPIC_AUTHORIZATION_FAILED: "ask the cluster's operator for the permission, or use another topic",
  KafkaJSGroupCoordinatorNotFound: "the cluster is still starting: try again in a minute",
  KafkaJSSASLAuthenticationError: "the user name or the password is wrong: " +
    "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or the file of --config",
  ILLEGAL_SASL_STATE: "the listener does not use SASL: name the port of one that does, or leave " +
    "user, password, and security.protocol (KAFKA_SECURITY_PROTOCOL) out",
  UNSUPPORTED_SASL_MECHANISM: "set KAFKA_SASL_MECHANISM, or sasl.mechanism in the file of " +
    "--config, to one that the cluster supports",
  TOKEN_REJECTED: "it is expired, or of an issuer that the cluster does not trust: " +
    "check the result of the program's token function",
  NO_TOKEN: "check the program's token function and the token service",
  GROUP_AUTHORIZATION_FAILED:
    "ask the cluster's operator for the Read permission on the group, or use another --group",
  INCONSISTENT_GROUP_PROTOCOL: "the group has members with another assignment protocol, " +
    "such as trackers of an older version: stop all of them first, or use another --group",
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    "ask the cluster's operator for the Write permission on the transactional id",
  CLUSTER_AUTHORIZATION_FAILED: "ask the cluster's operator for the permission",
  UNKNOWN_TOPIC_OR_PARTITION: "the topic does not exist; create it, or use another --topic",
  INVALID_REPLICATION_FACTOR: "the replication factor is larger than the number of brokers",
  POLICY_VIOLATION: "the cluster's policy does not allow it; ask its operator to create the topic",
};

const AUTHENTICATION_FAILURES: ReadonlySet<string> = new Set([
  "KafkaJSSASLAuthenticationError",
  "NO_TOKEN",
  "TOKEN_REJECTED",
]);

/** Reports whether the cluster rejects our credentials. Never throws. */
export function isAuthenticationFailure(error: unknown): boolean {
  return AUTHENTICATION_FAILURES.has(reasonOf(error));
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  "KafkaJSConnectionError",
  "KafkaJSConnectionClosedError",
  "KafkaJSRequestTimeoutError",
  "KafkaJSBrokerNotFound",
  "KafkaJSLockTimeout",
]);

/** Thrown by kafkajs, as a plain error, while another request is connecting to the broker. */
const NOT_CONNECTED_MESSAGE = "Broker not connected";

/** Reports whether an error means that no broker answered. Never throws. */
export function isUnreachable(error: unknown): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (UNREACHABLE.has(cause.name) || cause.message === NOT_CONNECTED_MESSAGE) return true;
  }
  return false;
}

/** Reports whether a coordinator or leader is still being elected. Never throws. */
export function isPassing(error: unknown): boolean {
  return isNotYetReason(reasonOf(error));
}

function rootCauseOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const cause = causeOf(error);
  return cause instanceof Error ? rootCauseOf(cause) : error;
}
