import assert from "node:assert/strict";
import { ProducerPool } from "../../lib/kafka/producer.ts";
import { ScriptedCluster } from "./scripted_cluster.ts";

const TOPIC = "orders";
const PARTITION_COUNT = 3;

for (const producerCount of [1, 2, 3, 9]) {
  Deno.test(`ProducerPool of ${producerCount} always uses the same producer for a partition, and has no idle ones`, async () => {
    await using cluster = new ScriptedCluster({ topic: TOPIC, leaders: [1, 1, 1] });
    const pool = new ProducerPool({ brokers: cluster.brokers, clientId: "test" }, {
      partitionCount: PARTITION_COUNT,
      producerCount,
    });
    await pool.connect();
    for (let round = 0; round < 3; round++) {
      await Promise.all(Array.from({ length: PARTITION_COUNT }, (_, partition) => {
        const records = [{ partition, key: null, value: new Uint8Array(1), headers: [] }];
        return pool.send({ topic: TOPIC, partition, records });
      }));
    }
    await pool.close();
    assert.deepEqual(cluster.stored, [3, 3, 3]);
    const owners = new Map<number, bigint>();
    for (const { partition, producerId } of cluster.batches) {
      assert.equal(owners.get(partition) ?? producerId, producerId, `partition ${partition}`);
      owners.set(partition, producerId);
    }
    assert.equal(new Set(owners.values()).size, Math.min(producerCount, PARTITION_COUNT));
  });
}
