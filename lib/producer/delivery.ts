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

import type { DeliveryError } from "../kafka/errors.ts";
import type { OutgoingRecord } from "../kafka/record.ts";
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
  /** Bound of a batch in bytes of keys and values; a larger single order goes alone. Below `max.message.bytes`. */
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

/** What Kafka's record format adds to key and value, at most, for a record without headers. */
const RECORD_OVERHEAD_BYTES = 32;
/** How often a batch is sent whose answers cannot be trusted, each time after it was looked for in vain. */
const SENDS_MAX = 3;

interface Lane {
  readonly waiting: Parcel[];
  inFlight: readonly Parcel[];
  /** Halved when the broker finds a batch too large, so that good orders are not lost with a neighbour. */
  batchBytesMax: number;
  isDraining: boolean;
  /** One past the last record that is known to be stored. */
  nextOffset: number;
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
      waiting: [],
      inFlight: [],
      batchBytesMax: options.batchBytesMax,
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
    lane.waiting.push(parcel);
    if (!lane.isDraining) this.#drain(lane, parcel.partition);
  }

  /** Resolves at the next report, or at once where nothing is unsettled. */
  nextReport(): Promise<void> {
    if (this.#unsettledCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.#wakeSettled.push(resolve));
  }

  /** Resolves when every order has its report, or with false when the time is over. */
  async flush(timeoutMs: number): Promise<boolean> {
    const { promise: timedOut, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    const deadline = performance.now() + timeoutMs;
    try {
      while (this.#unsettledCount > 0) {
        if (performance.now() >= deadline) return false;
        await Promise.race([this.nextReport(), timedOut]);
      }
      return true;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Gives up: what waits is undelivered, what is in flight is unknown; later answers are not counted. */
  abandon(reason: string): void {
    this.#isAbandoned = true;
    for (const lane of this.#lanes) {
      for (const parcel of lane.inFlight) this.#settle(parcel, { kind: "unknown", reason });
      for (const parcel of lane.waiting) this.#settle(parcel, { kind: "undelivered", reason });
      lane.inFlight = [];
      lane.waiting.length = 0;
    }
  }

  async #drain(lane: Lane, partition: number): Promise<void> {
    lane.isDraining = true;
    // Orders that become due in the same turn of the event loop go into one batch.
    await Promise.resolve();
    while (lane.waiting.length > 0 && !this.#isAbandoned) {
      const batch = takeBatch(lane);
      lane.inFlight = batch;
      await this.#sendBatch(lane, partition, batch);
      lane.inFlight = [];
    }
    lane.isDraining = false;
  }

  async #sendBatch(lane: Lane, partition: number, batch: readonly Parcel[]): Promise<void> {
    const records = batch.map(recordOf);
    const sentAtMs = performance.now();
    for (let sendCount = 1; !this.#isAbandoned; sendCount++) {
      try {
        const { baseOffset } = await this.#options.send(partition, records);
        return this.#settleStored(lane, batch, { baseOffset, sentAtMs });
      } catch (error) {
        if (this.#isAbandoned) return;
        const rejection = error as DeliveryError;
        const lookup = rejection.fate === "unknown" && sendCount < SENDS_MAX
          ? await this.#lookUp(lane, partition, records)
          : "cannot-tell";
        if (this.#isAbandoned) return;
        if (lookup === "cannot-tell") return this.#settleRejected(lane, batch, rejection);
        this.#options.onLookup?.(lookup === undefined ? "sent_again" : "found", batch.length);
        if (lookup !== undefined) return this.#settleStored(lane, batch, { ...lookup, sentAtMs });
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
    { baseOffset, sentAtMs }: { baseOffset: number; sentAtMs: number },
  ): void {
    if (this.#isAbandoned) return;
    lane.nextOffset = baseOffset + batch.length;
    const answeredAtMs = performance.now();
    let offset = baseOffset;
    for (const parcel of batch) {
      this.#settle(parcel, { kind: "acknowledged", offset: offset++, sentAtMs, answeredAtMs });
    }
  }

  #settleRejected(lane: Lane, batch: readonly Parcel[], error: DeliveryError): void {
    if (TOO_LARGE.has(error.reason) && batch.length > 1) {
      lane.batchBytesMax = Math.max(1, Math.floor(lane.batchBytesMax / 2));
      lane.waiting.unshift(...batch);
      return;
    }
    const kind = error.fate === "refused" ? "failed" : "unknown";
    for (const parcel of batch) this.#settle(parcel, { kind, reason: error.message });
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

const TOO_LARGE: ReadonlySet<string> = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]);

function takeBatch(lane: Lane): readonly Parcel[] {
  let bytes = 0;
  let count = 0;
  for (const parcel of lane.waiting) {
    bytes += parcel.value.byteLength + (parcel.key?.byteLength ?? 0) + RECORD_OVERHEAD_BYTES;
    if (count > 0 && bytes > lane.batchBytesMax) break;
    count++;
  }
  return lane.waiting.splice(0, count);
}

const NO_HEADERS: OutgoingRecord["headers"] = [];

function recordOf({ partition, key, value }: Parcel): OutgoingRecord {
  return { partition, key, value, headers: NO_HEADERS };
}
