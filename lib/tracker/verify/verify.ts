/**
 * `tracker verify`: does the journal hold every record of the topic exactly once?
 *
 *     1 topic      each partition, read once: page by page (1,024 offsets) a bit for every record, and one
 *                  SHA-256 over all records of the page
 *     2 journals   each segment, read once: a bit for every line, and the same SHA-256 over the lines
 *                  of records that the topic holds
 *     3 pages      bits on one side only     missing, or expired, compacted, unexplained
 *                  a bit set a second time   duplicated
 *                  SHA-256 equal             the records are equal, byte for byte
 *                  SHA-256 different         the page is read again on both sides, record by record
 *
 *     topic    11111111 11111111   digest a3f1..        topic    11111111 11111111   digest 77d0..
 *     journal  11111111 11111111   digest a3f1..        journal  11111011 11111111   digest 9b12..
 *              nothing to do                                          ^ missing       read again
 *
 * So neither side is held in memory: a page costs about 1 kB, 10 million records 10 MB. Nothing is
 * concluded from an offset that is not there: transaction markers, aborted records, compaction and retention
 * take offsets too, and only a record that can be read can be missing.
 *
 * A line stands for its record: value, and key, headers and timestamp where the line has them. What the
 * tracker made of the record (`order_full`, `error`, `mark`) is not judged, only that the line is JSON.
 *
 * Closed segments are held against their manifests, besides: that proves those whose records the topic has
 * forgotten, and says which records were in segments that were removed.
 *
 * A tracker may be at work meanwhile, and producers too. What is judged is what lay in the topic when the
 * verification began; the journals are looked at after the topic was read, and up to the size that they
 * had then.
 *
 * @module
 */

import type { KafkaConnection } from "../../kafka/client.ts";
import { ClusterClient } from "../../kafka/cluster.ts";
import { TopicReader } from "../../kafka/topic_reader.ts";
import type { JournaledRecord } from "../event.ts";
import type { IntervalSet } from "../journal/intervals.ts";
import { checkManifests, type ManifestsChecked } from "../journal/manifest_check.ts";
import { JournalFiles, type JournalLine } from "./journal_files.ts";
import { LineDecoder } from "./line_decoder.ts";
import { PartitionAccount } from "./partition_account.ts";
import { recheck, type UnprovenPage } from "./recheck.ts";
import { SupersededLines } from "./superseded_lines.ts";
import { settledOffsets } from "./undecided.ts";
import {
  isOk,
  type SegmentVerification,
  type UnreadableLine,
  type Verification,
} from "./verification.ts";

/** What to compare with what. */
export interface VerifyTopicOptions {
  /** The way to the cluster. */
  readonly connection: KafkaConnection;
  /** The topic's name. */
  readonly topic: string;
  /** Folders of the journals, judged together: each record is to be in one of them. */
  readonly directories: readonly string[];
  /** The offsets to judge, by partition; partitions that are not named are not judged. All where not given. */
  readonly ranges?: ReadonlyMap<number, { readonly start: number; readonly end: number }>;
  /** About twice a second at most. */
  readonly onProgress?: (progress: VerifyProgress) => void;
  /** Ends the verification with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface VerifyOptions extends VerifyTopicOptions {
  /** Of the same cluster: records are read through connections of their own. */
  readonly cluster:
    & Pick<ClusterClient, "describeTopic" | "offsets" | "topicConfig">
    & Partial<Pick<ClusterClient, "epochEnd">>;
}

/** How far a verification is. */
export interface VerifyProgress {
  /**
   * Reading the topic (counted in offsets), the journals (in bytes), closed segments against their manifests
   * (in segments), and again what differs (in pages).
   */
  readonly phase: "topic" | "journal" | "manifests" | "differences";
  /** Of {@link total}. */
  readonly done: number;
  /** In the phase's unit. */
  readonly total: number;
}

/** {@link verifyJournals} through a connection of its own. */
export async function verifyTopic(options: VerifyTopicOptions): Promise<Verification> {
  await using cluster = await ClusterClient.connect(options.connection, "probe");
  return await verifyJournals({ ...options, cluster });
}

/**
 * Compares a topic with the journals of it.
 *
 * @throws {Error} where a folder holds no journal, or the topic was created again meanwhile;
 * {RefusedError} where there is no such topic, or the cluster refuses; {BrokerUnreachableError}.
 */
