/**
 * Chooses the key and the partition of each order, and so the orders among which it keeps its place.
 */

import { keyPartitioner } from "../kafka/partitioner.ts";
import type { ShopOrder } from "../shop/shop.ts";
import type { PlannedRecord } from "./delivery.ts";

/** The record's key, as `--key` names it: the customer's id, the order's id, or no key. */
export type KeyKind = "customer" | "order" | "none";

type Route = Pick<PlannedRecord, "key" | "partition">;

const ENCODER = new TextEncoder();

export class OrderRouter {
  readonly #kind: KeyKind;
  /** Routes of the customers seen so far, by id. */
  readonly #routes = new Map<string, Route>();
  #partitionCount: number;
  #partitionOfKey: (key: Uint8Array) => number;

  constructor(kind: KeyKind, partitionCount: number) {
    this.#kind = kind;
    this.#partitionCount = partitionCount;
    this.#partitionOfKey = keyPartitioner(partitionCount);
  }

  /** Routes to another number of partitions from now on. */
  resize(partitionCount: number): void {
    this.#partitionCount = partitionCount;
    this.#partitionOfKey = keyPartitioner(partitionCount);
    this.#routes.clear();
  }

  route(order: ShopOrder): Route {
    switch (this.#kind) {
      case "customer": {
        const { customer_id: id } = order.customer_info;
        let route = this.#routes.get(id);
        if (route === undefined) this.#routes.set(id, route = this.#routeByKey(id));
        return route;
      }
      case "order":
        return this.#routeByKey(order.order_id);
      case "none":
        return { key: null, partition: this.partitionOf({ key: null, sequence: order.sequence }) };
    }
  }

  /** Returns the partition of an order that has its key. Orders without a key take turns. */
  partitionOf({ key, sequence }: Pick<PlannedRecord, "key" | "sequence">): number {
    return key === null ? sequence % this.#partitionCount : this.#partitionOfKey(key);
  }

  #routeByKey(text: string): Route {
    const key = ENCODER.encode(text);
    return { key, partition: this.#partitionOfKey(key) };
  }
}
