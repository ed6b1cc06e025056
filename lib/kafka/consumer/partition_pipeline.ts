/**
 * One partition of a member, from a join to the next: batches are handed over in order, work on them goes
 * on beside the fetching of the next, and what became safe is told in order.
 *
 *     consume -> handed over -> owner's work ... safe, in order -> onSafe
 *            \-> next fetch meanwhile; paused while two batches are under way
 *
 * Where a batch is abandoned, or the log has something else at its place, the partition is read again from
 * its safe position, and work begun on what lies past it is stale.
 */

import type { Consumer, EachBatchPayload } from "kafkajs";
import { delay, withinTime } from "../../async.ts";
import {
  type CommittedRecords,
  committedRecords,
  type FetchedBytes,
} from "../protocol/committed_records.ts";
import { fetchedIn } from "../kafkajs/fetch_bytes.ts";
import { RefusedError } from "../errors.ts";
import type { EpochEnd } from "../protocol/offset_for_leader_epoch.ts";
import { epochRunsIn } from "../protocol/record_batch.ts";
import type { CommitPoint, ConsumedBatch, UnreadableBatch } from "./api.ts";
import type { LogPosition } from "./log_check.ts";
import { withHeartbeats } from "./with_heartbeats.ts";

/** Where a partition is read, and the leader epoch of the record before, as far as it is known. */
type Place = Pick<LogPosition, "offset" | "epoch">;

/** A pipeline's questions to its member, and its notifications. */
export interface PipelineOptions {
  readonly topic: string;
  readonly topicId: () => string;
  readonly consumer: Pick<Consumer, "pause" | "resume" | "seek">;
  /** True while the member has the partition. */
  readonly isCurrent: () => boolean;
  /** Aborted when it has not. */
  readonly lost: AbortSignal;
  readonly isStopping: () => boolean;
  readonly onBatch: (batch: ConsumedBatch) => Promise<boolean>;
  readonly confirmTopic: () => Promise<boolean>;
  readonly onSafe: (point: CommitPoint) => void;
  /** Called with a batch that cannot be read, and with undefined when the partition can be read again. */
  readonly onUnreadable: (partition: number, batch: UnreadableBatch | undefined) => void;
  /** Returns where the log has what was read before, or rejects where no leader answers. */
  readonly realign: (position: LogPosition) => Promise<number>;
  /** Returns the leader epoch of the record before an offset. */
  readonly epochBefore: (partition: number, offset: number) => number | undefined;
}

/** How long kafkajs's handler waits for room, or for the start, before it gives way to heartbeats. */
export const HANDLER_PATIENCE_MS = 1_000;
/** Batches of a partition whose work is under way; past it the partition is paused. */
const BATCHES_IN_FLIGHT_MAX = 2;
/** How long an abandoned batch's partition is left alone before its records are read again. */
const REWIND_WAIT_MS = 500;
const REALIGN_RETRY_WAIT_MS = 500;

export class PartitionPipeline {
  readonly partition: number;
  readonly #options: PipelineOptions;
  /** One past the last offset that is safe; undefined until it is decided where to read on. */
  #safe: Place | undefined;
  /** The next offset to be fetched. */
  #next: Place | undefined;
  /** True if the log has to be asked before anything more is read. */
  #isMisplaced = false;
  /** Grows each time that the partition is read again from its safe position. */
  #pass = 0;
  /** Until it is read again: what was fetched before would be taken for what comes after the safe position. */
  #isRewinding = false;
  #batchesInFlight = 0;
  /** Resolves with true if the last batch handed over became safe. */
  #tail = Promise.resolve(true);
  /** Called when a batch's work ends. */
  #onRoom: (() => void) | undefined;

  constructor(partition: number, options: PipelineOptions) {
    this.partition = partition;
    this.#options = options;
  }

  get position(): number | undefined {
    return this.#safe?.offset;
  }

  /** The safe position, as a commit has it. */
  get point(): CommitPoint | undefined {
    return this.#safe && { partition: this.partition, ...this.#safe };
  }

