/**
 * Sums up the orders: counts by status, revenue by currency, top products and customers.
 *
 * Pure: orders and the time are passed in.
 */

import { AMOUNT_MAX, toCents } from "../../order/money.ts";
import type { OrderFacts } from "./order_facts.ts";
import { type Counted, Tally } from "./tally.ts";

/** Minutes of event timestamps over which revenue is averaged. */
export const REVENUE_MINUTES = 5;
/** Bounds memory for a hostile journal; further names are counted together. */
const NAMES_MAX = 20;
export const OTHER_NAME = "other";
const MINUTE_MS = 60_000;
const SPAN_MS_MIN = 1_000;

export interface Revenue {
  readonly currency: string;
  readonly totalCents: number;
  /** Average over the last {@link REVENUE_MINUTES} full minutes and the current one, from the first amount on. */
  readonly perMinuteCents: number;
}

export interface BusinessView {
  /** Sorted by count, highest first. */
  readonly ordersByStatus: ReadonlyMap<string, number>;
  /** Largest amounts first. */
  readonly revenue: readonly Revenue[];
  /** By units sold. */
  readonly topProducts: readonly Counted[];
  /** By orders. */
  readonly topCustomers: readonly Counted[];
}

/** Returns whether the topic has any orders. */
export function hasOrders({ business }: { readonly business: BusinessView }): boolean {
  const { ordersByStatus, revenue, topProducts, topCustomers } = business;
  return ordersByStatus.size + revenue.length + topProducts.length + topCustomers.length > 0;
}

interface Takings {
  totalCents: number;
  /** Cents by minute since the epoch, for the latest minutes. */
  minutes: Map<number, number>;
  firstMs: number;
}

export class Business {
  #statuses = new Map<string, number>();
  #takings = new Map<string, Takings>();
  #products = new Tally();
  #customers = new Tally();

  copy(): Business {
    const copy = new Business();
    copy.#statuses = new Map(this.#statuses);
    for (const [currency, takings] of this.#takings) {
      copy.#takings.set(currency, { ...takings, minutes: new Map(takings.minutes) });
    }
    copy.#products = this.#products.copy();
    copy.#customers = this.#customers.copy();
    return copy;
  }

  /** Counts an order that the tracker processed; skips missing fields. */
  note(order: OrderFacts, timestampMs: number): void {
    const { status, total, currency, customerId, customerName, items } = order;
    for (const { id, name, quantity } of items) this.#products.add(id, name ?? id, quantity);
    if (customerId !== undefined) this.#customers.add(customerId, customerName ?? customerId, 1);
    if (status !== undefined) {
      const name = boundedName(this.#statuses, status);
      this.#statuses.set(name, (this.#statuses.get(name) ?? 0) + 1);
    }
    if (currency === undefined || total === undefined || !(Math.abs(total) <= AMOUNT_MAX)) return;
    const name = boundedName(this.#takings, currency);
    const takings = this.#takings.get(name) ?? {
      totalCents: 0,
      minutes: new Map(),
      firstMs: Infinity,
    };
    this.#takings.set(name, takings);
    const cents = toCents(total);
    takings.totalCents += cents;
    if (Number.isNaN(timestampMs)) return;
    noteMinute(takings.minutes, timestampMs, cents);
    if (timestampMs < takings.firstMs) takings.firstMs = timestampMs;
  }

  view(nowMs: number): BusinessView {
    return {
      ordersByStatus: new Map([...this.#statuses].sort(([, one], [, other]) => other - one)),
      revenue: this.#revenue(nowMs),
      topProducts: this.#products.top,
      topCustomers: this.#customers.top,
    };
  }

  #revenue(nowMs: number): readonly Revenue[] {
    const thisMinute = Math.floor(nowMs / MINUTE_MS);
    const windowMs = nowMs - (thisMinute - REVENUE_MINUTES) * MINUTE_MS;
    return this.#takings.entries().map(([currency, { totalCents, minutes, firstMs }]) => {
      let cents = 0;
      for (const [minute, taken] of minutes) {
        if (minute >= thisMinute - REVENUE_MINUTES && minute <= thisMinute) cents += taken;
      }
      // Below a second, one order would give a rate of thousands.
      const spanMs = Math.min(windowMs, Math.max(SPAN_MS_MIN, nowMs - firstMs));
      const perMinuteCents = cents === 0 ? 0 : Math.round(cents / (spanMs / MINUTE_MS));
      return { currency, totalCents, perMinuteCents };
    }).toArray().sort((one, other) => other.totalCents - one.totalCents);
  }
}

function noteMinute(minutes: Map<number, number>, timestampMs: number, cents: number): void {
  const minute = Math.floor(timestampMs / MINUTE_MS);
  minutes.set(minute, (minutes.get(minute) ?? 0) + cents);
  if (minutes.size <= 2 * REVENUE_MINUTES) return;
  minutes.delete(Math.min(...minutes.keys()));
}

function boundedName(names: ReadonlyMap<string, unknown>, name: string): string {
  return names.has(name) || names.size < NAMES_MAX ? name : OTHER_NAME;
}
