/**
 * Bad data on purpose: some of the orders are spoilt in a known way before they are sent, so that what a
 * consumer does about them can be compared with what there was.
 */

import { Random, STREAMS } from "../shop/random.ts";
import type { ShopOrder } from "../shop/shop.ts";

/** The ways to corrupt a record. */
export const BAD_KINDS = [
  /** The JSON text ends in the middle. */
  "malformed-json",
  /** A field is left out that the contract asks for. */
  "missing-field",
  /** `total` is not what its parts add up to. */
  "wrong-total",
  /** The customer's e-mail address has no @. */
  "bad-email",
  /** The value has no bytes. */
  "empty",
  /** A byte that UTF-8 does not have stands in the text. */
  "invalid-utf8",
  /** The last good order once more, with the same order_id: valid, and so not dead-lettered by the tracker. */
  "duplicate",
  /** Larger than the topic takes: the broker refuses it, and it counts as failed. */
  "oversize",
] as const;

export type BadKind = typeof BAD_KINDS[number];

/** All that a broker stores. */
export const DEFAULT_BAD_KINDS: readonly BadKind[] = BAD_KINDS.filter((kind) =>
  kind !== "oversize"
);

/** True if the tracker dead-letters a stored record of this kind. */
export function isDeadLetter(kind: BadKind): boolean {
  return kind !== "duplicate" && kind !== "oversize";
}

export interface BadOrdersOptions {
  /** How many of a hundred records are bad; above 0, fractions allowed. */
  readonly percent: number;
  /** Drawn from evenly. */
  readonly kinds: readonly BadKind[];
  /** May be the shop's seed: the draws are independent, see {@link STREAMS}. */
  readonly seed: number;
  /** Minimum size in bytes of values of the kind `oversize`. */
  readonly oversizeBytes: number;
}

const REQUIRED_FIELDS = [
  "order_id",
  "sequence",
  "status",
  "items",
  "sub_total",
  "total",
  "customer_info",
] as const;
/** Error of a wrong total in cents, well above the cent that the contract allows. */
const WRONG_BY_CENTS_MIN = 100;
const WRONG_BY_CENTS_MAX = 10_000;
const NOT_UTF8 = 0xff;

const ENCODER = new TextEncoder();

/** Draws which records are bad, and makes them so; the same seed gives the same ones. */
export class BadOrders {
  readonly #options: BadOrdersOptions;
  readonly #random: Random;

  constructor(options: BadOrdersOptions) {
    this.#options = options;
    this.#random = new Random(options.seed, { stream: STREAMS.badOrders });
  }

  /** Returns how to corrupt the next record; undefined for a good one. */
  draw(): BadKind | undefined {
    if (this.#random.unit() * 100 >= this.#options.percent) return undefined;
    return this.#pick(this.#options.kinds);
  }

  /** The bytes of a spoilt order; a `duplicate` is none. */
  valueOf(order: ShopOrder, kind: Exclude<BadKind, "duplicate">): Uint8Array<ArrayBuffer> {
    switch (kind) {
      case "malformed-json": {
        const text = JSON.stringify(order);
        return ENCODER.encode(text.slice(0, this.#between(1, text.length - 1)));
      }
      case "missing-field": {
        const { [this.#pick(REQUIRED_FIELDS)]: _, ...rest } = order;
        return encoded(rest);
      }
      case "wrong-total": {
        const cents = Math.round(order.total * 100) +
          this.#between(WRONG_BY_CENTS_MIN, WRONG_BY_CENTS_MAX);
        return encoded({ ...order, total: cents / 100 });
      }
      case "bad-email": {
        const { customer_info: customer } = order;
        const email = customer.email.replace("@", " at ");
        return encoded({ ...order, customer_info: { ...customer, email } });
      }
      case "empty":
        return new Uint8Array();
      case "invalid-utf8": {
        const value = encoded(order);
        value[this.#between(1, value.length - 1)] = NOT_UTF8;
        return value;
      }
      case "oversize":
        return encoded({ ...order, padding: "x".repeat(this.#options.oversizeBytes) });
    }
  }

  #pick<Value>(values: readonly Value[]): Value {
    const value = values[this.#between(0, values.length - 1)];
    if (value === undefined) throw new RangeError("expected at least one value to pick from");
    return value;
  }

  /** A whole number; both ends belong to the range. */
  #between(min: number, max: number): number {
    return min + Math.floor(this.#random.unit() * (max - min + 1));
  }
}

function encoded(value: object): Uint8Array<ArrayBuffer> {
  return ENCODER.encode(JSON.stringify(value));
}
