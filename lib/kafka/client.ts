/**
 * Opens kafkajs the way this program needs it: our log, our patience, no partitioner of its own.
 *
 * @module
 */

import {
  Kafka,
  type KafkaConfig,
  type LogEntry,
  logLevel,
  type Mechanism,
  type SASLOptions,
} from "kafkajs";
import { loggerOf } from "../log.ts";
import type { Sasl, Security, Tls } from "./security.ts";
import { install } from "./kafkajs/install.ts";
import type { TrafficObserver } from "./kafkajs/traffic.ts";
import { oauthBearer } from "./oauth_bearer.ts";

/** How to reach a cluster. */
export interface KafkaConnection {
  /** `host:port` of one or more brokers; the rest of the cluster is learnt from them. */
  readonly brokers: readonly string[];
  /** Name that the brokers' logs and quotas show. */
  readonly clientId: string;
  /** Left out, connections are in plain text and anonymous. */
  readonly security?: Security;
}

/**
 * How long a request is tried again when brokers do not answer: `probe` gives up after about two
 * seconds, so that a wrong address is said at once; `persist` never does.
 */
export type Patience = "probe" | "persist";

/** Retries without end: kafkajs compares with this count and adds one each time. */
const RETRIES_WITHOUT_END = Number.MAX_SAFE_INTEGER;
const PROBE_RETRIES = 4;

const REQUEST_TIMEOUT_MS = 3_000;
const CONNECTION_TIMEOUT_MS = 2_000;

/** Steady, short waits: with kafkajs's own (up to 30 s) a consumer came back 9 s after its broker. */
export const RETRY_WAITS = { initialRetryTime: 100, maxRetryTime: 500, factor: 0 } as const;

/**
 * A kafkajs client for the cluster; nothing is connected yet.
 *
 * @param observer of all its connections.
 */
export function openClient(
  { brokers, clientId, security }: KafkaConnection,
  patience: Patience,
  observer?: Partial<TrafficObserver>,
): Kafka {
  const client = new Kafka({
    brokers: [...brokers],
    clientId,
    ...(security?.tls !== undefined && { ssl: tlsConfig(security.tls) }),
    ...(security?.sasl !== undefined && { sasl: saslConfig(security.sasl) }),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    retry: {
      ...RETRY_WAITS,
      // Each retry is for the next broker of the list: all of them get their turn.
      retries: patience === "probe" ? Math.max(PROBE_RETRIES, brokers.length) : RETRIES_WITHOUT_END,
    },
    logLevel: logLevel.INFO,
    logCreator: () => forwardLogEntry,
  });
  install(client, observer);
  return client;
}

function tlsConfig(
  { ca, certificate, key, checksHostName = true }: Tls,
): NonNullable<KafkaConfig["ssl"]> {
  return {
    ...(ca !== undefined && { ca: [ca] }),
    ...(certificate !== undefined && key !== undefined && { cert: certificate, key }),
    ...(!checksHostName && { checkServerIdentity: () => undefined }),
  };
}

function saslConfig(sasl: Sasl): SASLOptions | Mechanism {
  if (sasl.mechanism === "oauthbearer") return oauthBearer(sasl.token);
  const options: SASLOptions = sasl;
  return options;
}

const log = loggerOf("kafkajs");

/**
 * kafkajs says ERROR of what it then retries, so its lines are DEBUG here: what matters of them reaches
 * our own code as an error or an event, which is logged at the level that it deserves.
 */
function forwardLogEntry(
  { namespace, log: { message, timestamp: _, logger: __, ...extra } }: LogEntry,
): void {
  log.debug("kafkajs: {entry}", { entry: `${namespace}: ${message}`, ...withoutStack(extra) });
}

function withoutStack({ stack: _, ...extra }: Record<string, unknown>): Record<string, unknown> {
  return extra;
}
