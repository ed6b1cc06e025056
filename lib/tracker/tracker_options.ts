/**
 * What a tracker is given: its consumer, its journal, and who is told.
 *
 * @module
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
import type { Metrics } from "./metrics.ts";

/** What a tracker does with its consumer. */
export type TrackerConsumer = Pick<GroupConsumer, "positions" | "standing" | "run" | "stop">;

/** What its consumer asks and tells a tracker. */
export type ConsumerHooks = Pick<
  GroupConsumerOptions,
  "commitMetadata" | "beginsAtEnd" | "startAt" | "onBatch" | "onNotice" | "logCheck"
>;

export interface TrackerOptions {
  /** Called once; the consumer reads `topic` as a member of `groupId`. */
  readonly openConsumer: (hooks: ConsumerHooks) => TrackerConsumer;
  readonly topic: string;
  readonly groupId: string;
  /** Where a group begins that has no commit of the topic, if the journal holds no record of it either. */
  readonly from: "earliest" | "latest";
  readonly journal: Journal;
  /** Asked whether a partition's log was truncated; left out, nobody is. */
  readonly partitionLogs?: Pick<PartitionLogs, "epochEnd" | "leaderEpochs" | "range" | "recordAt">;
  /** Undefined where bad records are only journaled. */
  readonly deadLetters: DeadLetters | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Whether log lines may quote values of records. Default: false. */
  readonly logValues?: boolean;
  /** What the topic holds: orders, which are validated, or anything, which is only journaled. */
  readonly schema: "order" | "none";
  /** Called for each good order after it is on the disk; its offset is committed when it has returned. */
  readonly onOrder?: OrderHandler;
  /** `DEFAULT_RETRY_POLICY` where it says nothing. */
  readonly retryPolicy?: Partial<RetryPolicy>;
  /** Told of the id that this tracker has in its group, at each join. */
  readonly onJoined: (memberId: string) => void;
  /** Told of what was journaled, after it is on the disk. */
  readonly onJournaled: (records: Iterable<KafkaRecord>) => void;
  /** Called for each record that was sent to the dead-letter topic. */
  readonly onDeadLettered?: (record: KafkaRecord, failure: RecordFailure) => void;
}
