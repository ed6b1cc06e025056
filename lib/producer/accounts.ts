/**
 * The accounts of a run: every generated order ends in exactly one of four; beside them, how the run kept
 * to its plan, and the latencies.
 */

import { LatencyRecorder, type LatencySummary } from "../latency.ts";
import { DurationHistogram } from "../prometheus.ts";
import { type BadKind, isDeadLetter } from "./bad_orders.ts";
import type { DeliveryReport } from "./delivery.ts";

/**
 * The object that `producer --json` prints. generated = acknowledged + failed + undelivered + unknown; a duplicate
 * made on purpose counts as generated too.
 */
export interface ProducerSummary {
  readonly generated: number;
  /** The broker said, for the order's partition, that it stored the record. */
  readonly acknowledged: number;
  /** Acknowledged orders whose topic was deleted during the run: they are gone. Absent if there are none. */
  readonly lost_with_topic?: number;
  /** The broker said that it did not. */
  readonly failed: number;
  /** Never sent. */
  readonly undelivered: number;
  /** Sent, and no answer came that can be trusted: it may be in the topic or not. */
  readonly unknown: number;
  readonly seconds: number;
  /** Acknowledged orders a second. */
  readonly rate: number;
  /** Megabytes (10^6 bytes) of acknowledged values a second. */
  readonly mb_per_second: number;
  /**
   * From the planned time to the acknowledgement, in milliseconds, the warm-up left out; null if no order
   * that was due after the warm-up was acknowledged.
   */
  readonly latency_ms: LatencySummary | null;
  /** The same from the first try to send: what the broker took, without the wait for a turn. */
  readonly latency_from_send_ms: LatencySummary | null;
  /** Decides about the orders: `--seed` makes them again. */
  readonly seed: number;
  /** Orders that were due by the end of the run; absent at `--rate max`, where there is no plan. */
  readonly planned?: number;
  /** Orders that were due and not made when the run ended: planned - generated. */
  readonly behind?: number;
  /** The most that an order was made after it was due, in milliseconds. */
  readonly behind_ms_max?: number;
  /** How long no order could be made because as many waited as `--buffer` lets, in milliseconds. */
  readonly buffer_full_ms: number;
  /** How long brokers held back requests because a quota was used up, in milliseconds. Absent if they did not. */
  readonly throttled_ms?: number;
  /** Orders that were due within `--warmup`, with their latencies. */
  readonly warmup?: { readonly acknowledged: number; readonly latency_ms: LatencySummary | null };
  /** Records that were spoilt on purpose, by kind. */
  readonly bad?: Readonly<Partial<Record<BadKind, number>>>;
  /** The part of them that is stored and that the tracker will dead-letter, as far as is known. */
  readonly dead_letters_expected?: number;
  /**
   * Records whose send ended without an answer that can be trusted, and that were then looked for in the
   * topic: found there, or sent again. Both are in `acknowledged` if all went well.
   */
  readonly looked_up?: { readonly found: number; readonly sent_again: number };
  /** The windows of the last hour: five seconds each, the last one shorter. */
  readonly windows: readonly LatencyWindow[];
}

export interface LatencyWindow {
  /** When it ended, since the start. */
  readonly seconds: number;
  readonly acknowledged: number;
  /** Orders that were due and not made at its end; absent at `--rate max`. */
  readonly behind?: number;
  /** Null if nothing was acknowledged. */
  readonly latency_ms: LatencySummary | null;
}

/** How a run keeps to its plan. */
export interface Pace {
  /** Orders that are due by now; Infinity where there is no plan. */
  readonly planned: number;
  /** How long the next order has been due; 0 where none is. */
  readonly behindMs: number;
}

export interface AccountsOptions {
  readonly seed: number;
  /** In milliseconds of `performance.now()`. */
  readonly startedAtMs: number;
  /** Latencies of orders that are due within it are kept apart. */
  readonly warmupMs?: number;
  /** True if records are corrupted on purpose. */
  readonly isSpoiling?: boolean;
}

