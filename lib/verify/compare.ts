/**
 * Compares a topic with its journals, for `tracker verify`: is every record journaled exactly once, in order?
 *
 *     1 topic      each partition, read once: per page (1,024 offsets) a bit for every record, and one SHA-256
 *                  over all records of the page
 *     2 journals   each segment, read once: a bit for every line, and the same SHA-256 over the lines of records
 *                  that the topic holds
 *     3 pages      bits on one side only     missing, or expired, compacted, unexplained
 *                  a bit set a second time   duplicated
 *                  SHA-256 equal             the records are equal, byte for byte
 *                  SHA-256 different         the page is read again on both sides, record by record
 *
 *     topic    11111111 11111111   digest a3f1..        topic    11111111 11111111   digest 77d0..
 *     journal  11111111 11111111   digest a3f1..        journal  11111011 11111111   digest 9b12..
 *              nothing to do                                          ^ missing       read again
 *
 * Neither side is held in memory: a page takes about 1 kB, 10 million records 10 MB. An offset missing from the topic
 * proves nothing: transaction markers, aborted records, compaction, and retention take offsets too. Only a record
 * that can be read can be missing from the journal.
 *
 * A line is compared with its record: value, and key, headers, timestamp, and leader epoch if the line has them. The
 * line's other fields are checked on their own (`line_check.ts`), and its position against the lines before it
 * (`superseded_lines.ts`).
 *
 * Closed segments are also checked against their manifests. That covers records that have expired from the topic, and
 * tells which records were in removed segments.
 *
 * Trackers and producers may be running. Only records that the topic held at the start are judged. The journals are
 * read after the topic, up to their size at that moment.
 */

import type { TopicReader } from "../kafka/topic_reader.ts";
import { decodeEvent, type JournaledRecord } from "../journal/line.ts";
import type { HeldPartition } from "../journal/held_partition.ts";
import { checkManifests, type ManifestsChecked } from "../journal/manifest_check.ts";
import { denoStorage, type Storage } from "../journal/storage.ts";
import { ComparedTopic, type TopicCluster } from "./compared_topic.ts";
import { JournalFiles, type JournalLine } from "../journal/journal_files.ts";
import { requireJournals } from "../journal/segment_listing.ts";
import { type CheckedLine, LineChecker } from "./line_check.ts";
import { type JudgedLine, PartitionAccount } from "./partition_account.ts";
import { recheck, type UnprovenPage } from "./recheck.ts";
import { SupersededLines } from "./superseded_lines.ts";
import { isTrackerRunning } from "./undecided.ts";
import {
  isOk,
  type SegmentVerification,
  totalOf,
  type UnreadableLine,
  type Verification,
} from "./verification.ts";

/** The topic, journals, and offsets to compare. */
export interface VerifyScope {
  /** Name of the topic. */
  readonly topic: string;
  /** Folders of the journals, judged together: each record must be in one of them. */
  readonly directories: readonly string[];
  /** The offsets to judge, by partition; other partitions are not judged. Default: all. */
  readonly ranges?: ReadonlyMap<number, { readonly start: number; readonly end: number }>;
  /** Called at the start of each phase, and at most about twice a second. */
  readonly onProgress?: (progress: VerifyProgress) => void;
  /** Cancels the verification with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The scope of a comparison, and access to both sides. */
export interface CompareOptions extends VerifyScope {
  /** Describes the topic. */
  readonly cluster: TopicCluster;
  /** Reads the committed records of a range. */
  readonly reader: Pick<TopicReader, "scan">;
  /** Where the journals are; default: the real disk. */
  readonly storage?: Storage;
}

/** The progress of a verification. */
export interface VerifyProgress {
  /**
   * The phase and its unit: the topic (offsets), the journals (bytes), closed segments against their manifests
   * (segments), and pages that differ, read again (pages).
   */
  readonly phase: "topic" | "journal" | "manifests" | "differences";
  /** How much of `total` is done. */
  readonly done: number;
  /** Total in the phase's unit. */
  readonly total: number;
}

/**
 * Compares a topic with its journals.
 *
 * @throws {Error} if a folder holds no journal, or the topic was created again meanwhile; also what the reader and
 * the cluster throw.
 */
export async function compareJournals(options: CompareOptions): Promise<Verification> {
  const { directories, storage = denoStorage } = options;
  await requireJournals(directories, storage);
  const verifier = await Verifier.begin(options);
  await verifier.readTopic();
  await verifier.lookForTrackers();
  using files = await JournalFiles.open(directories, { storage });
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

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Verifier {
  readonly #options: CompareOptions;
  readonly #storage: Storage;
  readonly #checker = new LineChecker();
  readonly #topic: ComparedTopic;
  readonly #accounts = new Map<number, PartitionAccount>();
  readonly #superseded: SupersededLines;
  #beyondEnd = 0;
  #outsideRange = 0;
  #otherTopics = 0;
  #unreadableLines = 0;
  readonly #unreadable: UnreadableLine[] = [];
  readonly #segments: SegmentVerification[] = [];
  /** Offsets of the removed segments, by journal. */
  readonly #removed: ManifestsChecked["removed"][] = [];
  #isTrackerRunning = false;
  #lastProgress: { readonly phase: VerifyProgress["phase"]; readonly at: number } | undefined;

  private constructor(options: CompareOptions, topic: ComparedTopic) {
    this.#options = options;
    this.#storage = options.storage ?? denoStorage;
    this.#topic = topic;
    const { cluster } = options;
    this.#superseded = new SupersededLines({
      topic: topic.name,
      topicId: topic.id,
      epochEnd: cluster.epochEnd?.bind(cluster),
    });
  }