  /** Resolves when all work that was handed over has ended. */
  get settled(): Promise<boolean> {
    return this.#tail;
  }

  /** Sets where the partition is read on, with what is known of the record before. */
  place(offset: number): void {
    const epoch = this.#options.epochBefore(this.partition, offset);
    this.#safe = { offset, epoch };
    this.#next = { offset, epoch };
  }

  /** Places the partition at the start of a membership, and has kafkajs fetch it from there. */
  begin(offset: number): void {
    this.place(offset);
    // Always: kafkajs may be further on already, or have an old seek of an earlier assignment in hand.
    this.#seek(offset);
    // Paused for work that was begun before the join, it would wait for that work's end.
    this.#resume();
  }

  /** Returns the place of a fetch at this offset; undefined if it is from before a seek. */
  nextFetch(offset: number): Place | undefined {
    return this.#next?.offset === offset ? this.#next : undefined;
  }

  /** Hands over what kafkajs brings, in parts, and returns when there is room for more or the partition is paused. */
  async consume(payload: EachBatchPayload): Promise<void> {
    if (this.#isRewinding) return;
    const { batch } = payload;
    const isCurrent = this.#currency();
    const fetched = fetchedIn(batch);
    let start = fetched?.start ?? 0;
    const parts = withHeartbeats(this.#partsOf(fetched), () => payload.heartbeat());
    for await (const part of parts) {
      if (!isCurrent()) break;
      const { isLast } = part;
      const lastOffset = isLast ? batch.lastOffset() : String(part.lastOffset);
      const endOffset = Number(lastOffset) + 1;
      const epochRuns = epochRunsIn(fetched?.bytes ?? new Uint8Array(), { start, end: endOffset });
      const epoch = epochRuns.at(-1)?.epoch;
      const highWatermark = Number(batch.highWatermark);
      const about = { start, endOffset, epochRuns, highWatermark, isCurrent };
      this.#handOver(part, { ...about, safe: { offset: endOffset, epoch } });
      payload.resolveOffset(lastOffset);
      this.#next = { offset: endOffset, epoch };
      start = endOffset;
      // A paused partition is fetched again only after kafkajs's own wait, so a short one is waited out here.
      if (!await this.#roomWithin(HANDLER_PATIENCE_MS)) {
        // What is left of a batch is fetched again when there is room.
        if (isCurrent()) this.#pauseUntilRoom(payload);
        break;
      }
      if (!isLast) await payload.heartbeat();
    }
    await payload.heartbeat();
  }

  /** Asks the log where to read on, once the batches handed over are safe: what they append is compared, too. */
  realignWhenSettled(divergingEpoch?: EpochEnd): void {
    if (this.#isRewinding) return;
    const isCurrent = this.#currency();
    this.#isRewinding = true;
    this.pause();
    this.#tail.then(() => this.#realign(divergingEpoch, isCurrent));
  }

  pause(): void {
    const { consumer, topic } = this.#options;
    consumer.pause([{ topic, partitions: [this.partition] }]);
  }

  /** Returns whether the partition is this member's, and has not been read again, since now. */
  #currency(): () => boolean {
    const pass = this.#pass;
    return () => this.#options.isCurrent() && this.#pass === pass;
  }

  /** Has the owner begin its work, beside the fetching of the next. */
  #handOver(
    part: CommittedRecords,
    { safe, ...about }:
      & Pick<ConsumedBatch, "start" | "endOffset" | "epochRuns" | "highWatermark" | "isCurrent">
      & { readonly safe: Place },
  ): void {
    const { isCurrent } = about;
    const { topic, topicId, onBatch, lost, confirmTopic } = this.#options;
    this.#batchesInFlight++;
    this.#tail = onBatch({
      topic,
      topicId: topicId(),
      partition: this.partition,
      get records() {
        return part.records;
      },
      spans: part.spans,
      ...about,
      lost,
      confirmTopic,
      checkLog: () => void (this.#isMisplaced = true),
      previous: this.#tail,
    }).then((isSafe) => {
      this.#batchesInFlight--;
      this.#onRoom?.();
      if (!isCurrent()) return false;
      if (isSafe) this.#noteSafe(safe);
      else if (this.#isMisplaced) this.realignWhenSettled();
      else this.#rewind();
      return isSafe;
    });
  }

  #noteSafe(safe: Place): void {
    this.#safe = safe;
    this.#options.onSafe({ partition: this.partition, ...safe });
  }

