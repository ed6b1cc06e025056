/**
 * A simulated shop: it has a catalogue and customers who come back, and it writes orders.
 *
 * Catalogue and customers are made once, with faker; the orders are then drawn from them. That is what a
 * shop is like, and it is fast: one thread draws and serializes some 200,000 orders a second.
 *
 * @example
 * ```ts
 * import { createShop } from "./shop.ts";
 *
 * const shop = createShop({ seed: 42 });
 * console.log(JSON.stringify(shop.nextOrder(Date.now())));
 * ```
 *
 * @module
 */

import { faker as englishFaker } from "@faker-js/faker/locale/en";
import { toDecimal } from "./order/money.ts";
import {
  type CustomerInfo,
  type InventoryStatus,
  type Order,
  ORDER_VERSION,
  type OrderItem,
  type OrderMetadata,
} from "./order/schema.ts";
import { makeCatalogue, type Product, Stock } from "./shop/catalogue.ts";
import { makeCustomers } from "./shop/customers.ts";
import { type CountryCode, type Market, MARKETS } from "./shop/markets.ts";
import { Random, WeightedIndex } from "./shop/random.ts";
import { SeasonalIndex } from "./shop/season.ts";

export { COUNTRY_CODES, type CountryCode } from "./shop/markets.ts";

const WAREHOUSE = "PARIS-01";
/** 2.50, in whatever currency. */
const SHIPPING_FEE_CENTS = 250;

// How many of a hundred baskets have one product, two, ... eight.
const BASKET_SIZE_WEIGHTS = [38, 27, 15, 9, 5, 3, 2, 1];
// How many of a hundred lines are for one of a product, two, ... five.
const QUANTITY_WEIGHTS = [68, 20, 7, 3, 2];
const PAYMENT_METHODS = ["credit_card", "paypal", "apple_pay", "bank_transfer"] as const;
const PAYMENT_METHOD_WEIGHTS = [70, 15, 10, 5];

/** What the shop is made of. */
export interface ShopOptions {
  /**
   * Decides everything about the shop: the same seed and the same times give the same orders, byte for
   * byte, with the same version of faker. A whole number, not below 0.
   */
  readonly seed: number;
  /** How many customers there are; each costs some 25 microseconds once. Default: 1,000. */
  readonly customers?: number;
  /** How many products there are. Default: 500. */
  readonly products?: number;
  /**
   * Where the customers live, evenly spread: names, addresses, telephone numbers, currency and tax rate
   * are their country's. Default: France, so EUR and 20 %.
   */
  readonly countries?: readonly CountryCode[];
  /** The sequence of the first order. Default: 1. */
  readonly firstSequence?: number;
}

/** An order as the shop writes it: every field of the contract is there. */
export interface ShopOrder extends Order {
  /** By the customer's country. */
  readonly tax: number;
  /** Nothing from a certain amount on. */
  readonly shipping_fee: number;
  /** Of the customer's country. */
  readonly currency: string;
  /** As often as people use it. */
  readonly payment_method: string;
  /** The customer's. */
  readonly shipping_address: string;
  /** With the time that the order was made at. */
  readonly metadata: Required<OrderMetadata>;
  /** One of the shop's customers, some far more often than others. */
  readonly customer_info: Required<CustomerInfo>;
  /** Of what was ordered. */
  readonly inventory_status: readonly Required<InventoryStatus>[];
}

/** Makes orders, one after another. */
export interface Shop {
  /**
   * The next order, made at the given time (milliseconds since the epoch); its sequence is one above the
   * last one's. Costs a little over a microsecond.
   *
   * @throws {RangeError} where the time is not a date; nothing is drawn then.
   */
  nextOrder(at: Date | number): ShopOrder;
}

/**
 * Opens a shop. Takes some 40 ms, for it asks faker for every customer and product.
 *
 * It reseeds faker's own shared generators of the locale `en` and of the countries'.
 *
 * @throws {RangeError} where an option is out of its range.
 */
