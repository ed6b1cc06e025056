/**
 * The account of one partition: all records of the topic first, then every line of the journals, then what is on one
 * side only.
 */

import type { KafkaRecord } from "../record.ts";
import type { JournaledRecord } from "../journal/line.ts";
import type { EpochStart, HeldPartition } from "../journal/held_partition.ts";
import { RecordDigest } from "../journal/record_digest.ts";
import type { PositionRange } from "../journal/journal_files.ts";
import type { LineForm } from "./line_check.ts";
import { Page, PAGE_OFFSETS, type PageDigest, pageNumberOf } from "./page.ts";
import type { LinePosition } from "./superseded_lines.ts";
import type { ExampleKind, PartitionVerification } from "./verification.ts";

const EXAMPLES_MAX = 10;

/** Possible reasons why a journaled record is gone from the topic. */
export interface Disappearance {
  readonly low: number;
  readonly isCompacted: boolean;
}

/** Possible explanations for records without a journal line. */
export interface UnjournaledRecords {
  /** Offsets of segments removed for their age. */
  readonly removed: readonly HeldPartition[];
  /** True if a running tracker may still journal records after the last line. */
  readonly isTrackerRunning: boolean;
}

/** A journal line with everything known before it is compared with its record. */
export interface JudgedLine
  extends PositionRange, Pick<LinePosition, "isOutOfOrder" | "lacksEpoch"> {
  readonly journal: number;
  readonly form: LineForm;
}

export class PartitionAccount {
  readonly partition: number;
  /** The judged offsets: from `start` up to, not including, `end`. */
  readonly start: number;
  readonly end: number;
  low: number;
  withoutDetails = 0;
  undetailed = 0;
  #removed = 0;
  #undecided: number;
  #undecidedAtEnd = 0;
  /** One past the highest offset of a line. */
  #linesEnd = 0;
  /** Where each leader epoch begins among the topic's records. */
  readonly #epochs: EpochStart[] = [];
  #epochIndex = 0;
  #records = 0;
  #journaled = 0;
  #superseded = 0;
  /** Offsets whose lines without an epoch were superseded by a line with one. */
  readonly #replaced = new Set<number>();
  /** Offsets of lines that the topic never reached. */
  readonly #impossible = new Set<number>();
  #duplicatedAcross = 0;
  readonly #counts: Record<ExampleKind, number> = forEachKind(() => 0);
  readonly #examples: Record<ExampleKind, number[]> = forEachKind(() => []);
  readonly #pages = new Map<number, Page>();
  #open: OpenPage | undefined;

  constructor(
    { partition, low, start, end, undecided = 0 }: {
      readonly partition: number;
      readonly low: number;
      readonly start: number;
      readonly end: number;
      readonly undecided?: number;
    },
  ) {
    this.#undecided = undecided;
    this.partition = partition;
    this.low = low;
    this.start = start;
    this.end = end;
  }

  /** Adds a record of the topic; records come sorted by offset. */
  addRecord(record: KafkaRecord): void {
    const page = this.#pageOf(record.offset);
    if (page !== this.#open?.page) {
      const digests = this.#open?.digests;
      this.endRecords();
      this.#open = new OpenPage(page, digests);
    }
    this.#open.add(record, record);
    page.inTopic.add(record.offset);
    const { offset, leaderEpoch } = record;
    const isNextEpoch = this.#epochs.length === 0 || this.#epochs.at(-1)?.epoch !== leaderEpoch;
    if (isNextEpoch) this.#epochs.push({ epoch: leaderEpoch, start: offset });
    this.#records++;
  }