  /** Ends early where the batch cannot be read: it is fetched again, and nothing more of it goes further. */
  async *#partsOf(
    fetched: FetchedBytes | undefined,
  ): AsyncGenerator<CommittedRecords, void, void> {
    if (fetched === undefined) {
      return yield { records: [], lastOffset: undefined, isLast: true };
    }
    const { onUnreadable } = this.#options;
    try {
      for await (const part of committedRecords(fetched)) {
        if (part.isLast) onUnreadable(this.partition, undefined);
        yield part;
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      onUnreadable(this.partition, { offset: fetched.start, reason });
      this.#rewindWhenSettled();
    }
  }

  /** Lets the batches before become safe first: made stale, they would be fetched again and again. */
  #rewindWhenSettled(): void {
    const isCurrent = this.#currency();
    this.pause();
    this.#tail.then(() => {
      if (isCurrent()) this.#rewind();
    });
  }

  async #roomWithin(timeoutMs: number): Promise<boolean> {
    if (this.#batchesInFlight < BATCHES_IN_FLIGHT_MAX) return true;
    const { promise: room, resolve } = Promise.withResolvers<void>();
    this.#onRoom = resolve;
    await withinTime(room, timeoutMs);
    this.#onRoom = undefined;
    return this.#batchesInFlight < BATCHES_IN_FLIGHT_MAX;
  }

  /** The partition is fetched again when there is room, which the end of a batch's work makes. */
  #pauseUntilRoom(payload: EachBatchPayload): void {
    const resume = payload.pause();
    this.#onRoom = () => {
      this.#onRoom = undefined;
      resume();
    };
  }

  /** Reads on from the last safe offset, after a wait; work begun on what lies past it is stale. */
  async #rewind(): Promise<void> {
    const { isCurrent, isStopping, lost } = this.#options;
    if (this.#safe === undefined) return;
    const { offset } = this.#safe;
    this.#pass++;
    this.#isRewinding = true;
    this.#isMisplaced = false;
    this.#next = this.#safe;
    this.#tail = Promise.resolve(true);
    this.pause();
    await delay(REWIND_WAIT_MS, lost);
    // A join has placed and resumed the partition.
    if (!isCurrent() || isStopping()) return;
    this.#isRewinding = false;
    this.#seek(offset);
    this.#resume();
  }

  /** Reads on from where the log has what was read before; asks until a leader answers. */
  async #realign(
    divergingEpoch: EpochEnd | undefined,
    isCurrent: () => boolean,
  ): Promise<void> {
    const { topic, topicId, realign, confirmTopic } = this.#options;
    while (isCurrent()) {
      const { offset: position, epoch } = this.#safe ?? { offset: 0, epoch: undefined };
      const place = { topic, topicId: topicId(), partition: this.partition, epoch, divergingEpoch };
      try {
        const offset = await realign({ ...place, offset: position });
        if (!isCurrent()) return;
        this.place(offset);
        if (offset !== position && this.#safe !== undefined) this.#noteSafe(this.#safe);
        await this.#rewind();
        return;
      } catch (error) {
        // A topic that is gone, or another one, ends the session.
        if (error instanceof RefusedError) await confirmTopic().catch(() => {});
        await delay(REALIGN_RETRY_WAIT_MS);
      }
    }
  }

  #seek(offset: number): void {
    const { consumer, topic } = this.#options;
    consumer.seek({ topic, partition: this.partition, offset: String(offset) });
  }

  #resume(): void {
    const { consumer, topic } = this.#options;
    consumer.resume([{ topic, partitions: [this.partition] }]);
  }
}
