/**
 * Which partition a key belongs to, by the rule that Java's and most other clients use, so that a key
 * stays with its partition whoever sends it.
 *
 * @module
 */

import { Partitioners } from "kafkajs";
import { Buffer } from "node:buffer";

/**
 * A function from key to partition: murmur2 of the key's bytes, modulo the partition count, as in
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
