/**
 * Makes a kafkajs client fit for our use. The client is frozen (2.2.4 is pinned and no longer developed), so
 * what this folder reaches below its public interface cannot move; each use has its reason.
 *
 * @module
 */

import type { Kafka } from "kafkajs";
import { createClusterKey } from "./client_cluster.ts";
import { cureConnections } from "./connections.ts";
import { hookGroupMembers } from "./group_member.ts";
import { encodeProduceRequests } from "./produce_request.ts";
import { joinInPlace } from "./headroom.ts";
import { observeTraffic, type TrafficObserver } from "./traffic.ts";

/** Changes this client, before it has connected; another client in the same process behaves as before. */
export function install(client: Kafka, observer?: Partial<TrafficObserver>): void {
  const key = createClusterKey(client);
  const create = Reflect.get(client, key) as (options: object) => object;
  Reflect.set(client, key, (options: object) => {
    const cluster = create(options);
    cureConnections(cluster);
    encodeProduceRequests(cluster);
    if (observer !== undefined) observeTraffic(cluster, observer);
    return cluster;
  });
  hookGroupMembers();
  joinInPlace();
}
