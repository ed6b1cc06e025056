/**
 * Reads epochs, offsets, and single records of partition logs.
 */

import type { KafkaConnection } from "./client.ts";
import type { ClusterClient } from "./cluster.ts";
import type { OffsetRange } from "./cluster_answers.ts";
import type { LeaderEpochAnswer, LeaderEpochQuestion } from "./leader_epochs.ts";
import type { KafkaRecord } from "../record.ts";
import { TopicReader } from "./topic_reader.ts";

export class PartitionLogs implements AsyncDisposable {
  readonly #cluster: ClusterClient;
  readonly #connection: KafkaConnection;
  #reader: Promise<TopicReader> | undefined;

  /** @param cluster closed by the caller. */
  constructor(cluster: ClusterClient, connection: KafkaConnection) {
    this.#cluster = cluster;
    this.#connection = connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const reader = await this.#reader?.catch(() => undefined);
    await reader?.[Symbol.asyncDispose]();
  }

  epochEnd(question: LeaderEpochQuestion): Promise<LeaderEpochAnswer> {
    return this.#cluster.epochEnd(question);
  }

  leaderEpochs(topic: string): Promise<ReadonlyMap<number, number>> {
    return this.#cluster.leaderEpochs(topic);
  }

  async range(topic: string, partition: number): Promise<OffsetRange> {
    const [range] = await this.#cluster.offsets(topic, [partition]);
    if (range === undefined) throw new RangeError(`expected the offsets of ${topic}[${partition}]`);
    return range;
  }

  /** Returns the committed record at an offset, or undefined if there is none. */
  async recordAt(
    { topic, partition, offset }: {
      readonly topic: string;
      readonly partition: number;
      readonly offset: number;
    },
  ): Promise<KafkaRecord | undefined> {
    this.#reader ??= TopicReader.connect(this.#connection, "persist");
    const reader = await this.#reader;
    const range = { topic, partition, start: offset, end: offset + 1 };
    for await (const records of reader.read(range)) {
      const record = records.find((each) => each.offset === offset);
      if (record !== undefined) return record;
    }
    return undefined;
  }
}
