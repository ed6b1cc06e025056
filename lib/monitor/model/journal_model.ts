/**
 * Counts the journal's lines: the only source of totals.
 *
 * Pure: lines and the time are passed in.
 *
 * @module
 */

import { Business } from "./business.ts";
import { History } from "./history.ts";
import { Recent, RecentLines } from "./recent.ts";
import { ERROR_LENGTH_MAX, eventsOf, type RecentEvent } from "./recent_event.ts";
import { type EventFacts, EventScanner } from "./scan.ts";
import { CLOCK_SKEW_MS, SlidingWindow } from "./sliding_window.ts";
import type { LineSink } from "../tail/line_sink.ts";
import { LineRuns } from "./line_runs.ts";
import { Traffic } from "./traffic.ts";

export const WINDOW_SECONDS_MAX = 3600;
export const RECENT_COUNT = 20;
export const RECENT_RECORD_COUNT = 100;

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

export interface PartitionCounts {
  readonly topic: string;
  readonly partition: number;
  readonly received: number;
  readonly failed: number;
  readonly lastOffset: number;
  readonly window: SlidingWindow;
}

export interface FailedEvent {
  readonly timestampMs: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly kind: string;
  /** Text from the tracker: not safe to print. */
  readonly error: string;
}

interface MutablePartition {
  topic: string;
  partition: number;
  received: number;
  failed: number;
  lastOffset: number;
  /** The lines whose records are still in the log, as far as known. */
  lines: LineRuns;
  window: SlidingWindow;
}

/** The totals of the journal's lines; copied when a file begins, so that its lines can be taken back. */
class Facts {
  processed = 0;
  failed = 0;
  superseded = 0;
  expired = 0;
  unreadable = 0;
  unreadableLines = new RecentLines({ countMax: 1, lineBytesMax: SAMPLE_BYTES_MAX });
  firstEventMs = Infinity;
  newestEventMs = -Infinity;
  aheadOfClock = 0;
  window = new SlidingWindow(WINDOW_SECONDS_MAX);
  history = new History();
  kinds = new Map<string, number>();
  topics = new Map<string, Map<number, MutablePartition>>();
  partitionCount = 0;
  business = new Business();
  traffic = new Traffic();
  lastFailed: FailedEvent | undefined = undefined;
  recentFailed = new Recent<FailedEvent>(RECENT_COUNT);
  recentLines = new RecentLines({
    countMax: RECENT_RECORD_COUNT,
    lineBytesMax: RECENT_LINE_BYTES_MAX,
  });
  recentFailedLines = new RecentLines({
    countMax: RECENT_COUNT,
    lineBytesMax: RECENT_LINE_BYTES_MAX,
  });

  copy(): Facts {
    const copy = Object.assign(new Facts(), this);
    copy.window = this.window.copy();
    copy.history = this.history.copy();
    copy.kinds = new Map(this.kinds);
    copy.business = this.business.copy();
    copy.traffic = this.traffic.copy();
    copy.recentFailed = this.recentFailed.copy();
    copy.recentLines = this.recentLines.copy();
    copy.recentFailedLines = this.recentFailedLines.copy();
    copy.unreadableLines = this.unreadableLines.copy();
    copy.topics = new Map();
    for (const [topic, partitions] of this.topics) {
      const copies = new Map<number, MutablePartition>();
      for (const [number, facts] of partitions) {
        copies.set(number, {
          ...facts,
          lines: facts.lines.copy(),
          window: facts.window.copy(),
        });
      }
      copy.topics.set(topic, copies);
    }
    return copy;
  }
}

export class JournalModel implements LineSink {
  #facts = new Facts();
  #mark = new Facts();
  readonly #scanner = new EventScanner();
  #nowMs = Infinity;

  /** Sets the time, which tells current events from those that a wrong clock stamped into the future. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  begin(): void {
    this.#mark = this.#facts.copy();
  }

  rewind(): void {
    this.#facts = this.#mark.copy();
  }

  line(bytes: Uint8Array, start: number, end: number, whole: boolean): void {
    const facts = this.#facts;
    if (!this.#scanner.scan(bytes, start, end, whole)) {
      facts.unreadable++;
      facts.unreadableLines.note(bytes, start, end);
      return;
    }
    const event: EventFacts = this.#scanner;
    facts.traffic.note(event);
    if (event.failed) {
      facts.failed++;
      noteFailure(facts, event);
      facts.recentFailedLines.note(bytes, start, end);
    } else {
      facts.processed++;
      facts.business.note(event.order, event.timestampMs);
    }
    const partition = partitionOf(facts, event);
    if (partition !== undefined) {
      partition.received++;
      partition.lastOffset = event.offset;
      if (!partition.lines.isNext(event.offset)) {
        if (TRUNCATION_MARK.test(endOf(bytes, start, end))) {
          facts.superseded += partition.lines.truncate(event.offset);
        }
      } else if (partition.lines.isGap(event.offset)) {
        facts.expired += expiredCount(endOf(bytes, start, end));
      }
      if (partition.lines.isNext(event.offset)) partition.lines.add(event.offset);
      if (event.failed) partition.failed++;
    }
    facts.recentLines.note(bytes, start, end);
    this.#noteTime(event, partition);
  }

  settle(): void {
    this.#facts.recentLines.settle();
    this.#facts.recentFailedLines.settle();
    this.#facts.unreadableLines.settle();
  }

  get totals(): Totals {
    const { processed, failed } = this.#facts;
    return { received: processed + failed, processed, failed };
  }

  /** Lines of records lost when the log was truncated; included in the totals. */
  get supersededCount(): number {
    return this.#facts.superseded;
  }

