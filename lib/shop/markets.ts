/**
 * The countries that the shop delivers to, with currency, tax, and generators of personal data.
 *
 * All people are fictitious: mail addresses end in example.com (RFC 2606), and telephone numbers are reserved for
 * fiction by the country's regulator.
 */

import type { Faker } from "@faker-js/faker";
import { faker as germanFaker } from "@faker-js/faker/locale/de";
import { faker as britishFaker } from "@faker-js/faker/locale/en_GB";
import { faker as americanFaker } from "@faker-js/faker/locale/en_US";
import { faker as frenchFaker } from "@faker-js/faker/locale/fr";
import { faker as swedishFaker } from "@faker-js/faker/locale/sv";

/** A country code (ISO 3166), as used by `--countries`. */
export type CountryCode = "FR" | "DE" | "GB" | "US" | "SE";

export interface Market {
  /** ISO 4217. */
  readonly currency: string;
  /** Applies to the goods, not to shipping. */
  readonly taxPercent: number;
  /** Price of goods for 100 euros. A constant, so that a seed always gives the same orders. */
  readonly priceOf100: number;
  /** Has the country's locale; seeded by the shop. */
  readonly faker: Faker;
  phone(): string;
  address(): string;
}

const FRENCH: Market = {
  currency: "EUR",
  taxPercent: 20,
  priceOf100: 100,
  faker: frenchFaker,
  phone: () => `+33 6 39 98 ${digits(frenchFaker, 2)} ${digits(frenchFaker, 2)}`,
  address: () => `${streetOf(frenchFaker)}, ${postTownOf(frenchFaker)}, France`,
};

const GERMAN: Market = {
  currency: "EUR",
  taxPercent: 19,
  priceOf100: 100,
  faker: germanFaker,
  phone: () => `+49 30 23125 ${digits(germanFaker, 3)}`,
  address: () => `${streetOf(germanFaker)}, ${postTownOf(germanFaker)}, Deutschland`,
};

const BRITISH: Market = {
  currency: "GBP",
  taxPercent: 20,
  priceOf100: 85,
  faker: britishFaker,
  phone: () => `+44 7700 900${digits(britishFaker, 3)}`,
  address: () =>
    `${streetOf(britishFaker)}, ${britishFaker.location.city()} ` +
    `${britishFaker.location.zipCode()}, United Kingdom`,
};

const AMERICAN: Market = {
  currency: "USD",
  taxPercent: 7.25,
  priceOf100: 110,
  faker: americanFaker,
  phone: () => `+1 212 555 01${digits(americanFaker, 2)}`,
  address: () => {
    const street = streetOf(americanFaker);
    const city = americanFaker.location.city();
    const state = americanFaker.location.state({ abbreviated: true });
    return `${street}, ${city}, ${state} ${americanFaker.location.zipCode()}, United States`;
  },
};

const SWEDISH: Market = {
  currency: "SEK",
  taxPercent: 25,
  priceOf100: 1_120,
  faker: swedishFaker,
  // 070-174 06 05 to 99; the last two digits are above 09.
  phone: () => `+46 70 174 06 ${swedishFaker.number.int({ min: 10, max: 99 })}`,
  address: () => `${streetOf(swedishFaker)}, ${postTownOf(swedishFaker)}, Sverige`,
};

export const MARKETS: Readonly<Record<CountryCode, Market>> = {
  FR: FRENCH,
  DE: GERMAN,
  GB: BRITISH,
  US: AMERICAN,
  SE: SWEDISH,
};

/** All country codes, the default first. */
export const COUNTRY_CODES: readonly CountryCode[] = ["FR", "DE", "GB", "US", "SE"];

function digits(faker: Faker, count: number): string {
  return faker.string.numeric(count);
}

function streetOf(faker: Faker): string {
  return faker.location.streetAddress();
}

function postTownOf(faker: Faker): string {
  return `${faker.location.zipCode()} ${faker.location.city()}`;
}
