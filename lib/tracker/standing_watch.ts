/**
 * Reports the tracker's state on request, and checks once a second for partitions that do not advance and for open
 * transactions, which it logs.
 */

import type { PartitionStanding } from "../kafka/consumer/api.ts";
import type { GroupConsumer } from "../kafka/consumer/group_consumer.ts";
import type { Logger } from "../log.ts";
import { noteLag } from "../telemetry.ts";
import type { BlockedLetter, DeadLetters } from "./dead_letters.ts";
import type { Journal } from "../journal/journal.ts";
import type { Metrics } from "./metrics.ts";
import { ProgressWatch } from "./progress_watch.ts";
import {
  assess,
  blockedPartitions,
  type HandlerCall,
  type Observation,
  type Standing,
} from "./standing.ts";
import type { OpenTransactionStatus, PartitionStatus, TrackerReport } from "../tracker_status.ts";

export interface StandingWatchOptions {
  readonly topic: string;
  readonly consumer: Pick<GroupConsumer, "positions" | "standing">;
  readonly journal: Pick<Journal, "stallReason">;
  readonly deadLetters: Pick<DeadLetters, "blocked"> | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly stopping: AbortSignal;
}

const INTERVAL_MS = 1_000;
/** Transactions that are open for less time are not logged. */
const TRANSACTION_SAID_AFTER_MS = 5_000;
const NONE_BLOCKED: ReadonlyMap<number, BlockedLetter> = new Map();

interface RunningCall {
  readonly offset: number;
  readonly sinceMs: number;
}

export class StandingWatch {
  readonly #options: StandingWatchOptions;
  readonly #progress = new ProgressWatch();
  readonly #calls = new Map<number, RunningCall>();
  #hasJoined = false;
  #unassignedSinceMs: number | undefined;
  /** The first offsets of logged open transactions, by partition. */
  readonly #saidTransactions = new Map<number, number>();
  readonly #saidStill = new Set<number>();

  constructor(options: StandingWatchOptions) {
    this.#options = options;
    options.metrics.followLag(() => {
      const { partitions } = options.consumer.standing;
      return {
        lag: new Map(partitions.map(({ partition, lag }) => [partition, lag])),
        openTransactions: partitions.flatMap(openTransactionOf),
      };
    });
  }