  get expiredCount(): number {
    return this.#facts.expired;
  }

  get unreadableCount(): number {
    return this.#facts.unreadable;
  }

  /** The beginning of the latest unreadable line: not safe to print. */
  get unreadableSample(): string | undefined {
    const line = this.#facts.unreadableLines.lines().at(-1);
    return line && DECODER.decode(line);
  }

  /** Events stamped further ahead of the monitor's clock than clock skew allows; they are in no window. */
  get aheadOfClockCount(): number {
    return this.#facts.aheadOfClock;
  }

  get firstEventMs(): number | undefined {
    return Number.isFinite(this.#facts.firstEventMs) ? this.#facts.firstEventMs : undefined;
  }

  get newestEventMs(): number | undefined {
    return Number.isFinite(this.#facts.newestEventMs) ? this.#facts.newestEventMs : undefined;
  }

  get window(): SlidingWindow {
    return this.#facts.window;
  }

  get history(): History {
    return this.#facts.history;
  }

  get errorKinds(): ReadonlyMap<string, number> {
    return this.#facts.kinds;
  }

  get business(): Business {
    return this.#facts.business;
  }

  get traffic(): Traffic {
    return this.#facts.traffic;
  }

  get lastFailed(): FailedEvent | undefined {
    return this.#facts.lastFailed;
  }

  get recentFailed(): readonly FailedEvent[] {
    return this.#facts.recentFailed.values();
  }

  /** Sorted by topic, then partition. */
  get partitions(): readonly PartitionCounts[] {
    return this.#facts.topics.values()
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
    return eventsOf(this.#facts.recentLines);
  }

  /** Oldest first. */
  get recentFailedEvents(): readonly RecentEvent[] {
    return eventsOf(this.#facts.recentFailedLines);
  }

  #noteTime(event: EventFacts, partition: MutablePartition | undefined): void {
    const { timestampMs } = event;
    if (Number.isNaN(timestampMs)) return;
    const facts = this.#facts;
    if (timestampMs > this.#nowMs + CLOCK_SKEW_MS) {
      facts.aheadOfClock++;
      return;
    }
    if (timestampMs < facts.firstEventMs) facts.firstEventMs = timestampMs;
    if (timestampMs > facts.newestEventMs) facts.newestEventMs = timestampMs;
    facts.window.add(timestampMs, event.failed);
    facts.history.add(timestampMs, event.failed);
    partition?.window.add(timestampMs, event.failed);
  }
}

function noteFailure(facts: Facts, event: EventFacts): void {
  const known = facts.kinds.has(event.kind) || facts.kinds.size < KIND_COUNT_MAX;
  const kind = known ? event.kind : OTHER_KIND;
  facts.kinds.set(kind, (facts.kinds.get(kind) ?? 0) + 1);
  const { timestampMs, topic, partition, offset } = event;
  const error = (event.error ?? "").slice(0, ERROR_LENGTH_MAX);
  facts.lastFailed = { timestampMs, topic, partition, offset, kind, error };
  facts.recentFailed.add(facts.lastFailed);
}

function partitionOf(facts: Facts, event: EventFacts): MutablePartition | undefined {
  const { topic, partition } = event;
  let partitions = facts.topics.get(topic);
  const known = partitions?.get(partition);
  if (known !== undefined) return known;
  if (facts.partitionCount >= PARTITION_COUNT_MAX) return undefined;

  if (partitions === undefined) {
    partitions = new Map();
    facts.topics.set(topic, partitions);
  }
  const added: MutablePartition = {
    topic,
    partition,
    received: 0,
    failed: 0,
    lastOffset: -1,
    lines: new LineRuns(),
    window: new SlidingWindow(PARTITION_WINDOW_SECONDS),
  };
  partitions.set(partition, added);
  facts.partitionCount++;
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
