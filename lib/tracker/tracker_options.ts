/**
 * The options of a tracker.
 */

import type { GroupConsumerOptions } from "../kafka/consumer/api.ts";
import type { GroupConsumer } from "../kafka/consumer/group_consumer.ts";
import type { PartitionLogs } from "../kafka/partition_logs.ts";
import type { Logger } from "../log.ts";
import type { KafkaRecord } from "../record.ts";
import type { DeadLetters } from "./dead_letters.ts";
import type { RecordFailure } from "./failures.ts";
import type { OrderHandler, RetryPolicy } from "./handler.ts";
import type { Journal } from "../journal/journal.ts";
import type { LineThread } from "../kernel/line_thread.ts";
import type { Metrics } from "./metrics.ts";

/** The part of a consumer that a tracker uses. */
export type TrackerConsumer = Pick<
  GroupConsumer,
  "positions" | "isCommitted" | "standing" | "run" | "stop"
>;

/** The callbacks by which the consumer calls the tracker. */
export type ConsumerHooks = Pick<
  GroupConsumerOptions,
  "commitMetadata" | "beginsAtEnd" | "startAt" | "onBatch" | "onNotice" | "logCheck"
>;

export interface TrackerOptions {
  /** Called once; the consumer reads `topic` as a member of `groupId`. */
  readonly openConsumer: (hooks: ConsumerHooks) => TrackerConsumer;
  readonly topic: string;
  readonly groupId: string;
  /** The start of a group without commits, if the journal holds no records of the topic either. */
  readonly from: "earliest" | "latest";
  readonly journal: Journal;
  /** Writes the lines of large batches; by default they are written on this thread. */
  readonly lineThread?: LineThread;
  /** Used to detect truncated logs; if absent, there is no check. */
  readonly partitionLogs?: Pick<PartitionLogs, "epochEnd" | "leaderEpochs" | "range" | "recordAt">;
  /** Undefined if bad records are only journaled. */
  readonly deadLetters: DeadLetters | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** True if log lines may quote values of records. Default: false. */
  readonly logValues?: boolean;
  /** The topic's contents: orders, which are validated, or anything, which is only journaled. */
  readonly schema: "order" | "none";
  /** Called for each valid order after it is flushed to disk; its offset is committed after the handler returns. */
  readonly onOrder?: OrderHandler;
  /** Overrides of `DEFAULT_RETRY_POLICY`. */
  readonly retryPolicy?: Partial<RetryPolicy>;
  /** Called with the tracker's member id at each join. */
  readonly onJoined: (memberId: string) => void;
  /** Called with journaled records after they are flushed to disk. */
  readonly onJournaled: (records: Iterable<KafkaRecord>) => void;
  /** Called for each record that was sent to the dead-letter topic. */
  readonly onDeadLettered?: (record: KafkaRecord, failure: RecordFailure) => void;
}