  /** Called after the topic's last record, before the first journal line. */
  endRecords(): void {
    if (this.#open === undefined) return;
    this.#open.page.digest = this.#open.take();
    this.#open = undefined;
  }

  /** Notes that the partition has a line at this offset, whether it is judged or not. */
  reach(offset: number): void {
    this.#linesEnd = Math.max(this.#linesEnd, offset + 1);
  }

  /** Adds a journal line whose offset is judged. All lines of one journal come before those of the next. */
  addLine(record: JournaledRecord, line: JudgedLine): void {
    const { offset, details } = record;
    this.#journaled++;
    if (details === undefined) this.withoutDetails++;
    if (line.form === "undetailed") this.undetailed++;
    if (line.isOutOfOrder) this.#note("out_of_order", offset);
    const page = this.#pageOf(offset);
    const kind = page.addLine(offset, line);
    if (kind !== "new") this.#note("duplicated", offset);
    if (kind === "in-another-journal") this.#duplicatedAcross++;
    if (line.form === "wrong") this.addMismatch(offset);
    if (!page.inTopic.has(offset)) return;
    if (this.#hasOtherEpoch(record, line)) this.addMismatch(offset);

    if (page !== this.#open?.page) {
      const digests = this.#open?.digests;
      this.endLines();
      // After other pages' lines, a digest can no longer cover all lines of this one.
      page.state = page.state === "unread" ? "open" : "unproven";
      this.#open = new OpenPage(page, digests);
    }
    if (page.state === "open") this.#open.add(record, details);
  }

  /** Counts a line whose record was lost when the log was truncated. */
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

  isReplaced({ offset, leaderEpoch }: JournaledRecord): boolean {
    return leaderEpoch === undefined && this.#replaced.has(offset);
  }

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

  /** Adds a journal line at an offset that the topic never reached. */
  addImpossibleLine(offset: number): void {
    this.#impossible.add(offset);
    this.#journaled++;
    this.#note("unexplained", offset);
  }

  /** Returns whether the journals hold records that the topic does not. */
  hasDisappeared(): boolean {
    for (const { inTopic, inJournals } of this.#pages.values()) {
      for (const _ of inJournals.without(inTopic)) return true;
    }
    return false;
  }

  /** Counts what is on one side only. Returns the pages whose records and lines must be compared one by one. */
  settle(
    disappearance: Disappearance,
    { removed, isTrackerRunning }: UnjournaledRecords,
  ): readonly Page[] {
    this.low = disappearance.low;
    const unproven: Page[] = [];
    const pages = [...this.#pages.values()].sort((a, b) => a.firstOffset - b.firstOffset);
    for (const page of pages) {
      const { firstOffset, inTopic, inJournals } = page;
      for (const index of inTopic.without(inJournals)) {
        const offset = firstOffset + index;
        const epoch = this.#epochAt(offset);
        if (removed.some((held) => held.holds(offset, epoch))) this.#removed++;
        else if (isTrackerRunning && offset >= this.#linesEnd) this.#addUndecidedAtEnd();
        else this.#note("missing", offset);
      }
      for (const index of inJournals.without(inTopic)) {
        this.#noteDisappeared(firstOffset + index, disappearance);
      }
      if (page.state !== "equal" && inTopic.intersects(inJournals)) unproven.push(page);
    }
    return unproven;
  }

  /** Counts a record whose line differs, once. */
  addMismatch(offset: number): void {
    if (this.#pageOf(offset).addMismatch(offset)) this.#note("mismatched", offset);
  }

  /** Counts a journaled record that could not be compared, because a running tracker removed its segment. */
  addUncompared(): void {
    this.#undecided++;
  }

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
      out_of_order: this.#counts.out_of_order,
      expired: this.#counts.expired,
      compacted: this.#counts.compacted,
      unexplained: this.#counts.unexplained,
      removed: this.#removed,
      superseded: this.#superseded,
      undecided: this.#undecided,
      undecided_at_end: this.#undecidedAtEnd,
      low: this.low,
      high: this.end,
      examples: this.#examples,
    };
  }

  /** Counts a record that a running tracker has not journaled yet. */
  #addUndecidedAtEnd(): void {
    this.#records--;
    this.#undecidedAtEnd++;
    this.#undecided++;
  }

  /** Lines of versions before 0.2.0 have no epoch. */
  #hasOtherEpoch({ offset, leaderEpoch, topicId }: JournaledRecord, line: JudgedLine): boolean {
    const epoch = this.#epochAt(offset);
    if (epoch === undefined || topicId === undefined) return false;
    return leaderEpoch === undefined ? line.lacksEpoch : leaderEpoch !== epoch;
  }

  /** Returns the leader epoch of the topic's record at an offset. Fast if offsets mostly increase. */
  #epochAt(offset: number): number | undefined {
    const isCurrent = (this.#epochs[this.#epochIndex]?.start ?? Infinity) <= offset &&
      offset < (this.#epochs[this.#epochIndex + 1]?.start ?? Infinity);
    if (!isCurrent) this.#epochIndex = this.#epochs.findLastIndex(({ start }) => start <= offset);
    return this.#epochs[this.#epochIndex]?.epoch;
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

/** The page being added to, with its digest so far. */
class OpenPage {
  readonly page: Page;
  readonly number: number;
  /** Passed from page to page. */
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

function forEachKind<T>(valueOf: () => T): Record<ExampleKind, T> {
  return {
    missing: valueOf(),
    duplicated: valueOf(),
    mismatched: valueOf(),
    out_of_order: valueOf(),
    expired: valueOf(),
    compacted: valueOf(),
    unexplained: valueOf(),
  };
}
