/**
 * A run of the producer: orders are made when they are due, handed to delivery, and accounted for.
 */

import { delay } from "../async.ts";
import type { Accounts } from "./accounts.ts";
import type { Delivery } from "./delivery.ts";
import type { Pacing } from "./pacing.ts";
import type { NextRecord } from "./order_records.ts";

export interface RunOptions {
  readonly nextRecord: NextRecord;
  readonly pacing: Pacing;
  readonly delivery: Delivery;
  readonly accounts: Accounts;
  /** When the plan begins, in milliseconds of `performance.now()`. */
  readonly startedAtMs: number;
  /**
   * The orders' own time at the start of the plan, in milliseconds since the epoch; what is planned later is as
   * much later, and at the highest rate orders are a millisecond apart. Orders have the time at which
   * they are due where it is left out.
   */
  readonly orderTimeMs?: number;
  /** Ends after so many orders; with the plan where it is left out. */
  readonly count?: number;
  /** Ends when no more orders are due within this time; with the plan where it is left out. */
  readonly durationMs?: number;
  /** Orders that may wait or be in flight; past it no order is made until some have arrived. */
  readonly bufferCount: number;
  /** Ends the run when it is aborted. */
  readonly stop: AbortSignal;
}

/** The shortest sleep: orders that are due within it make one batch. */
const SLEEP_MS_MIN = 2;
/** The longest: a signal or the end of the duration is noticed within it. */
const SLEEP_MS_MAX = 250;
/** Orders made in one go at most, so that answers are taken in between. */
const BURST_MAX = 256;
/** A source that is slow must hold up neither what arrives nor the end. */
const BURST_MS_MAX = 50;
const LAST_BURST_MS_MAX = 1_000;
/** Values of all records that wait or are in flight; more of them where `--buffer` has a larger number of records. */
const BUFFER_BYTES_MIN = 128 * 1024 * 1024;
const BUFFER_BYTES_PER_RECORD = 2 * 1024;

/** Makes orders until the count, the duration, the plan's end or a stop; returns then, without waiting for delivery. */
export async function generateOrders(options: RunOptions): Promise<void> {
  const { pacing, accounts, delivery, stop, startedAtMs, durationMs = Infinity } = options;
  const count = Math.min(options.count ?? Infinity, countBefore(pacing, durationMs));
  const bufferBytesMax = Math.max(
    BUFFER_BYTES_MIN,
    options.bufferCount * BUFFER_BYTES_PER_RECORD,
  );
  const makeOne = orderMaker(options);
  while (!stop.aborted && accounts.generated < count) {
    const elapsedMs = performance.now() - startedAtMs;
    const due = pacing.dueCount(elapsedMs);
    const planned = due === Infinity ? Infinity : Math.min(due, count);
    const isOver = elapsedMs >= durationMs;
    // What is due at the end is still made, where it finds room; without a plan nothing is.
    const burstMax = isOver ? (planned === Infinity ? 0 : Infinity) : BURST_MAX;
    const room = options.bufferCount - delivery.unsettledCount;
    const left = Math.min(planned, count) - accounts.generated;
    const burst = Math.max(0, Math.min(left, room, burstMax));
    const isFull = () => delivery.unsettledBytes >= bufferBytesMax;
    const burstEndMs = performance.now() + (isOver ? LAST_BURST_MS_MAX : BURST_MS_MAX);
    let made = 0;
    try {
      while (made < burst && !isFull() && performance.now() < burstEndMs) {
        makeOne();
        made++;
      }
    } finally {
      // Also where there is no next record.
      accounts.notePace({ planned, behindMs: behindMs(pacing, accounts.generated, elapsedMs) });
    }
    if (isOver) return;

    if (room <= made || isFull()) await waitForRoom(options);
    else if (made < burst || burst === BURST_MAX) await delay(0, stop);
    else await delay(untilNextDueMs(options), stop);
  }
}

/** How many orders are due before a time, one that is due just then left out. */
function countBefore(pacing: Pacing, elapsedMs: number): number {
  const due = Math.min(pacing.dueCount(elapsedMs), pacing.count);
  return (pacing.dueAtMs(due - 1) ?? -1) >= elapsedMs ? due - 1 : due;
}

function behindMs(pacing: Pacing, generated: number, elapsedMs: number): number {
  const dueAtMs = generated < pacing.count ? pacing.dueAtMs(generated) : undefined;
  return dueAtMs === undefined ? 0 : Math.max(0, elapsedMs - dueAtMs);
}

function orderMaker(
  { nextRecord, pacing, delivery, accounts, startedAtMs, orderTimeMs }: RunOptions,
): () => void {
  const startedAtEpochMs = Date.now() - (performance.now() - startedAtMs);
  return () => {
    const index = accounts.generated;
    const plannedMs = pacing.dueAtMs(index);
    const dueMs = plannedMs ?? performance.now() - startedAtMs;
    const record = nextRecord({
      plannedAtMs: startedAtMs + dueMs,
      orderAtMs: Math.floor(
        orderTimeMs === undefined ? startedAtEpochMs + dueMs : orderTimeMs + (plannedMs ?? index),
      ),
    });
    accounts.countGenerated(record.bad);
    delivery.accept(record);
  };
}

async function waitForRoom({ delivery, accounts, stop }: RunOptions): Promise<void> {
  const sinceMs = performance.now();
  await Promise.race([delivery.nextSettled(), delay(SLEEP_MS_MAX, stop)]);
  accounts.noteBufferFull(performance.now() - sinceMs);
}

function untilNextDueMs({ pacing, accounts, startedAtMs, durationMs }: RunOptions): number {
  const nextAtMs = Math.min(pacing.dueAtMs(accounts.generated) ?? 0, durationMs ?? Infinity);
  const waitMs = nextAtMs - (performance.now() - startedAtMs);
  return Math.min(Math.max(waitMs, SLEEP_MS_MIN), SLEEP_MS_MAX);
}
