/**
 * The shapes of a `ClusterClient`'s answers about topics and groups.
 *
 * @module
 */

export interface TopicDescription {
  readonly topic: string;
  /** Another id after the topic was deleted and created again; 32 hexadecimal digits. */
  readonly topicId: string;
  readonly partitionCount: number;
}

/** The offsets of a partition: `low` is the first that is still there, `high` one past the last that can be read. */
export interface OffsetRange {
  readonly partition: number;
  readonly low: number;
  readonly high: number;
  /** One past the last offset that there is; above `high` where records wait behind an open transaction. */
  readonly highWatermark: number;
}

/** What a group has committed of a partition; `metadata` is the committer's own note. */
export interface CommittedOffset {
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string | null;
}

export interface TopicSettings {
  readonly partitionCount: number;
  /** Kafka's own names, such as `retention.ms`. */
  readonly config?: Readonly<Record<string, string>>;
}
