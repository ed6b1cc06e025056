/**
 * The displayed fields of an order: status, total, currency, customer, and items. Pure.
 */

import { isJsonObject, type JsonObject } from "../../json.ts";

/** A field of another type, or a text that is too long for a list, is undefined. */
export interface OrderFacts {
  readonly status: string | undefined;
  readonly total: number | undefined;
  readonly currency: string | undefined;
  readonly customerId: string | undefined;
  readonly customerName: string | undefined;
  /** Items with an id and a quantity above 0. */
  readonly items: readonly ItemFacts[];
}

export interface ItemFacts {
  readonly id: string;
  readonly name: string | undefined;
  readonly quantity: number;
}

const TEXT_LENGTH_MAX = 64;
const NAME_LENGTH_MAX = 256;
const NO_FIELDS: JsonObject = {};

export const NO_ORDER: OrderFacts = {
  status: undefined,
  total: undefined,
  currency: undefined,
  customerId: undefined,
  customerName: undefined,
  items: [],
};

export function orderFacts(order: unknown): OrderFacts {
  if (!isJsonObject(order)) return NO_ORDER;
  const { status, total, currency, customer_info: info, items } = order;
  const { customer_id: customerId, name } = isJsonObject(info) ? info : NO_FIELDS;
  return {
    status: textWithin(status, TEXT_LENGTH_MAX),
    total: typeof total === "number" ? total : undefined,
    currency: textWithin(currency, TEXT_LENGTH_MAX),
    customerId: textWithin(customerId, NAME_LENGTH_MAX),
    customerName: textWithin(name, NAME_LENGTH_MAX),
    items: Array.isArray(items) ? itemsOf(items) : [],
  };
}

function itemsOf(values: readonly unknown[]): readonly ItemFacts[] {
  const items: ItemFacts[] = [];
  for (const value of values) {
    if (!isJsonObject(value)) continue;
    const { item_id, item_name, quantity } = value;
    const id = textWithin(item_id, NAME_LENGTH_MAX);
    if (id === undefined || typeof quantity !== "number" || !(quantity > 0)) continue;
    items.push({ id, name: textWithin(item_name, NAME_LENGTH_MAX), quantity });
  }
  return items;
}

function textWithin(value: unknown, lengthMax: number): string | undefined {
  return typeof value === "string" && value.length <= lengthMax ? value : undefined;
}