const WINDOWS_MAX = 720;
const LAST_WINDOW_SECONDS_MIN = 1;

export class Accounts {
  /** From the planned time to the acknowledgement, over the whole run, the warm-up included. */
  readonly latencyHistogram = new DurationHistogram();
  readonly #options: AccountsOptions;
  readonly #warmupEndsAtMs: number;
  readonly #latency = new LatencyRecorder();
  readonly #latencyFromSend = new LatencyRecorder();
  readonly #warmupLatency = new LatencyRecorder();
  readonly #windowLatency = new LatencyRecorder();
  readonly #windows: LatencyWindow[] = [];
  readonly #counts = { acknowledged: 0, failed: 0, undelivered: 0, unknown: 0 };
  readonly #lookedUp = { found: 0, sent_again: 0 };
  readonly #bad: Partial<Record<BadKind, number>> = {};
  /** By the id of the topic that stored them. */
  readonly #acknowledgedByTopic = new Map<string, number>();
  #deadLettersExpected = 0;
  #generated = 0;
  #acknowledgedBytes = 0;
  #planned = 0;
  #behindMs = 0;
  #behindMsMax = 0;
  #bufferFullMs = 0;
  #throttledMs = 0;
  #lostWithTopic = 0;
  #endedAtMs: number | undefined;

  constructor(options: AccountsOptions) {
    this.#options = options;
    this.#warmupEndsAtMs = options.startedAtMs + (options.warmupMs ?? 0);
  }

  get generated(): number {
    return this.#generated;
  }

  get acknowledged(): number {
    return this.#counts.acknowledged;
  }

  /** Settled orders by outcome. */
  get counts(): Readonly<Record<DeliveryReport["outcome"]["kind"], number>> {
    return this.#counts;
  }

  /** Bytes of the values of acknowledged orders. */
  get acknowledgedBytes(): number {
    return this.#acknowledgedBytes;
  }

  /** Orders that did not arrive for certain. */
  get notAcknowledged(): number {
    const { failed, undelivered, unknown } = this.#counts;
    return failed + undelivered + unknown;
  }

  /** Acknowledged orders whose topic was deleted; see {@link noteTopic}. */
  get lostWithTopic(): number {
    return this.#lostWithTopic;
  }

  /** Orders that were due by now; Infinity where there is no plan. */
  get planned(): number {
    return this.#planned;
  }

  /** How long the next order has been due, in milliseconds. */
  get behindMs(): number {
    return this.#behindMs;
  }

  countGenerated(bad?: BadKind): void {
    this.#generated++;
    if (bad !== undefined) this.#bad[bad] = (this.#bad[bad] ?? 0) + 1;
  }

  notePace({ planned, behindMs }: Pace): void {
    this.#planned = planned;
    this.#behindMs = behindMs;
    this.#behindMsMax = Math.max(this.#behindMsMax, behindMs);
  }

  noteBufferFull(forMs: number): void {
    this.#bufferFullMs += forMs;
  }

  noteThrottled(totalMs: number): void {
    this.#throttledMs = totalMs;
  }

  /** Takes the id of the topic that exists at the end of the run, undefined if it was deleted. */
  noteTopic(topicId: string | undefined): void {
    const left = topicId === undefined ? 0 : this.#acknowledgedByTopic.get(topicId) ?? 0;
    this.#lostWithTopic = this.#counts.acknowledged - left;
  }

  noteLookup(result: "found" | "sent_again", count: number): void {
    this.#lookedUp[result] += count;
  }

