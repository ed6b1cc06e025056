/**
 * A run of the producer: orders are made when they are due, handed to delivery, and accounted for.
 *
 * @module
 */

import type { ShopOrder } from "../shop.ts";
import type { Accounts } from "./accounts.ts";
import type { Delivery, Parcel } from "./delivery.ts";
import type { Pacing } from "./pacing.ts";

export interface RunOptions {
  readonly nextOrder: (at: number) => ShopOrder;
  /** Key and partition of an order. */
  readonly route: (order: ShopOrder) => Pick<Parcel, "key" | "partition">;
  readonly pacing: Pacing;
  readonly delivery: Delivery;
  readonly accounts: Accounts;
  /** Ends after so many orders; without end where it is left out. */
  readonly count?: number;
  /** Ends after this time; without end where it is left out. */
  readonly durationMs?: number;
  /** Orders that may wait or be in flight; past it no order is made until some have arrived. */
  readonly bufferCount: number;
  /** Ends the run when it is aborted. */
  readonly stop: AbortSignal;
}

/** The shortest sleep: orders that are due within it make one batch. */
const SLEEP_MS_MIN = 4;
/** The longest: a signal or the end of the duration is noticed within it. */
const SLEEP_MS_MAX = 250;
/** Orders made in one go at most, so that answers are taken in between. */
const BURST_MAX = 256;

const ENCODER = new TextEncoder();

/** Makes orders until the count, the duration or a stop; returns then, without waiting for delivery. */
export async function generateOrders(options: RunOptions): Promise<void> {
  const { pacing, accounts, delivery, stop, count = Infinity, durationMs = Infinity } = options;
  const startedAtMs = performance.now();
  const startedAtEpochMs = Date.now();
  while (!stop.aborted && accounts.generated < count) {
    const elapsedMs = performance.now() - startedAtMs;
    if (elapsedMs >= durationMs) return;

    const due = Math.min(pacing.dueCount(elapsedMs), count);
    const room = options.bufferCount - delivery.unsettledCount;
    const burst = Math.min(due - accounts.generated, room, BURST_MAX);
    for (let made = 0; made < burst; made++) {
      const plannedMs = pacing.dueAtMs(accounts.generated) ?? performance.now() - startedAtMs;
      accounts.countGenerated();
      delivery.accept(makeParcel(options, {
        plannedAtMs: startedAtMs + plannedMs,
        at: Math.floor(startedAtEpochMs + plannedMs),
      }));
    }

    if (room <= burst) await Promise.race([delivery.nextReport(), sleep(SLEEP_MS_MAX, stop)]);
    else if (burst === BURST_MAX) await sleep(0, stop);
    else await sleep(untilNextDueMs(options, startedAtMs), stop);
  }
}

function makeParcel(
  { nextOrder, route }: RunOptions,
  { at, plannedAtMs }: { at: number; plannedAtMs: number },
): Parcel {
  const order = nextOrder(at);
  return {
    orderId: order.order_id,
    sequence: order.sequence,
    ...route(order),
    value: ENCODER.encode(JSON.stringify(order)),
    plannedAtMs,
  };
}

function untilNextDueMs({ pacing, accounts }: RunOptions, startedAtMs: number): number {
  const nextAtMs = pacing.dueAtMs(accounts.generated) ?? 0;
  const waitMs = nextAtMs - (performance.now() - startedAtMs);
  return Math.min(Math.max(waitMs, SLEEP_MS_MIN), SLEEP_MS_MAX);
}

function sleep(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      stop.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    stop.addEventListener("abort", wake);
  });
}
