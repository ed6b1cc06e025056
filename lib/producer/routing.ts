/**
 * What decides about an order's partition, and so with which other orders it keeps its place in line.
 *
 * @module
 */

import type { ShopOrder } from "../shop/shop.ts";
import type { Parcel } from "./delivery.ts";

/** As `--key` has it: all orders of a customer in line, each order by its id, or no key at all. */
export type KeyKind = "customer" | "order" | "none";

export interface RouterOptions {
  readonly partitionCount: number;
  readonly partitionOfKey: (key: Uint8Array) => number;
}

const ENCODER = new TextEncoder();

/** A function from order to key and partition; orders without a key go to the partitions in turn. */
export function orderRouter(
  kind: KeyKind,
  { partitionCount, partitionOfKey }: RouterOptions,
): (order: ShopOrder) => Pick<Parcel, "key" | "partition"> {
  const byKey = (text: string) => {
    const key = ENCODER.encode(text);
    return { key, partition: partitionOfKey(key) };
  };
  switch (kind) {
    case "customer": {
      // Customers come back: each is looked at once.
      const known = new Map<string, Pick<Parcel, "key" | "partition">>();
      return ({ customer_info: { customer_id: id } }) => {
        let route = known.get(id);
        if (route === undefined) known.set(id, route = byKey(id));
        return route;
      };
    }
    case "order":
      return (order) => byKey(order.order_id);
    case "none":
      return (order) => ({ key: null, partition: order.sequence % partitionCount });
  }
}
