/**
 * Counts a tracker's records, and measures their latency from the record's timestamp to the flushed journal.
 */

import { LatencyRecorder, type LatencySummary } from "../latency.ts";
import { DurationHistogram } from "../prometheus.ts";
import type { OpenTransactionStatus } from "../tracker_status.ts";
import type { FailureReason } from "./failures.ts";

/** The totals of a run, as `tracker --json` prints them: received = processed + failed. */
export interface TrackerTotals {
  /** Records that this run wrote to the journal. */
  readonly received: number;
  /** Valid records, handled if there is a handler. */
  readonly processed: number;
  /** Invalid records, and orders that the handler could not process. */
  readonly failed: number;
  /** Records whose dead letter was sent. */
  readonly dead_lettered: number;
  /** Records read again that were already in the journal. */
  readonly already_journaled: number;
  /** Duration of the run so far, in seconds. */
  readonly seconds: number;
  /** Average records per second. */
  readonly rate: number;
}

/** The contract's metrics, logged every 30 s, with lag and latency. All counts are since the tracker started. */
export interface TrackerMetrics {
  /** Records written to the journal. */
  readonly messages_received: number;
  /** Valid records, handled if there is a handler. */
  readonly messages_processed: number;
  /** Invalid records, and orders that the handler could not process. */
  readonly messages_failed: number;
  /** Average since the start. */
  readonly messages_per_second: number;
  /** 100 if there were no messages. */
  readonly success_rate_percent: number;
  /** Time since the tracker started. */
  readonly uptime_seconds: number;
  /** Records whose dead letter was sent. */
  readonly dead_lettered: number;
  /** Records read again that were already in the journal. */
  readonly already_journaled: number;
  /** High watermark minus committed offset, by partition of this tracker; null if not known. */
  readonly lag: Readonly<Record<string, number | null>>;
  /** Records that wait behind an open transaction. */
  readonly open_transactions: readonly OpenTransactionStatus[];
  /** From the record's timestamp to the flushed journal; null if no record was journaled. */
  readonly end_to_end_latency_ms: Pick<LatencySummary, "p50" | "p99" | "max"> | null;
}

/** The current counts of a tracker. */
export interface TrackerCounts {
  /** Records that this run wrote to the journal. */
  readonly received: number;
  /** Invalid records, and orders that the handler could not process. */
  readonly failed: number;
  /** Returns the totals of the run. */
  totals(): TrackerTotals;
  /** Returns the metrics that are logged every 30 s. */
  snapshot(): TrackerMetrics;
}

/** Figures supplied by the consumer on request. */
export interface LagFigures {
  /** By partition, in order; undefined if not known. */
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
  /** Latencies of the current window, of the previous one, and of all finished windows. */
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

  followLag(figures: () => LagFigures): void {
    this.#lagFigures = figures;
  }

  /** @param latencyMs from the record's timestamp to the flushed journal. */
  recordLatency(latencyMs: number): void {
    this.#latency.record(latencyMs);
    this.endToEndLatency.record(latencyMs);
  }

  /**
   * Returns the latencies of the last 30 to 60 seconds; undefined if no record was journaled in that time. Must be
   * called at least every 30 s, because the call ends the window.
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