  static async begin(options: CompareOptions): Promise<Verifier> {
    const { cluster, ranges } = options;
    const topic = await ComparedTopic.open(cluster, options.topic);
    const verifier = new Verifier(options, topic);
    for (const { partition, low, high, highWatermark } of topic.offsets) {
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
    const { topic, reader } = this.#options;
    const accounts = [...this.#accounts.values()];
    const lengthOf = ({ start, low, end }: PartitionAccount) =>
      Math.max(0, end - Math.max(start, low));
    const total = accounts.reduce((sum, account) => sum + lengthOf(account), 0);
    let before = 0;
    for (const account of accounts) {
      const { partition, low, end } = account;
      const start = Math.max(account.start, low);
      for await (const records of reader.scan({ topic, partition, start, end })) {
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

  /** Must be called before and after the journals are read: a tracker can start or end in between. */
  async lookForTrackers(): Promise<void> {
    const { directories, topic } = this.#options;
    const storage = this.#storage;
    this.#isTrackerRunning ||= await isTrackerRunning(directories, { topic, storage });
  }

  async readJournals(files: JournalFiles): Promise<void> {
    for await (const { journal, lines, end } of files.readAll()) {
      const early: EarlyLine[] = [];
      for (const line of lines) {
        const checked = this.#check(line, files);
        if (checked === undefined) continue;
        const { record } = checked;
        if (!this.#isOfTopic(record)) {
          this.#otherTopics++;
          continue;
        }
        // Each leader is asked once per epoch; awaiting every line would be too slow.
        const answer = this.#superseded.isSuperseded(record);
        if (typeof answer === "boolean" ? answer : await answer) {
          this.#accountOf(record.partition).addSuperseded();
          continue;
        }
        const position = this.#superseded.note(journal, record, checked.mark);
        const { superseded } = position;
        // Lines beyond the topic's current end may be among the superseded ones.
        if (superseded.length > 0) await this.#judgeEarly(early.splice(0));
        for (const run of superseded) this.#accountOf(record.partition).supersede(run);
        this.#accounts.get(record.partition)?.reach(record.offset);
        const { start, end } = line;
        this.#judge(record, { journal, start, end, form: checked.form, ...position }, early);
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
        storage: this.#storage,
        ...(signal !== undefined && { signal }),
        onProgress: ({ done, total }) => this.#turn({ phase: "manifests", done, total }),
      });
      this.#segments.push(...segments.map((segment) => ({ journal, ...segment })));
      this.#removed.push(removed);
    }
  }

  async settle(files: JournalFiles): Promise<void> {
    const { topic, reader } = this.#options;
    await this.lookForTrackers();
    await this.#topic.confirm();
    const lows = await this.#topic.lows(this.#accounts.keys());
    const hasDisappeared = [...this.#accounts.values()].some((account) => account.hasDisappeared());
    const isCompacted = hasDisappeared && await this.#topic.isCompacted();
    const pages: UnprovenPage[] = [];
    for (const account of this.#accounts.values()) {
      const low = lows.get(account.partition) ?? account.low;
      const removed = this.#removedOf(account.partition);
      const isTrackerRunning = this.#isTrackerRunning;
      for (const page of account.settle({ low, isCompacted }, { removed, isTrackerRunning })) {
        pages.push({ account, page });
      }
    }

    let pagesDone = 0;
    const vanished = await recheck(pages, {
      topic,
      reader,
      files,
      decode: ({ bytes }) => {
        const record = attempt(() => bytes && decodeEvent(DECODER.decode(bytes)));
        return record !== undefined && this.#isCurrent(record) ? record : undefined;
      },
      onProgress: (done) => {
        pagesDone = Math.max(pagesDone, done);
        this.#turn({ phase: "differences", done: pagesDone, total: pages.length });
      },
    });
    if (vanished.length === 0) return;
    await this.#topic.confirm();
    const lowsNow = await this.#topic.lows(this.#accounts.keys());
    const mayBeCompacted = await this.#topic.isCompacted();
    for (const { account, offset } of vanished) {
      const low = lowsNow.get(account.partition) ?? account.low;
      account.addDisappeared(offset, { low, isCompacted: mayBeCompacted });
    }
  }

  result(files: JournalFiles): Verification {
    const accounts = [...this.#accounts.values()].sort((a, b) => a.partition - b.partition);
    const partitions = accounts.map((account) => account.result());
    const verification = {
      topic: this.#options.topic,
      topic_id: this.#topic.id,
      journals: files.journalCount,
      ...totalOf(partitions),
      without_details: accounts.reduce((total, account) => total + account.withoutDetails, 0),
      undetailed: accounts.reduce((total, account) => total + account.undetailed, 0),
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

  #check(line: JournalLine, files: JournalFiles): CheckedLine | undefined {
    const checked = attempt(() => line.bytes && this.#checker.check(line.bytes));
    if (checked === undefined) {
      this.#unreadableLines++;
      if (this.#unreadable.length < UNREADABLE_EXAMPLES_MAX) {
        this.#unreadable.push(files.placeOf(line.start));
      }
    }
    return checked;
  }

  #judge(record: JournaledRecord, line: JudgedLine, early: EarlyLine[]): void {
    const { partition, offset } = record;
    const { ranges } = this.#options;
    const range = ranges?.get(partition);
    const isWanted = ranges === undefined ||
      range !== undefined && offset >= range.start && offset < range.end;
    const account = this.#accounts.get(partition);
    if (!isWanted) this.#outsideRange++;
    else if (account === undefined || offset >= account.end) early.push({ partition, offset });
    else account.addLine(record, line);
  }

  /**
   * Judges early lines again: the topic may have grown to hold their offsets. If it has not, no record can have been
   * there.
   */
  async #judgeEarly(lines: readonly EarlyLine[]): Promise<void> {
    const topic = this.#topic;
    if (!lines.every((line) => topic.hasReached(line))) await topic.refreshEnds();
    for (const line of lines) {
      if (topic.hasReached(line)) this.#beyondEnd++;
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

  /** Lines of the founding project's tracker have no topic id, so the name decides. */
  #isOfTopic({ topic, topicId }: JournaledRecord): boolean {
    return topic === this.#options.topic && (topicId === undefined || topicId === this.#topic.id);
  }

  /** Uses the results from when the lines were read. */
  #isCurrent(record: JournaledRecord): boolean {
    return this.#isOfTopic(record) && this.#superseded.isSuperseded(record) === false &&
      this.#accounts.get(record.partition)?.isReplaced(record) !== true;
  }

  #removedOf(partition: number): readonly HeldPartition[] {
    const { topic } = this.#options;
    return this.#removed.flatMap((held) =>
      [this.#topic.id, ""].map((topicId) => held.partition({ topic, topicId, partition }))
    );
  }

  #turn(progress: VerifyProgress): void {
    this.#options.signal?.throwIfAborted();
    const at = performance.now();
    const { phase } = progress;
    const last = this.#lastProgress;
    if (phase === last?.phase && at - last.at < PROGRESS_INTERVAL_MS) return;
    this.#lastProgress = { phase, at };
    this.#options.onProgress?.(progress);
  }
}

/** Returns undefined if decoding fails: it is not a journal line. */
function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
