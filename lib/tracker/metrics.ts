/**
 * What a tracker counts: its totals, its lag, and how long a record took from its timestamp to the disk.
 *
 * @module
 */

import { LatencyRecorder, type LatencySummary } from "../latency.ts";
import { DurationHistogram } from "../prometheus.ts";
import type { OpenTransactionStatus } from "../tracker_status.ts";
import type { FailureReason } from "./failures.ts";

/** The totals of a run, as `tracker --json` prints them: received = processed + failed. */
export interface TrackerTotals {
  /** Records that this run wrote to the journal. */
  readonly received: number;
  /** Good orders that were handled, or wanted no handling. */
  readonly processed: number;
  /** The others. */
  readonly failed: number;
  /** Records of which a dead letter was written. */
  readonly dead_lettered: number;
  /** Records read again that the journal held already. */
  readonly already_journaled: number;
  /** How long the run took, or has taken. */
  readonly seconds: number;
  /** Records a second over the whole run. */
  readonly rate: number;
}

/** The contract's metadata of the metrics that are logged every 30 s, and lag and latency of ours. */
export interface TrackerMetrics {
  /** Since the tracker started, as all that follows. */
  readonly messages_received: number;
  /** Good orders. */
  readonly messages_processed: number;
  /** The others. */
  readonly messages_failed: number;
  /** On average. */
  readonly messages_per_second: number;
  /** 100 where there was no message. */
  readonly success_rate_percent: number;
  /** Since the tracker started. */
  readonly uptime_seconds: number;
  /** Records of which a dead letter was written. */
  readonly dead_lettered: number;
  /** Records read again that the journal held already. */
  readonly already_journaled: number;
  /** The high watermark minus what is committed, for each partition that this tracker has; null where it is not known. */
  readonly lag: Readonly<Record<string, number | null>>;
  /** Records that wait behind an open transaction. */
  readonly open_transactions: readonly OpenTransactionStatus[];
  /** From a record's timestamp to the disk; null if no record was journaled yet. */
  readonly end_to_end_latency_ms: Pick<LatencySummary, "p50" | "p99" | "max"> | null;
}

/** What a tracker has counted so far. */
export interface TrackerCounts {
  /** Records that this run wrote to the journal. */
  readonly received: number;
  /** Of these, bad ones, and orders that a handler could not process. */
  readonly failed: number;
  /** The totals of the run. */
  totals(): TrackerTotals;
  /** What is logged every 30 s. */
  snapshot(): TrackerMetrics;
}

/** What is not counted but known by the consumer, asked for whenever it is told. */
export interface LagFigures {
  /** By partition, in order; undefined where it is not known. */
  readonly lag: ReadonlyMap<number, number | undefined>;
  readonly openTransactions: readonly OpenTransactionStatus[];
}

/** A record that could not be processed, and why. */
interface FailedRecord {
  readonly failure: { readonly reason: FailureReason };
}

const LATENCY_WINDOW_MS = 30_000;
const NO_LAG: LagFigures = { lag: new Map(), openTransactions: [] };

export class Metrics implements TrackerCounts {
  /** From a record's timestamp to the flushed journal, over the whole run. */
  readonly endToEndLatency = new DurationHistogram();
  /** From a batch's append to the flushed journal. */
  readonly flushDuration = new DurationHistogram();
  readonly #failures = new Map<FailureReason, number>();
  readonly #startedAtMs = performance.now();
  #lagFigures: () => LagFigures = () => NO_LAG;
  /** Latencies of this window, of the one before it, and of all windows before this one. */
  #latency = new LatencyRecorder();
  #latencyBefore = new LatencyRecorder();
  readonly #latencyOfEarlierWindows = new LatencyRecorder();
  #windowStartedAtMs = performance.now();
  #received = 0;
  #failed = 0;
  #deadLettered = 0;
  #alreadyJournaled = 0;

  get received(): number {
    return this.#received;
  }

  get failed(): number {
    return this.#failed;
  }

  /** Failed records by reason; a reason that has not occurred is absent. */
  get failures(): ReadonlyMap<FailureReason, number> {
    return this.#failures;
  }

  countJournaled(
    { received, failed }: { received: number; failed: readonly FailedRecord[] },
  ): void {
    this.#received += received;
    this.#countFailed(failed);
  }

  countDeadLetters(count: number): void {
    this.#deadLettered += count;
  }

  /** Orders that were journaled as good, and that a handler could not process. */
  countUnhandled(failed: readonly FailedRecord[]): void {
    this.#countFailed(failed);
  }

  #countFailed(failed: readonly FailedRecord[]): void {
    this.#failed += failed.length;
    for (const { failure: { reason } } of failed) {
      this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1);
    }
  }

  countAlreadyJournaled(count: number): void {
    this.#alreadyJournaled += count;
  }

  /** Where lag and open transactions are asked for from now on. */
  followLag(figures: () => LagFigures): void {
    this.#lagFigures = figures;
  }

  /** @param latencyMs from the record's timestamp to the flushed journal. */
  recordLatency(latencyMs: number): void {
    this.#latency.record(latencyMs);
    this.endToEndLatency.record(latencyMs);
  }

  /**
   * Latencies of the last 30 to 60 seconds; undefined where no record was journaled in that time. To be asked more
   * often than that: a window ends when it is asked about.
   */
  recentLatency(): LatencySummary | undefined {
    if (performance.now() - this.#windowStartedAtMs >= LATENCY_WINDOW_MS) {
      this.#windowStartedAtMs = performance.now();
      this.#latencyOfEarlierWindows.add(this.#latency);
      [this.#latency, this.#latencyBefore] = [this.#latencyBefore, this.#latency];
      this.#latency.reset();
    }
    const recent = sumOf(this.#latency, this.#latencyBefore);
    return recent.summary() ?? undefined;
  }

  totals(): TrackerTotals {
    const seconds = this.#uptimeSeconds();
    return {
      received: this.#received,
      processed: this.#received - this.#failed,
      failed: this.#failed,
      dead_lettered: this.#deadLettered,
      already_journaled: this.#alreadyJournaled,
      seconds: round(seconds),
      rate: round(this.#received / seconds),
    };
  }

  snapshot(): TrackerMetrics {
    const seconds = this.#uptimeSeconds();
    const processed = this.#received - this.#failed;
    const latency = sumOf(this.#latencyOfEarlierWindows, this.#latency).summary();
    const { lag, openTransactions } = this.#lagFigures();
    return {
      messages_received: this.#received,
      messages_processed: processed,
      messages_failed: this.#failed,
      messages_per_second: round(this.#received / seconds),
      success_rate_percent: this.#received === 0 ? 100 : round(processed / this.#received * 100),
      uptime_seconds: round(seconds),
      dead_lettered: this.#deadLettered,
      already_journaled: this.#alreadyJournaled,
      lag: Object.fromEntries([...lag].map(([partition, records]) => [partition, records ?? null])),
      open_transactions: openTransactions,
      end_to_end_latency_ms: latency && { p50: latency.p50, p99: latency.p99, max: latency.max },
    };
  }

  #uptimeSeconds(): number {
    return Math.max(0.001, (performance.now() - this.#startedAtMs) / 1_000);
  }
}

function sumOf(...recorders: readonly LatencyRecorder[]): LatencyRecorder {
  const sum = new LatencyRecorder();
  for (const recorder of recorders) sum.add(recorder);
  return sum;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
