/**
 * A seeded source of random numbers, the same on every machine.
 *
 * sfc32 by Chris Doty-Humphrey, from PractRand 0.95 (https://pracrand.sourceforge.net, public domain):
 * 128 bits of state, of which 32 count, so no cycle is shorter than 2^32; passes PractRand's own tests.
 * Not for secrets.
 *
 * @module
 */

// As PractRand does: so many outputs until every bit of the seed has reached every bit of the state.
const WARM_UP_ROUNDS = 12;

// How flat popularity is at the top, see popularityWeight.
const POPULARITY_OFFSET = 10;

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Draws numbers; the same seed gives the same ones. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /**
   * `seed` is a safe integer, not below 0; two seeds give unrelated numbers, and so do two streams of one
   * seed: whole numbers below 2^32, for draws that must not disturb one another.
   */
  constructor(seed: number, { stream = 0 }: { readonly stream?: number } = {}) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = stream | 0;
    for (let round = 0; round < WARM_UP_ROUNDS; round++) this.uint32();
  }

  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    const output = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + output) | 0;
    return output >>> 0;
  }

  /** A number from 0 up to, but not including, 1; in steps of 2^-32. */
  unit(): number {
    return this.uint32() / 2 ** 32;
  }

  /** A version 4 UUID; as unique as 122 bits of this generator are. */
  uuid(): string {
    const first = this.uint32();
    const second = (this.uint32() & 0xffff0fff) | 0x00004000;
    const third = (this.uint32() & 0x3fffffff) | 0x80000000;
    const fourth = this.uint32();
    return `${hex(first >>> 16)}${hex(first)}-${hex(second >>> 16)}-${hex(second)}-` +
      `${hex(third >>> 16)}-${hex(third)}${hex(fourth >>> 16)}${hex(fourth)}`;
  }
}

// The lower 16 bits as four digits. Two lookups are several times faster than toString and padStart.
function hex(bits: number): string {
  return `${HEX[(bits >>> 8) & 0xff]}${HEX[bits & 0xff]}`;
}

/**
 * How much of the demand the one at this place in popularity, from 0, has: Zipf's law with Mandelbrot's
 * offset. The first of 1,000 is drawn 2 times in 100, and half of the draws go to the first 89. Without
 * the offset, one customer would place every eighth order.
 */
export function popularityWeight(index: number): number {
  return 1 / (POPULARITY_OFFSET + index);
}

/** Draws indexes, each as often as its weight says. */
export class WeightedIndex {
  readonly #cumulative: Float64Array;
  readonly #total: number;

  /** `weights`: at least one; each above 0. */
  constructor(weights: ArrayLike<number>) {
    let total = 0;
    this.#cumulative = Float64Array.from(weights, (weight) => total += weight);
    this.#total = total;
  }

  /** Weights by {@link popularityWeight}. */
  static byPopularity(count: number): WeightedIndex {
    const weights = Float64Array.from(
      { length: count },
      (_, index) => popularityWeight(index),
    );
    return new WeightedIndex(weights);
  }

  /** An index from 0 to the number of weights - 1. */
  draw(random: Random): number {
    const point = random.unit() * this.#total;
    // The first cumulative weight above the point, by halving.
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
