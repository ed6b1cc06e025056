/**
 * Makes the records of a run: orders of the shop, each with key and partition, some spoilt on purpose.
 */

import { OrderEncoder } from "../shop/order_bytes.ts";
import type { Shop, ShopOrder } from "../shop/shop.ts";
import type { BadOrders } from "./bad_orders.ts";
import type { PlannedRecord } from "./planned_record.ts";

export interface PlannedTimes {
  /** The order's own time, in milliseconds since the epoch. */
  readonly orderAtMs: number;
  /** When it is due, in milliseconds of `performance.now()`. */
  readonly plannedAtMs: number;
}

/** Makes the next record. */
export type NextRecord = (times: PlannedTimes) => PlannedRecord;

/** An order of the shop, or what became of it when it was spoilt. */
export interface OrderRecord extends PlannedRecord {
  readonly value: Uint8Array;
}

export interface OrderRecordsOptions {
  readonly shop: Shop;
  /** Key and partition of an order. */
  readonly route: (order: ShopOrder) => Pick<PlannedRecord, "key" | "partition">;
  readonly badOrders?: BadOrders;
}

/** Orders in the shop's sequence. A bad one has its own sequence, but for a duplicate, which repeats one. */
export function orderRecords(
  { shop, route, badOrders }: OrderRecordsOptions,
): (times: PlannedTimes) => OrderRecord {
  const encoder = new OrderEncoder();
  let lastGood: OrderRecord | undefined;
  return ({ orderAtMs, plannedAtMs }) => {
    const bad = badOrders?.draw();
    // Before the first order there is nothing to repeat.
    if (bad === "duplicate" && lastGood !== undefined) return { ...lastGood, plannedAtMs, bad };

    const order = shop.nextOrder(orderAtMs);
    const { key, partition } = route(order);
    const { order_id: orderId, sequence } = order;
    if (bad === undefined || bad === "duplicate" || badOrders === undefined) {
      const value = encoder.encode(order);
      return lastGood = { orderId, sequence, partition, key, value, plannedAtMs };
    }
    const value = badOrders.valueOf(order, bad);
    return { orderId, sequence, partition, key, value, plannedAtMs, bad };
  };
}
