import assert from "node:assert/strict";
import { startBrokerCluster } from "../../dev/broker_cluster.ts";
import { onFreePorts } from "../on_free_ports.ts";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { loggerOf } from "../../lib/log.ts";
import { DeadLetters } from "../../lib/tracker/dead_letters.ts";
import { uniqueName } from "../live_broker.ts";
import { recordsOf } from "../pipeline/topic_records.ts";
import { until } from "../site.ts";

const NODES = 3;
const TEST_TIMEOUT_MS = 60_000;

/**
 * Goal: dead letters survive a period in which too few replicas of their topic are in sync.
 * Method: the topic requires all three replicas in sync, and one node is stopped while letters are sent, then
 * restarted. (On a single broker min.insync.replicas is always met: Kafka lowers it to the replica count.)
 * Invariants: the waiting record is reported with topic, partition, offset, error, and what to do; afterwards each
 * letter is in the topic once and unchanged: this error does not make the tracker adapt a letter.
 */
Deno.test("dead letters wait while min.insync.replicas is not met, report it, and are then sent unchanged", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "orderflow-replicas-" });
  const cluster = await onFreePorts(
    NODES,
    (ports) => startBrokerCluster({ ports, dataDir, quickStart: true }),
  );
  const connection = { brokers: cluster.address.split(","), clientId: "test" };
  const producer = new ReliableProducer(connection);
  try {
    await using client = await ClusterClient.connect(connection, "persist");
    const topic = uniqueName("letters");
    await client.ensureTopic(topic, {
      partitionCount: 1,
      config: { "min.insync.replicas": String(NODES) },
    });
    const deadLetters = new DeadLetters({
      producer,
      topic,
      partitionCount: 1,
      log: loggerOf("test"),
      retryWaitMs: 100,
    });
    await cluster.nodes[NODES - 1]?.stop();
    const records = [7, 8].map((offset): KafkaRecord => ({
      topic: "orders",
      partition: 0,
      offset,
      timestampMs: Date.now(),
      key: null,
      value: new TextEncoder().encode(`bad ${offset}`),
      headers: [],
    }));
    const failure = { reason: "VALIDATION", message: "bad" } as const;
    const sent = deadLetters.send(records.map((record) => ({ record, failure })), () => true);
    await until(
      "the letters are reported as waiting",
      () => deadLetters.blocked.size === 1,
      TEST_TIMEOUT_MS,
    );
    const { error = "", ...blocked } = deadLetters.blocked.get(0) ?? {};
    assert.deepEqual(blocked, { topic: "orders", partition: 0, offset: 7 });
    assert.match(error, /NOT_ENOUGH_REPLICAS.*: start the brokers of its replicas, or lower min/);
    await cluster.restart(NODES);
    assert.ok(await sent);
    assert.equal(deadLetters.blocked.size, 0);
    const letters = await recordsOf({ broker: connection.brokers[0] ?? "", topic });
    assert.deepEqual(
      letters.map(({ value, timestampMs }) => [value, timestampMs]),
      records.map(({ value, timestampMs }) => [value, timestampMs]),
    );
  } finally {
    await producer.close();
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    await Deno.remove(dataDir, { recursive: true });
  }
});
