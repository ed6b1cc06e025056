/**
 * Installs fixes and hooks in a kafkajs client. This folder uses kafkajs internals, which cannot change: the pinned
 * version 2.2.4 is the last one.
 */

import type { Kafka } from "kafkajs";
import { createClusterKey } from "./client_cluster.ts";
import { fixConnections } from "./connections.ts";
import { hookGroupMembers } from "./group_member.ts";
import { encodeProduceRequests } from "./produce_request.ts";
import { joinInPlace } from "./headroom.ts";
import { observeTraffic, type TrafficObserver } from "./traffic.ts";

/** Changes this client, which must not have connected yet; other clients in the process are not affected. */
export function install(client: Kafka, observer?: Partial<TrafficObserver>): void {
  const key = createClusterKey(client);
  const create = Reflect.get(client, key) as (options: object) => object;
  Reflect.set(client, key, (options: object) => {
    const cluster = create(options);
    fixConnections(cluster);
    encodeProduceRequests(cluster);
    if (observer !== undefined) observeTraffic(cluster, observer);
    return cluster;
  });
  hookGroupMembers();
  joinInPlace();
}
