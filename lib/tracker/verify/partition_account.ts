/**
 * The account of one partition: first all that the topic holds, then every line of the journals, then what
 * is left over on either side.
 *
 * @module
 */

import type { KafkaRecord } from "../../kafka/record.ts";
import type { JournaledRecord } from "../event.ts";
import type { IntervalSet } from "../journal/intervals.ts";
import { RecordDigest } from "./digest.ts";
import type { PositionRange } from "./journal_files.ts";
import { Page, PAGE_OFFSETS, type PageDigest, pageNumberOf } from "./page.ts";
import type { ExampleKind, PartitionVerification } from "./verification.ts";

const EXAMPLES_MAX = 10;

/** Why a journaled record may be gone from the topic. */
export interface Disappearance {
  /** The first offset that the topic still holds. */
  readonly low: number;
  readonly isCompacted: boolean;
}

export class PartitionAccount {
  readonly partition: number;
  /** The offsets that are judged: from `start` up to, not including, `end`. */
  readonly start: number;
  readonly end: number;
  low: number;
  withoutDetails = 0;
  #removed = 0;
  readonly #undecided: number;
  #records = 0;
  #journaled = 0;
  #superseded = 0;
  /** Offsets whose lines without an epoch were superseded by a line with one. */
  readonly #replaced = new Set<number>();
  /** Offsets of lines that the topic has never reached. */
  readonly #impossible = new Set<number>();
  #duplicatedAcross = 0;
  readonly #counts: Record<ExampleKind, number> = {
    missing: 0,
    duplicated: 0,
    mismatched: 0,
    expired: 0,
    compacted: 0,
    unexplained: 0,
  };
  readonly #examples: Record<ExampleKind, number[]> = noExamples();
  readonly #pages = new Map<number, Page>();
  #open: OpenPage | undefined;

  constructor(
    { partition, low, start, end, undecided = 0 }: {
      readonly partition: number;
      readonly low: number;
      readonly start: number;
      readonly end: number;
      /** Records that an open transaction holds back. */
      readonly undecided?: number;
    },
  ) {
    this.#undecided = undecided;
    this.partition = partition;
    this.low = low;
    this.start = start;
    this.end = end;
  }

  /** A record of the topic, in the order of their offsets. */
  addRecord(record: KafkaRecord): void {
    const page = this.#pageOf(record.offset);
    if (page !== this.#open?.page) {
      const digests = this.#open?.digests;
      this.endRecords();
      this.#open = new OpenPage(page, digests);
    }
    this.#open.add(record, record);
    page.inTopic.add(record.offset);
    this.#records++;
  }

  /** After the topic's last record, before the journals' first line. */
  endRecords(): void {
    if (this.#open === undefined) return;
    this.#open.page.digest = this.#open.take();
    this.#open = undefined;
  }

  /** A journal line whose offset is judged; all lines of one journal come before those of the next. */
  addLine(
    record: JournaledRecord,
    place: PositionRange & { readonly journal: number },
  ): void {
    const { offset, details } = record;
    this.#journaled++;
    if (details === undefined) this.withoutDetails++;
    const page = this.#pageOf(offset);
    const kind = page.addLine(offset, place);
    if (kind !== "new") this.#note("duplicated", offset);
    if (kind === "in-another-journal") this.#duplicatedAcross++;
    if (!page.inTopic.has(offset)) return;

    if (page !== this.#open?.page) {
      const digests = this.#open?.digests;
      this.endLines();
      // Of a page that was left, and is come back to, no digest can say which lines it had before.
      page.state = page.state === "unread" ? "open" : "unproven";
      this.#open = new OpenPage(page, digests);
    }
    if (page.state === "open") this.#open.add(record, details);
  }

  /** A line of a record that a truncated log has lost. */
  addSuperseded(): void {
    this.#superseded++;
  }

  /** Takes back lines without an epoch from `start` up to, not including, `end`: their log was truncated. */
  supersede({ start, end }: { readonly start: number; readonly end: number }): void {
    for (const offset of this.#impossible) {
      if (offset < start || offset >= end) continue;
      this.#impossible.delete(offset);
      this.#examples.unexplained = this.#examples.unexplained.filter((each) => each !== offset);
      this.#counts.unexplained--;
      this.#journaled--;
      this.#superseded++;
    }
    for (let offset = start; offset < Math.min(end, this.end); offset++) {
      const page = this.#pages.get(pageNumberOf(offset));
      if (page?.inJournals.has(offset) !== true) continue;
      page.inJournals.delete(offset);
      page.state = "unproven";
      this.#replaced.add(offset);
      this.#journaled--;
      this.#superseded++;
    }
  }

  /** Whether a line is one of those that were taken back. */
  isReplaced({ offset, leaderEpoch }: JournaledRecord): boolean {
    return leaderEpoch === undefined && this.#replaced.has(offset);
  }

  /** After the last line. */
  endLines(): void {
    if (this.#open === undefined) return;
    const { page, hasDetails } = this.#open;
    const digest = this.#open.take();
    this.#open = undefined;
    if (page.state !== "open") return;
    const isEqual = page.digest !== undefined &&
      digest.values === page.digest.values &&
      (!hasDetails || digest.details === page.digest.details);
    page.state = isEqual ? "equal" : "unproven";
    if (isEqual) page.digest = undefined;
  }

  /** A journal line at an offset that the topic has never reached. */
  addImpossibleLine(offset: number): void {
    this.#impossible.add(offset);
    this.#journaled++;
    this.#note("unexplained", offset);
  }

  /** Whether the journals hold records that the topic does not. */
  hasDisappeared(): boolean {
    for (const { inTopic, inJournals } of this.#pages.values()) {
      for (const _ of inJournals.without(inTopic)) return true;
    }
    return false;
  }

  /**
   * Counts what is on one side only, and returns the pages whose records and lines have to be compared
   * one by one.
   *
   * @param removed offsets that were in segments which were removed for their age.
   */
  settle(disappearance: Disappearance, removed: readonly IntervalSet[]): readonly Page[] {
    this.low = disappearance.low;
    const unproven: Page[] = [];
    const pages = [...this.#pages.values()].sort((a, b) => a.firstOffset - b.firstOffset);
    for (const page of pages) {
      const { firstOffset, inTopic, inJournals } = page;
      for (const index of inTopic.without(inJournals)) {
        const offset = firstOffset + index;
        if (removed.some((offsets) => offsets.has(offset))) this.#removed++;
        else this.#note("missing", offset);
      }
      for (const index of inJournals.without(inTopic)) {
        this.#noteDisappeared(firstOffset + index, disappearance);
      }
      if (page.state !== "equal" && inTopic.intersects(inJournals)) unproven.push(page);
    }
    return unproven;
  }

  addMismatch(offset: number): void {
    this.#note("mismatched", offset);
  }

  /** A journaled record that the topic held when it was first read, and then no more. */
  addDisappeared(offset: number, disappearance: Disappearance): void {
    this.low = disappearance.low;
    this.#records--;
    this.#noteDisappeared(offset, disappearance);
  }

  result(): PartitionVerification {
    return {
      partition: this.partition,
      records: this.#records,
      journaled: this.#journaled,
      missing: this.#counts.missing,
      duplicated: this.#counts.duplicated,
      duplicated_across_journals: this.#duplicatedAcross,
      mismatched: this.#counts.mismatched,
      expired: this.#counts.expired,
      compacted: this.#counts.compacted,
      unexplained: this.#counts.unexplained,
      removed: this.#removed,
      superseded: this.#superseded,
      undecided: this.#undecided,
      low: this.low,
      high: this.end,
      examples: this.#examples,
    };
  }

  #noteDisappeared(offset: number, { low, isCompacted }: Disappearance): void {
    this.#note(offset < low ? "expired" : isCompacted ? "compacted" : "unexplained", offset);
  }

  #note(kind: ExampleKind, offset: number): void {
    this.#counts[kind]++;
    const examples = this.#examples[kind];
    if (examples.length < EXAMPLES_MAX && !examples.includes(offset)) examples.push(offset);
  }

  #pageOf(offset: number): Page {
    const number = pageNumberOf(offset);
    if (number === this.#open?.number) return this.#open.page;
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = new Page(number * PAGE_OFFSETS);
      this.#pages.set(number, page);
    }
    return page;
  }
}

interface PageDigests {
  readonly values: RecordDigest;
  readonly details: RecordDigest;
}

/** The page that is being added to: its digest so far. */
class OpenPage {
  readonly page: Page;
  readonly number: number;
  /** Handed on from page to page. */
  readonly digests: PageDigests;
  hasDetails = false;

  constructor(page: Page, digests: PageDigests | undefined) {
    this.page = page;
    this.number = pageNumberOf(page.firstOffset);
    this.digests = digests ?? { values: new RecordDigest(), details: new RecordDigest() };
  }

  add(
    { offset, value, omittedValue }: Pick<JournaledRecord, "offset" | "value" | "omittedValue">,
    details: JournaledRecord["details"],
  ): void {
    this.digests.values.addValue(offset, value, omittedValue);
    if (details !== undefined) {
      this.hasDetails = true;
      this.digests.details.addDetails(offset, details);
    }
  }

  take(): PageDigest {
    return { values: this.digests.values.take(), details: this.digests.details.take() };
  }
}

function noExamples(): Record<ExampleKind, number[]> {
  return {
    missing: [],
    duplicated: [],
    mismatched: [],
    expired: [],
    compacted: [],
    unexplained: [],
  };
}
