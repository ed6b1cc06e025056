/**
 * Queues records for one partition and sends them in order, in batches of a size that the broker accepts. A batch that
 * is refused because of its contents is split, down to the refused record. The others are sent, still in order.
 *
 *     stored -> removed from the queue
 *     split  -> nothing is stored, smaller batches are sent next
 *     refused, failed -> the caller decides: replace or drop records, wait, or stop
 */

import { DeliveryError, isTooLarge, scopeOf } from "./errors.ts";
import type { OutgoingRecord } from "../record.ts";

export type SendOutcome<Item, Answer> =
  | { readonly kind: "stored"; readonly items: readonly Item[]; readonly answer: Answer }
  /** A batch of more than one record was refused: parts of it are sent next. */
  | { readonly kind: "split" }
  /** The first record of the queue is refused permanently. */
  | { readonly kind: "refused"; readonly item: Item; readonly error: DeliveryError }
  /** The send failed, and no record is known to be the cause. */
  | { readonly kind: "failed"; readonly items: readonly Item[]; readonly error: DeliveryError };

export interface PartitionQueueOptions<Item> {
  readonly toRecord: (item: Item) => OutgoingRecord;
  /** Returns the size of an item's record, as {@link recordBytesMax}. */
  readonly sizeOf: (item: Item) => number;
  /** Learns batch sizes; shared by all queues of a partition. */
  readonly sizer: BatchSizer;
}

export class PartitionQueue<Item> {
  readonly #options: PartitionQueueOptions<Item>;
  readonly #items: Item[] = [];
  #inFlightCount = 0;

  constructor(options: PartitionQueueOptions<Item>) {
    this.#options = options;
  }

  get length(): number {
    return this.#items.length;
  }

  /** The first item that is in flight, or is sent next. */
  get first(): Item | undefined {
    return this.#items[0];
  }

  /** The items of the batch that has no answer yet. */
  get inFlight(): readonly Item[] {
    return this.#items.slice(0, this.#inFlightCount);
  }

  get waiting(): readonly Item[] {
    return this.#items.slice(this.#inFlightCount);
  }

  push(...items: readonly Item[]): void {
    for (const item of items) this.#items.push(item);
  }

  drop(count: number): void {
    this.#items.splice(0, count);
  }

  /** Halves the number of records of the next batch, compared with one that failed. */
  narrow(failedCount: number): void {
    this.#options.sizer.noteRefused({ count: failedCount, bytes: 0, isTooLarge: false });
  }

  /**
   * Sends the next batch. Must not be called again before it has settled.
   *
   * @param send rejects with a {@link DeliveryError}; other errors are rethrown.
   */
  async sendNext<Answer>(
    send: (records: readonly OutgoingRecord[], items: readonly Item[]) => Promise<Answer>,
  ): Promise<SendOutcome<Item, Answer>> {
    const { toRecord, sizeOf, sizer } = this.#options;
    const items = this.#items.slice(0, sizer.countOf(this.#items, sizeOf));
    this.#inFlightCount = items.length;
    try {
      const answer = await send(items.map(toRecord), items);
      sizer.noteStored(items.length);
      this.drop(items.length);
      return { kind: "stored", items, answer };
    } catch (error) {
      if (!(error instanceof DeliveryError)) throw error;
      const [item] = items;
      if (scopeOf(error) !== "record" || item === undefined) {
        return { kind: "failed", items, error };
      }
      const bytes = items.reduce((sum, each) => sum + sizeOf(each), 0);
      sizer.noteRefused({ count: items.length, bytes, isTooLarge: isTooLarge(error) });
      return items.length > 1 ? { kind: "split" } : { kind: "refused", item, error };
    } finally {
      this.#inFlightCount = 0;
    }
  }
}

/**
 * Chooses the number of records of a batch, and learns from refusals:
 *
 * - from a refusal because of size, how many bytes the topic accepts (`max.message.bytes`);
 * - from any other, to send fewer records, down to one. Each stored batch doubles the number.
 *   So one bad record among n costs about 2 log n sends, and n bad records in a row cost n.
 */
export class BatchSizer {
  readonly #bytesMaxAtFirst: number;
  #bytesMax: number;
  #countMax = Infinity;

  /** @param bytesMax maximum size of a batch with more than one record; a larger record is sent alone. */
  constructor(bytesMax: number) {
    this.#bytesMaxAtFirst = bytesMax;
    this.#bytesMax = bytesMax;
  }

  /** Returns how many of the first items make the next batch; at least 1. */
  countOf<Item>(items: readonly Item[], sizeOf: (item: Item) => number): number {
    let bytes = 0;
    let count = 0;
    for (const item of items) {
      bytes += sizeOf(item);
      if (count > 0 && (bytes > this.#bytesMax || count >= this.#countMax)) break;
      count++;
    }
    return count;
  }

  noteStored(count: number): void {
    if (count >= this.#countMax) this.#countMax = 2 * count;
    if (this.#countMax > COUNT_MAX_LEARNED) this.#countMax = Infinity;
  }

  noteRefused(
    { count, bytes, isTooLarge }: { count: number; bytes: number; isTooLarge: boolean },
  ): void {
    if (!isTooLarge) this.#countMax = Math.max(1, Math.floor(count / 2));
    else if (count > 1) this.#bytesMax = Math.floor(bytes / 2);
    // The limit is below this record's size, perhaps only just: this record alone may be why larger batches were
    // refused.
    else this.#bytesMax = Math.min(this.#bytesMaxAtFirst, Math.max(this.#bytesMax, bytes - 1));
  }
}

const COUNT_MAX_LEARNED = 100_000;
