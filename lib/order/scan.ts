/**
 * Tells by its bytes that a message is an order, without making an object of it.
 *
 * @module
 */

import { isUtf8 } from "node:buffer";
import { createScanner } from "./json_scan.ts";
import { isSurelyEmail, isSurelyNotBlank, isSurelyUuid, isSurelyVersion } from "./patterns.ts";
import {
  EMAIL_PATTERN,
  NOT_BLANK_PATTERN,
  ORDER_SCHEMA,
  UUID_PATTERN,
  VERSION_PATTERN,
} from "./schema.ts";
import { type OrderAmounts, sumsAgree } from "./sums.ts";

const scanAmounts = createScanner(ORDER_SCHEMA, {
  keeps: new Set([
    ...["items", "quantity", "unit_price", "total_price"],
    ...["sub_total", "tax", "shipping_fee", "total"],
  ]),
  sureMatches: new Map([
    [NOT_BLANK_PATTERN, isSurelyNotBlank],
    [UUID_PATTERN, isSurelyUuid],
    [VERSION_PATTERN, isSurelyVersion],
    [EMAIL_PATTERN, isSurelyEmail],
  ]),
});

/**
 * Whether a message is an order without a failure, told by its bytes. True is what `judgeOrderText`
 * would say too; false says nothing: an order that is written in a rare way has to be parsed. Never throws.
 *
 * Costs three fifths of decoding and `judgeOrderText`, and makes no object of the order.
 */
export function isSurelyOrder(value: Uint8Array): boolean {
  // The one parse boundary beside judgeOrderText: what the scan keeps has the schema's types.
  const amounts = isUtf8(value) ? scanAmounts(value) as OrderAmounts | undefined : undefined;
  return amounts !== undefined && sumsAgree(amounts);
}
