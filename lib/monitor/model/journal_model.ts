/**
 * Counts the journal's lines: the only source of totals.
 *
 * Pure: lines and the time are passed in.
 */

import { Business } from "./business.ts";
import { History } from "./history.ts";
import { RecentLines } from "./recent.ts";
import { ERROR_LENGTH_MAX, eventsOf, type RecentEvent } from "./recent_event.ts";
import { type EventFacts, EventScanner } from "./scan.ts";
import { CLOCK_SKEW_MS, SlidingWindow } from "./sliding_window.ts";
import type { LineSink } from "../tail/line_sink.ts";
import { LineRuns } from "./line_runs.ts";
import { Traffic } from "./traffic.ts";

const WINDOW_SECONDS_MAX = 3600;
export const RECENT_COUNT = 20;
const RECENT_RECORD_COUNT = 100;

const PARTITION_WINDOW_SECONDS = 60;
/** Bounds memory for a hostile journal; a real one stays far below. */
const PARTITION_COUNT_MAX = 10_000;
const KIND_COUNT_MAX = 20;
const SAMPLE_BYTES_MAX = 200;
/** Longer lines are cut in the list of recent ones. */
const RECENT_LINE_BYTES_MAX = 64 * 1024;
const OTHER_KIND = "other";

export interface Totals {
  readonly received: number;
  readonly processed: number;
  readonly failed: number;
}

interface FailedEvent {
  readonly timestampMs: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly kind: string;
  /** Text from the tracker: not safe to print. */
  readonly error: string;
}

/** The counts of a partition; {@link JournalModel} updates them in place. */
export interface PartitionCounts {
  readonly topic: string;
  readonly partition: number;
  received: number;
  failed: number;
  lastOffset: number;
  /** The lines whose records are still in the log, as far as known. */
  readonly lines: LineRuns;
  readonly window: SlidingWindow;
}

/** The totals of the journal's lines; copied when a file begins, so that its lines can be taken back. */
class JournalCounts {
  processed = 0;
  failed = 0;
  /** Lines of records lost when the log was truncated; included in the totals. */
  superseded = 0;
  /** Records deleted from the topic before they were read. */
  expired = 0;
  unreadable = 0;
  unreadableLines = new RecentLines({ countMax: 1, lineBytesMax: SAMPLE_BYTES_MAX });
  firstEventMs: number | undefined = undefined;
  newestEventMs: number | undefined = undefined;
  /** Events stamped further ahead of the monitor's clock than clock skew allows; they are in no window. */
  aheadOfClock = 0;
  window = new SlidingWindow(WINDOW_SECONDS_MAX);
  history = new History();
  errorKinds = new Map<string, number>();
  topics = new Map<string, Map<number, PartitionCounts>>();
  partitionCount = 0;
  business = new Business();
  traffic = new Traffic();
  lastFailed: FailedEvent | undefined = undefined;
  recentLines = new RecentLines({
    countMax: RECENT_RECORD_COUNT,
    lineBytesMax: RECENT_LINE_BYTES_MAX,
  });
  recentFailedLines = new RecentLines({
    countMax: RECENT_COUNT,
    lineBytesMax: RECENT_LINE_BYTES_MAX,
  });

  get totals(): Totals {
    const { processed, failed } = this;
    return { received: processed + failed, processed, failed };
  }

  /** The beginning of the latest unreadable line: not safe to print. */
  get unreadableSample(): string | undefined {
    const line = this.unreadableLines.lines().at(-1);
    return line && DECODER.decode(line);
  }

  /** Sorted by topic, then partition. */
  get partitions(): readonly Readonly<PartitionCounts>[] {
    return this.topics.values()
      .flatMap((partitions) => partitions.values())
      .toArray()
      .sort((one, other) =>
        one.topic === other.topic
          ? one.partition - other.partition
          : one.topic < other.topic
          ? -1
          : 1
      );
  }

  /** Oldest first. Parses the lines, so call it per redraw, not per line. */
  get recentEvents(): readonly RecentEvent[] {
    return eventsOf(this.recentLines);
  }

  /** Oldest first. */
  get recentFailedEvents(): readonly RecentEvent[] {
    return eventsOf(this.recentFailedLines);
  }

  copy(): JournalCounts {
    const copy = Object.assign(new JournalCounts(), this);
    copy.window = this.window.copy();
    copy.history = this.history.copy();
    copy.errorKinds = new Map(this.errorKinds);
    copy.business = this.business.copy();
    copy.traffic = this.traffic.copy();
    copy.recentLines = this.recentLines.copy();
    copy.recentFailedLines = this.recentFailedLines.copy();
    copy.unreadableLines = this.unreadableLines.copy();
    copy.topics = new Map();
    for (const [topic, partitions] of this.topics) {
      const copies = new Map<number, PartitionCounts>();
      for (const [number, counts] of partitions) {
        const { lines, window } = counts;
        copies.set(number, { ...counts, lines: lines.copy(), window: window.copy() });
      }
      copy.topics.set(topic, copies);
    }
    return copy;
  }
}

