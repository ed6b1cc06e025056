/**
 * Delivers orders and reports the outcome of each: collects them into batches, sends a batch to its partition, awaits
 * the answer, and puts each order into exactly one account.
 *
 *     generated = acknowledged + failed + undelivered + unknown
 *
 * One send is in flight per partition, so orders of a key are stored in the order in which they were generated.
 *
 * The topic can change during a run. When it has other partitions or another id, no batch is sent until those in flight
 * have an outcome; then everything that waits is routed again, in the order in which it was generated. While the topic
 * does not exist, orders wait. An order is reported as acknowledged once it is known in which topic (`topic_watch.ts`).
 */

import { delay, withinTime } from "../async.ts";
import { DeliveryError } from "../kafka/errors.ts";
import { BatchSizer, PartitionQueue } from "../kafka/partition_queue.ts";
import type { PlacedBatch } from "../kafka/stored_batch.ts";
import type { OutgoingRecord, RecordHeader } from "../record.ts";
import { recordBytesMax } from "../kafka/protocol/record_size.ts";
import type { DeliveryReport, Outcome, PlannedRecord } from "./planned_record.ts";
import { type SentBatch, type Topic, type TopicChange, TopicWatch } from "./topic_watch.ts";

export type { DeliveryReport, Outcome, PlannedRecord } from "./planned_record.ts";

/** Sends records to one partition; rejects with a `DeliveryError`. */
export type Send = (
  partition: number,
  records: readonly OutgoingRecord[],
) => Promise<{ readonly baseOffset: number }>;

/**
 * Looks in a partition for records whose send ended without an answer that can be trusted, from an offset
 * on; in vain where the broker never stored them. Rejects where it cannot tell.
 */
export type FindStored = (
  partition: number,
  records: readonly OutgoingRecord[],
  options: { readonly fromOffset: number; readonly isWanted: () => boolean },
) => Promise<{ readonly baseOffset: number } | undefined>;

export interface DeliveryOptions {
  /** The topic at the start of the run. */
  readonly topic: Topic;
  /** Returns the topic as it is now; undefined if it does not exist. */
  readonly findTopic: () => Promise<Topic | undefined>;
  /** Bound of a batch in bytes; a larger single order goes alone. Below `max.message.bytes`. */
  readonly batchBytesMax: number;
  /** Headers of every record. Default: none. */
  readonly headers?: readonly RecordHeader[];
  readonly send: Send;
  readonly findStored: FindStored;
  /** Runs all attempts to deliver a partition's next batch. Default: just that. */
  readonly watched?: <Answer>(
    partition: number,
    deliver: () => Promise<Answer>,
  ) => Promise<Answer>;
  /** Returns for each batch whether the topic that exists now has it at its place. */
  readonly areStored: (batches: readonly PlacedBatch[]) => Promise<readonly boolean[]>;
  /** Where each partition ended before the run: older records cannot be of the run. Default: 0. */
  readonly startOffsets?: ReadonlyMap<number, number>;
  /** Called when the topic has other partitions, or was deleted and created again. */
  readonly onTopicChange?: (change: TopicChange) => void;
  /** Called when the topic does not exist any more. */
  readonly onTopicMissing?: () => void;
  /** Returns the partition of an order after the topic changed. Default: the one that it has. */
  readonly partitionOf?: (record: PlannedRecord) => number;
  /** Called for each batch that was looked for: found in the topic, or sent again. */
  readonly onLookup?: (result: "found" | "sent_again", recordCount: number) => void;
  /** Called once for every order; acknowledged ones come in the order of their partition. */
  readonly onReport: (report: DeliveryReport) => void;
}

/** How often a batch is sent whose answers cannot be trusted, each time after it was looked for in vain. */
const SENDS_MAX = 3;
const TOPIC_POLL_MS = 200;

interface Lane {
  readonly partition: number;
  readonly queue: PartitionQueue<PlannedRecord>;
  isDraining: boolean;
  /** True if the last failed batch is known not to be stored, and waits to be routed again. */
  isReturned: boolean;
  /** One past the last record that is known to be stored. */
  nextOffset: number;
}

/** Where a batch is stored, and when it was first sent, of `performance.now()`. */
interface Stored extends SentBatch {
  readonly baseOffset: number;
  readonly sentAtMs: number;
}

