/**
 * The shop's fictitious customers (see `markets.ts`).
 */

import type { CustomerInfo } from "../order/schema.ts";
import type { Market } from "./markets.ts";

export interface Customer {
  readonly info: Required<CustomerInfo>;
  readonly market: Market;
}

/** Creates customers, from the most to the least loyal, evenly distributed over the markets. Deterministic. */
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
    // The number makes the address unique.
    email: `${plain(firstName)}.${plain(lastName)}.${number}@example.com`,
    phone: market.phone(),
    address: market.address(),
    loyalty_level: loyaltyLevel(rank / count),
  };
}

// The share is the customer's rank by number of orders, from 0 for the most frequent one to 1.
function loyaltyLevel(share: number): string {
  if (share < 0.02) return "platinum";
  if (share < 0.1) return "gold";
  return share < 0.4 ? "silver" : "bronze";
}

/** Converts a name to ASCII for a mail address: `Saint-Éloi` to `saint-eloi`. */
function plain(name: string): string {
  return name.normalize("NFD").replace(/\p{Mark}/gu, "").replace(/[^a-z]+/gi, "-").toLowerCase();
}
