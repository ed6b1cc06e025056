/**
 * Tells what comes over kafkajs's connections to a cluster: that a broker sent anything at all, that it
 * throttles this client, and which requests failed. kafkajs itself only reports what succeeded, so that a
 * broker that answers with errors, or with nothing but a throttle time, looks like one that is away.
 *
 * @module
 */

import { type Connection, visitConnections } from "./connections.ts";

/** Called from within kafkajs's own work: it should return quickly, and not throw. */
export interface TrafficObserver {
  /** Bytes came from a broker. */
  heard(): void;
  /** A broker asked this client to send nothing for so long (KIP-219). kafkajs complies by itself. */
  throttled(throttleMs: number): void;
  /** A request was answered with an error, or not at all. */
  failed(error: unknown): void;
}

/**
 * Observes every connection that the cluster makes from now on.
 *
 * @param cluster of kafkajs, before it has connected: as its consumer's partition assigner is given it, or
 *   as `createCluster` makes it.
 */
export function observeTraffic(cluster: object, observer: Partial<TrafficObserver>): void {
  visitConnections(cluster, (connection) => observeConnection(connection, observer));
}

function observeConnection(connection: Connection, observer: Partial<TrafficObserver>): void {
  const { requestQueue, connect, processData, send } = connection;
  const { maybeThrottle } = requestQueue;
  connection.processData = (bytes) => {
    observer.heard?.();
    processData.call(connection, bytes);
  };
  requestQueue.maybeThrottle = (throttleMs) => {
    if (throttleMs !== null && throttleMs !== undefined && throttleMs > 0) {
      observer.throttled?.(throttleMs);
    }
    maybeThrottle.call(requestQueue, throttleMs);
  };
  const reported = async <Result>(work: Promise<Result>): Promise<Result> => {
    try {
      return await work;
    } catch (error) {
      observer.failed?.(error);
      throw error;
    }
  };
  connection.connect = () => reported(connect.call(connection));
  connection.send = (call) => reported(send.call(connection, call));
}
