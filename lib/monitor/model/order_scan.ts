/**
 * Reads the displayed fields of an order (status, total, currency, customer, and items) from the bytes of its JSON
 * text. Falls back to a full parse if the text is not as expected.
 *
 * @module
 */

import { isJsonObject, parseJson } from "../../json.ts";
import { isAt, TextPool } from "./text_pool.ts";

/** Overwritten by the next scan. */
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

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const ENCODER = new TextEncoder();

const KEY = {
  status: ENCODER.encode("status"),
  total: ENCODER.encode("total"),
  currency: ENCODER.encode("currency"),
  customer: ENCODER.encode("customer_info"),
  customerId: ENCODER.encode("customer_id"),
  name: ENCODER.encode("name"),
  items: ENCODER.encode("items"),
  itemId: ENCODER.encode("item_id"),
  itemName: ENCODER.encode("item_name"),
  quantity: ENCODER.encode("quantity"),
} as const;
/** Longer texts are ignored: they are not worth a place in a list. */
const TEXT_BYTES_MAX = 64;
const NAME_BYTES_MAX = 256;

export class OrderScanner implements OrderFacts {
  status: string | undefined = undefined;
  total: number | undefined = undefined;
  currency: string | undefined = undefined;
  customerId: string | undefined = undefined;
  customerName: string | undefined = undefined;
  items: ItemFacts[] = [];
  readonly #texts = new TextPool();
  #itemId: string | undefined = undefined;
  #itemName: string | undefined = undefined;
  #quantity: number | undefined = undefined;

