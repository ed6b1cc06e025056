/**
 * Delivery with a report for every order: what waits is collected into batches, a batch is sent to its
 * partition, the answer is awaited, and each order ends in exactly one account.
 *
 *     generated = acknowledged + failed + undelivered + unknown
 *
 * One send is in flight a partition, so that the order of a key is the order in which it was generated.
 *
 * @module
 */

import { withinTime } from "../async.ts";
import { DeliveryError } from "../kafka/errors.ts";
import { BatchSizer, PartitionQueue } from "../kafka/partition_queue.ts";
import type { OutgoingRecord } from "../record.ts";
import { recordBytesMax } from "../kafka/protocol/record_size.ts";
import type { BadKind } from "./bad_orders.ts";

/** An order on its way. */
export interface Parcel {
  readonly orderId: string;
  readonly sequence: number;
  readonly partition: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  /** When the order was due, in milliseconds of `performance.now()`: what latency is counted from. */
  readonly plannedAtMs: number;
  /** What is wrong with it on purpose. */
  readonly bad?: BadKind;
}

/** How an order's way ended. */
export type Outcome =
  /** The record is stored at this offset; when it was first sent, and when that was known, of `performance.now()`. */
  | {
    readonly kind: "acknowledged";
    readonly offset: number;
    readonly sentAtMs: number;
    readonly answeredAtMs: number;
  }
  /** The broker said that it did not. */
  | { readonly kind: "failed"; readonly reason: string }
  /** It was never sent. */
  | { readonly kind: "undelivered"; readonly reason: string }
  /** It was sent, and no answer came that can be trusted. */
  | { readonly kind: "unknown"; readonly reason: string };

export interface DeliveryReport {
  readonly parcel: Parcel;
  readonly outcome: Outcome;
}

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
  readonly partitionCount: number;
  /** Bound of a batch in bytes; a larger single order goes alone. Below `max.message.bytes`. */
  readonly batchBytesMax: number;
  readonly send: Send;
  /** Left out, what has no answer that can be trusted is unknown at once. */
  readonly findStored?: FindStored;
  /** Where each partition ended before the run: what is older cannot be one of its records. Default: 0. */
  readonly startOffsets?: ReadonlyMap<number, number>;
  /** Called for each batch that was looked for: found in the topic, or sent again. */
  readonly onLookup?: (result: "found" | "sent_again", recordCount: number) => void;
  /** Called once for every order, in the order of each partition. */
  readonly onReport: (report: DeliveryReport) => void;
}

/** How often a batch is sent whose answers cannot be trusted, each time after it was looked for in vain. */
const SENDS_MAX = 3;

interface Lane {
  readonly queue: PartitionQueue<Parcel>;
  isDraining: boolean;
  /** One past the last record that is known to be stored. */
  nextOffset: number;
}

