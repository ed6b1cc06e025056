/**
 * Proves a replay: the target is read back, and each record that the journal says was sent is compared with it.
 *
 *     1 target   each partition, read once: page by page (1,024 offsets) the number of our records, and the exclusive-or of
 *                their SHA-256, each over offset, value, key, headers, and timestamp
 *     2 journal  each record, read once more: the same, at the offset that the log says it has in the target
 *     3 pages    equal on both sides: proven. Else the page is read again on both sides, record by record
 *
 * The order in which records come does not matter to an exclusive-or, so neither side is held in memory, whatever way
 * they were spread.
 */

import { delay } from "../async.ts";
import { IntervalSet } from "../journal/intervals.ts";
import { RecordDigest } from "../journal/record_digest.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import type { TopicReader } from "../kafka/topic_reader.ts";
import type { KafkaRecord, OutgoingRecord } from "../record.ts";
import type { Hit } from "../search/query.ts";
import type { Move, Progress } from "./replay_log.ts";
import { countOf, type PlannedPartition, readPieces, sourceKey } from "./replay_plan.ts";
import type { ReplaySource } from "./replay_source.ts";

export interface Proof {
  /** Records that are in the topic: ours, and of a topic that is to hold nothing else all others too. */
  readonly in_topic: number;
  /** Ours that are not at the offset at which they were stored. */
  readonly missing: number;
  /** Records of the topic that are not ours, and equal to one of ours in value, key, and headers. */
  readonly duplicated: number;
  /** Ours of which value, key, headers, or timestamp is another than in the journal. */
  readonly different: number;
  /** Records of the topic that are not ours, and equal to none of ours. */
  readonly foreign: number;
  /** The first few of `missing` and `different`. */
  readonly examples: readonly Example[];
}

interface Example {
  readonly what: "missing" | "different";
  readonly partition: number;
  readonly offset: number;
  readonly source: string;
}

export interface ProofOptions {
  readonly cluster: ClusterClient;
  readonly reader: TopicReader;
  readonly topic: string;
  readonly source: ReplaySource;
  readonly partitions: ReadonlyMap<string, PlannedPartition>;
  readonly progress: Progress;
  readonly recordOf: (hit: Hit) => OutgoingRecord;
  readonly keepsTimestamps: boolean;
  /** True if the topic may hold other records, which are then ignored. */
  readonly isShared: boolean;
  readonly onRead?: (done: number, total: number) => void;
}

const PAGE_OFFSETS = 1024;
/** Pages that are read again at the same time, at most. */
const PAGES_MAX = 500;
const EXAMPLES_MAX = 10;
const HASH_WORDS = 8;
const WORD_DIGITS = 8;
const MARKERS_TIMEOUT_MS = 60_000;
const MARKERS_POLL_MS = 50;

class Page {
  sent = 0;
  found = 0;
  readonly #difference = new Int32Array(HASH_WORDS);

  constructor(readonly partition: number, readonly start: number) {}

  get isEqual(): boolean {
    return this.sent === this.found && this.#difference.every((word) => word === 0);
  }

  add(hash: string): void {
    for (let word = 0; word < HASH_WORDS; word++) {
      const digits = hash.slice(word * WORD_DIGITS, (word + 1) * WORD_DIGITS);
      this.#difference[word] = (this.#difference[word] ?? 0) ^ Number.parseInt(digits, 16);
    }
  }
}

export async function proveReplay(options: ProofOptions): Promise<Proof> {
  const prover = new Prover(options);
  await prover.readTarget();
  await prover.readSource();
  return await prover.settle();
}

class Prover {
  readonly #options: ProofOptions;
  readonly #digest = new RecordDigest();
  /** By partition of the target: what is ours, and what of that the journal still has. */
  readonly #ours = new Map<number, { readonly all: IntervalSet; readonly known: IntervalSet }>();
  readonly #pages = new Map<string, Page>();
  /** Records that are not ours, by their digest. */
  readonly #others = new Map<string, number>();
  #ranges: readonly { readonly partition: number; readonly start: number; readonly end: number }[] =
    [];
  #duplicated = 0;

