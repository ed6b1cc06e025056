/**
 * Records of random bytes, which no codec makes smaller: constant or repeated "random" values would flatter every codec
 * (KAFKA-12611).
 */

import { Random, STREAMS } from "../../shop/random.ts";
import type { OwnRecord, RecordSource } from "./source.ts";

const WORD_BYTES = 4;

/** The same seed gives the same records. */
export class RandomRecords implements RecordSource {
  readonly #byteCount: number;
  readonly #random: Random;

  /** @param byteCount of each value. */
  constructor(byteCount: number, seed: number) {
    this.#byteCount = byteCount;
    this.#random = new Random(seed, { stream: STREAMS.randomRecords });
  }

  next(): OwnRecord {
    const words = new Uint32Array(Math.ceil(this.#byteCount / WORD_BYTES));
    for (let index = 0; index < words.length; index++) words[index] = this.#random.uint32();
    return { key: null, value: new Uint8Array(words.buffer, 0, this.#byteCount) };
  }
}