/** Where a batch is stored, and when it was first sent, of `performance.now()`. */
interface StoredBatch {
  readonly baseOffset: number;
  readonly sentAtMs: number;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #lanes: readonly Lane[];
  #unsettledCount = 0;
  #isAbandoned = false;
  #wakeSettled: (() => void)[] = [];

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#lanes = Array.from({ length: options.partitionCount }, (_, partition) => ({
      queue: new PartitionQueue<Parcel>({
        toRecord: recordOf,
        sizeOf: (parcel) => recordBytesMax({ ...parcel, headers: NO_HEADERS }),
        sizer: new BatchSizer(options.batchBytesMax),
      }),
      isDraining: false,
      nextOffset: options.startOffsets?.get(partition) ?? 0,
    }));
  }

  /** Orders that wait or are in flight. */
  get unsettledCount(): number {
    return this.#unsettledCount;
  }

  /** Takes an order on; its report comes later. The order joins the next batch of its partition. */
  accept(parcel: Parcel): void {
    const lane = this.#lanes[parcel.partition];
    if (lane === undefined) throw new RangeError(`no partition ${parcel.partition}`);
    this.#unsettledCount++;
    lane.queue.push(parcel);
    if (!lane.isDraining) this.#drain(lane, parcel.partition);
  }

  /** Resolves at the next report, or at once where nothing is unsettled. */
  nextReport(): Promise<void> {
    if (this.#unsettledCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.#wakeSettled.push(resolve));
  }

  /** Resolves when every order has its report, or with false when the time is over. */
  async flush(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.#unsettledCount > 0) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      await withinTime(this.nextReport(), leftMs);
    }
    return true;
  }

  /** Gives up: what waits is undelivered, what is in flight is unknown; later answers are not counted. */
  abandon(reason: string): void {
    this.#isAbandoned = true;
    for (const { queue } of this.#lanes) {
      const { inFlight, waiting } = queue;
      queue.drop(queue.length);
      for (const parcel of inFlight) this.#settle(parcel, { kind: "unknown", reason });
      for (const parcel of waiting) this.#settle(parcel, { kind: "undelivered", reason });
    }
  }

  async #drain(lane: Lane, partition: number): Promise<void> {
    lane.isDraining = true;
    // Orders that become due in the same turn of the event loop go into one batch.
    await Promise.resolve();
    while (lane.queue.length > 0 && !this.#isAbandoned) await this.#sendNext(lane, partition);
    lane.isDraining = false;
  }

  async #sendNext(lane: Lane, partition: number): Promise<void> {
    const outcome = await lane.queue.sendNext((records) => this.#send(lane, partition, records));
    if (this.#isAbandoned) return;
    switch (outcome.kind) {
      case "stored":
        return this.#settleStored(lane, outcome.items, outcome.answer);
      case "split":
        return;
      case "refused":
        lane.queue.drop(1);
        return this.#settle(outcome.item, { kind: "failed", reason: outcome.error.message });
      case "failed": {
        const { items, error } = outcome;
        lane.queue.drop(items.length);
        const kind = error.fate === "refused" ? "failed" : "unknown";
        for (const parcel of items) this.#settle(parcel, { kind, reason: error.message });
      }
    }
  }

  /** Sends a batch, and looks for it in the topic where no answer came that can be trusted. */
  async #send(
    lane: Lane,
    partition: number,
    records: readonly OutgoingRecord[],
  ): Promise<StoredBatch> {
    const sentAtMs = performance.now();
    for (let sendCount = 1;; sendCount++) {
      try {
        const { baseOffset } = await this.#options.send(partition, records);
        return { baseOffset, sentAtMs };
      } catch (error) {
        const isWorthLooking = error instanceof DeliveryError && error.fate === "unknown" &&
          sendCount < SENDS_MAX && !this.#isAbandoned;
        const lookup = isWorthLooking
          ? await this.#lookUp(lane, partition, records)
          : "cannot-tell";
        if (lookup === "cannot-tell" || this.#isAbandoned) throw error;
        this.#options.onLookup?.(lookup === undefined ? "sent_again" : "found", records.length);
        if (lookup !== undefined) return { ...lookup, sentAtMs };
      }
    }
  }

  async #lookUp(
    lane: Lane,
    partition: number,
    records: readonly OutgoingRecord[],
  ): Promise<{ readonly baseOffset: number } | undefined | "cannot-tell"> {
    const { findStored } = this.#options;
    if (findStored === undefined) return "cannot-tell";
    try {
      return await findStored(partition, records, {
        fromOffset: lane.nextOffset,
        isWanted: () => !this.#isAbandoned,
      });
    } catch {
      return "cannot-tell"; // the batch is reported with the reason of its send
    }
  }

  #settleStored(
    lane: Lane,
    batch: readonly Parcel[],
    { baseOffset, sentAtMs }: StoredBatch,
  ): void {
    lane.nextOffset = baseOffset + batch.length;
    const answeredAtMs = performance.now();
    let offset = baseOffset;
    for (const parcel of batch) {
      this.#settle(parcel, { kind: "acknowledged", offset: offset++, sentAtMs, answeredAtMs });
    }
  }

  #settle(parcel: Parcel, outcome: Outcome): void {
    this.#unsettledCount--;
    this.#options.onReport({ parcel, outcome });
    if (this.#wakeSettled.length === 0) return;
    const wake = this.#wakeSettled;
    this.#wakeSettled = [];
    for (const resolve of wake) resolve();
  }
}

const NO_HEADERS: OutgoingRecord["headers"] = [];

function recordOf({ partition, key, value }: Parcel): OutgoingRecord {
  return { partition, key, value, headers: NO_HEADERS };
}