  constructor(options: ProofOptions) {
    this.#options = options;
    for (const { source, first, count, to, target } of options.progress) {
      const ours = this.#ours.get(to) ?? { all: new IntervalSet(), known: new IntervalSet() };
      this.#ours.set(to, ours);
      ours.all.add({ start: target, end: target + count });
      const planned = options.partitions.get(sourceKey(source))?.offsets;
      for (const { start, end } of planned?.within({ start: first, end: first + count }) ?? []) {
        ours.known.add({ start: target + start - first, end: target + end - first });
      }
    }
  }

  async readTarget(): Promise<void> {
    const { reader, topic, isShared, onRead } = this.#options;
    this.#ranges = await this.#findRanges();
    const total = countOf(this.#ranges);
    let done = 0;
    for (const { partition, start, end } of this.#ranges) {
      const ours = this.#ours.get(partition);
      for await (const records of reader.scan({ topic, partition, start, end })) {
        let position = start;
        for (const record of records) {
          position = record.offset + 1;
          if (ours?.known.has(record.offset)) {
            const page = this.#pageOf(partition, record.offset);
            page.found++;
            page.add(this.#hashOf(record, record.offset));
          } else if (!isShared && !ours?.all.has(record.offset)) {
            const hash = this.#contentOf(record);
            this.#others.set(hash, 1 + (this.#others.get(hash) ?? 0));
          }
        }
        onRead?.(done + position - start, total);
      }
      done += end - start;
    }
  }

  async readSource(): Promise<void> {
    for await (const { record, offset } of this.#sent()) {
      const page = this.#pageOf(record.partition, offset);
      page.sent++;
      page.add(this.#hashOf(record, offset));
      if (this.#others.size === 0) continue;
      const content = this.#contentOf(record);
      this.#duplicated += this.#others.get(content) ?? 0;
      this.#others.delete(content);
    }
  }

  async settle(): Promise<Proof> {
    const pages = [...this.#pages.values()];
    const found = pages.reduce((sum, page) => sum + page.found, 0);
    const foreign = [...this.#others.values()].reduce((sum, count) => sum + count, 0);
    const unequal = pages.filter((page) => !page.isEqual);
    const totals = { missing: 0, different: 0 };
    const examples: Example[] = [];
    for (let at = 0; at < unequal.length; at += PAGES_MAX) {
      for (const example of await this.#recheck(unequal.slice(at, at + PAGES_MAX))) {
        totals[example.what]++;
        if (examples.length < EXAMPLES_MAX) examples.push(example);
      }
    }
    const duplicated = this.#duplicated;
    return { in_topic: found + duplicated + foreign, ...totals, duplicated, foreign, examples };
  }

  /** Compares pages record by record. */
  async #recheck(pages: readonly Page[]): Promise<readonly Example[]> {
    const { reader, topic } = this.#options;
    const wanted = new Set(pages);
    const isWanted = (partition: number, offset: number) =>
      wanted.has(this.#pageOf(partition, offset));
    const found = new Map<string, string>();
    for (const { partition, start } of pages) {
      const range = this.#ranges.find((each) => each.partition === partition);
      const from = Math.max(start, range?.start ?? 0);
      const to = Math.min(start + PAGE_OFFSETS, range?.end ?? 0);
      for await (const records of reader.scan({ topic, partition, start: from, end: to })) {
        for (const record of records) {
          found.set(`${partition}/${record.offset}`, this.#hashOf(record, record.offset));
        }
      }
    }
    const examples: Example[] = [];
    for await (const { record, offset, hit } of this.#sent()) {
      const { partition } = record;
      if (!isWanted(partition, offset)) continue;
      const hash = found.get(`${partition}/${offset}`);
      if (hash === this.#hashOf(record, offset)) continue;
      const { topic, partition: from, offset: old } = hit.record;
      const what = hash === undefined ? "missing" : "different";
      examples.push({ what, partition, offset, source: `${topic}[${from}] offset ${old}` });
    }
    return examples;
  }

  /** Waits until what was committed can be read: the broker writes its markers after it has answered. */
  async #findRanges() {
    const { cluster, topic, isShared } = this.#options;
    const deadline = performance.now() + MARKERS_TIMEOUT_MS;
    for (;;) {
      const offsets = await cluster.allOffsets(topic);
      const hidden = offsets.find(({ partition, high, highWatermark }) =>
        high < Math.min(highWatermark, this.#ours.get(partition)?.all.end ?? 0)
      );
      if (hidden === undefined) {
        return offsets.flatMap(({ partition, low, high }) => {
          const ours = this.#ours.get(partition)?.all;
          if (!isShared) return [{ partition, start: low, end: high }];
          const start = Math.max(low, ours?.firstFrom(0) ?? Infinity);
          return ours === undefined || start >= high
            ? []
            : [{ partition, start, end: Math.min(high, ours.end ?? 0) }];
        });
      }
      if (performance.now() > deadline) {
        throw new Error(
          `topic "${topic}" cannot be read in partition ${hidden.partition} from offset ` +
            `${hidden.high} on: another program seems to have a transaction open on it`,
        );
      }
      await delay(MARKERS_POLL_MS);
    }
  }

  /** The records that the log says were sent, with their offsets in the target. */
  async *#sent(): AsyncGenerator<
    { readonly record: OutgoingRecord; readonly offset: number; readonly hit: Hit }
  > {
    const { source, partitions, progress, recordOf } = this.#options;
    const places = new Map(
      [...progress.moves].map(([key, { moves }]) => [key, new Places(moves)]),
    );
    for await (const some of readPieces(source, partitions.values())) {
      for (const { piece, hit } of some) {
        const place = places.get(sourceKey(piece.partition.source))?.of(hit.record.offset);
        if (place === undefined) continue;
        const record = { ...recordOf(hit), partition: place.partition };
        yield { record, offset: place.offset, hit };
      }
    }
  }

  #pageOf(partition: number, offset: number): Page {
    const start = offset - offset % PAGE_OFFSETS;
    const key = `${partition}/${start}`;
    const page = this.#pages.get(key) ?? new Page(partition, start);
    this.#pages.set(key, page);
    return page;
  }

  #hashOf(record: KafkaRecord | OutgoingRecord, offset: number): string {
    const { timestampMs = 0, ...rest } = record;
    this.#digest.addValue(offset, record.value, omittedValueOf(record));
    this.#digest.addDetails(
      offset,
      this.#options.keepsTimestamps ? { ...rest, timestampMs } : {
        ...rest,
        timestampMs: 0,
        exactTimestampMs: undefined,
      },
    );
    return this.#digest.take();
  }

  #contentOf(record: KafkaRecord | OutgoingRecord): string {
    this.#digest.addValue(0, record.value, omittedValueOf(record));
    this.#digest.addDetails(0, { ...record, timestampMs: 0, exactTimestampMs: undefined });
    return this.#digest.take();
  }
}

/** A target's record can be too large to be read; one that was sent cannot. */
function omittedValueOf(record: KafkaRecord | OutgoingRecord) {
  return "omittedValue" in record ? record.omittedValue : undefined;
}

/** Finds where a record of a partition is in the target. */
class Places {
  readonly #moves: readonly Move[];

  constructor(moves: readonly Move[]) {
    this.#moves = moves.toSorted((a, b) => a.first - b.first);
  }

  of(offset: number): { readonly partition: number; readonly offset: number } | undefined {
    let low = 0;
    let high = this.#moves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#moves[middle]?.first ?? Infinity) <= offset) low = middle + 1;
      else high = middle;
    }
    const move = this.#moves[low - 1];
    if (move === undefined || offset >= move.first + move.count) return undefined;
    return { partition: move.to, offset: move.target + offset - move.first };
  }
}
