/**
 * A seeded random number generator with the same output on every machine.
 *
 * sfc32 by Chris Doty-Humphrey, from PractRand 0.95 (https://pracrand.sourceforge.net, public domain). Its state has
 * 128 bits, including a 32-bit counter, so no cycle is shorter than 2^32. It passes PractRand's own tests. Not for
 * secrets.
 */

// As in PractRand: after this many outputs, every bit of the seed has affected every bit of the state.
const WARM_UP_ROUNDS = 12;

// Flattens the popularity of the first ranks, see popularityWeight.
const POPULARITY_OFFSET = 10;

/** The stream of each purpose. Add one for a new purpose; a different number would change what existing seeds give. */
export const STREAMS = { orders: 0, badOrders: 1, randomRecords: 2, payloadModule: 3 } as const;

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** A random number generator; deterministic for a given seed. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /**
   * `seed` is a non-negative safe integer, `stream` an integer below 2^32. Different seeds give unrelated numbers, and
   * so do different streams of a seed, which keep independent draws apart.
   */
  constructor(seed: number, { stream = 0 }: { readonly stream?: number } = {}) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = stream | 0;
    for (let round = 0; round < WARM_UP_ROUNDS; round++) this.uint32();
  }

  /** Returns an integer from 0 to 2^32 - 1. */
  uint32(): number {
    const output = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + output) | 0;
    return output >>> 0;
  }

  /** Returns a number from 0 (inclusive) to 1 (exclusive), in steps of 2^-32. */
  unit(): number {
    return this.uint32() / 2 ** 32;
  }

  /** Returns a version 4 UUID, as unique as 122 bits of this generator. */
  uuid(): string {
    const first = this.uint32();
    const second = (this.uint32() & 0xffff0fff) | 0x00004000;
    const third = (this.uint32() & 0x3fffffff) | 0x80000000;
    const fourth = this.uint32();
    return `${hex(first >>> 16)}${hex(first)}-${hex(second >>> 16)}-${hex(second)}-` +
      `${hex(third >>> 16)}-${hex(third)}${hex(fourth >>> 16)}${hex(fourth)}`;
  }
}

// Formats the lower 16 bits as four digits. Two lookups are several times faster than toString and padStart.
function hex(bits: number): string {
  return `${HEX[(bits >>> 8) & 0xff]}${HEX[bits & 0xff]}`;
}

/**
 * Returns the share of demand of a rank in popularity, from 0, by the Zipf-Mandelbrot law. The first of 1,000 is drawn
 * 2 % of the time, and half of the draws go to the first 89. Without Mandelbrot's offset, one customer would place
 * every eighth order.
 */
export function popularityWeight(index: number): number {
  return 1 / (POPULARITY_OFFSET + index);
}

/** Draws indexes in proportion to their weights. */
export class WeightedIndex {
  readonly #cumulative: Float64Array;
  readonly #total: number;

  /** @param weights at least one; each above 0. */
  constructor(weights: ArrayLike<number>) {
    let total = 0;
    this.#cumulative = Float64Array.from(weights, (weight) => total += weight);
    this.#total = total;
  }

  static byPopularity(count: number): WeightedIndex {
    const weights = Float64Array.from(
      { length: count },
      (_, index) => popularityWeight(index),
    );
    return new WeightedIndex(weights);
  }

  /** Returns an index from 0 to the number of weights - 1. */
  draw(random: Random): number {
    const point = random.unit() * this.#total;
    // Binary search for the first cumulative weight above the point.
    let low = 0;
    let high = this.#cumulative.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#cumulative[middle] ?? 0) > point) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
