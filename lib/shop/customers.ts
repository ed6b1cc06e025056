/**
 * The shop's customers: made up, and safe to send to anyone. Their addresses end in example.com (RFC 2606)
 * and their numbers begin with 06 39 98, which France's regulator keeps for fiction.
 *
 * @module
 */

import type { Faker } from "@faker-js/faker";
import type { CustomerInfo } from "../order.ts";

/** Customers from the most to the least loyal; the same generator state gives the same ones. */
export function makeCustomers(faker: Faker, count: number): readonly Required<CustomerInfo>[] {
  return Array.from({ length: count }, (_, rank) => makeCustomer(faker, rank, count));
}

function makeCustomer(faker: Faker, rank: number, count: number): Required<CustomerInfo> {
  const number = rank + 1;
  const firstName = faker.person.firstName();
  const lastName = faker.person.lastName();
  return {
    customer_id: `CUST-${String(number).padStart(6, "0")}`,
    name: `${firstName} ${lastName}`,
    // The number keeps two customers of one name apart.
    email: `${plain(firstName)}.${plain(lastName)}.${number}@example.com`,
    phone: `+33 6 39 98 ${faker.string.numeric(2)} ${faker.string.numeric(2)}`,
    address: `${faker.location.streetAddress()}, ${faker.location.zipCode()} ` +
      `${faker.location.city()}, France`,
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
