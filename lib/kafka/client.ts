/**
 * Opens kafkajs clients with this program's timeouts, retries, and log.
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

/** The address and credentials of a cluster. */
export interface KafkaConnection {
  /** `host:port` of one or more brokers; they name the rest of the cluster. */
  readonly brokers: readonly string[];
  /** The name shown in the brokers' logs and used by quotas. */
  readonly clientId: string;
  /** Default: unencrypted, anonymous connections. */
  readonly security?: Security;
}

/**
 * The retry policy while no broker answers: `probe` gives up after about two seconds, so that a wrong address is
 * reported early; `persist` retries forever.
 */
export type RetryMode = "probe" | "persist";

const RETRIES_WITHOUT_END = Number.MAX_SAFE_INTEGER;
const PROBE_RETRIES = 4;

const REQUEST_TIMEOUT_MS = 3_000;
const CONNECTION_TIMEOUT_MS = 2_000;

/** Short waits without growth. With kafkajs's default (up to 30 s), a consumer recovered 9 s after its broker. */
export const RETRY_WAITS = { initialRetryTime: 100, maxRetryTime: 500, factor: 0 } as const;

/** Creates a kafkajs client without connecting. The observer sees all of its connections. */
export function openClient(
  { brokers, clientId, security }: KafkaConnection,
  retryMode: RetryMode,
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
      // Each retry goes to the next broker of the list; each is tried at least once.
      retries: retryMode === "probe"
        ? Math.max(PROBE_RETRIES, brokers.length)
        : RETRIES_WITHOUT_END,
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
 * Logs kafkajs's entries at DEBUG: it reports errors that it then retries as ERROR. What matters reaches our own code
 * as an error or an event, and is logged there at the appropriate level.
 */
function forwardLogEntry(
  { namespace, log: { message, timestamp: _, logger: __, ...extra } }: LogEntry,
): void {
  log.debug("kafkajs: {entry}", { entry: `${namespace}: ${message}`, ...withoutStack(extra) });
}

function withoutStack({ stack: _, ...extra }: Record<string, unknown>): Record<string, unknown> {
  return extra;
}