  settle({ record, outcome }: DeliveryReport): void {
    this.#counts[outcome.kind]++;
    if (outcome.kind !== "acknowledged") return;
    const { topicId } = outcome;
    this.#acknowledgedByTopic.set(topicId, (this.#acknowledgedByTopic.get(topicId) ?? 0) + 1);
    const latencyMs = outcome.answeredAtMs - record.plannedAtMs;
    this.#acknowledgedBytes += record.value?.length ?? 0;
    this.#windowLatency.record(latencyMs);
    this.latencyHistogram.record(latencyMs);
    if (record.bad !== undefined && isDeadLetter(record.bad)) this.#deadLettersExpected++;
    if (record.plannedAtMs < this.#warmupEndsAtMs) {
      this.#warmupLatency.record(latencyMs);
    } else {
      this.#latency.record(latencyMs);
      this.#latencyFromSend.record(outcome.answeredAtMs - outcome.sentAtMs);
    }
  }

  /** Closes a window of the latencies and begins the next. */
  closeWindow(): LatencyWindow {
    const window: LatencyWindow = {
      seconds: round(this.#seconds()),
      acknowledged: this.#windowLatency.count,
      ...(this.#isPlanned && { behind: this.#planned - this.#generated }),
      latency_ms: this.#windowLatency.summary(),
    };
    this.#windowLatency.reset();
    this.#windows.push(window);
    if (this.#windows.length > WINDOWS_MAX) this.#windows.shift();
    return window;
  }

  /**
   * Ends the run, whose time does not go on from here, and closes the last window, which is shorter than the others; a
   * moment in which nothing happened is dropped.
   */
  closeLastWindow(): void {
    this.#endedAtMs = performance.now();
    const openSeconds = this.#seconds() - (this.#windows.at(-1)?.seconds ?? 0);
    if (this.#windowLatency.count > 0 || openSeconds >= LAST_WINDOW_SECONDS_MIN) this.closeWindow();
  }

  /** The latencies from the planned time as HdrHistogram's text, the warm-up left out. */
  hgrm(): string {
    return this.#latency.hgrm();
  }

  /** The histograms of `latency_ms` and `latency_from_send_ms`. */
  get latencies(): { readonly planned: LatencyRecorder; readonly fromSend: LatencyRecorder } {
    return { planned: this.#latency, fromSend: this.#latencyFromSend };
  }

  /** @throws {Error} where an order is in no account, or in two: a fault of the program. */
  summary(): ProducerSummary {
    const { warmupMs = 0, seed, isSpoiling = false } = this.#options;
    const { acknowledged } = this.#counts;
    const settled = acknowledged + this.notAcknowledged;
    if (settled !== this.#generated) {
      throw new Error(
        `the accounts do not add up: ${this.#generated} generated, ${settled} settled`,
      );
    }
    const seconds = Math.max(this.#seconds(), 0.001);
    return {
      generated: this.#generated,
      ...this.#counts,
      ...(this.#lostWithTopic > 0 && { lost_with_topic: this.#lostWithTopic }),
      seconds: round(seconds),
      rate: round(acknowledged / seconds),
      mb_per_second: round(this.#acknowledgedBytes / 1e6 / seconds),
      latency_ms: this.#latency.summary(),
      latency_from_send_ms: this.#latencyFromSend.summary(),
      seed,
      ...(this.#isPlanned && {
        planned: this.#planned,
        behind: this.#planned - this.#generated,
        behind_ms_max: round(this.#behindMsMax),
      }),
      buffer_full_ms: round(this.#bufferFullMs),
      ...(this.#throttledMs > 0 && { throttled_ms: round(this.#throttledMs) }),
      ...(warmupMs > 0 && {
        warmup: {
          acknowledged: this.#warmupLatency.count,
          latency_ms: this.#warmupLatency.summary(),
        },
      }),
      ...(isSpoiling && { bad: this.#bad, dead_letters_expected: this.#deadLettersExpected }),
      ...(this.#lookedUp.found + this.#lookedUp.sent_again > 0 && { looked_up: this.#lookedUp }),
      windows: this.#windows,
    };
  }

  /** Since the start, up to the end. */
  #seconds(): number {
    return ((this.#endedAtMs ?? performance.now()) - this.#options.startedAtMs) / 1_000;
  }

  get #isPlanned(): boolean {
    return Number.isFinite(this.#planned);
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
