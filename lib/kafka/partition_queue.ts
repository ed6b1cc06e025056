/**
 * Records for one partition, sent in order, in batches of a size that the broker accepts. A batch that the
 * broker refuses for what is in it is split, down to the record that it refuses; the others are sent, and
 * the order stays.
 *
 *     stored -> removed from the queue
 *     split  -> nothing is stored, smaller batches come next
 *     refused, failed -> the caller decides: replace or drop records, wait, or end
 *
 * @module
 */

import { DeliveryError, isTooLarge, scopeOf } from "./errors.ts";
import type { OutgoingRecord } from "../record.ts";

/** What became of the batch that was sent last. */
export type SendOutcome<Item, Answer> =
  | { readonly kind: "stored"; readonly items: readonly Item[]; readonly answer: Answer }
  /** The batch was refused and has more than one record: parts of it are sent next. */
  | { readonly kind: "split" }
  /** The first record of the queue is refused for good, as it is. */
  | { readonly kind: "refused"; readonly item: Item; readonly error: DeliveryError }
  /** No record's fault, as far as is known. */
  | { readonly kind: "failed"; readonly items: readonly Item[]; readonly error: DeliveryError };

export interface PartitionQueueOptions<Item> {
  readonly toRecord: (item: Item) => OutgoingRecord;
  /** As {@link recordBytesMax}. */
  readonly sizeOf: (item: Item) => number;
  /** Keeps what was learned; queues of the same partition share one. */
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

  /** The item that is sent next, or is being sent. */
  get first(): Item | undefined {
    return this.#items[0];
  }

  /** The items of the batch that has no answer yet. */
  get inFlight(): readonly Item[] {
    return this.#items.slice(0, this.#inFlightCount);
  }

  /** The items behind those in flight. */
  get waiting(): readonly Item[] {
    return this.#items.slice(this.#inFlightCount);
  }

  push(...items: readonly Item[]): void {
    for (const item of items) this.#items.push(item);
  }

  /** Removes the first items. */
  drop(count: number): void {
    this.#items.splice(0, count);
  }

  /** Has the next batch hold half as many records as one that failed. */
  narrow(failedCount: number): void {
    this.#options.sizer.noteRefused({ count: failedCount, bytes: 0, isTooLarge: false });
  }

  /**
   * Sends the next batch; one call at a time.
   *
   * @param send rejects with a {@link DeliveryError}; anything else is thrown on.
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
 * Chooses how many records make a batch, and learns from refusals:
 *
 * - from one for the size, how many bytes the topic accepts (`max.message.bytes`);
 * - from any other, to send fewer records, down to one; each batch that is stored doubles their number.
 *   So a single bad record among n costs some 2 log n sends, and n bad ones in a row cost n.
 */
export class BatchSizer {
  readonly #bytesMaxAtFirst: number;
  #bytesMax: number;
  #countMax = Infinity;

  /** @param bytesMax of a batch with more than one record; a larger record goes alone. */
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
    // The limit is below this record's size, but perhaps not far below: the batches before were too
    // large for this record alone.
    else this.#bytesMax = Math.min(this.#bytesMaxAtFirst, Math.max(this.#bytesMax, bytes - 1));
  }
}

const COUNT_MAX_LEARNED = 100_000;