interface AcknowledgedBatch extends Stored {
  readonly lane: Lane;
  readonly records: readonly PlannedRecord[];
  readonly answeredAtMs: number;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #watch: TopicWatch<AcknowledgedBatch>;
  readonly #lanes: Lane[] = [];
  #unsettledCount = 0;
  #unsettledBytes = 0;
  /** True if the topic has changed; nothing is sent until everything in flight has an outcome. */
  #isPaused = false;
  #isAbandoned = false;
  #wakeSettled: (() => void)[] = [];

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#addLanes(options.topic);
    this.#watch = new TopicWatch({
      topic: options.topic,
      findTopic: options.findTopic,
      areStored: (batches) =>
        options.areStored(batches.map(({ lane: { partition }, records, baseOffset }) => ({
          partition,
          baseOffset,
          records: records.map(this.#recordOf),
        }))),
      onConfirmed: (batch, topicId) => this.#reportStored(batch, topicId),
      onChange: (change) => this.#changeTopic(change),
      onMissing: () => options.onTopicMissing?.(),
    });
  }

  /** Orders that wait or are in flight. */
  get unsettledCount(): number {
    return this.#unsettledCount;
  }

  /** Bytes of the values that wait or are in flight. */
  get unsettledBytes(): number {
    return this.#unsettledBytes;
  }

  /** The topic that has the orders' name now; undefined if there is none. As of the last answer, which `flush()` asks for. */
  get topicId(): string | undefined {
    return this.#watch.isMissing ? undefined : this.#watch.topic.topicId;
  }

  /** Takes an order, which joins the next batch of its partition. Its report comes later. */
  accept(record: PlannedRecord): void {
    this.#unsettledCount++;
    this.#unsettledBytes += record.value?.length ?? 0;
    this.#watch.start();
    this.#enqueue(record);
  }

  /** Resolves when the next order is acknowledged or has failed, or at once if none waits. */
  nextSettled(): Promise<void> {
    if (this.#unsettledCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.#wakeSettled.push(resolve));
  }

  /** Resolves with true when every order has its report, or with false when the time is over. */
  async flush(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      if (this.#unsettledCount > 0) {
        await withinTime(this.nextSettled(), leftMs);
        continue;
      }
      const topic = await withinTime(this.#watch.check().catch(() => undefined), leftMs);
      if (topic !== undefined && this.#watch.unconfirmedCount === 0) break;
      if (this.#watch.isMissing) {
        this.#watch.confirmAll(); // they went with their topic
        break;
      }
      await delay(TOPIC_POLL_MS);
    }
    this.#watch.stop();
    return true;
  }

  /**
   * Gives up: orders that wait are undelivered, those in flight are unknown, or failed if the topic does not exist.
   * Later answers are not counted.
   */
  abandon(reason: string): void {
    this.#isAbandoned = true;
    this.#watch.stop();
    this.#watch.confirmAll();
    const inFlight: Outcome = this.#watch.isMissing
      ? { kind: "failed", reason: "the topic does not exist any more" }
      : { kind: "unknown", reason };
    for (const { queue } of this.#lanes) {
      const { inFlight: sent, waiting } = queue;
      queue.drop(queue.length);
      for (const record of sent) this.#settle(record, inFlight);
      for (const record of waiting) this.#settle(record, { kind: "undelivered", reason });
    }
  }

  #addLanes({ partitionCount }: Topic): void {
    const { batchBytesMax, startOffsets } = this.#options;
    const isFirst = this.#lanes.length === 0;
    for (let partition = this.#lanes.length; partition < partitionCount; partition++) {
      this.#lanes.push({
        partition,
        queue: new PartitionQueue<PlannedRecord>({
          toRecord: this.#recordOf,
          sizeOf: (record) => recordBytesMax(this.#recordOf(record)),
          sizer: new BatchSizer(batchBytesMax),
        }),
        isDraining: false,
        isReturned: false,
        nextOffset: isFirst ? startOffsets?.get(partition) ?? 0 : 0,
      });
    }
  }

  #enqueue(record: PlannedRecord): void {
    const lane = this.#lanes[record.partition];
    if (lane === undefined) throw new RangeError(`no partition ${record.partition}`);
    lane.queue.push(record);
    if (!lane.isDraining && !this.#isPaused) this.#drain(lane);
  }

  #changeTopic(change: TopicChange): void {
    this.#addLanes(change);
    if (change.isRecreated) { for (const lane of this.#lanes) lane.nextOffset = 0; }
    this.#isPaused = true;
    this.#options.onTopicChange?.(change);
    this.#routeAnewWhenQuiet();
  }

  /** Continues with the partitions that the topic has now, once nothing is in flight. */
  #routeAnewWhenQuiet(): void {
    if (!this.#isPaused || this.#lanes.some(({ isDraining }) => isDraining)) return;
    this.#isPaused = false;
    const waiting = this.#lanes.flatMap(({ queue }) => {
      const records = queue.waiting;
      queue.drop(queue.length);
      return records;
    });
    const { partitionOf = ({ partition }) => partition } = this.#options;
    for (const record of waiting.toSorted((one, other) => one.plannedAtMs - other.plannedAtMs)) {
      this.#enqueue({ ...record, partition: partitionOf(record) });
    }
  }

  async #drain(lane: Lane): Promise<void> {
    lane.isDraining = true;
    // Orders that become due in the same turn of the event loop go into one batch.
    await Promise.resolve();
    while (lane.queue.length > 0 && !this.#isPaused && !this.#isAbandoned) {
      await this.#sendNext(lane);
    }
    lane.isDraining = false;
    this.#routeAnewWhenQuiet();
  }

  async #sendNext(lane: Lane): Promise<void> {
    const { watched = (_, deliver) => deliver() } = this.#options;
    const outcome = await lane.queue.sendNext((records) =>
      watched(lane.partition, () => this.#send(lane, records))
    );
    if (this.#isAbandoned) return;
    switch (outcome.kind) {
      case "stored":
        return this.#noteStored(lane, outcome.items, outcome.answer);
      case "split":
        return;
      case "refused":
        lane.queue.drop(1);
        return this.#settle(outcome.item, { kind: "failed", reason: outcome.error.message });
      case "failed": {
        const { items, error } = outcome;
        if (lane.isReturned) {
          lane.isReturned = false;
          return;
        }
        lane.queue.drop(items.length);
        const kind = error.fate === "refused" ? "failed" : "unknown";
        for (const record of items) this.#settle(record, { kind, reason: error.message });
      }
    }
  }

  /** Sends a batch, and looks for it in the topic where no answer came that can be trusted. */
  async #send(lane: Lane, records: readonly OutgoingRecord[]): Promise<Stored> {
    const sentAtMs = performance.now();
    for (let sendCount = 1;; sendCount++) {
      const { topicId } = this.#watch.topic;
      try {
        const { baseOffset } = await this.#options.send(lane.partition, records);
        return { baseOffset, sentAtMs, topicId };
      } catch (error) {
        const isUnknown = error instanceof DeliveryError && error.fate === "unknown";
        const lookup = isUnknown ? await this.#lookUp(lane, records) : "cannot-tell";
        if (lookup === "cannot-tell" || this.#isAbandoned) throw error;
        lane.isReturned = lookup === undefined && this.#isPaused;
        if (lane.isReturned || (lookup === undefined && sendCount === SENDS_MAX)) throw error;
        this.#options.onLookup?.(lookup === undefined ? "sent_again" : "found", records.length);
        if (lookup !== undefined) return { ...lookup, sentAtMs };
      }
    }
  }

  /** Looks for a batch in the topic, and waits while there is none. */
  async #lookUp(
    lane: Lane,
    records: readonly OutgoingRecord[],
  ): Promise<Omit<Stored, "sentAtMs"> | undefined | "cannot-tell"> {
    for (;;) {
      const topic = await this.#presentTopic();
      if (topic === undefined) return "cannot-tell";
      if (lane.partition >= topic.partitionCount) return undefined;
      const found = await this.#options.findStored(lane.partition, records, {
        fromOffset: lane.nextOffset,
        isWanted: () => !this.#isAbandoned,
      }).catch(() => "cannot-tell" as const); // it is reported with the reason of its send
      if (typeof found === "object") return { ...found, topicId: topic.topicId };
      // A topic that was created again meanwhile is searched, too.
      const present = await this.#presentTopic();
      if (present === undefined || present.topicId === topic.topicId) return found;
    }
  }

  /** Returns the topic once there is one, with every earlier acknowledgement confirmed; undefined if abandoned first. */
  async #presentTopic(): Promise<Topic | undefined> {
    while (!this.#isAbandoned) {
      const topic = await this.#watch.check().catch(() => undefined);
      if (topic !== undefined) return topic;
      await delay(TOPIC_POLL_MS);
    }
    return undefined;
  }

  #noteStored(lane: Lane, records: readonly PlannedRecord[], stored: Stored): void {
    this.#watch.add({ ...stored, lane, records, answeredAtMs: performance.now() });
    this.#unsettledCount -= records.length;
    for (const { value } of records) this.#unsettledBytes -= value?.length ?? 0;
    this.#wake();
  }

  #reportStored(
    { lane, records, baseOffset, sentAtMs, answeredAtMs }: AcknowledgedBatch,
    topicId: string,
  ): void {
    if (topicId === this.#watch.topic.topicId) lane.nextOffset = baseOffset + records.length;
    const outcome = { kind: "acknowledged", topicId, sentAtMs, answeredAtMs } as const;
    for (const [index, record] of records.entries()) {
      this.#options.onReport({ record, outcome: { ...outcome, offset: baseOffset + index } });
    }
  }

  #settle(record: PlannedRecord, outcome: Outcome): void {
    this.#unsettledCount--;
    this.#unsettledBytes -= record.value?.length ?? 0;
    this.#options.onReport({ record, outcome });
    this.#wake();
  }

  readonly #recordOf = ({ partition, key, value, headers }: PlannedRecord): OutgoingRecord => {
    const { headers: common = NO_HEADERS } = this.#options;
    return {
      partition,
      key,
      value,
      headers: headers === undefined ? common : [...common, ...headers],
    };
  };

  #wake(): void {
    const wake = this.#wakeSettled;
    if (wake.length === 0) return;
    this.#wakeSettled = [];
    for (const resolve of wake) resolve();
  }
}

const NO_HEADERS: readonly RecordHeader[] = [];
