/**
 * Keeps the latest few of many values; dropped values cost nothing.
 */

/** Keeps the latest `countMax` values, oldest first. */
export class Recent<T> {
  #values: T[] = [];
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  add(value: T): void {
    this.#values.push(value);
    if (this.#values.length > this.#countMax) this.#values.shift();
  }

  values(): readonly T[] {
    return this.#values;
  }

  copy(): Recent<T> {
    const copy = new Recent<T>(this.#countMax);
    copy.#values = [...this.#values];
    return copy;
  }
}

/** Keeps the latest lines of a reused buffer. Copies only those that are still needed when the buffer is reused. */
export class RecentLines {
  readonly #countMax: number;
  readonly #lineBytesMax: number;
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  #noted = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #kept: Recent<Uint8Array>;

  /** @param lineBytesMax longer lines are cut to this many bytes. */
  constructor({ countMax, lineBytesMax }: { countMax: number; lineBytesMax: number }) {
    this.#countMax = countMax;
    this.#lineBytesMax = lineBytesMax;
    this.#starts = new Int32Array(countMax);
    this.#ends = new Int32Array(countMax);
    this.#kept = new Recent(countMax);
  }

  note(bytes: Uint8Array, start: number, end: number): void {
    const index = this.#noted % this.#countMax;
    this.#bytes = bytes;
    this.#starts[index] = start;
    this.#ends[index] = Math.min(end, start + this.#lineBytesMax);
    this.#noted++;
  }

  /** Copies the lines that are still needed, because the noted bytes are about to change. */
  settle(): void {
    for (
      let count = Math.max(0, this.#noted - this.#countMax);
      count < this.#noted;
      count++
    ) {
      const index = count % this.#countMax;
      this.#kept.add(this.#bytes.slice(this.#starts[index], this.#ends[index]));
    }
    this.#noted = 0;
    this.#bytes = EMPTY;
  }

  /** Oldest first. */
  lines(): readonly Uint8Array[] {
    return this.#kept.values();
  }

  copy(): RecentLines {
    const copy = new RecentLines({ countMax: this.#countMax, lineBytesMax: this.#lineBytesMax });
    copy.#kept = this.#kept.copy();
    return copy;
  }
}

const EMPTY = new Uint8Array(0);
