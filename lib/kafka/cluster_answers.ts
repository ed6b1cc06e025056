/**
 * Types of a `ClusterClient`'s answers about topics and groups.
 */

export interface TopicDescription {
  readonly topic: string;
  /** 32 hexadecimal digits; changes when the topic is deleted and recreated. */
  readonly topicId: string;
  readonly partitionCount: number;
}

/** The offsets of a partition: `low` is the first offset still in the log, `high` one past the last readable one. */
export interface OffsetRange {
  readonly partition: number;
  readonly low: number;
  readonly high: number;
  /** One past the last offset; above `high` if records wait behind an open transaction. */
  readonly highWatermark: number;
}

/** A group's commit for a partition; `metadata` is the committer's own text. */
export interface CommittedOffset {
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string | null;
}

export interface TopicSettings {
  readonly partitionCount: number;
  readonly config?: Readonly<Record<string, string>>;
}
