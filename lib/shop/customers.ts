/**
 * The shop's customers: made up, see `markets.ts`.
 *
 * @module
 */

import type { CustomerInfo } from "../order/schema.ts";
import type { Market } from "./markets.ts";

export interface Customer {
  readonly info: Required<CustomerInfo>;
  readonly market: Market;
}

/**
 * Customers from the most to the least loyal, evenly spread over the markets; the same generator states
 * give the same ones.
 */
export function makeCustomers(markets: readonly Market[], count: number): readonly Customer[] {
  return Array.from({ length: count }, (_, rank) => {
    const market = markets[rank % markets.length];
    if (market === undefined) throw new RangeError("expected at least one market");
    return { market, info: makeCustomer(market, rank, count) };
  });
}

function makeCustomer(market: Market, rank: number, count: number): Required<CustomerInfo> {
  const number = rank + 1;
  const firstName = market.faker.person.firstName();
  const lastName = market.faker.person.lastName();
  return {
    customer_id: `CUST-${String(number).padStart(6, "0")}`,
    name: `${firstName} ${lastName}`,
    // The number keeps two customers of one name apart.
    email: `${plain(firstName)}.${plain(lastName)}.${number}@example.com`,
    phone: market.phone(),
    address: market.address(),
    loyalty_level: loyaltyLevel(rank / count),
  };
}

// Who orders most is most loyal: customers come by popularity, the first share of them on top.
function loyaltyLevel(share: number): string {
  if (share < 0.02) return "platinum";
  if (share < 0.1) return "gold";
  return share < 0.4 ? "silver" : "bronze";
}

/** `Saint-Éloi` as `saint-eloi`: what every mail system takes. */
function plain(name: string): string {
  return name.normalize("NFD").replace(/\p{Mark}/gu, "").replace(/[^a-z]+/gi, "-").toLowerCase();
}
