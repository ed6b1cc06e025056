/**
 * Cures what is wrong with kafkajs's connections, in those of one cluster.
 *
 * @module
 */

import process from "node:process";
import { isUnresolved } from "../errors.ts";

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
 * Cures a timer of kafkajs that fires every millisecond on an idle connection and, being set to a
 * negative delay, makes the runtime print a TimeoutNegativeWarning (kafkajs #1704, #1556, #1751): it is
 * set only while requests wait, and never below zero.
 */
function cureIdleTimer(queue: RequestQueue): void {
  queue.scheduleCheckPendingRequests = () => {
    if (queue.throttleCheckTimeoutId || queue.pending.length === 0) return;
    const throttledForMs = queue.throttledUntil - Date.now();
    queue.throttleCheckTimeoutId = setTimeout(() => {
      queue.throttleCheckTimeoutId = null;
      queue.checkPendingRequests();
    }, throttledForMs > 0 ? throttledForMs : PENDING_CHECK_MS);
  };
}

/** One connection of kafkajs to a broker. */
export interface Connection {
  readonly host: string;
  /** Of `process.hrtime`: seconds and nanoseconds; null before the first time. */
  readonly authenticatedAt: readonly [number, number] | null;
  /** Milliseconds, as a Long; 0 for a session without end. */
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
 * Visits every connection that a cluster makes from now on, before it is used.
 *
 * @param cluster of kafkajs, before it has connected.
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

/** Cures what is wrong with the connections that a cluster makes from now on. */
export function cureConnections(cluster: object): void {
  visitConnections(cluster, (connection) => {
    cureIdleTimer(connection.requestQueue);
    cureHanging(connection);
    renewSessionInTime(connection);
  });
}

const UNRESOLVED_HOSTS = new Set<string>();

/** Host names that the name service did not know since the last call: kafkajs goes on to the next in silence. */
export function takeUnresolvedHosts(): readonly string[] {
  const hosts = [...UNRESOLVED_HOSTS];
  UNRESOLVED_HOSTS.clear();
  return hosts;
}

const LENGTH_BYTES = 4;
const DISCONNECTED = "disconnected";

/**
 * Cures three ways in which a connection hangs for ever (behind kafkajs #1163, #659, #660):
 *
 * - the half of an answer that came before a connection was lost is taken for the beginning of the next
 *   connection's first answer, and from there on nothing can be read: each connection begins empty, and the
 *   socket before it is destroyed, lest it bring more;
 * - two requests that find no connection each make one, and what both sockets bring is taken for one
 *   stream: they share the attempt;
 * - a request that timed out leaves its connection in use, though it may lead nowhere: a firewall between
 *   may have forgotten it, and then nothing tells either end. It is closed, as the Java client does.
 */
function cureHanging(connection: Connection): void {
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
 * The requests that wait for an answer are rejected, and so tried again on a new connection. All at once:
 * kafkajs's own `disconnect` waits first, and then ends whatever socket there is, which may be the next.
 */
function close(connection: Connection, reason: Error): void {
  if (!connection.isConnected()) return;
  connection.connectionStatus = DISCONNECTED;
  connection.requestQueue.destroy();
  connection.socket?.destroy();
  connection.rejectRequests(reason);
}

/** Of a session's lifetime, after which it is renewed; Java's clients do it at 85 to 95 %. */
const RENEWAL_SHARE = 0.85;

/**
 * Has the session of a SASL connection (`connections.max.reauth.ms`, or a token's lifetime) renewed when most of
 * its time is over. kafkajs does it 10 s before its end: with a lifetime of 10 s or less before each request,
 * and a broker that is asked twice within a second answers ILLEGAL_SASL_STATE.
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
