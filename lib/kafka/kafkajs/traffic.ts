/**
 * Observes kafkajs's connections to a cluster: received bytes, throttling, and failed requests. kafkajs itself only
 * reports successes, so that a broker that answers with errors or only throttles looks unreachable.
 */

import { type Connection, visitConnections } from "./connections.ts";

/** Called synchronously by kafkajs: methods must return quickly and not throw. */
export interface TrafficObserver {
  /** Called when bytes arrive from a broker. */
  heard(): void;
  /** Called when a broker throttles this client (KIP-219); kafkajs waits by itself. */
  throttled(throttleMs: number): void;
  /** Called when a request gets an error or no response. */
  failed(error: unknown): void;
}

/**
 * Observes every connection that the cluster creates from now on.
 *
 * @param cluster a kafkajs cluster that has not connected yet: from a partition assigner or from `createCluster`.
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
