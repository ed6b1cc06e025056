/**
 * The letters of one transaction: each record once, however many letters it has.
 *
 * @module
 */

import { recordBytesMax } from "../../kafka/record_size.ts";
import { type OpenedLetter, originalOf } from "./letter.ts";
import { SourceRecords } from "./source_records.ts";

/** A letter to be sent, and others of the same record that were met before it was. */
export interface Candidate {
  readonly letter: OpenedLetter;
  readonly repeats: OpenedLetter[];
}

export class LetterBatch {
  readonly #candidates: Candidate[] = [];
  readonly #sources = new SourceRecords();
  #bytes = 0;

  /** In the order in which they were added. */
  get candidates(): readonly Candidate[] {
    return this.#candidates;
  }

  /** The size of their records, at most. */
  get bytes(): number {
    return this.#bytes;
  }

  add(letter: OpenedLetter): void {
    if (this.#sources.has(letter.source)) {
      this.#candidateOf(letter)?.repeats.push(letter);
      return;
    }
    this.#sources.add(letter.source);
    this.#candidates.push({ letter, repeats: [] });
    this.#bytes += recordBytesMax(originalOf(letter, 0));
  }

  #candidateOf({ source }: OpenedLetter): Candidate | undefined {
    const same = new SourceRecords();
    same.add(source);
    return this.#candidates.find(({ letter }) => same.has(letter.source));
  }
}