export function createShop(
  { seed, customers = 1_000, products = 500, firstSequence = 1, countries = ["FR"] }: ShopOptions,
): Shop {
  refuseUnless({ seed }, 0);
  refuseUnless({ customers, products, firstSequence }, 1);

  refuseUnless({ "number of countries": countries.length }, 1);

  const fakerSeed = [seed >>> 0, Math.floor(seed / 2 ** 32)];
  const markets = countries.map((code) => MARKETS[code]);
  for (const faker of [englishFaker, ...markets.map((market) => market.faker)]) {
    faker.seed(fakerSeed);
  }
  const catalogue = makeCatalogue(englishFaker, products);
  const shelves = catalogue.map((product) => ({ product, stock: new Stock(product.stockLevel) }));
  const customerBase = makeCustomers(markets, customers);

  const random = new Random(seed);
  const customerIndex = WeightedIndex.byPopularity(customers);
  const shelfIndex = new SeasonalIndex(products);
  let sequence = firstSequence;
  // At a high rate many orders are made within a millisecond.
  let time = { atMs: NaN, timestamp: "" };

  return {
    nextOrder(at) {
      const atMs = Number(at);
      if (atMs !== time.atMs) time = { atMs, timestamp: new Date(atMs).toISOString() };
      const { timestamp } = time;
      const { info: customer, market } = pick(customerBase, customerIndex.draw(random));
      const items: OrderItem[] = [];
      const inventory: Required<InventoryStatus>[] = [];
      const hourIndex = shelfIndex.at(atMs);
      let subTotalCents = 0;
      for (const { product, stock } of drawBasket(shelves, hourIndex, random)) {
        const quantity = 1 + QUANTITY_INDEX.draw(random);
        stock.reserve(quantity);
        const unitPriceCents = priceIn(market, product);
        items.push(itemOf(product, { quantity, unitPriceCents }));
        inventory.push(inventoryOf(product, { stock, unitPriceCents }));
        subTotalCents += quantity * unitPriceCents;
      }
      const taxCents = Math.round(subTotalCents * market.taxPercent / 100);
      return {
        order_id: random.uuid(),
        sequence: sequence++,
        status: "pending",
        items,
        sub_total: toDecimal(subTotalCents),
        tax: toDecimal(taxCents),
        shipping_fee: toDecimal(SHIPPING_FEE_CENTS),
        total: toDecimal(subTotalCents + taxCents + SHIPPING_FEE_CENTS),
        currency: market.currency,
        payment_method: pick(PAYMENT_METHODS, PAYMENT_METHOD_INDEX.draw(random)),
        shipping_address: customer.address,
        metadata: {
          timestamp,
          version: ORDER_VERSION,
          event_type: "order.created",
          source: "producer-service",
          correlation_id: random.uuid(),
        },
        customer_info: customer,
        inventory_status: inventory,
      };
    },
  };
}

const BASKET_SIZE_INDEX = new WeightedIndex(BASKET_SIZE_WEIGHTS);
const QUANTITY_INDEX = new WeightedIndex(QUANTITY_WEIGHTS);
const PAYMENT_METHOD_INDEX = new WeightedIndex(PAYMENT_METHOD_WEIGHTS);

interface Shelf {
  readonly product: Product;
  readonly stock: Stock;
}

function drawBasket(
  shelves: readonly Shelf[],
  shelfIndex: WeightedIndex,
  random: Random,
): readonly Shelf[] {
  const size = Math.min(1 + BASKET_SIZE_INDEX.draw(random), shelves.length);
  const basket: Shelf[] = [];
  while (basket.length < size) {
    let index = shelfIndex.draw(random);
    // A product comes once in a basket: where it is taken, the next one not yet in it is.
    while (basket.includes(pick(shelves, index))) index = (index + 1) % shelves.length;
    basket.push(pick(shelves, index));
  }
  return basket;
}

function priceIn({ priceOf100 }: Market, { unitPriceCents }: Product): number {
  return Math.round(unitPriceCents * priceOf100 / 100);
}

function itemOf(
  { id, name }: Product,
  { quantity, unitPriceCents }: { quantity: number; unitPriceCents: number },
): OrderItem {
  return {
    item_id: id,
    item_name: name,
    quantity,
    unit_price: toDecimal(unitPriceCents),
    total_price: toDecimal(quantity * unitPriceCents),
  };
}

function inventoryOf(
  { id, name }: Product,
  { stock, unitPriceCents }: { stock: Stock; unitPriceCents: number },
): Required<InventoryStatus> {
  return {
    item_id: id,
    item_name: name,
    available_qty: stock.available,
    reserved_qty: stock.reserved,
    unit_price: toDecimal(unitPriceCents),
    in_stock: stock.available > 0,
    warehouse: WAREHOUSE,
  };
}

function pick<T>(list: readonly T[], index: number): T {
  const value = list[index];
  if (value === undefined) throw new RangeError(`no element ${index} in a list of ${list.length}`);
  return value;
}

function refuseUnless(options: Readonly<Record<string, number>>, min: number): void {
  for (const [name, value] of Object.entries(options)) {
    if (Number.isSafeInteger(value) && value >= min) continue;
    throw new RangeError(
      `cannot open a shop with ${name} ${value}, expected a whole number not below ${min}`,
    );
  }
}
