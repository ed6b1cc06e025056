/**
 * The compared topic's state in the cluster, at the start and later.
 */

import type { ClusterClient } from "../kafka/cluster.ts";
import type { OffsetRange } from "../kafka/cluster_answers.ts";
import { settledOffsets } from "./undecided.ts";

/** Describes the topic. */
export type TopicCluster =
  & Pick<ClusterClient, "describeTopic" | "offsets" | "topicConfig">
  & Partial<Pick<ClusterClient, "epochEnd">>;

export class ComparedTopic {
  readonly name: string;
  /** Distinguishes the topic from another one of the same name. */
  readonly id: string;
  /** Offsets at the start. */
  readonly offsets: readonly OffsetRange[];
  readonly #cluster: TopicCluster;
  /** Latest known high watermark of each partition; includes records held back by an open transaction. */
  #ends: ReadonlyMap<number, number>;

  private constructor(
    cluster: TopicCluster,
    { name, id, offsets }: Pick<ComparedTopic, "name" | "id" | "offsets">,
  ) {
    this.#cluster = cluster;
    this.name = name;
    this.id = id;
    this.offsets = offsets;
    this.#ends = endsOf(offsets);
  }

  static async open(cluster: TopicCluster, name: string): Promise<ComparedTopic> {
    const { topicId, partitionCount } = await cluster.describeTopic(name);
    const partitions = numbersBelow(partitionCount);
    const offsets = await settledOffsets(cluster, { topic: name, partitions });
    return new ComparedTopic(cluster, { name, id: topicId, offsets });
  }

  hasReached({ partition, offset }: { readonly partition: number; readonly offset: number }) {
    return offset < (this.#ends.get(partition) ?? 0);
  }

  async refreshEnds(): Promise<void> {
    const { partitionCount } = await this.#cluster.describeTopic(this.name);
    this.#ends = endsOf(await this.#cluster.offsets(this.name, numbersBelow(partitionCount)));
  }

  /** @throws {Error} if the topic was created again. */
  async confirm(): Promise<void> {
    const { topicId } = await this.#cluster.describeTopic(this.name);
    if (topicId === this.id) return;
    throw new Error(
      `topic "${this.name}" was created again while it was being read: verify it again`,
    );
  }

  /** Returns the first offset that each of these partitions still holds; omits partitions that do not exist. */
  async lows(partitions: Iterable<number>): Promise<ReadonlyMap<number, number>> {
    const existing = Array.from(partitions).filter((partition) => this.#ends.has(partition));
    const offsets = await this.#cluster.offsets(this.name, existing);
    return new Map(offsets.map(({ partition, low }) => [partition, low]));
  }

  async isCompacted(): Promise<boolean> {
    const policy = await this.#cluster.topicConfig(this.name, "cleanup.policy");
    return policy?.includes("compact") ?? false;
  }
}

function endsOf(offsets: readonly OffsetRange[]): ReadonlyMap<number, number> {
  return new Map(offsets.map(({ partition, highWatermark }) => [partition, highWatermark]));
}

function numbersBelow(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}
