/**
 * Counts bytes and keys, which records of any topic have.
 *
 * Pure: records and the time are passed in.
 */

import { RATE_WINDOW_MS } from "./health.ts";
import type { EventFacts } from "./scan.ts";
import { CLOCK_SKEW_MS } from "./sliding_window.ts";
import { type Counted, Tally, TALLY_NAMES_MAX } from "./tally.ts";

/** Seconds kept: the window, plus the allowed clock skew. */
const SECONDS_MAX = (RATE_WINDOW_MS + CLOCK_SKEW_MS) / 1000 + 2;
const SECOND_MS = 1000;

export interface TrafficView {
  /** Total size of the records' values. */
  readonly valueBytes: number;
  /** Over the last minute, or since the first record if that is shorter. */
  readonly valueBytesPerSecond: number;
  readonly valueBytesMax: number;
  /** Records without an order; other records' keys are not counted. */
  readonly plainCount: number;
  /** Number of these without a key. */
  readonly keylessCount: number;
  /** Distinct keys, up to {@link TALLY_NAMES_MAX}. */
  readonly keyCount: number;
  readonly areKeysCapped: boolean;
  /** By records. */
  readonly topKeys: readonly Counted[];
}

type RecordFacts = Pick<EventFacts, "valueBytes" | "hasOrder" | "key" | "timestampMs">;

export class Traffic {
  #valueBytes = 0;
  #valueBytesMax = 0;
  #plainCount = 0;
  #keylessCount = 0;
  #keys = new Tally();
  #firstMs = Infinity;
  /** Bytes by second since the epoch, in order of arrival, without the latest second. */
  #seconds = new Map<number, number>();
  #second = NaN;
  #secondBytes = 0;

  copy(): Traffic {
    const copy = new Traffic();
    copy.#valueBytes = this.#valueBytes;
    copy.#valueBytesMax = this.#valueBytesMax;
    copy.#plainCount = this.#plainCount;
    copy.#keylessCount = this.#keylessCount;
    copy.#keys = this.#keys.copy();
    copy.#firstMs = this.#firstMs;
    copy.#seconds = new Map(this.#seconds);
    copy.#second = this.#second;
    copy.#secondBytes = this.#secondBytes;
    return copy;
  }

  note({ valueBytes, hasOrder, key, timestampMs }: RecordFacts): void {
    this.#valueBytes += valueBytes;
    if (valueBytes > this.#valueBytesMax) this.#valueBytesMax = valueBytes;
    if (!hasOrder) {
      this.#plainCount++;
      if (key === undefined) this.#keylessCount++;
      else this.#keys.add(key, key, 1);
    }
    if (Number.isNaN(timestampMs)) return;
    if (timestampMs < this.#firstMs) this.#firstMs = timestampMs;
    const second = Math.floor(timestampMs / SECOND_MS);
    if (second !== this.#second) this.#begin(second);
    this.#secondBytes += valueBytes;
  }

  view(nowMs: number): TrafficView {
    return {
      valueBytes: this.#valueBytes,
      valueBytesPerSecond: this.#bytesPerSecond(nowMs),
      valueBytesMax: this.#valueBytesMax,
      plainCount: this.#plainCount,
      keylessCount: this.#keylessCount,
      keyCount: this.#keys.size,
      areKeysCapped: this.#keys.size >= TALLY_NAMES_MAX,
      topKeys: this.#keys.top,
    };
  }

  #begin(second: number): void {
    const known = this.#seconds.get(this.#second) ?? 0;
    if (!Number.isNaN(this.#second)) this.#seconds.set(this.#second, known + this.#secondBytes);
    this.#second = second;
    this.#secondBytes = 0;
    if (this.#seconds.size <= SECONDS_MAX) return;
    const [oldest] = this.#seconds.keys();
    if (oldest !== undefined) this.#seconds.delete(oldest);
  }

  #bytesPerSecond(nowMs: number): number {
    const spanMs = Math.min(RATE_WINDOW_MS, Math.max(SECOND_MS, nowMs - this.#firstMs));
    const isOfWindow = (second: number) => {
      const ageMs = nowMs - second * SECOND_MS;
      return ageMs < RATE_WINDOW_MS && ageMs >= -CLOCK_SKEW_MS;
    };
    let bytes = isOfWindow(this.#second) ? this.#secondBytes : 0;
    for (const [second, added] of this.#seconds) if (isOfWindow(second)) bytes += added;
    return Math.round(bytes / (spanMs / SECOND_MS));
  }
}
