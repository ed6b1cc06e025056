/**
 * Summarizes 1,024 offsets of a partition in about 1 kB: a bit per offset for the topic and for the journals, and one
 * digest over the topic's records.
 */

import type { PositionRange } from "../journal/journal_files.ts";

export const PAGE_OFFSETS = 1024;
const WORD_BITS = 32;
const WORDS = PAGE_OFFSETS / WORD_BITS;

export function pageNumberOf(offset: number): number {
  return Math.floor(offset / PAGE_OFFSETS);
}

export class OffsetBits {
  readonly #words = new Int32Array(WORDS);

  has(offset: number): boolean {
    return ((this.#words[wordOf(offset)] ?? 0) & bitOf(offset)) !== 0;
  }

  /** Returns false if it was present already. */
  add(offset: number): boolean {
    const word = this.#words[wordOf(offset)] ?? 0;
    this.#words[wordOf(offset)] = word | bitOf(offset);
    return (word & bitOf(offset)) === 0;
  }

  delete(offset: number): void {
    const index = wordOf(offset);
    this.#words[index] = (this.#words[index] ?? 0) & ~bitOf(offset);
  }

  /** Yields the offsets missing from `other`, sorted, relative to the page's first offset. */
  *without(other: OffsetBits): Generator<number> {
    for (const [index, word] of this.#words.entries()) {
      const rest = word & ~(other.#words[index] ?? 0);
      if (rest === 0) continue;
      for (let bit = 0; bit < WORD_BITS; bit++) {
        if (rest & (1 << bit)) yield index * WORD_BITS + bit;
      }
    }
  }

  intersects(other: OffsetBits): boolean {
    return this.#words.some((word, index) => (word & (other.#words[index] ?? 0)) !== 0);
  }
}

function wordOf(offset: number): number {
  return Math.floor((offset % PAGE_OFFSETS) / WORD_BITS);
}

function bitOf(offset: number): number {
  return 1 << (offset % WORD_BITS);
}

export interface PageDigest {
  readonly values: string;
  readonly details: string;
}

export class Page {
  readonly firstOffset: number;
  readonly inTopic = new OffsetBits();
  readonly inJournals = new OffsetBits();
  /** Digest of the topic's records, sorted by offset. */
  digest: PageDigest | undefined;
  /**
   * - `unread`: no journal line of a record in the topic so far
   * - `open`: its lines are added to a digest; no line of another page came between them so far
   * - `equal`: its lines were exactly the topic's records, in order
   * - `unproven`: lines and records must be compared one by one
   */
  state: "unread" | "open" | "equal" | "unproven" = "unread";
  #mismatched: OffsetBits | undefined;
  /** Where its lines are, possibly among others: one range per journal. */
  readonly #lines: { readonly start: number; end: number }[] = [];
  /** The journal of the last line, and the offsets seen in it; tracked if there are several. */
  #lastJournal: number | undefined;
  #inLastJournal: OffsetBits | undefined;

  constructor(firstOffset: number) {
    this.firstOffset = firstOffset;
  }

  get lines(): readonly PositionRange[] {
    return this.#lines;
  }

  /** Notes a record whose line differs; returns false if it was noted before. */
  addMismatch(offset: number): boolean {
    this.#mismatched ??= new OffsetBits();
    return this.#mismatched.add(offset);
  }

  /**
   * Notes a journal line. Returns whether its record is new, repeated in its journal, or already in another journal.
   */
  addLine(
    offset: number,
    { journal, start, end }: PositionRange & { readonly journal: number },
  ): "new" | "repeated" | "in-another-journal" {
    const isNew = this.inJournals.add(offset);
    const last = this.#lines.at(-1);
    if (journal === this.#lastJournal && last !== undefined) {
      last.end = end;
    } else {
      // Journals are read one after another: the previous one has no more lines.
      this.#inLastJournal = this.#lastJournal === undefined ? undefined : new OffsetBits();
      this.#lastJournal = journal;
      this.#lines.push({ start, end });
    }
    const isNewHere = this.#inLastJournal?.add(offset) ?? isNew;
    return isNew ? "new" : isNewHere ? "in-another-journal" : "repeated";
  }
}