  /** Reads the order in `bytes[start]` to `bytes[end - 1]`, including its braces. */
  scan(bytes: Uint8Array, start: number, end: number): void {
    this.clear();
    if (walkFields(bytes, start + 1, end - 1, this.#noteField)) return;
    this.take(parseJson(DECODER.decode(bytes.subarray(start, end))));
  }

  take(order: unknown): void {
    this.clear();
    if (!isJsonObject(order)) return;
    const { status, total, currency, customer_info: customer, items } = order;
    this.status = textWithin(status, TEXT_BYTES_MAX);
    this.currency = textWithin(currency, TEXT_BYTES_MAX);
    if (typeof total === "number") this.total = total;
    if (isJsonObject(customer)) {
      this.customerId = textWithin(customer["customer_id"], NAME_BYTES_MAX);
      this.customerName = textWithin(customer["name"], NAME_BYTES_MAX);
    }
    if (!Array.isArray(items)) return;
    for (const item of items) {
      if (!isJsonObject(item)) continue;
      const { item_id: id, item_name: name, quantity } = item;
      this.#itemId = textWithin(id, NAME_BYTES_MAX);
      this.#itemName = textWithin(name, NAME_BYTES_MAX);
      this.#quantity = typeof quantity === "number" ? quantity : undefined;
      this.#keepItem();
    }
  }

  clear(): void {
    this.status = undefined;
    this.total = undefined;
    this.currency = undefined;
    this.customerId = undefined;
    this.customerName = undefined;
    this.items = [];
  }

  readonly #noteField = (bytes: Uint8Array, place: FieldPlace): boolean => {
    const { keyStart, keyEnd, valueStart, valueEnd } = place;
    if (isAt(bytes, keyStart, keyEnd, KEY.total)) {
      const total = Number(DECODER.decode(bytes.subarray(valueStart, valueEnd)));
      this.total = total;
      return !Number.isNaN(total);
    }
    if (isAt(bytes, keyStart, keyEnd, KEY.status)) {
      this.status = this.#texts.of(bytes, valueStart, valueEnd, TEXT_BYTES_MAX);
      return this.status !== undefined;
    }
    if (isAt(bytes, keyStart, keyEnd, KEY.currency)) {
      this.currency = this.#texts.of(bytes, valueStart, valueEnd, TEXT_BYTES_MAX);
      return this.currency !== undefined;
    }
    if (isAt(bytes, keyStart, keyEnd, KEY.customer)) {
      this.customerId = undefined;
      this.customerName = undefined;
      return bytes[valueStart] === OPEN_BRACE &&
        walkFields(bytes, valueStart + 1, valueEnd - 1, this.#noteCustomer);
    }
    if (isAt(bytes, keyStart, keyEnd, KEY.items)) {
      return this.#walkItems(bytes, valueStart, valueEnd);
    }
    return true;
  };

  readonly #noteCustomer = (bytes: Uint8Array, place: FieldPlace): boolean => {
    const { keyStart, keyEnd, valueStart, valueEnd } = place;
    if (isAt(bytes, keyStart, keyEnd, KEY.customerId)) {
      this.customerId = this.#texts.of(bytes, valueStart, valueEnd, NAME_BYTES_MAX);
      return this.customerId !== undefined;
    }
    if (isAt(bytes, keyStart, keyEnd, KEY.name)) {
      this.customerName = this.#texts.of(bytes, valueStart, valueEnd, NAME_BYTES_MAX);
      return this.customerName !== undefined;
    }
    return true;
  };

  #walkItems(bytes: Uint8Array, start: number, end: number): boolean {
    this.items = [];
    if (bytes[start] !== OPEN_BRACKET) return false;
    let at = start + 1;
    while (at < end - 1) {
      const itemEnd = endOfValue(bytes, at, end - 1);
      if (itemEnd === undefined || bytes[at] !== OPEN_BRACE) return false;
      this.#itemId = undefined;
      this.#itemName = undefined;
      this.#quantity = undefined;
      if (!walkFields(bytes, at + 1, itemEnd - 1, this.#noteItem)) return false;
      this.#keepItem();
      at = itemEnd + 1;
    }
    return true;
  }

  readonly #noteItem = (bytes: Uint8Array, place: FieldPlace): boolean => {
    const { keyStart, keyEnd, valueStart, valueEnd } = place;
    if (isAt(bytes, keyStart, keyEnd, KEY.itemId)) {
      this.#itemId = this.#texts.of(bytes, valueStart, valueEnd, NAME_BYTES_MAX);
      return this.#itemId !== undefined;
    }
    if (isAt(bytes, keyStart, keyEnd, KEY.itemName)) {
      this.#itemName = this.#texts.of(bytes, valueStart, valueEnd, NAME_BYTES_MAX);
      return this.#itemName !== undefined;
    }
    if (isAt(bytes, keyStart, keyEnd, KEY.quantity)) {
      this.#quantity = smallInteger(bytes, valueStart, valueEnd);
      return this.#quantity !== undefined;
    }
    return true;
  };

  #keepItem(): void {
    const quantity = this.#quantity;
    if (this.#itemId === undefined || quantity === undefined || !(quantity > 0)) return;
    this.items.push({ id: this.#itemId, name: this.#itemName, quantity });
  }
}

/** The positions of a field's key, without quotes, and value. */
interface FieldPlace {
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/**
 * Visits the fields of an object that spans `start` to `end - 1`, including braces. Returns false if it is malformed,
 * or if `note` returns false.
 */
function walkFields(
  bytes: Uint8Array,
  start: number,
  end: number,
  note: (bytes: Uint8Array, place: FieldPlace) => boolean,
): boolean {
  let at = start;
  while (at < end) {
    if (bytes[at] !== QUOTE) return false;
    const keyStart = at + 1;
    const keyEnd = plainStringEnd(bytes, keyStart, end);
    if (keyEnd === undefined || bytes[keyEnd + 1] !== COLON) return false;
    const valueStart = keyEnd + 2;
    const valueEnd = endOfValue(bytes, valueStart, end);
    if (valueEnd === undefined) return false;
    if (!note(bytes, { keyStart, keyEnd, valueStart, valueEnd })) return false;
    if (valueEnd === end) return true;
    at = valueEnd + 1;
  }
  return false;
}

function textWithin(value: unknown, bytesMax: number): string | undefined {
  return typeof value === "string" && value.length <= bytesMax ? value : undefined;
}

/** Parses up to nine digits, which are exact; otherwise returns undefined. */
function smallInteger(bytes: Uint8Array, start: number, end: number): number | undefined {
  if (end - start < 1 || end - start > 9) return undefined;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}

/** Returns the position of the closing quote of a string without escapes. */
function plainStringEnd(bytes: Uint8Array, start: number, end: number): number | undefined {
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) return undefined;
  }
  return undefined;
}

/** Returns the position after a value: that of the following comma, or `end`. */
function endOfValue(bytes: Uint8Array, start: number, end: number): number | undefined {
  let depth = 0;
  let at = start;
  while (at < end) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at++;
      while (at < end && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
      if (at >= end) return undefined;
    } else if (byte === COMMA) {
      if (depth === 0) return at;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
    }
    at++;
  }
  return depth === 0 && at === end ? end : undefined;
}
