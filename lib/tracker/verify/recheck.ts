/**
 * Compares records with their journal lines one by one, for the pages of which a digest could not say that
 * all is equal. Some pages at a time, so that memory stays bounded however many there are.
 *
 * @module
 */

import type { KafkaRecord } from "../../kafka/record.ts";
import type { TopicReader } from "../../kafka/topic_reader.ts";
import type { JournaledRecord } from "../event.ts";
import { areEqual, type RecordDetails, RecordDigest } from "./digest.ts";
import type { JournalFiles, JournalLine, PositionRange } from "./journal_files.ts";
import { OffsetBits, type Page, PAGE_OFFSETS, pageNumberOf } from "./page.ts";
import type { PartitionAccount } from "./partition_account.ts";

export interface UnprovenPage {
  readonly account: PartitionAccount;
  readonly page: Page;
}

export interface RecheckOptions {
  readonly topic: string;
  readonly reader: TopicReader;
  readonly files: JournalFiles;
  /** The record of the topic that a line holds; undefined where it holds none, or another topic's. */
  readonly decode: (line: JournalLine) => JournaledRecord | undefined;
  /** Told now and then how many pages are done. */
  readonly onProgress: (pagesDone: number) => void;
}

/** A record that its line says to be in the topic, and that the topic holds no more. */
export interface VanishedRecord {
  readonly account: PartitionAccount;
  readonly offset: number;
}

/** 8 MB of hashes. */
const PAGES_AT_ONCE = 256;
/** Half of a SHA-256: between 1,024 records no two are equal by chance. */
const HASH_BYTES = 16;

/** Counts what differs in the accounts. Returns the records which have vanished from the topic meanwhile. */
export async function recheck(
  pages: readonly UnprovenPage[],
  options: RecheckOptions,
): Promise<readonly VanishedRecord[]> {
  const vanished: VanishedRecord[] = [];
  for (let first = 0; first < pages.length; first += PAGES_AT_ONCE) {
    const group = new PageGroup(pages.slice(first, first + PAGES_AT_ONCE));
    await group.readTopic(options);
    await group.readLines(options);
    vanished.push(...group.vanished());
    options.onProgress(Math.min(first + PAGES_AT_ONCE, pages.length));
  }
  return vanished;
}

class PageGroup {
  readonly #checks: readonly PageCheck[];
  readonly #byPartition = new Map<number, Map<number, PageCheck>>();

  constructor(pages: readonly UnprovenPage[]) {
    this.#checks = pages.map((page) => new PageCheck(page));
    for (const check of this.#checks) {
      const { partition } = check.account;
      const numbers = this.#byPartition.get(partition) ?? new Map<number, PageCheck>();
      numbers.set(check.number, check);
      this.#byPartition.set(partition, numbers);
    }
  }

  async readTopic({ topic, reader, onProgress }: RecheckOptions): Promise<void> {
    for (const { account, range } of this.#topicRanges()) {
      for await (const records of reader.read({ topic, partition: account.partition, ...range })) {
        for (const record of records) {
          this.#checkOf(account.partition, record.offset)?.addRecord(record);
        }
        onProgress(0);
      }
    }
  }

  async readLines({ files, decode, onProgress }: RecheckOptions): Promise<void> {
    const ranges = merged(this.#checks.map(({ lines }) => lines));
    for await (const { lines } of files.readRanges(ranges)) {
      for (const line of lines) {
        const record = decode(line);
        if (record === undefined) continue;
        this.#checkOf(record.partition, record.offset)?.addLine(record);
      }
      onProgress(0);
    }
  }

  *vanished(): Generator<VanishedRecord> {
    for (const check of this.#checks) {
      for (const offset of check.vanished()) yield { account: check.account, offset };
    }
  }

  #checkOf(partition: number, offset: number): PageCheck | undefined {
    return this.#byPartition.get(partition)?.get(pageNumberOf(offset));
  }

  /** Neighbouring pages are read in one. */
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
  readonly #hashes = new Uint8Array(PAGE_OFFSETS * HASH_BYTES * 2);
  readonly #found = new OffsetBits();
  readonly #different = new OffsetBits();
  readonly #digest = new RecordDigest();

  constructor({ account, page }: UnprovenPage) {
    this.account = account;
    this.number = pageNumberOf(page.firstOffset);
    this.#page = page;
  }

  get offsets(): PositionRange {
    return {
      start: Math.max(this.#page.firstOffset, this.account.start),
      end: Math.min(this.#page.firstOffset + PAGE_OFFSETS, this.account.end),
    };
  }

  get lines(): PositionRange {
    return { start: this.#page.linesStart, end: this.#page.linesEnd };
  }

  addRecord(record: KafkaRecord): void {
    const { offset, value } = record;
    const { values, others } = this.#hashesAt(offset);
    values.set(this.#hashOfValue(offset, value));
    others.set(this.#hashOfDetails(offset, record));
    this.#found.add(offset);
  }

  addLine({ offset, value, details }: JournaledRecord): void {
    if (!this.#found.has(offset)) return;
    const { values, others } = this.#hashesAt(offset);
    const isEqual = areEqual(values, this.#hashOfValue(offset, value)) &&
      (details === undefined || areEqual(others, this.#hashOfDetails(offset, details)));
    if (!isEqual && this.#different.add(offset)) this.account.addMismatch(offset);
  }

  /** Offsets of records that the topic held at first, and the journals hold. */
  *vanished(): Generator<number> {
    for (const index of this.#page.inTopic.without(this.#found)) {
      const offset = this.#page.firstOffset + index;
      if (this.#page.inJournals.has(offset)) yield offset;
    }
  }

  #hashesAt(offset: number): { readonly values: Uint8Array; readonly others: Uint8Array } {
    const start = (offset % PAGE_OFFSETS) * HASH_BYTES * 2;
    return {
      values: this.#hashes.subarray(start, start + HASH_BYTES),
      others: this.#hashes.subarray(start + HASH_BYTES, start + HASH_BYTES * 2),
    };
  }

  #hashOfValue(offset: number, value: Uint8Array | null): Uint8Array {
    this.#digest.addValue(offset, value);
    return this.#digest.take().subarray(0, HASH_BYTES);
  }

  #hashOfDetails(offset: number, details: RecordDetails): Uint8Array {
    this.#digest.addDetails(offset, details);
    return this.#digest.take().subarray(0, HASH_BYTES);
  }
}

/** Ranges in order, those that touch or overlap made one. */
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