export async function verifyJournals(options: VerifyOptions): Promise<Verification> {
  (await JournalFiles.open(options.directories))[Symbol.dispose](); // say at once that there is none
  await using reader = await TopicReader.connect(options.connection, "probe");
  const verifier = await Verifier.begin(options, reader);
  await verifier.readTopic();
  using files = await JournalFiles.open(options.directories);
  await verifier.readJournals(files);
  await verifier.checkSegments(files.directories);
  options.signal?.throwIfAborted();
  await verifier.settle(files);
  return verifier.result(files);
}

const PROGRESS_INTERVAL_MS = 500;
const UNREADABLE_EXAMPLES_MAX = 10;

/** A line at an offset that the topic had not reached when the verification began. */
type EarlyLine = Pick<JournaledRecord, "partition" | "offset">;

class Verifier {
  readonly #options: VerifyOptions;
  readonly #reader: TopicReader;
  readonly #decoder = new LineDecoder();
  readonly #topicId: string;
  readonly #accounts = new Map<number, PartitionAccount>();
  readonly #superseded: SupersededLines;
  /** By partition, one past the last offset as it was asked for last. */
  #ends: ReadonlyMap<number, number>;
  #beyondEnd = 0;
  #outsideRange = 0;
  #otherTopics = 0;
  #unreadableLines = 0;
  readonly #unreadable: UnreadableLine[] = [];
  readonly #segments: SegmentVerification[] = [];
  /** What the removed segments held, journal by journal. */
  readonly #removed: ManifestsChecked["removed"][] = [];
  #lastProgressAt = -Infinity;

