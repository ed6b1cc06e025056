/**
 * Reads the ends of partitions: the high watermark, and the last stable offset, up to which committed records can be
 * read. Records between the two wait behind an open transaction.
 */

import { type ClientCluster, ISOLATION_READ_COMMITTED } from "./kafkajs/client_cluster.ts";

export interface PartitionEnds {
  /** One past the last offset that is on all in-sync replicas. */
  readonly highWatermark: number;
  /** One past the last offset that is readable with read_committed; the start of the first open transaction. */
  readonly lastStableOffset: number;
}

export type PartitionEndsAnswer =
  | { readonly partition: number; readonly ends: PartitionEnds }
  | { readonly partition: number; readonly error: Error };

const ISOLATION_READ_UNCOMMITTED = 0;
const LATEST_TIMESTAMP = -1;

/**
 * Asks the partitions' leaders once, in parallel. A leader that does not answer affects only its own partitions. A
 * partition without a known leader has no answer.
 *
 * @throws {Error} if the topic's leaders cannot be looked up.
 */
export async function fetchPartitionEnds(
  cluster: ClientCluster,
  { topic, partitions }: { readonly topic: string; readonly partitions: readonly number[] },
): Promise<readonly PartitionEndsAnswer[]> {
  await cluster.addMultipleTargetTopics([topic]);
  const byLeader = Object.entries(cluster.findLeaderForPartitions(topic, partitions));
  const answers = await Promise.all(
    byLeader.map(([nodeId, led]) =>
      askLeader(cluster, { nodeId, topic, partitions: led })
        .catch((error) => led.map((partition) => ({ partition, error: asError(error) })))
    ),
  );
  return answers.flat();
}

async function askLeader(
  cluster: ClientCluster,
  { nodeId, topic, partitions }: { nodeId: string; topic: string; partitions: readonly number[] },
): Promise<readonly PartitionEndsAnswer[]> {
  const broker = await cluster.findBroker({ nodeId });
  const ask = async (isolationLevel: number) => {
    const { responses: [answer] } = await broker.listOffsets({
      isolationLevel,
      topics: [{
        topic,
        partitions: partitions.map((partition) => ({ partition, timestamp: LATEST_TIMESTAMP })),
      }],
    });
    return new Map(answer?.partitions.map((each) => [each.partition, Number(each.offset)]));
  };
  // In this order. The other way around, a partition that is being written would always seem to have an open
  // transaction.
  const stable = await ask(ISOLATION_READ_COMMITTED);
  const all = await ask(ISOLATION_READ_UNCOMMITTED);
  return partitions.flatMap((partition) => {
    const [lastStableOffset, highWatermark] = [stable.get(partition), all.get(partition)];
    return lastStableOffset === undefined || highWatermark === undefined
      ? []
      : [{ partition, ends: { lastStableOffset, highWatermark } }];
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