export class JournalModel implements LineSink {
  #counts = new JournalCounts();
  #mark = new JournalCounts();
  readonly #scanner = new EventScanner();
  #nowMs = Infinity;

  get counts(): Readonly<JournalCounts> {
    return this.#counts;
  }

  /** Sets the time, which tells current events from those that a wrong clock stamped into the future. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  begin(): void {
    this.#mark = this.#counts.copy();
  }

  rewind(): void {
    this.#counts = this.#mark.copy();
  }

  line(bytes: Uint8Array, start: number, end: number, whole: boolean): void {
    const counts = this.#counts;
    if (!this.#scanner.scan(bytes, start, end, whole)) {
      counts.unreadable++;
      counts.unreadableLines.note(bytes, start, end);
      return;
    }
    const event: EventFacts = this.#scanner;
    counts.traffic.note(event);
    if (event.failed) {
      counts.failed++;
      noteFailure(counts, event);
      counts.recentFailedLines.note(bytes, start, end);
    } else {
      counts.processed++;
      counts.business.note(event.order, event.timestampMs);
    }
    const partition = partitionOf(counts, event);
    if (partition !== undefined) {
      partition.received++;
      partition.lastOffset = event.offset;
      if (!partition.lines.isNext(event.offset)) {
        if (TRUNCATION_MARK.test(endOf(bytes, start, end))) {
          counts.superseded += partition.lines.truncate(event.offset);
        }
      } else if (partition.lines.isGap(event.offset)) {
        counts.expired += expiredCount(endOf(bytes, start, end));
      }
      if (partition.lines.isNext(event.offset)) partition.lines.add(event.offset);
      if (event.failed) partition.failed++;
    }
    counts.recentLines.note(bytes, start, end);
    this.#noteTime(event, partition);
  }

  settle(): void {
    this.#counts.recentLines.settle();
    this.#counts.recentFailedLines.settle();
    this.#counts.unreadableLines.settle();
  }

  #noteTime({ timestampMs, failed }: EventFacts, partition: PartitionCounts | undefined): void {
    if (Number.isNaN(timestampMs)) return;
    const counts = this.#counts;
    if (timestampMs > this.#nowMs + CLOCK_SKEW_MS) {
      counts.aheadOfClock++;
      return;
    }
    counts.firstEventMs = Math.min(timestampMs, counts.firstEventMs ?? Infinity);
    counts.newestEventMs = Math.max(timestampMs, counts.newestEventMs ?? -Infinity);
    counts.window.add(timestampMs, failed);
    counts.history.add(timestampMs, failed);
    partition?.window.add(timestampMs, failed);
  }
}

function noteFailure(counts: JournalCounts, event: EventFacts): void {
  const known = counts.errorKinds.has(event.kind) || counts.errorKinds.size < KIND_COUNT_MAX;
  const kind = known ? event.kind : OTHER_KIND;
  counts.errorKinds.set(kind, (counts.errorKinds.get(kind) ?? 0) + 1);
  const { timestampMs, topic, partition, offset } = event;
  const error = (event.error ?? "").slice(0, ERROR_LENGTH_MAX);
  counts.lastFailed = { timestampMs, topic, partition, offset, kind, error };
}

function partitionOf(counts: JournalCounts, event: EventFacts): PartitionCounts | undefined {
  const { topic, partition } = event;
  let partitions = counts.topics.get(topic);
  const known = partitions?.get(partition);
  if (known !== undefined) return known;
  if (counts.partitionCount >= PARTITION_COUNT_MAX) return undefined;

  if (partitions === undefined) {
    partitions = new Map();
    counts.topics.set(topic, partitions);
  }
  const added: PartitionCounts = {
    topic,
    partition,
    received: 0,
    failed: 0,
    lastOffset: -1,
    lines: new LineRuns(),
    window: new SlidingWindow(PARTITION_WINDOW_SECONDS),
  };
  partitions.set(partition, added);
  counts.partitionCount++;
  return added;
}

const DECODER = new TextDecoder();
/** Bytes at a line's end that contain its mark. */
const MARK_BYTES_MAX = 1_024;
const EXPIRY_MARK = /,"mark":"[^"\\]*offsets (\d{1,15}) to (\d{1,15}) were deleted before/;
const TRUNCATION_MARK = /,"mark":"[^"\\]*was truncated at offset \d+/;

/** Returns the end of a line, which contains the tracker's mark. */
function endOf(bytes: Uint8Array, start: number, end: number): string {
  return DECODER.decode(bytes.slice(Math.max(start, end - MARK_BYTES_MAX), end));
}

/** Returns how many records expired before they were read, according to a line's mark. */
function expiredCount(lineEnd: string): number {
  const [, from, to] = EXPIRY_MARK.exec(lineEnd) ?? [];
  return from === undefined || to === undefined ? 0 : Math.max(0, Number(to) - Number(from) + 1);
}
