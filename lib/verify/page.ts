/**
 * What is remembered of 1,024 offsets of a partition, in about 1 kB: which of them the topic holds and
 * which the journals, bit by bit, and one digest over the topic's records.
 *
 * @module
 */

import type { PositionRange } from "../journal/journal_files.ts";

export const PAGE_OFFSETS = 1024;
const WORD_BITS = 32;
const WORDS = PAGE_OFFSETS / WORD_BITS;

export function pageNumberOf(offset: number): number {
  return Math.floor(offset / PAGE_OFFSETS);
}

/** A set of the offsets of one page. */
export class OffsetBits {
  readonly #words = new Int32Array(WORDS);

  has(offset: number): boolean {
    return ((this.#words[wordOf(offset)] ?? 0) & bitOf(offset)) !== 0;
  }

  /** False where it was there already. */
  add(offset: number): boolean {
    const word = this.#words[wordOf(offset)] ?? 0;
    this.#words[wordOf(offset)] = word | bitOf(offset);
    return (word & bitOf(offset)) === 0;
  }

  delete(offset: number): void {
    const index = wordOf(offset);
    this.#words[index] = (this.#words[index] ?? 0) & ~bitOf(offset);
  }

  /** Those that `other` has not, lowest first, as distances from the page's first offset. */
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

/** The digest of a sequence of records. */
export interface PageDigest {
  readonly values: string;
  readonly details: string;
}

export class Page {
  readonly firstOffset: number;
  readonly inTopic = new OffsetBits();
  readonly inJournals = new OffsetBits();
  /** Of the topic's records, in the order of their offsets. */
  digest: PageDigest | undefined;
  /**
   * - `unread`: no journal line of a record that the topic holds, so far
   * - `open`: its lines go into a digest, with none of another page among them so far
   * - `equal`: they were the topic's records, all of them, in order and each once
   * - `unproven`: lines and records have to be compared one by one
   */
  state: "unread" | "open" | "equal" | "unproven" = "unread";
  /** Records of which a line says something else. */
  #mismatched: OffsetBits | undefined;
  /** Where its lines lie, among others perhaps: a range in each journal. */
  readonly #lines: { readonly start: number; end: number }[] = [];
  /** The journal in which a line was last seen, and the offsets seen in that one; kept where there are several. */
  #lastJournal: number | undefined;
  #inLastJournal: OffsetBits | undefined;

  constructor(firstOffset: number) {
    this.firstOffset = firstOffset;
  }

  get lines(): readonly PositionRange[] {
    return this.#lines;
  }

  /** Notes a record of which a line says something else; returns false where it was noted before. */
  addMismatch(offset: number): boolean {
    this.#mismatched ??= new OffsetBits();
    return this.#mismatched.add(offset);
  }

  /** Notes a journal line: whether its record is new, a repeat within its journal, or one of another journal's. */
  addLine(
    offset: number,
    { journal, start, end }: PositionRange & { readonly journal: number },
  ): "new" | "repeated" | "in-another-journal" {
    const isNew = this.inJournals.add(offset);
    const last = this.#lines.at(-1);
    if (journal === this.#lastJournal && last !== undefined) {
      last.end = end;
    } else {
      // One journal comes after another: those before have no more lines.
      this.#inLastJournal = this.#lastJournal === undefined ? undefined : new OffsetBits();
      this.#lastJournal = journal;
      this.#lines.push({ start, end });
    }
    const isNewHere = this.#inLastJournal?.add(offset) ?? isNew;
    return isNew ? "new" : isNewHere ? "in-another-journal" : "repeated";
  }
}
