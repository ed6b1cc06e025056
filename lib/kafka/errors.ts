/**
 * What can go wrong with Kafka, as classes that callers decide by and messages that say what to do.
 *
 * @module
 */

import { isUnresolved } from "./kafkajs/connections.ts";
import {
  classify,
  type ErrorScope,
  isNotYetReason,
  isSizeReason,
  wordsFor,
} from "./error_classifier.ts";

/** The broker did not answer, or not in time: the address is wrong, or it is down. */
export class BrokerUnreachableError extends Error {
  override readonly name = "BrokerUnreachableError";
  readonly brokers: readonly string[];
  /** The message without its advice, which is for those who come for the first time. */
  readonly fact: string;

  /** @param options.othersAnswer whether other brokers of the cluster answer. */
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
      : adviceAtDoor(cause, named);
    super(`${fact}: ${advice}`, { cause });
    this.brokers = brokers;
    this.fact = fact;
  }
}

/** The address that failed, where it came from the cluster itself (`advertised.listeners`) and not from us. */
function addressNamedByCluster(error: unknown, brokers: readonly string[]): string | undefined {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ("broker" in cause && typeof cause.broker === "string") {
      return brokers.includes(cause.broker) ? undefined : cause.broker;
    }
  }
  return undefined;
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
  [
    /expired/i,
    "the broker's certificate is out of date, or this machine's clock is wrong: " +
    "ask the cluster's operator for a new one",
  ],
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

/** @param named the address, where the cluster named it. */
function adviceAtDoor(error: unknown, named: string | undefined): string {
  const { message } = rootCauseOf(error);
  const known = ADVICE_AT_DOOR.find(([words]) => words.test(message))?.[1];
  if (known !== undefined) return known;
  if (named !== undefined) {
    return (isUnresolved(error) ? "this machine knows no host of that name: " : "") +
      "set advertised.listeners of the broker to an address that its clients can reach " +
      "(in a container it is seldom the container's own), or start that broker";
  }
  return isUnresolved(error)
    ? "this machine knows no host of that name: check --broker, KAFKA_BROKER or " +
      "bootstrap.servers for a slip, and this machine's name service"
    : `start one with "deno task broker", or name yours with --broker or KAFKA_BROKER`;
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

/** Whether the records of a rejected send may be in the topic. Never throws; judges by error codes, not by text. */
export function fateOf(error: unknown): Fate {
  return classify(reasonOf(error)).storesNothing ? "refused" : "unknown";
}

/** Returns how far an error reaches. Never throws; judges by error codes, not by text. */
export function scopeOf(error: unknown): ErrorScope {
  return isUnreachable(error) ? "passing" : classify(reasonOf(error)).scope;
}

/** Whether a broker refused records for their size. Never throws. */
export function isTooLarge(error: unknown): boolean {
  return isSizeReason(reasonOf(error));
}

/** Returns Kafka's name for the reason of an error, or the class of the innermost cause. Never throws. */
export function reasonOf(error: unknown): string {
  for (let cause: unknown = error; cause instanceof Error; cause = causeOf(cause)) {
    if (cause instanceof DeliveryError || cause instanceof RefusedError) return cause.reason;
    if ("type" in cause && typeof cause.type === "string") return cause.type;
  }
  return rootCauseOf(error).name;
}

/** An error that stands for several, such as one a topic to be created, is taken for the first of them. */
function causeOf(error: Error): unknown {
  return "errors" in error && Array.isArray(error.errors) ? error.errors[0] : error.cause;
}

/**
 * Turns an error of the client into one of ours.
 *
 * @param doing what the program was at, such as `reading topic "orders"`.
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

/** What to do about a refusal, by Kafka's name for it or the client's. */
export function adviceFor(reason: string): string | undefined {
  return ADVICE[reason];
}

const ADVICE: Readonly<Record<string, string>> = {
  TOPIC_AUTHORIZATION_FAILED:
    "ask the cluster's operator for the permission, or name another topic",
  KafkaJSGroupCoordinatorNotFound: "the cluster is still starting: try again in a minute",
  KafkaJSSASLAuthenticationError: "the user name or the password is wrong: " +
    "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or the file of --config",
  ILLEGAL_SASL_STATE: "the listener does not use SASL: name the port of one that does, or leave " +
    "user, password, and security.protocol (KAFKA_SECURITY_PROTOCOL) out",
  UNSUPPORTED_SASL_MECHANISM: "set KAFKA_SASL_MECHANISM, or sasl.mechanism in the file of " +
    "--config, to one that the cluster has",
  TOKEN_REJECTED: "it is expired, or of an issuer that the cluster does not trust: " +
    "look at what the program's token function returns",
  NO_TOKEN: "look at the program's token function, and at the service that it asks",
  GROUP_AUTHORIZATION_FAILED:
    "ask the cluster's operator for the permission Read on the group, or use another --group",
  INCONSISTENT_GROUP_PROTOCOL: "the group has members that assign partitions in another way, " +
    "such as trackers of an older version: stop all of them first, or use another --group",
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    "ask the cluster's operator for the permission Write on the transactional id",
  CLUSTER_AUTHORIZATION_FAILED: "ask the cluster's operator for the permission",
  UNKNOWN_TOPIC_OR_PARTITION: "the topic does not exist; create it, or use another --topic",
  INVALID_REPLICATION_FACTOR: "the cluster has fewer brokers than the topic asks for",
  POLICY_VIOLATION: "the cluster's policy does not allow it; ask its operator to create the topic",
};

const LOCKED_OUT: ReadonlySet<string> = new Set([
  "KafkaJSSASLAuthenticationError",
  "NO_TOKEN",
  "TOKEN_REJECTED",
]);

/** Whether a cluster that answers does not let us in, as long as neither side changes its mind. Never throws. */
export function isLockedOut(error: unknown): boolean {
  return LOCKED_OUT.has(reasonOf(error));
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  "KafkaJSConnectionError",
  "KafkaJSConnectionClosedError",
  "KafkaJSRequestTimeoutError",
  "KafkaJSBrokerNotFound",
  "KafkaJSLockTimeout",
]);

/**
 * The client's words for a broker that is being connected to by another request; it throws them without a name or
 * a type of their own.
 */
const NOT_CONNECTED_MESSAGE = "Broker not connected";

/** Whether an error means that no broker answered. Never throws. */
export function isUnreachable(error: unknown): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (UNREACHABLE.has(cause.name) || cause.message === NOT_CONNECTED_MESSAGE) return true;
  }
  return false;
}

/** Whether an error means "not yet": a coordinator or a leader is just being chosen. Never throws. */
export function isPassing(error: unknown): boolean {
  return isNotYetReason(reasonOf(error));
}

function rootCauseOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const cause = causeOf(error);
  return cause instanceof Error ? rootCauseOf(cause) : error;
}