  /** Checks once a second until the result is disposed. */
  start(): Disposable {
    const timer = setInterval(() => this.#look(), INTERVAL_MS);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        this.#look();
      },
    };
  }

  /** Marks a record as being handled until the result is disposed. */
  handling({ partition, offset }: { partition: number; offset: number }): Disposable {
    this.#calls.set(partition, { offset, sinceMs: performance.now() });
    return {
      [Symbol.dispose]: () => {
        this.#calls.delete(partition);
        this.#progress.noteProgress(partition, performance.now());
      },
    };
  }

  get standing(): Standing {
    return assess(this.#observation());
  }

  #observation(): Observation {
    const { topic, consumer, journal, deadLetters, stopping } = this.#options;
    const nowMs = performance.now();
    if (consumer.positions !== undefined) this.#hasJoined = true;
    const calls = [...this.#calls].map(([partition, { offset, sinceMs }]) =>
      [partition, { offset, forMs: nowMs - sinceMs } satisfies HandlerCall] as const
    );
    return {
      topic,
      isStopping: stopping.aborted,
      hasJoined: this.#hasJoined,
      isPlaced: consumer.positions !== undefined,
      stallReason: journal.stallReason,
      consumer: consumer.standing,
      blockedLetters: deadLetters?.blocked ?? NONE_BLOCKED,
      handlerCalls: new Map(calls),
      stillMs: (partition) => this.#progress.stillMs(partition, nowMs),
      unassignedMs: nowMs - (this.#unassignedSinceMs ?? nowMs),
    };
  }

  /** The current state with the figures, for `tracker.status`. */
  get report(): TrackerReport {
    const { consumer, metrics } = this.#options;
    const observation = this.#observation();
    const { state, isReady, reason, partitionReasons } = assess(observation);
    const blocked = blockedPartitions(observation);
    const { partitions, unassigned } = consumer.standing;
    const latency = metrics.recentLatency();
    const { received, processed, failed, dead_lettered, already_journaled } = metrics.totals();
    return {
      state,
      ready: isReady,
      ...(reason !== undefined && { reason }),
      partitions: partitions.map((each) => partitionOf(each, partitionReasons)),
      unassigned: unassigned ?? null,
      open_transactions: partitions.flatMap(openTransactionOf),
      ...(blocked.length > 0 && { blocked_partitions: blocked }),
      latency_ms: latency === undefined
        ? null
        : { p50: latency.p50, p99: latency.p99, max: latency.max },
      counters: { received, processed, failed, dead_lettered, already_journaled },
    };
  }

  #look(): void {
    const { topic, consumer } = this.#options;
    const nowMs = performance.now();
    const { partitions, unassigned = [] } = consumer.standing;
    this.#unassignedSinceMs = unassigned.length === 0
      ? undefined
      : this.#unassignedSinceMs ?? nowMs;
    this.#progress.observe(partitions, nowMs);
    for (const { partition, lag } of partitions) {
      if (lag !== undefined) noteLag({ topic, partition }, lag);
    }
    this.#sayTransactions(partitions);
    this.#sayStill(partitions, nowMs);
  }

  #sayTransactions(partitions: readonly PartitionStanding[]): void {
    const { log, topic } = this.#options;
    for (const { partition, openTransaction } of partitions) {
      const said = this.#saidTransactions.get(partition);
      const firstOffset = openTransaction?.firstOffset;
      if (said !== undefined && said !== firstOffset) {
        log.warn("The transaction that records waited behind has ended", {
          topic,
          partition,
          firstOffset: said,
        });
        this.#saidTransactions.delete(partition);
      }
      if (openTransaction === undefined || said === firstOffset) continue;
      if (openTransaction.openMs < TRANSACTION_SAID_AFTER_MS) continue;
      this.#saidTransactions.set(partition, openTransaction.firstOffset);
      log.warn("Records wait behind an open transaction", {
        topic,
        partition,
        firstOffset,
        records: openTransaction.recordCount,
        seconds: seconds(openTransaction.openMs),
      });
    }
  }

  #sayStill(partitions: readonly PartitionStanding[], nowMs: number): void {
    const { log, topic } = this.#options;
    const { partitionReasons, hasCommonCause } = this.standing;
    for (const standing of partitions) {
      const { partition, lag } = standing;
      const stillMs = this.#progress.stillMs(standing, nowMs);
      if (stillMs === 0) {
        if (this.#saidStill.delete(partition)) {
          log.warn("The partition advances again", { topic, partition });
        }
      } else if (!this.#saidStill.has(partition) && !hasCommonCause) {
        this.#saidStill.add(partition);
        log.warn("A partition does not advance", {
          topic,
          partition,
          lag: lag ?? "unknown",
          seconds: seconds(stillMs),
          why: partitionReasons.get(partition),
        });
      }
    }
  }
}

function partitionOf(
  { partition, position, committed, lag }: PartitionStanding,
  reasons: ReadonlyMap<number, string>,
): PartitionStatus {
  const reason = reasons.get(partition);
  return {
    partition,
    position: position ?? null,
    committed: committed ?? null,
    lag: lag ?? null,
    ...(reason !== undefined && { reason }),
  };
}

function openTransactionOf(
  { partition, openTransaction }: PartitionStanding,
): readonly OpenTransactionStatus[] {
  if (openTransaction === undefined) return [];
  const { firstOffset, recordCount, openMs } = openTransaction;
  return [{
    partition,
    first_offset: firstOffset,
    records: recordCount,
    seconds: seconds(openMs),
  }];
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
