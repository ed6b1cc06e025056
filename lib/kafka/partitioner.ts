/**
 * Maps keys to partitions like the Java client and most others do, so that a key's partition does not depend on the
 * client.
 */

import { Partitioners } from "kafkajs";
import { Buffer } from "node:buffer";

/**
 * Returns a function from key to partition: murmur2 of the key's bytes, modulo the partition count, as in
 * Apache Kafka's `BuiltInPartitioner.partitionForKey`.
 */
export function keyPartitioner(partitionCount: number): (key: Uint8Array) => number {
  const partitioner = Partitioners.DefaultPartitioner();
  const partitionMetadata = Array.from({ length: partitionCount }, (_, partitionId) => ({
    partitionId,
    partitionErrorCode: 0,
    leader: 0,
    replicas: [],
    isr: [],
  }));
  return (key) =>
    partitioner({
      topic: "",
      partitionMetadata,
      message: { key: Buffer.from(key.buffer, key.byteOffset, key.byteLength), value: null },
    });
}
