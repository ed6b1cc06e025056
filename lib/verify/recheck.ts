/**
 * Compares records and journal lines one by one, for pages that their digest could not prove equal. Handles a bounded
 * number of pages at a time, to limit memory.
 */

import type { KafkaRecord } from "../record.ts";
import type { TopicReader } from "../kafka/topic_reader.ts";
import type { JournaledRecord } from "../journal/line.ts";
import { type RecordDetails, RecordDigest } from "../journal/record_digest.ts";
import type { JournalFiles, JournalLine, PositionRange } from "../journal/journal_files.ts";
import { OffsetBits, type Page, PAGE_OFFSETS, pageNumberOf } from "./page.ts";
import type { PartitionAccount } from "./partition_account.ts";

export interface UnprovenPage {
  readonly account: PartitionAccount;
  readonly page: Page;
}

export interface RecheckOptions {
  readonly topic: string;
  readonly reader: Pick<TopicReader, "scan">;
  readonly files: JournalFiles;
  /** Returns the topic's record that a line holds; undefined if it holds none, or another topic's. */
  readonly decode: (line: JournalLine) => JournaledRecord | undefined;
  readonly onProgress: (pagesDone: number) => void;
}

/** A journaled record that the topic no longer holds. */
export interface VanishedRecord {
  readonly account: PartitionAccount;
  readonly offset: number;
}

/** 3 MB of hashes. */
const PAGES_AT_ONCE = 16;

/** Counts the differences in the accounts. Returns the records that disappeared from the topic meanwhile. */
export async function recheck(
  pages: readonly UnprovenPage[],
  options: RecheckOptions,
): Promise<readonly VanishedRecord[]> {
  const vanished: VanishedRecord[] = [];
  // Sorted by their lines, so that the lines of a group are close together.
  const startOf = ({ page }: UnprovenPage) => page.lines[0]?.start ?? 0;
  const ordered = pages.toSorted((a, b) => startOf(a) - startOf(b));
  for (let first = 0; first < pages.length; first += PAGES_AT_ONCE) {
    const group = new PageGroup(ordered.slice(first, first + PAGES_AT_ONCE));
    await group.readTopic(options);
    await group.readLines(options);
    group.leaveUndecided();
    vanished.push(...group.vanished());
    options.onProgress(Math.min(first + PAGES_AT_ONCE, pages.length));
  }
  return vanished;
}

class PageGroup {
  readonly #checks: readonly PageCheck[];
  readonly #byPartition = new Map<number, Map<number, PageCheck>>();

  constructor(pages: readonly UnprovenPage[]) {
    const digest = new RecordDigest();
    this.#checks = pages.map((page) => new PageCheck(page, digest));
    for (const check of this.#checks) {
      const { partition } = check.account;
      const numbers = this.#byPartition.get(partition) ?? new Map<number, PageCheck>();
      numbers.set(check.number, check);
      this.#byPartition.set(partition, numbers);
    }
  }

  async readTopic({ topic, reader, onProgress }: RecheckOptions): Promise<void> {
    for (const { account, range } of this.#topicRanges()) {
      for await (const records of reader.scan({ topic, partition: account.partition, ...range })) {
        for (const record of records) {
          this.#checkOf(account.partition, record.offset)?.addRecord(record);
        }
        onProgress(0);
      }
    }
  }

  async readLines({ files, decode, onProgress }: RecheckOptions): Promise<void> {
    const ranges = merged(this.#checks.flatMap(({ lines }) => lines));
    for await (const { lines } of files.readRanges(ranges)) {
      for (const line of lines) {
        const record = decode(line);
        if (record === undefined) continue;
        this.#checkOf(record.partition, record.offset)?.addLine(record);
      }
      onProgress(0);
    }
  }

  leaveUndecided(): void {
    for (const check of this.#checks) check.leaveUndecided();
  }

  *vanished(): Generator<VanishedRecord> {
    for (const check of this.#checks) {
      for (const offset of check.vanished()) yield { account: check.account, offset };
    }
  }

  #checkOf(partition: number, offset: number): PageCheck | undefined {
    return this.#byPartition.get(partition)?.get(pageNumberOf(offset));
  }

  /** Adjacent pages are read together. */
  #topicRanges(): readonly { account: PartitionAccount; range: PositionRange }[] {
    return [...this.#byPartition.values()].flatMap((checks) => {
      const [first] = checks.values();
      if (first === undefined) return [];
      return merged([...checks.values()].map(({ offsets }) => offsets))
        .map((range) => ({ account: first.account, range }));
    });
  }
}

class PageCheck {
  readonly account: PartitionAccount;
  readonly number: number;
  readonly #page: Page;
  readonly #digest: RecordDigest;
  /** Hashes of the topic's records, by their distance from the page's first offset. */
  readonly #values: string[] = [];
  readonly #details: string[] = [];
  readonly #found = new OffsetBits();
  readonly #compared = new OffsetBits();

  constructor({ account, page }: UnprovenPage, digest: RecordDigest) {
    this.account = account;
    this.number = pageNumberOf(page.firstOffset);
    this.#page = page;
    this.#digest = digest;
  }

  get offsets(): PositionRange {
    return {
      start: Math.max(this.#page.firstOffset, this.account.start),
      end: Math.min(this.#page.firstOffset + PAGE_OFFSETS, this.account.end),
    };
  }

  get lines(): readonly PositionRange[] {
    return this.#page.lines;
  }

  addRecord(record: KafkaRecord): void {
    const index = record.offset - this.#page.firstOffset;
    this.#values[index] = this.#hashOfValue(record);
    this.#details[index] = this.#hashOfDetails(record.offset, record);
    this.#found.add(record.offset);
  }

  addLine(record: JournaledRecord): void {
    const { offset, details } = record;
    if (!this.#found.has(offset)) return;
    const index = offset - this.#page.firstOffset;
    const isEqual = this.#values[index] === this.#hashOfValue(record) &&
      (details === undefined || this.#details[index] === this.#hashOfDetails(offset, details));
    if (!isEqual) this.account.addMismatch(offset);
    this.#compared.add(offset);
  }

  /** Called after the last line: a running tracker may have removed a segment after its lines were first read. */
  leaveUndecided(): void {
    for (const index of this.#found.without(this.#compared)) {
      const offset = this.#page.firstOffset + index;
      if (this.#page.inJournals.has(offset)) this.account.addUncompared();
    }
  }

  /** Offsets of journaled records that the topic held at first. */
  *vanished(): Generator<number> {
    for (const index of this.#page.inTopic.without(this.#found)) {
      const offset = this.#page.firstOffset + index;
      if (this.#page.inJournals.has(offset)) yield offset;
    }
  }

  #hashOfValue(
    { offset, value, omittedValue }: Pick<JournaledRecord, "offset" | "value" | "omittedValue">,
  ): string {
    this.#digest.addValue(offset, value, omittedValue);
    return this.#digest.take();
  }

  #hashOfDetails(offset: number, details: RecordDetails): string {
    this.#digest.addDetails(offset, details);
    return this.#digest.take();
  }
}

/** Returns sorted ranges with adjacent and overlapping ones merged. */
function merged(ranges: readonly PositionRange[]): readonly PositionRange[] {
  const result: PositionRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last !== undefined && range.start <= last.end) {
      result[result.length - 1] = { start: last.start, end: Math.max(last.end, range.end) };
    } else result.push(range);
  }
  return result;
}
