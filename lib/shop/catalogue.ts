/**
 * The shop's products and their stock.
 */

import type { Faker } from "@faker-js/faker";

const STOCK_LEVEL_MIN = 100;
const STOCK_LEVEL_MAX = 2_000;
const PRICE_MIN = 3;
const PRICE_MAX = 250;
/** Cents subtracted from a whole price: 12.00, 11.99, 11.95, 11.90, 11.50. */
const PRICE_ENDINGS_CENTS = [0, 1, 5, 10, 50];

export interface Product {
  readonly id: string;
  readonly name: string;
  readonly unitPriceCents: number;
  /** The full stock, always `available + reserved` of its {@link Stock}. */
  readonly stockLevel: number;
}

/** Creates products, from the most to the least popular. Deterministic for a given generator state. */
export function makeCatalogue(faker: Faker, count: number): readonly Product[] {
  return Array.from({ length: count }, (_, rank) => ({
    id: `ITEM-${String(rank + 1).padStart(5, "0")}`,
    name: faker.commerce.productName(),
    unitPriceCents: makePriceCents(faker),
    stockLevel: faker.number.int({ min: STOCK_LEVEL_MIN, max: STOCK_LEVEL_MAX }),
  }));
}

// Many cheap products and a few expensive ones. Uses no power or logarithm: their last bit may differ by machine.
function makePriceCents(faker: Faker): number {
  const unit = faker.number.float();
  const price = Math.ceil(PRICE_MIN + (PRICE_MAX - PRICE_MIN) * unit * unit * unit);
  return price * 100 - faker.helpers.arrayElement(PRICE_ENDINGS_CENTS);
}

/** The stock of one product: orders reserve from it, and deliveries refill it. */
export class Stock {
  readonly #level: number;
  #available: number;

  constructor(level: number) {
    this.#level = level;
    this.#available = level;
  }

  get available(): number {
    return this.#available;
  }

  /** Quantity reserved by orders since the last delivery. */
  get reserved(): number {
    return this.#level - this.#available;
  }

  /** Reserves a quantity; refills the stock first if it is too low. */
  reserve(quantity: number): void {
    if (quantity > this.#level) {
      throw new RangeError(
        `cannot reserve ${quantity}, expected at most the stock level ${this.#level}`,
      );
    }
    if (this.#available < quantity) this.#available = this.#level;
    this.#available -= quantity;
  }
}
