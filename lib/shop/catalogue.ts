/**
 * What the shop sells, and how much of it is in the warehouse.
 *
 * @module
 */

import type { Faker } from "@faker-js/faker";

const STOCK_LEVEL_MIN = 100;
const STOCK_LEVEL_MAX = 2_000;
const PRICE_MIN = 3;
const PRICE_MAX = 250;
/** What a price falls short of a round one: 12.00, 11.99, 11.95, 11.90, 11.50. */
const PRICE_ENDINGS_CENTS = [0, 1, 5, 10, 50];

/** Something the shop sells. */
export interface Product {
  readonly id: string;
  readonly name: string;
  readonly unitPriceCents: number;
  /** How many the warehouse holds when full. Always `available + reserved` of its {@link Stock}. */
  readonly stockLevel: number;
}

/** From the most to the least popular; the same generator state gives the same ones. */
export function makeCatalogue(faker: Faker, count: number): readonly Product[] {
  return Array.from({ length: count }, (_, rank) => ({
    id: `ITEM-${String(rank + 1).padStart(5, "0")}`,
    name: faker.commerce.productName(),
    unitPriceCents: makePriceCents(faker),
    stockLevel: faker.number.int({ min: STOCK_LEVEL_MIN, max: STOCK_LEVEL_MAX }),
  }));
}

// Many cheap things and a few dear ones. No power or logarithm: their last bit may differ by machine.
function makePriceCents(faker: Faker): number {
  const unit = faker.number.float();
  const price = Math.ceil(PRICE_MIN + (PRICE_MAX - PRICE_MIN) * unit * unit * unit);
  return price * 100 - faker.helpers.arrayElement(PRICE_ENDINGS_CENTS);
}

/** The stock of one product: an order reserves, and a delivery fills the shelf again. */
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

  /** Reserved by orders since the last delivery, which is when they are sent out. */
  get reserved(): number {
    return this.#level - this.#available;
  }

  /** Takes from the shelf; where there are too few, a delivery comes first. */
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
