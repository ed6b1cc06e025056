/**
 * Consecutive letters of one partition that are settled together: the records to send in one transaction, each once
 * however many letters it has, and what to count for the other letters.
 */

import { recordBytesMax } from "../kafka/protocol/record_size.ts";
import type { OpenedLetter } from "../tracker/opened_letter.ts";
import { SourceRecords } from "./source_records.ts";
import { originalOf } from "./target.ts";

/** A record to send. */
export interface Candidate {
  readonly letter: OpenedLetter;
  /** Later letters of the same record. */
  readonly repeats: OpenedLetter[];
  /** Why the target does not accept the record. */
  refusal: Error | undefined;
}

export class LetterBatch {
  /** In the order of their letters. */
  readonly candidates: Candidate[] = [];
  /** The offset after the last letter. */
  end = 0;
  readonly #sources = new SourceRecords();
  readonly #counting: (() => void)[] = [];
  #bytes = 0;
  #letterCount = 0;

  /** The size of the records to send, at most. */
  get bytes(): number {
    return this.#bytes;
  }

  get letterCount(): number {
    return this.#letterCount;
  }

  /** The records to send that the target has not refused so far. */
  get accepted(): readonly Candidate[] {
    return this.candidates.filter(({ refusal }) => refusal === undefined);
  }

  addCandidate(letter: OpenedLetter, refusal: Error | undefined): void {
    this.#letterCount++;
    if (this.#sources.has(letter.source)) {
      this.#candidateOf(letter)?.repeats.push(letter);
      return;
    }
    this.#sources.add(letter.source);
    this.candidates.push({ letter, repeats: [], refusal });
    this.#bytes += recordBytesMax(originalOf(letter, 0));
  }

  /** Adds a letter that is not sent. It is counted by {@link countOthers}: a batch that fails is read again. */
  addOther(count: () => void): void {
    this.#letterCount++;
    this.#counting.push(count);
  }

  /** Counts the letters that are not sent. */
  countOthers(): void {
    for (const count of this.#counting) count();
  }

  #candidateOf({ source }: OpenedLetter): Candidate | undefined {
    const same = new SourceRecords();
    same.add(source);
    return this.candidates.find(({ letter }) => same.has(letter.source));
  }
}