  private constructor(
    options: VerifyOptions,
    { reader, topicId, ends }: {
      readonly reader: TopicReader;
      readonly topicId: string;
      readonly ends: ReadonlyMap<number, number>;
    },
  ) {
    this.#options = options;
    this.#reader = reader;
    this.#topicId = topicId;
    this.#ends = ends;
    const { cluster, topic } = options;
    this.#superseded = new SupersededLines({
      topic,
      topicId,
      epochEnd: cluster.epochEnd?.bind(cluster),
    });
  }

  static async begin(options: VerifyOptions, reader: TopicReader): Promise<Verifier> {
    const { cluster, topic, ranges } = options;
    const { topicId, partitionCount } = await cluster.describeTopic(topic);
    const partitions = numbersBelow(partitionCount);
    const offsets = await settledOffsets(cluster, { topic, partitions });
    const ends = new Map(offsets.map(({ partition, high }) => [partition, high]));
    const verifier = new Verifier(options, { reader, topicId, ends });
    for (const { partition, low, high, highWatermark } of offsets) {
      const range = ranges === undefined ? { start: 0, end: Infinity } : ranges.get(partition);
      if (range === undefined) continue;
      const { start, end } = { start: range.start, end: Math.min(range.end, high) };
      const undecided = Math.max(0, Math.min(range.end, highWatermark) - Math.max(start, high));
      const account = new PartitionAccount({ partition, low, start, end, undecided });
      verifier.#accounts.set(partition, account);
    }
    return verifier;
  }

  async readTopic(): Promise<void> {
    const { topic } = this.#options;
    const accounts = [...this.#accounts.values()];
    const lengthOf = ({ start, low, end }: PartitionAccount) =>
      Math.max(0, end - Math.max(start, low));
    const total = accounts.reduce((sum, account) => sum + lengthOf(account), 0);
    let before = 0;
    for (const account of accounts) {
      const { partition, low, end } = account;
      const start = Math.max(account.start, low);
      for await (const records of this.#reader.scan({ topic, partition, start, end })) {
        let position = start;
        for (const record of records) {
          account.addRecord(record);
          position = record.offset + 1;
        }
        this.#turn({ phase: "topic", done: before + position - start, total });
      }
      account.endRecords();
      before += lengthOf(account);
    }
  }

  async readJournals(files: JournalFiles): Promise<void> {
    for await (const { journal, lines, end } of files.readAll()) {
      const early: EarlyLine[] = [];
      for (const line of lines) {
        const record = this.#decode(line, files);
        if (record === undefined) continue;
        // A leader is asked once for each epoch: waiting for every line would take too long.
        const answer = this.#isOfTopic(record) && this.#superseded.isSuperseded(record);
        const isSuperseded = typeof answer === "boolean" ? answer : await answer;
        if (isSuperseded) {
          this.#accountOf(record.partition).addSuperseded();
          continue;
        }
        const runs = this.#isOfTopic(record) ? this.#superseded.note(journal, record) : [];
        // Lines beyond the topic's present end can be among those that are superseded.
        if (runs.length > 0) await this.#judgeEarly(early.splice(0));
        for (const run of runs) this.#accountOf(record.partition).supersede(run);
        this.#judge(record, { line, journal, early });
      }
      if (early.length > 0) await this.#judgeEarly(early);
      this.#turn({ phase: "journal", done: end, total: files.bytes });
    }
    for (const account of this.#accounts.values()) account.endLines();
  }

  async checkSegments(directories: readonly string[]): Promise<void> {
    const { signal } = this.#options;
    for (const journal of directories) {
      const { segments, removed } = await checkManifests(journal, {
        ...(signal !== undefined && { signal }),
        onProgress: ({ done, total }) => this.#turn({ phase: "manifests", done, total }),
      });
      this.#segments.push(...segments.map((segment) => ({ journal, ...segment })));
      this.#removed.push(removed);
    }
  }

  async settle(files: JournalFiles): Promise<void> {
    const { topic } = this.#options;
    await this.#confirmTopic();
    const lows = await this.#lows();
    const hasDisappeared = [...this.#accounts.values()].some((account) => account.hasDisappeared());
    const isCompacted = hasDisappeared && await this.#isCompacted();
    const pages: UnprovenPage[] = [];
    for (const account of this.#accounts.values()) {
      const low = lows.get(account.partition) ?? account.low;
      const removed = this.#removedOf(account.partition);
      for (const page of account.settle({ low, isCompacted }, removed)) {
        pages.push({ account, page });
      }
    }

    let pagesDone = 0;
    const vanished = await recheck(pages, {
      topic,
      reader: this.#reader,
      files,
      decode: (line) => {
        const record = this.#tryDecode(line);
        return record !== undefined && this.#isCurrent(record) ? record : undefined;
      },
      onProgress: (done) => {
        pagesDone = Math.max(pagesDone, done);
        this.#turn({ phase: "differences", done: pagesDone, total: pages.length });
      },
    });
    if (vanished.length === 0) return;
    await this.#confirmTopic();
    const lowsNow = await this.#lows();
    const mayBeCompacted = await this.#isCompacted();
    for (const { account, offset } of vanished) {
      const low = lowsNow.get(account.partition) ?? account.low;
      account.addDisappeared(offset, { low, isCompacted: mayBeCompacted });
    }
  }

  result(files: JournalFiles): Verification {
    const accounts = [...this.#accounts.values()].sort((a, b) => a.partition - b.partition);
    const partitions = accounts.map((account) => account.result());
    const sum = (count: (partition: typeof partitions[number]) => number) =>
      partitions.reduce((total, partition) => total + count(partition), 0);
    const verification = {
      topic: this.#options.topic,
      topic_id: this.#topicId,
      journals: files.journalCount,
      records: sum(({ records }) => records),
      journaled: sum(({ journaled }) => journaled),
      missing: sum(({ missing }) => missing),
      duplicated: sum(({ duplicated }) => duplicated),
      duplicated_across_journals: sum((partition) => partition.duplicated_across_journals),
      mismatched: sum(({ mismatched }) => mismatched),
      expired: sum(({ expired }) => expired),
      compacted: sum(({ compacted }) => compacted),
      unexplained: sum(({ unexplained }) => unexplained),
      removed: sum(({ removed }) => removed),
      superseded: sum(({ superseded }) => superseded),
      undecided: sum(({ undecided }) => undecided),
      without_details: accounts.reduce((total, account) => total + account.withoutDetails, 0),
      beyond_end: this.#beyondEnd,
      outside_range: this.#outsideRange,
      other_topics: this.#otherTopics,
      unreadable_lines: this.#unreadableLines,
      unreadable: this.#unreadable,
      torn_bytes: files.tornBytes,
      partitions,
      segments: this.#segments,
    };
    return { ...verification, ok: isOk(verification) };
  }

  #decode(line: JournalLine, files: JournalFiles): JournaledRecord | undefined {
    const record = this.#tryDecode(line);
    if (record === undefined) {
      this.#unreadableLines++;
      if (this.#unreadable.length < UNREADABLE_EXAMPLES_MAX) {
        this.#unreadable.push(files.placeOf(line.start));
      }
    }
    return record;
  }

  #tryDecode({ bytes }: JournalLine): JournaledRecord | undefined {
    if (bytes === undefined) return undefined;
    try {
      return this.#decoder.decode(bytes);
    } catch {
      return undefined;
    }
  }

  #judge(
    record: JournaledRecord,
    { line, journal, early }: {
      readonly line: JournalLine;
      readonly journal: number;
      readonly early: EarlyLine[];
    },
  ): void {
    const { partition, offset } = record;
    if (!this.#isOfTopic(record)) {
      this.#otherTopics++;
      return;
    }
    const { ranges } = this.#options;
    const range = ranges?.get(partition);
    const isWanted = ranges === undefined ||
      range !== undefined && offset >= range.start && offset < range.end;
    const account = this.#accounts.get(partition);
    if (!isWanted) this.#outsideRange++;
    else if (account === undefined || offset >= account.end) early.push({ partition, offset });
    else account.addLine(record, { journal, start: line.start, end: line.end });
  }

  /** The topic may have grown to hold these offsets; where it has not, no record can have been there. */
  async #judgeEarly(lines: readonly EarlyLine[]): Promise<void> {
    const isReached = ({ partition, offset }: EarlyLine) =>
      offset < (this.#ends.get(partition) ?? 0);
    if (!lines.every(isReached)) {
      const { cluster, topic } = this.#options;
      const { partitionCount } = await cluster.describeTopic(topic);
      const offsets = await cluster.offsets(topic, numbersBelow(partitionCount));
      this.#ends = new Map(offsets.map(({ partition, high }) => [partition, high]));
    }
    for (const line of lines) {
      if (isReached(line)) this.#beyondEnd++;
      else this.#accountOf(line.partition).addImpossibleLine(line.offset);
    }
  }

  #accountOf(partition: number): PartitionAccount {
    let account = this.#accounts.get(partition);
    if (account === undefined) {
      account = new PartitionAccount({ partition, low: 0, start: 0, end: 0 });
      this.#accounts.set(partition, account);
    }
    return account;
  }

  /** Lines of the founding project's tracker have no topic id: the name has to do. */
  #isOfTopic({ topic, topicId }: JournaledRecord): boolean {
    return topic === this.#options.topic && (topicId === undefined || topicId === this.#topicId);
  }

  /** By what was found while the lines were read. */
  #isCurrent(record: JournaledRecord): boolean {
    return this.#isOfTopic(record) && this.#superseded.isSuperseded(record) === false &&
      this.#accounts.get(record.partition)?.isReplaced(record) !== true;
  }

  #removedOf(partition: number): readonly IntervalSet[] {
    const { topic } = this.#options;
    return this.#removed.flatMap((held) =>
      [this.#topicId, ""].map((topicId) => held.of({ topic, topicId, partition }))
    );
  }

  async #confirmTopic(): Promise<void> {
    const { cluster, topic } = this.#options;
    const { topicId } = await cluster.describeTopic(topic);
    if (topicId === this.#topicId) return;
    throw new Error(`topic "${topic}" was created again while it was being read: verify it again`);
  }

  async #lows(): Promise<ReadonlyMap<number, number>> {
    const { cluster, topic } = this.#options;
    const partitions = [...this.#accounts.keys()].filter((partition) => this.#ends.has(partition));
    const offsets = await cluster.offsets(topic, partitions);
    return new Map(offsets.map(({ partition, low }) => [partition, low]));
  }

  async #isCompacted(): Promise<boolean> {
    const { cluster, topic } = this.#options;
    return (await cluster.topicConfig(topic, "cleanup.policy"))?.includes("compact") ?? false;
  }

  #turn(progress: VerifyProgress): void {
    this.#options.signal?.throwIfAborted();
    const now = performance.now();
    if (now - this.#lastProgressAt < PROGRESS_INTERVAL_MS) return;
    this.#lastProgressAt = now;
    this.#options.onProgress?.(progress);
  }
}

function numbersBelow(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}
