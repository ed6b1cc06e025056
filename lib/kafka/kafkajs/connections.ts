/**
 * Fixes bugs of kafkajs's connections, for the connections of one cluster.
 */

import process from "node:process";

interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  throttleCheckTimeoutId: unknown;
  scheduleCheckPendingRequests(): void;
  checkPendingRequests(): void;
  maybeThrottle(throttleMs: number | null | undefined): void;
  destroy(): void;
}

const PENDING_CHECK_MS = 10;

/**
 * Fixes a timer that fires every millisecond on an idle connection, with a negative delay that makes the runtime print
 * a TimeoutNegativeWarning (kafkajs #1704, #1556, #1751). Sets it only while requests wait, and never below zero.
 */
function fixIdleTimer(queue: RequestQueue): void {
  queue.scheduleCheckPendingRequests = () => {
    if (queue.throttleCheckTimeoutId || queue.pending.length === 0) return;
    const throttledForMs = queue.throttledUntil - Date.now();
    queue.throttleCheckTimeoutId = setTimeout(() => {
      queue.throttleCheckTimeoutId = null;
      queue.checkPendingRequests();
    }, throttledForMs > 0 ? throttledForMs : PENDING_CHECK_MS);
  };
}

export interface Connection {
  readonly host: string;
  /** Time from `process.hrtime`, in seconds and nanoseconds; null before the first authentication. */
  readonly authenticatedAt: readonly [number, number] | null;
  /** Milliseconds, as a Long; 0 for an unlimited session. */
  readonly sessionLifetime: { toString(): string };
  connectionStatus: string;
  socket: { destroy(): void } | undefined;
  chunks: Uint8Array[];
  bytesBuffered: number;
  bytesNeeded: number;
  readonly requestQueue: RequestQueue;
  isConnected(): boolean;
  connect(): Promise<boolean>;
  processData(bytes: Uint8Array): void;
  rejectRequests(error: Error): void;
  send(call: unknown): Promise<unknown>;
}

interface ConnectionPoolBuilder {
  build(destination?: object): Promise<{ readonly pool: readonly Connection[] }>;
}

/**
 * Calls `visit` with every connection that a cluster creates from now on, before it is used.
 *
 * @param cluster a kafkajs cluster that has not connected yet.
 */
export function visitConnections(cluster: object, visit: (connection: Connection) => void): void {
  const { brokerPool: { connectionPoolBuilder: builder } } = cluster as {
    readonly brokerPool: { readonly connectionPoolBuilder: ConnectionPoolBuilder };
  };
  const { build } = builder;
  builder.build = async (destination) => {
    const connections = await build.call(builder, destination);
    connections.pool.forEach(visit);
    return connections;
  };
}

/** Fixes the connections that a cluster creates from now on. */
export function fixConnections(cluster: object): void {
  visitConnections(cluster, (connection) => {
    fixIdleTimer(connection.requestQueue);
    fixHanging(connection);
    renewSessionInTime(connection);
  });
}

const UNRESOLVED_CODES: ReadonlySet<unknown> = new Set(["ENOTFOUND", "EAI_AGAIN"]);

/** Reports whether a host name could not be resolved. Never throws. */
export function isUnresolved(error: unknown): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && UNRESOLVED_CODES.has(cause.code)) return true;
  }
  return false;
}

const UNRESOLVED_HOSTS = new Set<string>();

/** Returns host names that could not be resolved since the last call; kafkajs silently tries the next broker. */
export function takeUnresolvedHosts(): readonly string[] {
  const hosts = [...UNRESOLVED_HOSTS];
  UNRESOLVED_HOSTS.clear();
  return hosts;
}

const LENGTH_BYTES = 4;
const DISCONNECTED = "disconnected";

/**
 * Fixes three ways in which a connection hangs forever (causes of kafkajs #1163, #659, #660):
 *
 * - A partial response received before a disconnect is taken for the start of the next connection's first response, and
 *   nothing can be decoded after that. Here each connection starts with an empty buffer, and the old socket is
 *   destroyed so that it cannot deliver more.
 * - Two requests that find no connection each open one, and the bytes of both sockets are taken for one stream. Here
 *   they share the attempt.
 * - A request that timed out leaves its connection in use, although it may be dead: a firewall may have dropped it, and
 *   neither end is notified. Here it is closed, as the Java client does.
 */
function fixHanging(connection: Connection): void {
  const { connect, send } = connection;
  let connecting: Promise<boolean> | undefined;
  connection.connect = () => {
    if (connecting !== undefined || connection.isConnected()) {
      return connecting ?? Promise.resolve(true);
    }
    connection.socket?.destroy();
    connection.chunks = [];
    connection.bytesBuffered = 0;
    connection.bytesNeeded = LENGTH_BYTES;
    connecting = connect.call(connection).catch((error) => {
      if (isUnresolved(error)) UNRESOLVED_HOSTS.add(connection.host);
      throw error;
    }).finally(() => connecting = undefined);
    return connecting;
  };
  connection.send = async (call) => {
    try {
      return await send.call(connection, call);
    } catch (error) {
      if (error instanceof Error && error.name === "KafkaJSRequestTimeoutError") {
        close(connection, error);
      }
      throw error;
    }
  };
}

/**
 * Closes a connection at once and rejects its pending requests, which are then retried on a new connection. kafkajs's
 * own `disconnect` waits first, and may then end the socket of the next connection.
 */
function close(connection: Connection, reason: Error): void {
  if (!connection.isConnected()) return;
  connection.connectionStatus = DISCONNECTED;
  connection.requestQueue.destroy();
  connection.socket?.destroy();
  connection.rejectRequests(reason);
}

/** Share of a session's lifetime after which it is renewed; Java clients renew at 85 to 95 %. */
const RENEWAL_SHARE = 0.85;

/**
 * Renews the session of a SASL connection (`connections.max.reauth.ms`, or a token's lifetime) when most of its
 * lifetime is over. kafkajs renews 10 s before the end: with a lifetime of 10 s or less that is before each request,
 * and a broker answers the second renewal within a second with ILLEGAL_SASL_STATE.
 */
function renewSessionInTime(connection: Connection): void {
  const isRenewalDue = Object.getOwnPropertySymbols(Object.getPrototypeOf(connection))
    .find(({ description }) => description === "private:Connection:shouldReauthenticate");
  if (isRenewalDue === undefined) {
    throw new TypeError("expected kafkajs 2.2.4: no reauthentication");
  }
  Object.assign(connection, {
    [isRenewalDue](): boolean {
      const lifetimeMs = Number(connection.sessionLifetime);
      if (lifetimeMs === 0 || connection.authenticatedAt === null) return lifetimeMs > 0;
      const [seconds, nanoseconds] = process.hrtime([...connection.authenticatedAt]);
      return seconds * 1_000 + nanoseconds / 1_000_000 >= lifetimeMs * RENEWAL_SHARE;
    },
  });
}
